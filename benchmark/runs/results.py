"""Read and check a results folder: one `<cell>.json` (and `<cell>.parquet`, see predictions.py) a run.
docs/compare.md has the schema.

Nothing here raises for a bad file: a run that cannot be trusted is a `Fault` with its reason, and the table
shows it where its cell is.
Whoever wrote the results, the identity of a run is what its JSON says, not its name.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmark.config.cells import ZERO_SHOT, parse
from bmt.errors import ConfigError

SCHEMA = 1
NAMES = ("profile", "backbone", "regime", "arm")
MOST = sys.float_info.max


@dataclass(frozen=True, slots=True)
class Scored:
    """A run's scores on one dataset: EM and F1 in percent over `examples` questions; sha256: digest of the
    data scored, or None.
    """

    em: float
    f1: float
    examples: int
    sha256: str | None = None

    def metric(self, name: str) -> float | None:
        """The score called `name` (EM or F1, any case), or None."""
        return {"em": self.em, "f1": self.f1}.get(name.lower())


@dataclass(frozen=True, slots=True)
class Identity:
    """What a run is an instance of: everything but its seed and its scores."""

    backbone: str
    regime: str
    arm: str
    adapter: bool = False
    K: int | None = None

    @property
    def stem(self) -> str:
        """The cell's name without its seed."""
        return ".".join(
            [
                self.backbone,
                self.regime,
                self.arm,
                *(["adapter"] if self.adapter else []),
                *([f"k{self.K}"] if self.K else []),
            ]
        )

    @property
    def published(self) -> bool:
        """Whether it is a model as it was published, scored and not trained here: there is one such run,
        without seeds.
        """
        return self.arm == ZERO_SHOT


@dataclass(frozen=True, slots=True)
class Run:
    """One `<cell>.json`. Fields that a file may leave out are None; datasets without an example are listed in
    `empty`.
    """

    cell: str
    profile: str
    identity: Identity
    seed: int
    datasets: dict[str, Scored]
    empty: tuple[str, ...] = ()
    revision: str | None = None
    p_f: float | None = None
    evaluator: str | None = None
    mask: dict[str, Any] | None = None
    deviation: dict[str, float] = field(default_factory=dict)
    epochs: float | None = None
    mask_steps: int | None = None
    commit: str | None = None
    dirty: bool | None = None
    from_hub: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Fault:
    """A file that cannot be used. identity, seed: of the cell that its name names, or None where it names
    none.
    """

    file: str
    reason: str
    identity: Identity | None = None
    seed: int | None = None

    def __str__(self) -> str:
        return f"{self.file}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Results:
    """A whole folder: the runs, in the order of their names, the files that cannot be used, and the numbers
    of tables of facts.
    """

    folder: Path
    runs: tuple[Run, ...]
    faults: tuple[Fault, ...] = ()

    @property
    def backbones(self) -> tuple[str, ...]:
        """The backbones of the runs, the one with most runs first."""
        names = [run.identity.backbone for run in self.runs]
        return tuple(sorted(set(names), key=lambda name: (-names.count(name), name)))

    @property
    def profiles(self) -> tuple[str, ...]:
        """The profiles that the runs say they are of."""
        return tuple(sorted({run.profile for run in self.runs}))


class UnusableFileError(Exception):
    """Why a file cannot be used."""


def read(folder: Path) -> Results:
    """Every run of a folder; a folder that does not exist has none.

    Raises:
        ConfigError: the folder may not be read.
    """
    runs: list[Run] = []
    faults: list[Fault] = []
    for path in sorted(_files(folder)):
        if path.stem.startswith("table_"):
            continue
        try:
            run = read_run(path)
        except UnusableFileError as error:
            faults.append(fault(path, str(error)))
        else:
            runs.append(run)
    return Results(folder, tuple(runs), tuple(faults))


