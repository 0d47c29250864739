"""A plan: every run that a table needs with its state, its commands, its estimates, and what it waits for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from benchmark.config.cells import Cell, parse
from benchmark.config.digests import masks_digest
from benchmark.config.params import Config
from benchmark.planning.cells import PlannedRun, UnavailableRow
from benchmark.planning.commands import Command, benchmark_command, with_params
from benchmark.planning.disk import Disk, RunFolder, disk_of, weights_of
from benchmark.planning.schedule import Job
from benchmark.planning.states import (
    CHECKPOINT,
    MISSING,
    RESULTS,
    RUNNING,
    TRAINED,
    ProfileFiles,
    RunState,
    run_state,
)
from benchmark.planning.throughput import Machine, Speed, speed_of
from benchmark.planning.workload import (
    FORWARD,
    Workload,
    cell_work,
    scored_questions,
    sizes,
    transfer_work,
    written_work,
)

DATA = "data"
START = 10.0
"""Seconds of a command before its first step and after its last: imports, the model, the tracker."""
READING = 60.0
"""Seconds of fetching, preparing or counting, of which nothing is known beforehand."""


@dataclass(frozen=True, slots=True)
class Item:
    """One run of a plan. commands: empty where nothing is to be done. work, speed, disk: None for a table of
    counted numbers.

    seconds: of what is still to be done. needs, after: as of a `Job`.
    """

    needed: PlannedRun
    state: RunState
    commands: tuple[Command, ...] = ()
    seconds: float = 0.0
    work: Workload | None = None
    speed: Speed | None = None
    disk: Disk | None = None
    needs: frozenset[str] = frozenset()
    after: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class TablePlan:
    """The runs of a table, what cannot be made, and the preparation that comes first (empty where features
    are there).
    """

    items: tuple[Item, ...]
    unavailable: tuple[UnavailableRow, ...]
    preparation: tuple[Command, ...] = ()

    @property
    def to_run(self) -> tuple[Item, ...]:
        """The runs that are missing."""
        return tuple(item for item in self.items if item.commands)

    def on(self, params: str | None) -> TablePlan:
        """The plan with commands that name the params file `params`; None: the root's own."""

        def named(commands: Iterable[Command]) -> tuple[Command, ...]:
            return tuple(with_params(command, params) for command in commands)

        items = tuple(replace(item, commands=named(item.commands)) for item in self.items)
        return TablePlan(items, self.unavailable, named(self.preparation))


def assemble(
    needed: Sequence[PlannedRun],
    unavailable: Sequence[UnavailableRow],
    present: ProfileFiles,
    machine: Machine,
    folders: Sequence[RunFolder],
) -> TablePlan:
    """The plan of what is `needed`; `folders`: the profile's run folders, from which disk is estimated."""
    pending = {one.source for one in needed if one.source and run_state(one, present, False).kind != RESULTS}
    pending |= {
        name for one in needed if one.scored or one.name in pending for name in _references(one, present)
    }
    states = {
        one: run_state(one, present, one.name in pending)
        for one in needed
        if one.scored or one.name in pending
    }
    to_train = [parse(one.name) for one, state in states.items() if one.is_cell and state.kind == MISSING]
    leaders = _mask_leaders(to_train, present.config)
    items = {
        one.name: _item(one, state, present, machine, folders, leaders.get(one.name))
        for one, state in states.items()
    }
    items = {name: _after_others(item, items) for name, item in items.items()}
    preparation: tuple[Command, ...] = ()
    if any(item.commands and _lacks_data(item.needed, present) for item in items.values()):
        preparation = (benchmark_command("fetch"), benchmark_command("prepare"))
        items = {
            name: replace(item, needs=item.needs | {DATA}) if item.commands else item
            for name, item in items.items()
        }
    return TablePlan(tuple(items.values()), tuple(unavailable), preparation)


def jobs_of(plan: TablePlan, present: ProfileFiles) -> list[Job]:
    """What `--run` runs, in order."""
    folders = present.folders
    jobs = [Job(DATA, plan.preparation, READING, guessed=True)] if plan.preparation else []
    for item in plan.to_run:
        needed = item.needed
        counted = needed.identity is None
        suffixes = ("json",) if counted else ("json", "parquet")
        jobs.append(
            Job(
                needed.name,
                item.commands,
                item.seconds,
                item.needs,
                item.after,
                expects=tuple(folders.results / f"{needed.name}.{suffix}" for suffix in suffixes),
                model=folders.run(parse(needed.name)) / "model" if needed.is_cell else None,
                guessed=counted,
            )
        )
    return jobs


