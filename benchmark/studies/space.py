"""What a study searches: parameters of an arm, each between two ends.

name        key             what it is                                 changes something for
lam         mask.lam        lambda of eq. 12, on a log scale           learned masks
gamma       mask.gamma      lower stretch of the gate, below 0         learned masks
zeta        mask.zeta       upper stretch of the gate, above 1         learned masks
steps       mask.steps      mask-learning steps, on a log scale        learned masks, Fisher
alpha_lr    mask.alpha_lr   learning rate of alpha, on a log scale     learned masks
density     mask.density    target density                             learned masks, Fisher, magnitude
p_f         arms.ARM.p_f    p_F of eq. 16                              random masks
"""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from benchmark.config.cells import known_name
from benchmark.config.params import Arm, Config, as_flat
from bmt.errors import ConfigError
from bmt.settings import MaskSettings, allowed

if TYPE_CHECKING:
    import optuna

Values = dict[str, float]
"""{parameter: value}; whole numbers are ints."""

LOG = ("lam", "steps", "alpha_lr")
WHOLE = ("steps",)
ENDS = {
    "lam": (1e-9, 1e-5),
    "gamma": (-3.0, -0.1),
    "zeta": (1.1, 4.0),
    "alpha_lr": (0.01, 1.0),
    "density": (0.05, 0.9),
    "p_f": (0.1, 0.9),
}
"""Where a search goes unless told otherwise; the steps': from half to twice the params file's."""
BOUNDS = {"low": operator.ge, "high": operator.le, "above": operator.gt, "below": operator.lt}
"""What a knob's metadata says of its values."""
GATES = ("lam", "gamma", "zeta", "steps", "alpha_lr", "density")
MATTERS = {
    "none": (),
    "random": ("p_f",),
    "learned": GATES,
    "fixed_random": GATES,
    "fisher": ("steps", "density"),
    "magnitude": ("density",),
}
"""The parameters that change anything, by kind of mask."""
USUAL = ("lam", "gamma", "zeta", "p_f")
"""Those that are searched unless told otherwise, where any of them matters."""


@dataclass(frozen=True, slots=True)
class Range:
    """One parameter of a search: its name, its key in a params file, both ends (searched too), scale and
    kind.
    """

    name: str
    key: str
    low: float
    high: float
    log: bool = False
    whole: bool = False

    @property
    def text(self) -> str:
        """`lam 1e-09 to 1e-05 (log)`."""
        kinds = ", ".join(word for word, is_so in (("log", self.log), ("whole", self.whole)) if is_so)
        return f"{self.name} {self.low:g} to {self.high:g}{f' ({kinds})' if kinds else ''}"

    def suggest(self, trial: optuna.Trial) -> float:
        """The trial's value."""
        if self.whole:
            return int(trial.suggest_int(self.name, int(self.low), int(self.high), log=self.log))
        return self.rounded(trial.suggest_float(self.name, self.low, self.high, log=self.log))

    def rounded(self, value: float) -> float:
        """`value` as a training gets it: four digits are enough, and can be read."""
        return int(value) if self.whole else max(self.low, min(self.high, float(f"{value:.4g}")))


@dataclass(frozen=True, slots=True)
class Space:
    """All that one study searches."""

    ranges: tuple[Range, ...]

    @staticmethod
    def read(plain: Mapping[str, Mapping[str, Any]]) -> Space:
        """The inverse of `plain`."""
        return Space(tuple(Range(name, **ends) for name, ends in plain.items()))

    def suggest(self, trial: optuna.Trial) -> Values:
        """The trial's values."""
        return {part.name: part.suggest(trial) for part in self.ranges}

    def changes(self, values: Mapping[str, float]) -> dict[str, float]:
        """Values by their keys in a params file."""
        return {part.key: values[part.name] for part in self.ranges}

    def plain(self) -> dict[str, dict[str, Any]]:
        """As plain values, for a file or a comparison."""
        plain = {part.name: asdict(part) for part in self.ranges}
        for ends in plain.values():
            del ends["name"]
        return plain

    @property
    def text(self) -> str:
        """All ranges in words."""
        return ", ".join(part.text for part in self.ranges)


