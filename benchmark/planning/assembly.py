"""A plan: every run that a table needs with its state, its commands, its estimates, and what it waits for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from benchmark.config.cells import Cell, parse
from benchmark.config.digests import masks_digest
from benchmark.planning import commands
from benchmark.planning.cells import PlannedRun, UnavailableRow
from benchmark.planning.commands import Command
from benchmark.planning.disk import Disk, RunFolder, disk_of, weights_of
from benchmark.planning.schedule import Job, makespan
from benchmark.planning.states import CHECKPOINT, RESULTS, RUNNING, TRAINED, ProfileFiles, RunState, run_state
from benchmark.planning.throughput import Speed, SpeedRecord, speed_of
from benchmark.planning.workload import FORWARD, Workload, cell_work, sizes, transfer_work, written_work

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

    @property
    def to_run(self) -> bool:
        """Whether `--run` has something to do for it."""
        return bool(self.commands)


@dataclass(frozen=True, slots=True)
class Machine:
    """What the runs are estimated for and from: the device as runs record it, their measurements, and the run
    folders of the profile.
    """

    device: str
    gpu: bool
    records: Sequence[SpeedRecord]
    made: Sequence[RunFolder] = ()


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
        return tuple(item for item in self.items if item.to_run)


def assemble(
    needed: Sequence[PlannedRun],
    unavailable: Sequence[UnavailableRow],
    present: ProfileFiles,
    machine: Machine,
    params: str | None,
) -> TablePlan:
    """The plan of what is `needed`; `params`: the params file that commands name, None for the root's own."""
    pending = {one.source for one in needed if one.source and run_state(one, present, False).kind != RESULTS}
    pending |= {
        name for one in needed if one.scored or one.name in pending for name in _references(one, present)
    }
    wanted = [one for one in needed if one.scored or one.name in pending]
    states = {one.name: run_state(one, present, one.name in pending) for one in wanted}
    items = _after_masks([_item(one, states[one.name], present, machine, params) for one in wanted], present)
    by_name = {item.needed.name: item for item in items}
    items = [_after_others(item, by_name) for item in items]
    runs = [item for item in items if item.to_run]
    preparation = commands.data(params) if any(_lacks_data(item.needed, present) for item in runs) else ()
    if preparation:
        items = [replace(item, needs=item.needs | {DATA}) if item.to_run else item for item in items]
    return TablePlan(tuple(items), tuple(unavailable), preparation)


def jobs_of(plan: TablePlan, present: ProfileFiles) -> list[Job]:
    """What `--run` runs, in order."""
    places = present.places
    jobs = [Job(DATA, plan.preparation, READING, guessed=True)] if plan.preparation else []
    for item in plan.to_run:
        needed = item.needed
        model = places.run(parse(needed.name)) / "model" if needed.is_cell else None
        suffixes = ("json",) if needed.identity is None else ("json", "parquet")
        expects = tuple(places.results / f"{needed.name}.{suffix}" for suffix in suffixes)
        jobs.append(
            Job(
                needed.name,
                item.commands,
                item.seconds,
                item.needs,
                item.after,
                expects,
                model,
                guessed=needed.identity is None,
            )
        )
    return jobs


def wall_seconds(jobs: Sequence[Job], slots: int, shared: bool) -> float:
    """Seconds until the last job is done. shared: the slots share one device, so that each is as much slower
    as there are slots.
    """
    return makespan([replace(job, seconds=job.seconds * slots) for job in jobs] if shared else jobs, slots)


def _item(
    needed: PlannedRun, state: RunState, present: ProfileFiles, machine: Machine, params: str | None
) -> Item:
    """A run with its commands and estimates; what it waits for is not known yet."""
    config, identity = present.config, needed.identity
    if identity is None:
        to_do: tuple[Command, ...] = (commands.counted_table(needed.command or "", params),)
        if state.kind in (RESULTS, RUNNING):
            to_do = ()
        return Item(needed, state, to_do, READING if to_do else 0.0)
    cell = Cell(identity.backbone, identity.regime, identity.arm, identity.adapter, needed.seed)
    features, weights = present.places.features(cell.backbone), weights_of(config, cell.backbone)
    speed = speed_of(cell, config.profile, config.arms, machine.device, machine.gpu, machine.records, weights)
    if identity.published:
        datasets = [name for name in needed.datasets if name in config.data.evaluate]
        to_do, work, scored = (
            (commands.unifiedqa(cell.backbone, params),),
            written_work(config, datasets, features),
            datasets,
        )
    elif identity.K is not None and needed.source:
        datasets = [name for name in needed.datasets if name in config.data.evaluate]
        to_do = (commands.transfer(needed.source, identity.K, needed.seed, params),)
        work, scored = transfer_work(config, cell.arm, datasets, features), datasets
    else:
        to_do = (commands.train(needed.name, params), commands.evaluate(needed.name, params))
        work, scored = cell_work(config, cell, features), config.data.evaluate
    if state.kind in (RESULTS, RUNNING) or (state.kind == TRAINED and not needed.scored):
        to_do = ()
    elif state.kind == TRAINED:
        to_do = to_do[-1:]
    questions = [sizes(features, name, "dev", config.data.window).questions for name in scored]
    cap = config.data.dev_cap
    disk = disk_of(
        config,
        cell,
        machine.made,
        weights,
        sum(n if cap is None else min(cap, n) for n in questions),
        trains=needed.is_cell,
    )
    done = (present.checkpoint(needed.name) or 0) if state.kind == CHECKPOINT else 0
    return Item(needed, state, to_do, seconds_of(work, speed, len(to_do), state, done), work, speed, disk)


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


