"""Which runs `benchmark.errors` is about: an arm is all seeds of one cell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmark.cli.text import short
from benchmark.config.cells import known_name, nearest
from benchmark.runs.results import Identity, Results, Run
from bmt.errors import ConfigError, DataError

PAPER_ARMS = ("none", "mask", "bmt", "bmt.adapter")
"""The four settings of the paper's appendix C, P1 to P4."""


@dataclass(frozen=True, slots=True)
class ArmRuns:
    """name: as it was asked for. runs: one per seed, in the order of the seeds."""

    name: str
    identity: Identity
    runs: tuple[Run, ...]


@dataclass(frozen=True, slots=True)
class ArmChoice:
    """The arms to look at, with the same seeds each; notes: what was left out on the way."""

    arms: tuple[ArmRuns, ...]
    seeds: tuple[int, ...]
    notes: tuple[str, ...]

    @property
    def runs(self) -> tuple[Run, ...]:
        """Every run of every arm."""
        return tuple(run for arm in self.arms for run in arm.runs)


def short_name(identity: Identity) -> str:
    """An arm without backbone and regime: `bmt`, `bmt.adapter`, `bmt.adapter.k16`."""
    return identity.stem.removeprefix(f"{identity.backbone}.{identity.regime}.")


def seeds_text(seeds: Sequence[int]) -> str:
    """`seed 0`, `seeds 0, 1`."""
    return f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}"


def choose_arms(
    results: Results,
    names: Sequence[str] | None,
    seeds: Sequence[int] | None,
    backbone: str | None,
    where: str,
) -> ArmChoice:
    """The runs of the arms called `names`, each a short name (an MT arm of `backbone`) or a cell without its
    seed.

    Args:
        names: None: of PAPER_ARMS those that have runs, or else every MT arm.
        seeds: None: the seeds that all these arms have.
        backbone: None: the one with most runs.
        where: how messages call the folder.

    Raises:
        ConfigError: no runs; an arm, a backbone or a seed that is not there; an arm twice; no seed in common.
        DataError: a file of an arm cannot be used; two files for one seed.
    """
    if not results.runs and not results.faults:
        raise ConfigError(
            f"{where}: no results: `python -m benchmark.train CELL` and `python -m benchmark.evaluate CELL` "
            "make them"
        )
    identities = [run.identity for run in results.runs]
    identities += [fault.identity for fault in results.faults if fault.identity]
    if not identities:
        check = f"python -m benchmark.check {short(results.folder)}"
        raise ConfigError(f"{where}: no usable result: `{check}` says why")
    backbones = tuple(dict.fromkeys([*results.backbones, *(one.backbone for one in identities)]))
    if backbone is not None:
        known_name(backbone, backbones, "--backbone")
    chosen = backbone or next(iter(backbones), "")
    by_name = {short_name(one): one for one in identities if (one.backbone, one.regime) == (chosen, "mt")}
    by_name |= {one.stem: one for one in identities}
    wanted = _wanted(names, by_name, chosen)
    for fault in results.faults:
        if fault.identity in wanted.values() and (seeds is None or fault.seed in seeds):
            raise DataError(f"{where}/{fault}; evaluate it again, or leave it out with --arms or --seeds")
    runs = {name: _by_seed(identity, results.runs, where) for name, identity in wanted.items()}
    shared = _seeds(runs, seeds)
    notes = []
    by_short_name = any(name == short_name(identity) for name, identity in wanted.items())
    if len(backbones) > 1 and backbone is None and by_short_name:
        notes.append(f"of the backbones {', '.join(backbones)} the one with most runs: {chosen}")
    for name, by_seed in runs.items():
        if seeds is None and (extra := sorted(set(by_seed) - set(shared))):
            notes.append(f"{name}: {seeds_text(extra)} left out: not every arm has them")
    arms = (
        ArmRuns(name, wanted[name], tuple(by_seed[seed] for seed in shared)) for name, by_seed in runs.items()
    )
    return ArmChoice(tuple(arms), shared, tuple(notes))


def _wanted(names: Sequence[str] | None, by_name: dict[str, Identity], backbone: str) -> dict[str, Identity]:
    """The identities of the arms asked for."""
    known = ", ".join(sorted(by_name))
    if names is None:
        names = [name for name in PAPER_ARMS if name in by_name] or [
            name for name, identity in by_name.items() if name == short_name(identity)
        ]
        if not names:
            raise ConfigError(f"--arms: needed, as {backbone} has no multi-data run: of {known}")
    wanted: dict[str, Identity] = {}
    for name in names:
        if name not in by_name:
            raise ConfigError(f"--arms {name}: no run of it{nearest(name, tuple(by_name))}: of {known}")
        if by_name[name] in wanted.values():
            raise ConfigError(f"--arms {name}: stands twice: each arm once")
        wanted[name] = by_name[name]
    return wanted


def _by_seed(identity: Identity, runs: Sequence[Run], where: str) -> dict[int, Run]:
    by_seed: dict[int, Run] = {}
    for run in runs:
        if run.identity == identity:
            if run.seed in by_seed:
                raise DataError(
                    f"{where}: {by_seed[run.seed].cell} and {run.cell} are both seed {run.seed} of "
                    f"{identity.stem}: remove one"
                )
            by_seed[run.seed] = run
    return by_seed


def _seeds(runs: dict[str, dict[int, Run]], wanted: Sequence[int] | None) -> tuple[int, ...]:
    """The seeds asked for, which every arm must have, or those that every arm has."""
    there = "; ".join(f"{name} has {', '.join(map(str, sorted(by_seed)))}" for name, by_seed in runs.items())
    if wanted is None:
        shared = set.intersection(*map(set, runs.values()))
        if not shared:
            raise ConfigError(f"--arms {' '.join(runs)}: no seed in common: {there}")
        return tuple(sorted(shared))
    for name, by_seed in runs.items():
        if lacking := [seed for seed in wanted if seed not in by_seed]:
            raise ConfigError(f"--seeds: {name} has no run of seed {lacking[0]}: {there}")
    return tuple(wanted)
