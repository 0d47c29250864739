"""A paper as data: a folder of `table_<id>.yaml`, `claims.yaml` and `paper.yaml`. docs/compare.md documents
the three schemas.

    table_3.yaml   the printed numbers, row by row, and which runs of ours answer each row
    claims.yaml    the paper's comparative sentences, each a test of one row against another
    paper.yaml     what a run needs for its numbers to stand beside the printed ones (optional)

`load` reads and checks a whole folder. Every error names the file, the key, what stands there and what is
allowed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmark.cli.text import nearest
from benchmark.config.schema import is_number
from benchmark.config.yaml_file import read_yaml
from benchmark.paper.schema import (
    OURS,
    ClaimEntry,
    ClaimsFile,
    Ours,
    PaperFile,
    Quote,
    ReferenceRow,
    ReferencesEntry,
    Requirements,
    RowEntry,
    TableFile,
    UntestableEntry,
    checked,
    same_keys,
)
from benchmark.paper.table_files import OWN_PAPER, known_table, table_id, table_paths
from bmt.errors import ConfigError

AVERAGE = "average"
RUN_METRICS = ("deviation.relative", "deviation.l2")
SPREAD = "spread."


@dataclass(frozen=True, slots=True)
class Row:
    """One printed row.

    `values[metric][dataset or "average"]` for scores, `values[metric][""]` for facts; None: nothing printed.

    ours: the runs that answer it; None: literature, a system that is not ours to train. second_reading:
    another arm that the printed numbers may stand for. K: examples per dataset of few-shot transfer. p_f: p_F
    of eq. 16. printed_gain: the arrow beside the average.
    """

    row: str
    model: str
    arm: str | None
    ours: Ours | None
    values: dict[str, dict[str, float | None]]
    K: int | None = None
    p_f: float | None = None
    dataset: str | None = None
    second_reading: str | None = None
    note: str = ""
    printed_gain: float | None = None


@dataclass(frozen=True, slots=True)
class References:
    """Systems published elsewhere, to be shown beside a table and nothing more: they are no rows, and no
    verdict or average has them.

    columns: label → what the number is. values: system → label → number in the table's unit, None where none
    was published.
    """

    source: str
    metric: str
    columns: dict[str, str]
    values: dict[str, dict[str, float | None]]


@dataclass(frozen=True, slots=True)
class Table:
    """A printed table. columns: printed label → dataset. average: the label of the macro average, or None.
    decimals: by metric.
    """

    table: str
    caption: str
    where: str
    notes: str
    kind: str
    metrics: tuple[str, ...]
    decimals: dict[str, int]
    columns: dict[str, str]
    average: str | None
    rows: tuple[Row, ...]
    published_runs: int | None = None
    command: str | None = None
    unit: str | None = None
    references: References | None = None

    @property
    def datasets(self) -> tuple[str, ...]:
        """Of the columns, without the average."""
        return tuple(self.columns.values())

    def find(self, row: str) -> Row | None:
        """The row of this id, or None."""
        return next((entry for entry in self.rows if entry.row == row), None)


@dataclass(frozen=True, slots=True)
class Claim:
    """A sentence as a test: `a` is greater or less than `b`, or comparable with it, in `metric` over `over`.

    over: "average", a dataset, or None for what belongs to a run (deviation, spread) or a row of facts. than:
    a second pair; the claim is then about (a - b) - (than a - than b). size: the difference that the sentence
    states, above 0, or None.
    """

    id: str
    table: str
    section: str
    quote: str
    a: str
    b: str
    metric: str
    over: str | None
    direction: str
    size: float | None = None
    than: tuple[str, str] | None = None
    reading: str = ""
    also: tuple[tuple[str, str], ...] = ()

    @property
    def rows(self) -> tuple[str, ...]:
        """Ids of the rows that the claim needs."""
        return (self.a, self.b, *(self.than or ()))


@dataclass(frozen=True, slots=True)
class Paper:
    """A whole folder."""

    title: str
    tables: dict[str, Table]
    claims: tuple[Claim, ...]
    requires: Requirements

    def row(self, claim: Claim, row: str) -> tuple[Table, Row]:
        """The table and row that a claim means by the id `row`: of its own table, else of the first table
        that has it.
        """
        for table in (self.tables[claim.table], *self.tables.values()):
            if entry := table.find(row):
                return table, entry
        raise KeyError(row)

    def table(self, name: str) -> Table:
        """The table of `--paper-table`, as `3` or `A.10`.

        Raises:
            ConfigError: there is no such table.
        """
        return self.tables[known_table(name, self.tables)]

    def rows(self, claim: Claim) -> list[tuple[Table, Row]]:
        """The rows that a claim needs, a first, each with its table."""
        return [self.row(claim, row) for row in claim.rows]


def table_name(table: str) -> str:
    """The id as it is printed: `3` → `Table 3`, `a10` → `Table A.10`."""
    return (
        f"Table {table[0].upper()}.{table[1:]}"
        if table[0].isalpha() and table[1:].isdigit()
        else f"Table {table}"
    )


def load(folder: str | Path | None = None) -> Paper:
    """Read and check a paper's folder; without one, the paper that this project reproduces.

    Raises:
        ConfigError: file, key, what stands there, what is allowed.
    """
    folder = OWN_PAPER if folder is None else Path(folder)
    if not folder.is_dir():
        raise ConfigError(
            f"{folder}: no such folder: --paper takes a folder of table_<id>.yaml and claims.yaml "
            "(docs/compare.md)"
        )
    paths = table_paths(folder)
    if not paths:
        raise ConfigError(
            f"{folder}: no table_<id>.yaml in it: a paper is a folder of tables and claims (docs/compare.md)"
        )
    tables = {table.table: table for table in map(_table, paths)}
    claims_file, paper_file = folder / "claims.yaml", folder / "paper.yaml"
    about = PaperFile(folder.name)
    if paper_file.exists():
        about = checked(PaperFile, read_yaml(paper_file, str(paper_file)), str(paper_file))
    paper = Paper(about.paper, tables, (), about.requires)
    return replace(paper, claims=_claims(claims_file, paper)) if claims_file.exists() else paper


def _table(path: Path) -> Table:
    """One checked table file."""
    where = str(path)
    file = checked(TableFile, read_yaml(path, where), where)
    if path.stem != f"table_{file.table}" or file.table != table_id(file.table):
        wanted = f"{path.stem.removeprefix('table_')}, as in the file's name"
        raise ConfigError(f"{where}: table: {file.table!r} is not allowed: {wanted}")
    metrics, scores = tuple(file.metrics), file.kind == "scores"
    if len(set(metrics)) < len(metrics):
        raise ConfigError(
            f"{where}: metrics: {file.metrics!r:.60} is not allowed: a list of names, each once"
        )
    decimals = file.decimals if isinstance(file.decimals, dict) else dict.fromkeys(metrics, file.decimals)
    same_keys(decimals, metrics, f"{where}: decimals", "metrics")
    if scores != (file.columns is not None):
        wanted = (
            "missing: printed labels and datasets, for scores" if scores else "not allowed: facts have none"
        )
        raise ConfigError(f"{where}: columns: {wanted}")
    columns = file.columns or {}
    labels = columns | ({file.average: AVERAGE} if file.average else {})
    if len(set(labels.values())) != len(columns) + bool(file.average):
        wanted = f"each column its own dataset, none called {AVERAGE}"
        raise ConfigError(f"{where}: columns: a dataset stands twice: {wanted}")
    rows: dict[str, Row] = {}
    for index, entry in enumerate(file.rows):
        row = _row(entry, f"{where}: rows[{index}]", decimals, labels if scores else None)
        if row.row in rows:
            raise ConfigError(
                f"{where}: rows[{index}]: row: {row.row!r} stands twice: an id of its own for each row"
            )
        rows[row.row] = row
    return Table(
        file.table,
        file.caption,
        file.where,
        _one_line(file.notes),
        file.kind,
        metrics,
        decimals,
        columns,
        file.average,
        tuple(rows.values()),
        file.published_runs,
        file.command,
        file.unit,
        None if file.references is None else _references(file.references, f"{where}: references", decimals),
    )


def _references(entry: Any, where: str, decimals: dict[str, int]) -> References:
    """The checked systems beside a table; their numbers have the decimals of its metric."""
    file = checked(ReferencesEntry, entry, where)
    if file.metric not in decimals:
        raise ConfigError(f"{where}: metric: {file.metric!r} is not allowed: one of {', '.join(decimals)}")
    systems: dict[str, dict[str, float | None]] = {}
    for index, row in enumerate(file.rows):
        key = f"{where}: rows[{index}]"
        reference = checked(ReferenceRow, row, key)
        if reference.system in systems:
            raise ConfigError(f"{key}: system: {reference.system!r} stands twice: each system once")
        key = f"{key} ({reference.system}): values"
        numbers = same_keys(reference.values, tuple(file.columns), key, "columns")
        systems[reference.system] = {
            label: _printed(numbers[label], f"{key}.{label}", decimals[file.metric]) for label in file.columns
        }
    columns = {label: _one_line(text) for label, text in file.columns.items()}
    return References(_one_line(file.source), file.metric, columns, systems)


def _row(entry: Any, where: str, decimals: dict[str, int], labels: dict[str, str] | None) -> Row:
    """One checked row; `labels` maps printed labels to datasets, None for facts."""
    file = checked(RowEntry, entry, where)
    where = f"{where} ({file.row})"
    if labels is not None and file.ours is None:
        raise ConfigError(f"{where}: ours: missing: {OURS}")
    printed: dict[str, dict[str, float | None]] = {}
    for metric, numbers in same_keys(file.values, tuple(decimals), f"{where}: values", "metrics").items():
        key = f"{where}: values.{metric}"
        if labels is None:
            printed[metric] = {"": _printed(numbers, key, decimals[metric])}
        else:
            same_keys(numbers, tuple(labels), key, "columns")
            printed[metric] = {
                labels[label]: _printed(number, f"{key}.{label}", decimals[metric])
                for label, number in numbers.items()
            }
    return Row(
        file.row,
        file.model,
        file.arm,
        checked(Ours, file.ours, f"{where}: ours") if isinstance(file.ours, dict) else None,
        printed,
        file.K,
        file.p_F,
        file.dataset,
        file.second_reading.arm if file.second_reading else None,
        file.note,
        file.printed_gain,
    )


def _printed(number: Any, key: str, decimals: int) -> float | None:
    """A printed number with `decimals` decimals, or None."""
    if number is not None and not is_number(number):
        raise ConfigError(f"{key}: {number!r:.60} is not allowed: a number or null")
    if number is not None and round(number, decimals) != number:
        raise ConfigError(
            f"{key}: {number!r} is not allowed: at most {decimals} decimals, as `decimals` says"
        )
    return number


def _claims(path: Path, paper: Paper) -> tuple[Claim, ...]:
    """The checked claims; `over: each` and lists of datasets become one claim per dataset."""
    where = str(path)
    file = checked(ClaimsFile, read_yaml(path, where), where)
    for index, entry in enumerate(file.untestable or []):
        checked(UntestableEntry, entry, f"{where}: untestable[{index}]")
    claims: list[Claim] = []
    for index, entry in enumerate(file.claims):
        name = f" ({entry['id']})" if isinstance(entry, dict) and "id" in entry else ""
        claims += _claim(entry, f"{where}: claims[{index}]{name}", paper)
    ids = [claim.id for claim in claims]
    if twice := sorted({name for name in ids if ids.count(name) > 1}):
        raise ConfigError(
            f"{where}: claims: the id {twice[0]!r} stands twice: an id of its own for each claim"
        )
    return tuple(claims)


def _claim(entry: Any, where: str, paper: Paper) -> list[Claim]:
    """One entry of claims.yaml as one claim, or as one for each of its datasets."""
    file = checked(ClaimEntry, entry, where)
    table = paper.tables.get(file.table)
    if table is None:
        raise ConfigError(f"{where}: table: {file.table!r} is not allowed: one of {', '.join(paper.tables)}")
    also = [checked(Quote, other, f"{where}: also") for other in file.also or []]
    claim = Claim(
        file.id,
        table.table,
        file.section,
        _one_line(file.quote),
        file.a,
        file.b,
        file.metric,
        None,
        file.direction,
        file.size,
        (file.than.a, file.than.b) if file.than else None,
        _one_line(file.reading),
        tuple((other.section, _one_line(other.quote)) for other in also),
    )
    known = tuple(dict.fromkeys(row.row for home in (table, *paper.tables.values()) for row in home.rows))
    for row in claim.rows:
        if row not in known:
            raise ConfigError(
                f"{where}: row {row!r} is in no table{nearest(row, known)}: one of {', '.join(known)}"
            )
    chosen = _chosen(claim.metric, file.over, table, where)
    if claim.direction == "comparable" and claim.size is None and claim.metric not in table.metrics:
        wanted = f"{claim.metric} has no margin; with `comparable`, the largest difference that is none"
        raise ConfigError(f"{where}: size: missing: {wanted}")
    if file.over == "each" or len(chosen) > 1:
        return [replace(claim, id=f"{claim.id}-{dataset}", over=dataset) for dataset in chosen]
    return [replace(claim, over=chosen[0])]


def _chosen(metric: str, over: str | list[str] | None, table: Table, where: str) -> tuple[str | None, ...]:
    """What a claim is over: the average, datasets, or None where the metric belongs to a whole row."""
    spreads = [SPREAD + name for name in table.metrics if table.kind == "scores"]
    of_row, known = (*RUN_METRICS, *spreads), (*table.metrics, *RUN_METRICS, *spreads)
    if metric not in known:
        raise ConfigError(f"{where}: metric: {metric!r} is not allowed: one of {', '.join(known)}")
    if metric in of_row or table.kind == "facts":
        if over is not None:
            wanted = f"{metric} belongs to a whole row; leave `over` out"
            raise ConfigError(f"{where}: over: {over!r} is not allowed: {wanted}")
        return (None,)
    datasets = table.datasets
    chosen = datasets if over == "each" else tuple(over) if isinstance(over, list) else (over,)
    for dataset in chosen:
        if dataset not in (*datasets, *([AVERAGE] if table.average else [])):
            wanted = f"each, {AVERAGE} or of {', '.join(datasets)}"
            raise ConfigError(f"{where}: over: {dataset!r} is not allowed: {wanted}")
    return chosen


def _one_line(text: str) -> str:
    return " ".join(text.split())