def space_of(
    config: Config,
    arm: str,
    names: Sequence[str] | None = None,
    ranges: Sequence[str] = (),
    density: bool = False,
) -> Space:
    """The space of a study on `arm`.

    Args:
        names: the parameters; None: the usual ones that matter for the arm.
        ranges: `NAME=LOW:HIGH` each; a parameter that has one is searched.
        density: the target density is to be searched too, where the arm has one (a search for F1 against
            density).

    Raises:
        ConfigError: an unknown parameter, one that changes nothing for the arm, an empty range, an end that
            the knob does not allow.
    """
    kind = config.arms[arm].mask
    matters = MATTERS[kind]
    if not matters:
        raise ConfigError(f"arm {arm}: mask {kind} has no parameter to search: name an arm with a mask")
    ranges_by_name = dict(_parsed(text) for text in ranges)
    if names is None:
        names = [name for name in USUAL if name in matters] or list(matters)
        if density and "density" in matters and config.mask.density is not None:
            names.append("density")
    searched = list(dict.fromkeys([*names, *ranges_by_name]))
    for name in searched:
        known_name(name, (*GATES, "p_f"), "search parameter")
        if name not in matters:
            raise ConfigError(
                f"search parameter {name}: changes nothing for arm {arm} (mask {kind}): one of "
                f"{', '.join(matters)}"
            )
    return Space(tuple(_range(config, arm, name, ranges_by_name.get(name)) for name in searched))


def _parsed(text: str) -> tuple[str, tuple[float, float]]:
    name, _, ends = text.partition("=")
    low, _, high = ends.partition(":")
    try:
        return name.strip(), (float(low), float(high))
    except ValueError:
        raise ConfigError(f"--range {text}: not of the form NAME=LOW:HIGH, as in gamma=-2:-0.2") from None


def _range(config: Config, arm: str, name: str, ends: tuple[float, float] | None) -> Range:
    key = f"arms.{arm}.p_f" if name == "p_f" else f"mask.{name}"
    steps = config.mask.steps
    low, high = ends or ((max(1, steps // 2), max(2, 2 * steps)) if name == "steps" else ENDS[name])
    part = Range(name, key, low, high, name in LOG, name in WHOLE)
    _check(part)
    return replace(part, low=int(low), high=int(high)) if part.whole else part


def _check(part: Range) -> None:
    """Both ends within the knob's bounds, and something between them."""
    low, high = part.low, part.high
    kind: type[Any] = Arm if part.name == "p_f" else MaskSettings
    knob = next(entry.metadata for entry in fields(kind) if entry.name == part.name)
    where = f"--range {part.name}={low:g}:{high:g}"
    for end in (low, high):
        if not math.isfinite(end) or (part.whole and end != int(end)):
            raise ConfigError(f"{where}: {end:g} is not allowed: a {'whole ' if part.whole else ''}number")
        if not all(knob[name] is None or holds(end, knob[name]) for name, holds in BOUNDS.items()):
            also = "; gamma < 0 < 1 < zeta (eq. 11)" if part.name in ("gamma", "zeta") else ""
            raise ConfigError(f"{where}: {part.key} {end:g} is not allowed: {allowed(knob)}{also}")
    if part.log and low <= 0:
        raise ConfigError(
            f"{where}: {part.key} {low:g} is not allowed: above 0, for the search is on a log scale"
        )
    if not low < high:
        raise ConfigError(
            f"{where}: the range is empty: LOW must be below HIGH; to hold a value fixed, --set "
            f"{part.key}={low:g}"
        )


def present(config: Config, space: Space) -> Values | None:
    """The params file's own values, where all of them lie in the space; else None."""
    flat: Mapping[str, Any] = as_flat(config)
    values = {part.name: flat[part.key] for part in space.ranges}
    inside = all(
        isinstance(value, int | float) and part.low <= value <= part.high
        for part, value in zip(space.ranges, values.values(), strict=True)
    )
    return values if inside else None


def words(values: Mapping[str, float]) -> str:
    """Values on a line: `lam 1.2e-07, gamma -0.83`."""
    return ", ".join(f"{name} {value:.4g}" for name, value in values.items())
