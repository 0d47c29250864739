"""The Parquet of each run: digest, columns, values, counts and means.

An example is a position in arrays that all runs share (`SharedExamples`), so that what compares runs compares
numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmark.rendering.phrases import counted, enumerated
from benchmark.results_check.findings import RESTORE, Findings, quoted, shown
from benchmark.results_check.records import MAKE_AGAIN, Record
from benchmark.runs.predictions import COLUMNS, TOLERANCE
from benchmark.runs.seal import OWNER
from bmt.runtime.files import file_digest

TYPES = {"em": pa.float64(), "f1": pa.float64(), "score": pa.float64(), "answers": pa.list_(pa.string())}
OPTIONAL = ("prediction", "score", "answers")
DROPPED = "examples were dropped or added: evaluate the run again, on the same data"


@dataclass(slots=True)
class SharedExamples:
    """The examples of one dataset over all runs, (N,) each. ids, contexts: Arrow; answers: None where no run
    has recorded them.

    source: the answers of the first run that has them, as Arrow: most runs have the very same.
    """

    ids: Any
    contexts: Any
    answers: list[list[str] | None]
    source: Any = None


@dataclass(slots=True)
class RunPart:
    """A run's rows of one dataset. rows: (n,) positions in SharedExamples; em, f1: (n,) 0 to 1; texts: (n,)
    Arrow or None; score: (n,), NaN where null, or None; codes: (n,) equal where two runs' texts are, set by
    scoring. odd_answers, odd_contexts: what differs from SharedExamples, by position in this part.
    """

    rows: NDArray[np.int64]
    em: NDArray[np.float64]
    f1: NDArray[np.float64]
    texts: Any = None
    score: NDArray[np.float64] | None = None
    has_answers: bool = False
    odd_answers: dict[int, list[str]] = field(default_factory=dict)
    odd_contexts: dict[int, str] = field(default_factory=dict)
    codes: NDArray[np.int32] | None = None


@dataclass(slots=True)
class PredictionTables:
    """The predictions of all runs: examples by dataset; parts[cell][dataset]."""

    examples: dict[str, SharedExamples] = field(default_factory=dict)
    parts: dict[str, dict[str, RunPart]] = field(default_factory=dict)


def row_count(record: Record) -> int:
    """Rows of a run's Parquet, by its footer; 0 where it cannot be read."""
    try:
        return int(pq.read_metadata(record.parquet).num_rows)
    except (pa.ArrowException, OSError, ValueError):
        return 0


def read_table(record: Record, tables: PredictionTables, findings: Findings) -> None:
    """Add one run's predictions to `tables`; what is wrong with its file is a fault."""
    columns, file, before = _columns(record, findings), record.parquet.name, len(findings.faults)
    if columns is None:
        return
    for name, stands, allowed in _unsound(columns):
        findings.fault("fields", file, name, stands, f"allowed: {allowed}")
    if len(findings.faults) > before:
        return
    codes, parts = columns.pop("dataset").dictionary_encode(), tables.parts.setdefault(record.cell, {})
    number, names = np.from_dlpack(codes.indices), codes.dictionary.to_pylist()
    for code, name in enumerate(names):
        picked = np.flatnonzero(number == code)
        of_dataset = {key: take(column, picked) for key, column in columns.items()}
        part = _place(record, name, of_dataset, tables, findings)
        if part is not None:
            _hold_against_json(record, name, of_dataset, part, findings)
            parts[name] = part
    if lacking := [
        name for name, entry in record.datasets.items() if entry["examples"] and name not in names
    ]:
        where = enumerated(lacking, 12)
        findings.fault("examples", file, where, "no examples", "the JSON scores them", DROPPED)


