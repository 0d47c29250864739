"""The scores of single examples, from `<cell>.parquet`: what the claims are tested on, and the check of the JSON's means.

Only four columns are read, one run at a time; an example is a position in arrays that all runs share. pyarrow and numpy are imported
inside the functions, so that a table without runs needs neither.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.results import Fault, Results, Run, fault

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

COLUMNS = ("dataset", "example_id", "context_id", "em", "f1")
TOLERANCE = 0.005
"""Points by which a mean in the JSON may differ from its predictions: foreign results are often rounded to two decimals."""


@dataclass(slots=True)
class Examples:
    """The examples of one dataset, as the first run that has them lists them: ids, and the context of each as a number (N,)."""

    source: str
    ids: Any
    contexts: NDArray[np.int32]


@dataclass(slots=True)
class Predictions:
    """Scores by run and dataset. scores[cell][dataset]["EM" or "F1"]: (N,), percent, in the order of examples[dataset].

    different: datasets whose examples are not the same in all runs, and in which two.
    """

    scores: dict[str, dict[str, dict[str, NDArray[np.float64]]]] = field(default_factory=dict)
    examples: dict[str, Examples] = field(default_factory=dict)
    different: dict[str, str] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)


def read(results: Results, runs: list[Run], datasets: tuple[str, ...]) -> Predictions:
    """The predictions of `runs`, kept for `datasets`; a file that is absent, damaged or at odds with its JSON is a fault."""
    found = Predictions()
    for run in runs:
        path = results.folder / f"{run.cell}.parquet"
        reason = _read_run(path, run, set(datasets), found)
        if reason:
            found.scores.pop(run.cell, None)
            found.faults.append(fault(path, reason))
    return found


def _read_run(path: Path, run: Run, wanted: set[str], found: Predictions) -> str | None:
    """Add one run's scores to `found`; or say why it cannot be done."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.exists():
        return "absent: the run's per-example predictions belong beside its JSON"
    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            if lacking := [name for name in COLUMNS if name not in names]:
                return f"no column {', '.join(lacking)}: needs {', '.join(COLUMNS)}"
            table = file.read(columns=list(COLUMNS))
        types = {"em": pa.float64(), "f1": pa.float64()}
        columns = {name: table[name].cast(types.get(name, pa.string())).combine_chunks() for name in COLUMNS}
        scores = {name: _numbers(columns[name.lower()], np.float64) for name in ("EM", "F1")}
    except (pa.ArrowException, OSError, ValueError, NotImplementedError) as error:
        return f"unreadable ({' '.join(str(error).split())[:100]}): truncated or no Parquet; evaluate the run again"
    if any(column.null_count for column in columns.values()):
        return "a value is missing (null)"
    for name, values in scores.items():
        if not (np.isfinite(values) & (values >= 0) & (values <= 1)).all():
            return f"{name.lower()} has a value that is not a number of 0 to 1"
    dataset, mine = columns["dataset"].dictionary_encode(), found.scores.setdefault(run.cell, {})
    codes, seen = _numbers(dataset.indices, np.int32), set[str]()
    for code, name in enumerate(dataset.dictionary.to_pylist()):
        rows = np.flatnonzero(codes == code)
        if name not in run.datasets:
            if len(rows):
                return f"{len(rows)} examples of {name}, which the JSON does not score"
            continue
        if len(rows) != run.datasets[name].examples:
            return f"{len(rows)} examples of {name}, but the JSON says {run.datasets[name].examples}"
        picked = slice(int(rows[0]), int(rows[-1]) + 1) if rows[-1] - rows[0] + 1 == len(rows) else rows
        for metric, values in scores.items():
            mean, stated = 100 * float(values[picked].mean()), run.datasets[name].metric(metric)
            if stated is None or abs(mean - stated) > TOLERANCE:
                return f"{name}: the predictions have {metric} {mean:.2f}, but the JSON says {stated}"
        if name in wanted:
            ids, contexts = (_take(columns[key], picked) for key in ("example_id", "context_id"))
            order = _order(name, run, ids, contexts, found)
            mine[name] = {metric: 100 * (values[picked] if order is None else values[picked][order]) for metric, values in scores.items()}
        seen.add(name)
    if lacking := [name for name in run.datasets if name not in seen]:
        return f"no examples of {', '.join(lacking)}, which the JSON scores"
    return None


def _numbers(array: Any, kind: Any) -> Any:
    """An Arrow array without nulls as numpy; pyarrow's own to_numpy imports pandas (half a second) to do the same."""
    import numpy as np

    buffer = array.buffers()[1]
    return np.zeros(0, kind) if buffer is None else np.frombuffer(buffer, kind)[array.offset : array.offset + len(array)]


def _take(column: Any, rows: Any) -> Any:
    import pyarrow as pa

    if isinstance(rows, slice):
        return column.slice(rows.start, rows.stop - rows.start)
    return column.take(pa.Array.from_buffers(pa.int64(), len(rows), [None, pa.py_buffer(rows.astype("int64"))]))


def _order(name: str, run: Run, ids: Any, contexts: Any, found: Predictions) -> NDArray[np.intp] | None:
    """How to bring this run's examples into the shared order: None where they are; notes a dataset whose examples differ."""
    import numpy as np
    import pyarrow.compute as pc

    shared = found.examples.get(name)
    if shared is None:
        clusters = _numbers(contexts.dictionary_encode().indices, np.int32)
        found.examples[name] = Examples(run.cell, ids, clusters)
        return None
    if ids.equals(shared.ids):
        return None
    mine, theirs = pc.sort_indices(ids), pc.sort_indices(shared.ids)
    if not ids.take(mine).equals(shared.ids.take(theirs)):
        found.different[name] = f"the examples of {run.cell} are not those of {shared.source}"
        return None
    back = np.empty(len(mine), dtype=np.intp)
    back[_numbers(theirs, np.uint64).astype(np.intp)] = _numbers(mine, np.uint64)
    return back
