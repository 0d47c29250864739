"""A paper as data: a folder of `table_<id>.yaml`, `claims.yaml` and `paper.yaml`. docs/compare.md documents
the three schemas.

    table_3.yaml   the printed numbers, row by row, and which runs of ours answer each row
    claims.yaml    the paper's comparative sentences, each a test of one row against another
    paper.yaml     what a run needs for its numbers to stand beside the printed ones (optional)

`load` reads and checks a whole folder. Every error names the file, the key, what stands there and what is
allowed.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmark.config.cells import nearest
from benchmark.config.yaml_file import read_yaml
from benchmark.paper import schema
from benchmark.paper.schema import checked, same_keys
from bmt.errors import ConfigError

OWN_PAPER = Path(__file__).parent
AVERAGE = "average"
RUN_METRICS = ("deviation.relative", "deviation.l2")
SPREAD = "spread."


@dataclass(frozen=True, slots=True)
class Ours:
    """The runs that reproduce a row. regime: `mt`, or `st` (the column's own dataset: st-<Dataset>)."""

    backbone: str
    regime: str
    arm: str
    adapter: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """One printed row. `values[metric][dataset or "average"]` for scores, `values[metric][""]` for facts;
    None: nothing printed.

    ours: the runs that answer it; None: literature, a system that is not ours to train. second_reading:
        another arm that the printed
    numbers may stand for. K: examples a dataset of few-shot transfer. p_f: p_F of eq. 16. printed_gain: the
    arrow beside the average.
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

    def find(self, row: str) -> Row | None:
        """The row of this id, or None."""
        return next((entry for entry in self.rows if entry.row == row), None)


@dataclass(frozen=True, slots=True)
class Claim:
    """A sentence as a test: `a` is greater or less than `b`, or comparable with it, in `metric` over `over`.

    over: "average", a dataset, or None for what belongs to a run (deviation, spread) or a row of facts. than:
        a second pair; the claim is
    then about (a - b) - (than a - than b). size: the difference that the sentence states, above 0, or None.
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
class Requirements:
    """What a run needs to be compared with the paper; None or an absent key: not required. epochs: planned,
    by regime.
    """

    profile: str | None = None
    evaluator: str | None = None
    backbones: dict[str, str] = field(default_factory=dict)
    epochs: dict[str, float] = field(default_factory=dict)
    examples: dict[str, int] = field(default_factory=dict)
    data_sha256: dict[str, str] = field(default_factory=dict)


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
        own = self.tables[claim.table]
        for table in (own, *self.tables.values()):
            if found := table.find(row):
                return table, found
        raise KeyError(row)


def table_id(text: str) -> str:
    """`A.10`, `a10`, `3` → the id in the file's name: lower case, letters and digits."""
    return "".join(character for character in text.lower() if character.isalnum())


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
        ConfigError: file, key, what was found, what is allowed.
    """
    folder = OWN_PAPER if folder is None else Path(folder)
    if not folder.is_dir():
        raise ConfigError(
            f"{folder}: no such folder: --paper takes a folder of table_<id>.yaml and claims.yaml (docs/compare.md)"
        )
    paths = sorted(folder.glob("table_*.yaml"), key=lambda path: (len(path.stem), path.stem))
    if not paths:
        raise ConfigError(
            f"{folder}: no table_<id>.yaml in it: a paper is a folder of tables and claims (docs/compare.md)"
        )
    tables = {table.table: table for table in map(_table, paths)}
    claims_file, paper_file = folder / "claims.yaml", folder / "paper.yaml"
    about = (
        checked(read_yaml(paper_file, str(paper_file)), str(paper_file), schema.PAPER)
        if paper_file.exists()
        else {}
    )
    requires = checked(about.get("requires") or {}, f"{paper_file}: requires", schema.REQUIRES)
    paper = Paper(
        about.get("paper", folder.name),
        tables,
        (),
        Requirements(**{k: v for k, v in requires.items() if v is not None}),
    )
    return replace(paper, claims=_claims(claims_file, paper)) if claims_file.exists() else paper


def _table(path: Path) -> Table:
    """One checked table file."""
    where = str(path)
    values = checked(read_yaml(path, where), where, schema.TABLE)
    if path.stem != f"table_{values['table']}" or values["table"] != table_id(values["table"]):
        raise ConfigError(
            f"{where}: table: {values['table']!r} is not allowed: {path.stem.removeprefix('table_')}, as in the file's name"
        )
    metrics, scores = tuple(values["metrics"]), values["kind"] == "scores"
    decimals = (
        values["decimals"]
        if isinstance(values["decimals"], dict)
        else dict.fromkeys(metrics, values["decimals"])
    )
    same_keys(decimals, metrics, f"{where}: decimals", "metrics")
    if scores != ("columns" in values):
        wanted = (
            "missing: printed labels and datasets, for scores" if scores else "not allowed: facts have none"
        )
        raise ConfigError(f"{where}: columns: {wanted}")
    columns, average = values.get("columns", {}), values.get("average")
    labels = columns | ({average: AVERAGE} if average else {})
    if len(set(labels.values())) != len(columns) + bool(average):
        raise ConfigError(
            f"{where}: columns: a dataset stands twice: each column its own dataset, none called {AVERAGE}"
        )
    rows: list[Row] = []
    for index, entry in enumerate(values["rows"]):
        row = _row(entry, f"{where}: rows[{index}]", metrics, decimals, labels if scores else None)
        if any(other.row == row.row for other in rows):
            raise ConfigError(
                f"{where}: rows[{index}]: row: {row.row!r} stands twice: an id of its own for each row"
            )
        rows.append(row)
    kept = {
        key: values[key]
        for key in ("table", "caption", "where", "kind", "published_runs", "command", "unit")
        if key in values
    }
    return Table(
        **kept,
        notes=_words(values.get("notes", "")),
        metrics=metrics,
        decimals=decimals,
        columns=columns,
        average=average,
        rows=tuple(rows),
        references=_references(values["references"], f"{where}: references", decimals)
        if "references" in values
        else None,
    )


def _references(entry: Any, where: str, decimals: dict[str, int]) -> References:
    """The checked systems beside a table; their numbers have the decimals of its metric."""
    values = checked(entry, where, schema.REFERENCES)
    metric, columns = values["metric"], values["columns"]
    if metric not in decimals:
        raise ConfigError(f"{where}: metric: {metric!r} is not allowed: one of {', '.join(decimals)}")
    systems: dict[str, dict[str, float | None]] = {}
    for index, row in enumerate(values["rows"]):
        key = f"{where}: rows[{index}]"
        system = checked(row, key, schema.REFERENCE)["system"]
        if system in systems:
            raise ConfigError(f"{key}: system: {system!r} stands twice: each system once")
        numbers = same_keys(row["values"], tuple(columns), f"{key} ({system}): values", "columns")
        systems[system] = {
            label: _printed(numbers[label], f"{key} ({system}): values.{label}", decimals[metric])
            for label in columns
        }
    return References(
        _words(values["source"]), metric, {label: _words(text) for label, text in columns.items()}, systems
    )


def _row(
    entry: Any, where: str, metrics: tuple[str, ...], decimals: dict[str, int], labels: dict[str, str] | None
) -> Row:
    """One checked row; `labels` maps printed labels to datasets, None for facts."""
    values = checked(entry, where, schema.ROW)
    where = f"{where} ({values['row']})"
    ours = values.get("ours")
    if labels is not None and ours is None:
        raise ConfigError(f"{where}: ours: missing: literature, or {{backbone, regime, arm, adapter}}")
    second = (
        checked(values["second_reading"], f"{where}: second_reading", schema.SECOND_READING)["arm"]
        if "second_reading" in values
        else None
    )
    printed: dict[str, dict[str, float | None]] = {}
    for metric, numbers in same_keys(values["values"], metrics, f"{where}: values", "metrics").items():
        key = f"{where}: values.{metric}"
        if labels is None:
            printed[metric] = {"": _printed(numbers, key, decimals[metric])}
        else:
            same_keys(numbers, tuple(labels), key, "columns")
            printed[metric] = {
                labels[label]: _printed(number, f"{key}.{label}", decimals[metric])
                for label, number in numbers.items()
            }
    runs = Ours(**checked(ours, f"{where}: ours", schema.OURS)) if isinstance(ours, dict) else None
    return Row(
        values["row"],
        values["model"],
        values.get("arm"),
        runs,
        printed,
        values.get("K"),
        values.get("p_F"),
        values.get("dataset"),
        second,
        values.get("note", ""),
        values.get("printed_gain"),
    )


def _printed(number: Any, key: str, decimals: int) -> float | None:
    """A printed number with `decimals` decimals, or None."""
    if number is not None and not schema.is_number(number):
        raise ConfigError(f"{key}: {number!r:.60} is not allowed: a number or null")
    if number is not None and round(number, decimals) != number:
        raise ConfigError(
            f"{key}: {number!r} is not allowed: at most {decimals} decimals, as `decimals` says"
        )
    return number


def _claims(path: Path, paper: Paper) -> tuple[Claim, ...]:
    """The checked claims; `over: each` and lists of datasets become one claim a dataset."""
    where = str(path)
    whole = checked(read_yaml(path, where), where, schema.CLAIMS)
    for index, entry in enumerate(whole.get("untestable", [])):
        checked(entry, f"{where}: untestable[{index}]", schema.UNTESTABLE)
    claims: list[Claim] = []
    for index, entry in enumerate(whole["claims"]):
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
    values = checked(entry, where, schema.CLAIM)
    table = paper.tables.get(values["table"])
    if table is None:
        raise ConfigError(
            f"{where}: table: {values['table']!r} is not allowed: one of {', '.join(paper.tables)}"
        )
    than = checked(values["than"], f"{where}: than", schema.THAN) if "than" in values else None
    also = [checked(other, f"{where}: also", schema.ALSO) for other in values.get("also", [])]
    claim = Claim(
        values["id"],
        table.table,
        values["section"],
        _words(values["quote"]),
        values["a"],
        values["b"],
        values["metric"],
        None,
        values["direction"],
        values.get("size"),
        (than["a"], than["b"]) if than else None,
        _words(values.get("reading", "")),
        tuple((other["section"], _words(other["quote"])) for other in also),
    )
    known = tuple(dict.fromkeys(row.row for home in (table, *paper.tables.values()) for row in home.rows))
    for row in claim.rows:
        if row not in known:
            raise ConfigError(
                f"{where}: row {row!r} is in no table{nearest(row, known)}: one of {', '.join(known)}"
            )
    chosen = _chosen(claim.metric, values.get("over"), table, where)
    if claim.direction == "comparable" and claim.size is None and claim.metric not in table.metrics:
        raise ConfigError(
            f"{where}: size: missing: {claim.metric} has no margin; with `comparable`, the largest difference that is none"
        )
    if values.get("over") == "each" or len(chosen) > 1:
        return [replace(claim, id=f"{claim.id}-{dataset}", over=dataset) for dataset in chosen]
    return [replace(claim, over=chosen[0])]


def _chosen(metric: str, over: str | list[str] | None, table: Table, where: str) -> tuple[str | None, ...]:
    """What a claim is over, checked: the average, datasets, or None where the metric belongs to a whole row."""
    of_row = (
        (*RUN_METRICS, *(SPREAD + name for name in table.metrics)) if table.kind == "scores" else RUN_METRICS
    )
    if metric not in (*table.metrics, *of_row):
        raise ConfigError(
            f"{where}: metric: {metric!r} is not allowed: one of {', '.join((*table.metrics, *of_row))}"
        )
    if metric in of_row or table.kind == "facts":
        if over is not None:
            raise ConfigError(
                f"{where}: over: {over!r} is not allowed: {metric} belongs to a whole row; leave `over` out"
            )
        return (None,)
    datasets = tuple(table.columns.values())
    chosen = datasets if over == "each" else tuple(over) if isinstance(over, list) else (over,)
    for dataset in chosen:
        if dataset not in (*datasets, *([AVERAGE] if table.average else [])):
            raise ConfigError(
                f"{where}: over: {dataset!r} is not allowed: each, {AVERAGE} or of {', '.join(datasets)}"
            )
    return chosen


def _words(text: str) -> str:
    return " ".join(text.split())