def _after_masks(items: Sequence[Item], present: ProfileFiles) -> list[Item]:
    """Cells that would learn the same masks wait for one of them, BMT without adapters if it is there; it
    alone is charged for them.
    """
    groups: dict[str, list[Item]] = {}
    for item in items:
        cell = _trains_with_kept_masks(item, present)
        if cell is not None:
            groups.setdefault(masks_digest(present.config, cell), []).append(item)
    arms = present.config.arms
    leaders: dict[str, str] = {}
    for group in groups.values():
        first = min(
            group,
            key=lambda item: (
                arms[parse(item.needed.name).arm].mask != "learned",
                parse(item.needed.name).adapter,
            ),
        )
        leaders |= {item.needed.name: first.needed.name for item in group if item is not first}
    waiting = []
    for item in items:
        leader = leaders.get(item.needed.name)
        if leader is not None and item.work is not None and item.speed is not None:
            work = replace(item.work, masks=0.0)
            seconds = seconds_of(work, item.speed, len(item.commands), item.state)
            item = replace(item, after=item.after | {leader}, work=work, seconds=seconds)
        waiting.append(item)
    return waiting


def _trains_with_kept_masks(item: Item, present: ProfileFiles) -> Cell | None:
    """The cell of an item that is to be trained under masks that other cells can take up; else None."""
    identity, mask = item.needed.identity, present.config.mask
    if (
        not item.to_run
        or identity is None
        or not item.needed.is_cell
        or item.state.kind in (TRAINED, CHECKPOINT)
    ):
        return None
    kind = present.config.arms[identity.arm].mask
    kept = kind in ("fixed_random", "fisher") or (
        kind == "learned" and mask.schedule == "two_phase" and mask.gate != "resampled"
    )
    return parse(item.needed.name) if kept else None


def _references(needed: PlannedRun, present: ProfileFiles) -> list[str]:
    """The cells that must have told their validation scores before a cell is trained, and have not."""
    if not needed.references or run_state(needed, present, False).kind in (RESULTS, TRAINED):
        return []
    return [
        name
        for name in needed.references
        if not (present.places.run(parse(name)) / "training.json").is_file()
    ]


def _after_others(item: Item, items: dict[str, Item]) -> Item:
    """A transfer needs its source, and a cell those that its sampling is held against, where they are still
    to be made.
    """
    if not item.to_run:
        return item
    for name in (item.needed.source, *item.needed.references):
        other = items.get(name or "")
        if other is not None and other.state.kind == RUNNING:
            note = f"waits for {other.needed.name}, which another process makes now: run this again then"
            return replace(item, commands=(), seconds=0.0, state=replace(item.state, note=note))
        if other is not None and other.to_run:
            item = replace(item, needs=item.needs | {other.needed.name})
    return item


def _lacks_data(needed: PlannedRun, present: ProfileFiles) -> bool:
    """Whether a run's features, or the files of a table of counted numbers, are not there."""
    if needed.identity is None:
        return not any(present.places.raw.rglob("*.jsonl*"))
    if needed.identity.published:
        return not any(present.places.raw.rglob("*.dev.jsonl.gz"))
    regime, data = needed.identity.regime, present.config.data
    train = data.train if regime == "mt" else [regime.removeprefix("st-")]
    folder = present.places.features(needed.identity.backbone)
    dev = any((folder / f"{name}.dev" / "features.json").is_file() for name in data.evaluate)
    return not dev or not all((folder / f"{name}.train" / "features.json").is_file() for name in train)
