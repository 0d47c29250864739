"""What a table of the paper needs of this project: its cells, the few-shot transfers of them, or one file of
counted numbers.

A row names its runs (`ours`), and `benchmark.comparison.matching` says which identity answers which column:
the same rules decide here, so what is planned is what `benchmark.compare` looks for. An ST row needs a cell
per dataset. A row with K needs one transfer per sampling seed, each from the same adapter cell, if K is one
of the profile's `fewshot.sizes`. Table 8 needs no cells of its own: those of Table 6, scored on the datasets
out of domain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from benchmark.comparison.matching import Matcher, Setting
from benchmark.comparison.parameter_counts import counted
from benchmark.config.cells import Cell, parse
from benchmark.config.params import Config, find_cell
from benchmark.paper.tables import Table
from benchmark.runs.results import Identity
from benchmark.runs.single_task_reference import reference_cells
from bmt.errors import ConfigError


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """One run that must exist, or one file of counted numbers (identity None).

    rows: ids of the table's rows that it answers. datasets: what must be scored. scored: False for a cell
        that only gives its model to
    transfers, or its validation scores to another's sampling. source: the cell that a transfer starts from.
    references: the ST cells that its sampling is held against. command: of a counted table.
    """

    name: str
    identity: Identity | None
    seed: int
    rows: tuple[str, ...]
    datasets: tuple[str, ...] = ()
    scored: bool = True
    source: str | None = None
    references: tuple[str, ...] = ()
    command: str | None = None

    @property
    def is_cell(self) -> bool:
        """Whether it is trained: no transfer of a cell, no model scored as it was published, no counted
        table.
        """
        return self.identity is not None and self.identity.K is None and not self.identity.published


@dataclass(frozen=True, slots=True)
class UnavailableRow:
    """A row, or some of its datasets, that this profile cannot make, and why."""

    row: str
    reason: str


def planned_runs(
    table: Table,
    config: Config,
    matcher: Matcher,
    seeds: tuple[int, ...] | None = None,
    also: Sequence[str] = (),
) -> tuple[list[PlannedRun], list[UnavailableRow]]:
    """What a table needs, in the order of its rows, and before a run the cells that it starts from; and what
    the profile cannot make.

    Args:
        matcher: says which identity answers a column, the profile's stand-in included.
        seeds: of the cells; None: those that the profile lists for a cell, else 0.
        also: names of further cells, for example controls that the paper has not.

    Raises:
        ConfigError: one of `also` that the profile does not have.
    """
    if table.kind != "scores":
        return _counted_table(table)
    runs: dict[str, PlannedRun] = {}
    lacking: dict[UnavailableRow, None] = {}
    profile_setting = Setting(config.profile, sizes=tuple(config.fewshot.sizes))
    for row in table.rows:
        if row.ours is None:
            continue
        for dataset in table.columns.values():
            identity = matcher.identity(row.ours, row.K, dataset)
            source = replace(identity, K=None)
            cell_seeds = seeds_of(source, config, seeds)
            if reason := _refusal(config, source, cell_seeds[0]) or profile_setting.not_asked(identity):
                lacking[UnavailableRow(row.row, reason)] = None
                continue
            if row.K is None:
                for seed in cell_seeds:
                    _add_cell(
                        runs,
                        config,
                        PlannedRun(f"{identity.stem}.s{seed}", identity, seed, (row.row,), (dataset,)),
                    )
                continue
            start = f"{source.stem}.s{cell_seeds[0]}"
            _add_cell(runs, config, PlannedRun(start, source, cell_seeds[0], (row.row,), scored=False))
            for seed in config.fewshot.seeds:
                _add(
                    runs,
                    PlannedRun(
                        f"{identity.stem}.s{seed}", identity, seed, (row.row,), (dataset,), source=start
                    ),
                )
    for name in also:
        cell = find_cell(config, name)
        _add_cell(runs, config, PlannedRun(cell.name, identity_of(cell), cell.seed, ("--also",)))
    return list(runs.values()), list(lacking)


def seeds_of(identity: Identity, config: Config, seeds: tuple[int, ...] | None) -> tuple[int, ...]:
    """The seeds of a cell: those asked for, else those that the profile lists for it, else 0."""
    setting = Setting(config.profile, seeds=seeds, listed=tuple(config.every_cell), whole=True)
    return setting.expected(identity) or (0,)


def _counted_table(table: Table) -> tuple[list[PlannedRun], list[UnavailableRow]]:
    """A table of counted numbers: one file, or none where `benchmark.compare` counts by itself."""
    if table.command:
        return [
            PlannedRun(
                f"table_{table.table}", None, 0, tuple(row.row for row in table.rows), command=table.command
            )
        ], []
    why = (
        "counted by benchmark.compare itself: no run, no file"
        if counted(table)
        else "its file names no command that makes its numbers"
    )
    return [], [UnavailableRow("all rows", why)]


def _refusal(config: Config, identity: Identity, seed: int) -> str:
    """Why the profile cannot make a cell; empty if it can."""
    if identity.backbone not in config.backbones:
        return f"profile {config.profile} has no {identity.backbone}"
    if identity.published:
        head = config.backbones[identity.backbone].head
        return (
            ""
            if head == "generate"
            else f"backbones.{identity.backbone}.head: {head}, and generate is needed"
            " to score it as published"
        )
    if identity.arm not in config.arms:
        return f"profile {config.profile} has no arm {identity.arm}"
    dataset = identity.regime.removeprefix("st-")
    if identity.regime != "mt" and dataset not in config.data.train:
        return f"profile {config.profile} does not train on {dataset}"
    try:
        find_cell(config, f"{identity.stem}.s{seed}")
    except ConfigError as error:
        return str(error)
    return ""


def _add_cell(runs: dict[str, PlannedRun], config: Config, new: PlannedRun) -> None:
    """Put a cell into `runs`, behind those that its sampling is held against (`sampling.kind:
    dynamic_single_task`).
    """
    references = reference_cells(config, parse(new.name)) if new.is_cell else []
    for cell in references:
        _add(runs, PlannedRun(cell.name, identity_of(cell), cell.seed, new.rows, scored=False))
    _add(runs, replace(new, references=tuple(cell.name for cell in references)))


def identity_of(cell: Cell) -> Identity:
    """What a cell's results are known by."""
    return Identity(cell.backbone, cell.regime, cell.arm, cell.adapter)


def _add(runs: dict[str, PlannedRun], new: PlannedRun) -> None:
    """Put a run into `runs`, joined with what other rows and columns need of it."""
    old = runs.get(new.name)
    if old is not None:
        rows, datasets = (
            tuple(dict.fromkeys(pair)) for pair in ((*old.rows, *new.rows), (*old.datasets, *new.datasets))
        )
        new = replace(old, rows=rows, datasets=datasets, scored=old.scored or new.scored)
    runs[new.name] = new