def _columns(record: Record, findings: Findings) -> dict[str, Any] | None:
    """The columns that are read, each of its type; None if the file cannot be used."""
    path, file, this = record.parquet, record.parquet.name, f"{record.run.profile}/{record.cell}"
    if not path.exists():
        findings.fault("files", file, "", "absent", "a run's per-example predictions belong beside its JSON")
        return None
    try:
        if (stated := record.values.get("predictions_sha256")) and (digest := file_digest(path)) != stated:
            stands, expected = f"{stated[:12]}…", f"{file} has {digest[:12]}…"
            findings.fault("digests", record.file, "predictions_sha256", stands, expected)
        with pq.ParquetFile(path) as parquet:
            names, owner = parquet.schema_arrow.names, (parquet.schema_arrow.metadata or {}).get(OWNER)
            if lacking := [name for name in COLUMNS if names.count(name) != 1]:
                stands = f"{'twice' if set(lacking) <= set(names) else 'no'} {', '.join(lacking)}"
                findings.fault("fields", file, "columns", stands, f"needs {', '.join(COLUMNS)}, each once")
                return None
            table = parquet.read(columns=[name for name in (*COLUMNS, *OPTIONAL) if names.count(name) == 1])
        columns = {name: _column(table, name) for name in COLUMNS}
    except (pa.ArrowException, OSError, ValueError, NotImplementedError) as error:
        stands = f"unreadable ({' '.join(str(error).split())[:100]})"
        expected = "truncated, no Parquet, or columns of other types"
        findings.fault("files", file, "", stands, expected, MAKE_AGAIN)
        return None
    if owner not in (None, this.encode()):
        stands, expected = shown(owner.decode("utf-8", "replace")), f"the JSON beside it is {shown(this)}"
        advice = f"the predictions of another run: {RESTORE}"
        findings.fault("names", file, OWNER.decode(), stands, expected, advice)
    for name in (name for name in OPTIONAL if name in table.column_names):
        try:
            columns[name] = _column(table, name)
        except (pa.ArrowException, NotImplementedError):
            kinds = f"{table[name].type}, not {TYPES.get(name, 'string')}"
            findings.note("scores", f"column {name} of {file} is {kinds}: not looked at")
    return columns


def _column(table: pa.Table, name: str) -> Any:
    return table[name].cast(TYPES.get(name, pa.string())).combine_chunks()