def _files(folder: Path) -> list[Path]:
    try:
        return [folder / name for name in os.listdir(folder) if name.endswith(".json")]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ConfigError(f"{folder}: the results cannot be read: {error.strerror}") from None


def fault(path: Path, reason: str) -> Fault:
    """A fault of the file at `path`, filed under the cell that its name names."""
    # a name need not be UTF-8; what is printed must be
    shown = os.fsencode(path.name).decode("utf-8", "replace")
    shots = re.search(r"\.k([0-9]+)(?=\.s[0-9]+$)", path.stem)
    try:
        cell = parse(path.stem.replace(shots[0], "") if shots else path.stem)
    except ConfigError:
        return Fault(shown, reason)
    return Fault(
        shown,
        reason,
        Identity(cell.backbone, cell.regime, cell.arm, cell.adapter, int(shots[1]) if shots else None),
        cell.seed,
    )


def read_run(path: Path) -> Run:
    """The run of one JSON file.

    Raises:
        UnusableFileError: why it cannot be used.
    """
    values = _object(path)
    if values.get("schema") != SCHEMA:
        raise UnusableFileError(f"schema {_shown(values.get('schema'))} is not allowed: {SCHEMA}")
    if values.get("cell") != path.stem:
        raise UnusableFileError(
            f"cell {_shown(values.get('cell'))} is not allowed: {path.stem}, as in the file's name"
        )
    profile, backbone, regime, arm = (_typed(values, key, str) for key in NAMES)
    seed = _typed(values, "seed", int)
    K, adapter = _typed(values, "K", int, optional=True), _typed(values, "adapter", bool, optional=True)
    budget, git, deviation = (
        _mapping(values, "budget"),
        _mapping(values, "git"),
        _mapping(values, "deviation"),
    )
    deviation = _mapping(deviation, "total") or deviation
    datasets, empty = _datasets(values)
    return Run(
        cell=path.stem,
        profile=profile,
        identity=Identity(backbone, regime, arm, bool(adapter), K),
        seed=seed,
        datasets=datasets,
        empty=empty,
        revision=_typed(values, "backbone_revision", str, optional=True),
        p_f=_number(values, "p_f"),
        evaluator=_typed(values, "evaluator_version", str, optional=True),
        mask=_mask(values),
        deviation={
            key: number
            for key in ("l2", "relative")
            if (number := _number(deviation, key, "deviation.")) is not None
        },
        epochs=_number(budget, "epochs"),
        mask_steps=_typed(budget, "mask_steps", int, optional=True),
        commit=_typed(git, "commit", str, optional=True),
        dirty=_typed(git, "dirty", bool, optional=True),
        from_hub=_names(values, "from_hub"),
    )


def read_facts(folder: Path, table: str) -> tuple[dict[str, Any] | None, Fault | None]:
    """`table_<id>.json`: {"schema", "table", "profile", "backbone", "rows": {row: {metric: number or null}}};
    or None; or why not.
    """
    path = folder / f"table_{table}.json"
    if not path.exists():
        return None, None
    try:
        values = _object(path)
        if values.get("schema") != SCHEMA or values.get("table") != table:
            found = f"schema {_shown(values.get('schema'))}, table {_shown(values.get('table'))}"
            raise UnusableFileError(f"{found} are not allowed: {SCHEMA} and {table!r}")
        for row, numbers in _mapping(values, "rows").items():
            if not isinstance(numbers, dict):
                raise UnusableFileError(f"rows.{row}: {_shown(numbers)} is not allowed: metrics and numbers")
            for metric in numbers:
                _number(numbers, metric, f"rows.{row}.")
    except UnusableFileError as error:
        return None, Fault(path.name, str(error))
    return values, None


def _names(values: dict[str, Any], key: str) -> tuple[str, ...]:
    """A list of names that a file may leave out."""
    found = values.get(key) or []
    if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
        raise UnusableFileError(f"{key}: {_shown(found)} is not allowed: a list of names")
    return tuple(found)