def _item(
    needed: PlannedRun,
    state: RunState,
    present: ProfileFiles,
    machine: Machine,
    folders: Sequence[RunFolder],
    leader: str | None,
) -> Item:
    """A run with its commands and estimates. leader: the cell that learns the masks for it."""
    config, identity = present.config, needed.identity
    finished = state.kind in (RESULTS, RUNNING)
    if identity is None:
        to_do = () if finished else (tuple((needed.command or "").split()),)
        return Item(needed, state, to_do, READING if to_do else 0.0)
    cell = Cell(identity.backbone, identity.regime, identity.arm, identity.adapter, needed.seed)
    features, weights = present.folders.features(cell.backbone), weights_of(config, cell.backbone)
    scored = config.data.evaluate
    if not needed.is_cell:
        scored = [name for name in needed.datasets if name in scored]
    commands: tuple[Command, ...]
    if identity.published:
        commands = (benchmark_command("unifiedqa", cell.backbone),)
        work = written_work(config, scored, features)
    elif needed.source:
        arguments = ("--k", str(identity.K), "--seed", str(needed.seed))
        commands = (benchmark_command("transfer", needed.source, *arguments),)
        work = transfer_work(config, cell.arm, scored, features)
    else:
        commands = tuple(benchmark_command(verb, needed.name) for verb in ("train", "evaluate"))
        work = cell_work(config, cell, features, masks_made=leader is not None)
    if finished or (state.kind == TRAINED and not needed.scored):
        commands = ()
    elif state.kind == TRAINED:
        commands = commands[-1:]
    questions = sum(
        scored_questions(config, sizes(features, name, "dev", config.data.window)) for name in scored
    )
    speed = speed_of(cell, config, machine, weights)
    done = (present.checkpoint(needed.name) or 0) if state.kind == CHECKPOINT else 0
    return Item(
        needed,
        state,
        commands,
        seconds_of(work, speed, len(commands), state, done),
        work,
        speed,
        disk_of(config, cell, folders, weights, questions, trains=needed.is_cell),
        after=frozenset([leader] if leader else []),
    )


def seconds_of(work: Workload, speed: Speed, commands_left: int, state: RunState, done: int = 0) -> float:
    """Seconds of the commands that are left; `done`: steps before the checkpoint that it resumes from."""
    if not commands_left:
        return 0.0
    tokens = work.passes
    if state.kind == TRAINED:
        tokens = FORWARD * work.evaluation
    elif done:
        left = max(0.0, 1 - done / work.steps)
        tokens = left * (work.tuning + FORWARD * work.validation) + FORWARD * work.evaluation
    return tokens / speed.tokens_per_second + START * commands_left


def _mask_leaders(cells: Sequence[Cell], config: Config) -> dict[str, str]:
    """{cell: the one that learns its masks}, of cells that would learn the same: BMT without adapters, if it
    is there. The others wait for it, and it alone is charged for them.
    """
    mask, groups = config.mask, dict[str, list[Cell]]()
    kept = {"fixed_random", "fisher"}
    if mask.schedule == "two_phase" and mask.gate != "resampled":
        kept.add("learned")
    for cell in cells:
        if config.arms[cell.arm].mask in kept:
            groups.setdefault(masks_digest(config, cell), []).append(cell)
    leaders: dict[str, str] = {}
    for group in groups.values():
        first = min(group, key=lambda cell: (config.arms[cell.arm].mask != "learned", cell.adapter))
        leaders |= {cell.name: first.name for cell in group if cell is not first}
    return leaders


def _references(needed: PlannedRun, present: ProfileFiles) -> list[str]:
    """The cells that must have told their validation scores before a cell is trained, and have not."""
    if not needed.references or run_state(needed, present, False).kind in (RESULTS, TRAINED):
        return []
    return [
        name
        for name in needed.references
        if not (present.folders.run(parse(name)) / "training.json").is_file()
    ]


def _after_others(item: Item, items: dict[str, Item]) -> Item:
    """A transfer needs its source, and a cell those that its sampling is held against, where they are still
    to be made.
    """
    if not item.commands:
        return item
    for name in (item.needed.source, *item.needed.references):
        other = items.get(name or "")
        if other is not None and other.state.kind == RUNNING:
            note = f"waits for {other.needed.name}, which another process makes now: run this again then"
            return replace(item, commands=(), seconds=0.0, state=replace(item.state, note=note))
        if other is not None and other.commands:
            item = replace(item, needs=item.needs | {other.needed.name})
    return item


def _lacks_data(needed: PlannedRun, present: ProfileFiles) -> bool:
    """Whether a run's features, or the files of a table of counted numbers, are not there."""
    if needed.identity is None:
        return not any(present.folders.raw.rglob("*.jsonl*"))
    if needed.identity.published:
        return not any(present.folders.raw.rglob("*.dev.jsonl.gz"))
    regime, data = needed.identity.regime, present.config.data
    train = data.train if regime == "mt" else [regime.removeprefix("st-")]
    folder = present.folders.features(needed.identity.backbone)
    dev = any((folder / f"{name}.dev" / "features.json").is_file() for name in data.evaluate)
    return not dev or not all((folder / f"{name}.train" / "features.json").is_file() for name in train)