def _unsound(columns: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Missing values and scores that are no numbers in their range: column, what stands there, what may."""

    def at(chosen: Any) -> str:
        return quoted(columns["example_id"].filter(chosen).to_pylist())

    for name, column in columns.items():
        if column.null_count and name != "score":
            yield name, f"null for {at(column.is_null())}", "a value in every row"
        elif name == "answers" and column.flatten().null_count:
            yield name, "a null among the answers", "lists of texts"
        elif name in ("em", "f1"):
            wrong = pc.invert(pc.and_(pc.greater_equal(column, 0.0), pc.less_equal(column, 1.0)))
            if pc.any(wrong).as_py():
                yield name, f"{column.filter(wrong)[0].as_py()} for {at(wrong)}", "a number of 0 to 1"
        elif name == "score" and pc.any(odd := pc.fill_null(pc.invert(pc.is_finite(column)), False)).as_py():
            yield name, f"not finite for {at(odd)}", "a finite number, or null"


def _place(
    record: Record, name: str, columns: dict[str, Any], tables: PredictionTables, findings: Findings
) -> RunPart | None:
    """Bring a run's rows of a dataset into the order that all runs share."""
    ids, contexts = columns["example_id"], columns["context_id"]
    counts = pc.value_counts(ids)
    if len(counts) < len(ids):
        twice = counts.field("values").filter(pc.greater(counts.field("counts"), 1))
        stands = f"{quoted(twice.to_pylist())} more than once"
        findings.fault("examples", record.parquet.name, name, stands, "one row per example")
        return None
    shared = tables.examples.setdefault(name, SharedExamples(ids, contexts, [None] * len(ids)))
    rows = _positions(ids, contexts, shared)
    numbers: dict[str, Any] = {
        key: np.from_dlpack(pc.fill_null(columns[key], np.nan))
        for key in ("em", "f1", "score")
        if key in columns
    }
    part = RunPart(rows, **numbers, texts=columns.get("prediction"), has_answers="answers" in columns)
    known = take(shared.contexts, rows)
    if not contexts.equals(known):
        odd = np.flatnonzero(pc.not_equal(contexts, known).to_numpy(zero_copy_only=False))
        part.odd_contexts = dict(zip(odd.tolist(), take(contexts, odd).to_pylist(), strict=True))
    if part.has_answers:
        _answers(columns["answers"], part, shared)
    return part


def _positions(ids: Any, contexts: Any, shared: SharedExamples) -> NDArray[np.int64]:
    """Where a run's examples stand in `shared`, which takes up those that are new; (n,)."""
    if ids.equals(shared.ids):
        return np.arange(len(ids), dtype=np.int64)
    positions = pc.index_in(ids, value_set=shared.ids)
    rows: NDArray[np.int64] = np.from_dlpack(pc.fill_null(positions, 0)).astype(np.int64)
    if positions.null_count:
        new = positions.is_null()
        rows[new.to_numpy(zero_copy_only=False)] = len(shared.ids) + np.arange(positions.null_count)
        shared.ids = pa.concat_arrays([shared.ids, ids.filter(new)])
        shared.contexts = pa.concat_arrays([shared.contexts, contexts.filter(new)])
        shared.answers += [None] * positions.null_count
    return rows


def _answers(mine: Any, part: RunPart, shared: SharedExamples) -> None:
    """Share a run's gold answers, or note where they are not the shared ones, in whatever order."""
    if shared.source is None and np.array_equal(part.rows, np.arange(len(mine))):
        shared.source = mine
    elif (
        shared.source is not None
        and part.rows.max(initial=0) < len(shared.source)
        and mine.equals(take(shared.source, part.rows))
    ):
        return
    for position, (row, answers) in enumerate(zip(part.rows.tolist(), mine.to_pylist(), strict=True)):
        known = shared.answers[row]
        if known is None:
            shared.answers[row] = answers
        elif set(answers) != set(known):
            part.odd_answers[position] = answers


def _hold_against_json(
    record: Record, name: str, columns: dict[str, Any], part: RunPart, findings: Findings
) -> None:
    """Counts and means of a dataset against what the JSON says of it."""
    entry, where, file = record.datasets.get(name), f"datasets.{name}", record.parquet.name
    if entry is None:
        stands = counted(len(part.rows), "example")
        findings.fault("examples", file, name, stands, "the JSON does not score this dataset", DROPPED)
        return
    for key, count in (("examples", len(part.rows)), ("contexts", len(columns["context_id"].unique()))):
        if (stated := entry.get(key)) not in (None, count):
            expected = f"its predictions are of {count:,}"
            findings.fault("examples", record.file, f"{where}.{key}", f"{stated:,}", expected, DROPPED)
    for metric, values in (("em", part.em), ("f1", part.f1)):
        mean = 100 * float(values.mean())
        if entry["examples"] and abs(mean - entry[metric]) > TOLERANCE:
            expected = f"the mean of its predictions is {mean:.6g}"
            findings.fault("means", record.file, f"{where}.{metric}", f"{entry[metric]:.6g}", expected)
    wrong = np.flatnonzero((part.em > part.f1 + TOLERANCE) & ~((part.em == 1) & (part.f1 == 0)))
    if len(wrong):
        ids = quoted(take(columns["example_id"], wrong).to_pylist())
        stands = f"em {part.em[wrong[0]]:g}, f1 {part.f1[wrong[0]]:g} for {ids}"
        findings.fault("scores", file, name, stands, "an exact match shares every word: em is at most f1")


def take(column: Any, rows: NDArray[np.int64]) -> Any:
    """The rows of an Arrow array; a slice where they are one."""
    if len(rows) and rows[-1] - rows[0] + 1 == len(rows) and bool((np.diff(rows) == 1).all()):
        return column.slice(int(rows[0]), len(rows))
    return column.take(pa.array(rows))