def _object(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_bytes())
        json.dumps(values, ensure_ascii=False).encode()
    except OSError as error:
        raise UnusableFileError(f"cannot be read: {error.strerror}") from None
    except UnicodeEncodeError:
        raise UnusableFileError("a text in it is no Unicode (half of a surrogate pair)") from None
    except UnicodeDecodeError:
        raise UnusableFileError("no UTF-8 text") from None
    except json.JSONDecodeError as error:
        raise UnusableFileError(
            f"line {error.lineno}: no JSON ({error.msg}); an interrupted write or an edit: make it again"
        ) from None
    except (RecursionError, ValueError):  # ValueError: an integer of thousands of digits
        raise UnusableFileError("no results: nested too deeply, or a number too long") from None
    if not isinstance(values, dict):
        raise UnusableFileError(f"{_shown(values)} is not allowed: an object")
    return values


def _mask(values: dict[str, Any]) -> dict[str, Any] | None:
    """What the run says of its mask, its densities checked."""
    mask = _mapping(values, "mask")
    shares = {f"density.{name}": value for name, value in _mapping(mask, "density", "mask.").items()} | {
        "union_density": mask.get("union_density")
    }
    for key in shares:
        share = _number(shares, key, "mask.")
        if share is not None and not 0 <= share <= 1:
            raise UnusableFileError(f"mask.{key}: {_shown(share)} is not allowed: a number of 0 to 1")
    return mask or None


def _datasets(values: dict[str, Any]) -> tuple[dict[str, Scored], tuple[str, ...]]:
    """The scores by dataset, and the names of datasets that have no examples."""
    scored: dict[str, Scored] = {}
    empty: list[str] = []
    for name, entry in _mapping(values, "datasets").items():
        where = f"datasets.{name}."
        if not isinstance(entry, dict):
            raise UnusableFileError(f"datasets.{name}: {_shown(entry)} is not allowed: em, f1 and examples")
        examples = _typed(entry, "examples", int, where=where)
        if examples < 0:
            raise UnusableFileError(f"{where}examples: {examples} is not allowed: at least 0")
        if not examples:
            empty.append(name)
            continue
        em, f1 = _percent(entry, "em", where), _percent(entry, "f1", where)
        scored[name] = Scored(em, f1, examples, _typed(entry, "data_sha256", str, optional=True, where=where))
    if not scored and not empty:
        raise UnusableFileError("datasets: missing: at least one, with em, f1 and examples")
    return scored, tuple(empty)


def _typed(values: Mapping[str, Any], key: str, kind: type, optional: bool = False, where: str = "") -> Any:
    value = values.get(key)
    if value is None and optional:
        return None
    if (
        not isinstance(value, kind)
        or (isinstance(value, bool) and kind is not bool)
        or (kind is str and not value)
    ):
        words = {str: "a text", int: "a whole number", bool: "true or false"}[kind]
        raise UnusableFileError(f"{where}{key}: {_shown(value)} is not allowed: {words}")
    return value


def _number(values: Mapping[str, Any], key: str, where: str = "") -> float | None:
    value = values.get(key)
    if value is None:
        return None
    # NaN fails too
    if not isinstance(value, int | float) or isinstance(value, bool) or not -MOST <= value <= MOST:
        raise UnusableFileError(f"{where}{key}: {_shown(value)} is not allowed: a finite number")
    return float(value)


def _percent(values: Mapping[str, Any], key: str, where: str) -> float:
    value = _number(values, key, where)
    if value is None or not 0 <= value <= 100:
        raise UnusableFileError(
            f"{where}{key}: {_shown(values.get(key))} is not allowed: a number of 0 to 100"
        )
    return value


def _mapping(values: Mapping[str, Any], key: str, where: str = "") -> dict[str, Any]:
    value = values.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise UnusableFileError(f"{where}{key}: {_shown(value)} is not allowed: an object")
    return value


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."
