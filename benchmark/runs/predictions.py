"""The scores of single examples, from `<cell>.parquet`: what the claims are tested on, and the check of the
JSON's means.

Only five columns are read, one run at a time; an example is a position in arrays that all runs share. pyarrow
and numpy are imported inside the functions, so that a table without runs needs neither; arrays go from one to
the other by DLPack, as pyarrow's own to_numpy imports pandas (half a second) to do the same.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.runs.results import Fault, Results, Run, UnusableFileError, fault

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

COLUMNS = ("dataset", "example_id", "context_id", "em", "f1")
TOLERANCE = 0.005
"""Points by which a mean in the JSON may differ from its predictions: foreign results are often rounded to
two decimals.
"""
FEWEST_TO_MATCH = 300
"""Examples on which two seeds with the same scores throughout are one run twice; on fewer it may be chance.
"""


@dataclass(slots=True)
class Examples:
    """The examples of one dataset: ids, and the context of each as a number (N,), in the order of the first
    run that has them.

    left_out: examples of that run which are not here, because few-shot runs tuned on them (`share_few_shot`).
    """

    source: str
    ids: Any
    contexts: NDArray[np.int32]
    left_out: int = 0


@dataclass(slots=True)
class Predictions:
    """Scores by run and dataset. scores[cell][dataset]["EM" or "F1"]: (N,), percent, in the order of
    examples[dataset].

    different: datasets whose examples are not the same in all runs, and in which two. copies: runs whose
    every score is that of another seed of the same cell, and of which.
    """

    scores: dict[str, dict[str, dict[str, NDArray[np.float64]]]] = field(default_factory=dict)
    examples: dict[str, Examples] = field(default_factory=dict)
    different: dict[str, str] = field(default_factory=dict)
    copies: dict[str, str] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)


@dataclass(slots=True)
class RunExamples:
    """One run's examples of one dataset, in its own order: ids, contexts, and scores (N,) of 0 to 1 by
    metric.
    """

    ids: Any
    contexts: Any
    scores: dict[str, NDArray[np.float64]]


def read(results: Results, runs: list[Run], datasets: tuple[str, ...]) -> Predictions:
    """The predictions of `runs`, kept for `datasets`; a file that is absent, damaged or at odds with its JSON
    is a fault, and only that.
    """
    predictions = Predictions()
    own_ids: dict[str, dict[str, Any]] = {}
    prints: dict[tuple[Any, ...], str] = {}
    for run in runs:
        path = results.folder / f"{run.cell}.parquet"
        try:
            parts = _parts(path, run, set(datasets))
            _check_ids(parts, predictions)
        except UnusableFileError as error:
            predictions.faults.append(fault(path, str(error)))
            continue
        mine = predictions.scores[run.cell] = {}
        for name, part in parts.items():
            order = _order(name, run, part, predictions, own_ids)
            mine[name] = {
                metric: 100 * (values if order is None else values[order])
                for metric, values in part.scores.items()
            }
        twin = prints.setdefault((run.identity, _fingerprint(mine) or run.cell), run.cell)
        if twin != run.cell:
            predictions.copies[run.cell] = twin
    for name, by_cell in own_ids.items():
        _share_few_shot(name, by_cell, predictions)
    return predictions


def _parts(path: Path, run: Run, wanted: set[str]) -> dict[str, RunExamples]:
    """One run's examples of the wanted datasets, all of its datasets checked against its JSON.

    Raises:
        UnusableFileError: why the file cannot be used.
    """
    import numpy as np

    columns, scores = _columns(path)
    dataset = columns["dataset"].dictionary_encode()
    codes, names = np.from_dlpack(dataset.indices), dataset.dictionary.to_pylist()
    parts: dict[str, RunExamples] = {}
    for code, name in enumerate(names):
        rows = np.flatnonzero(codes == code)
        stated = run.datasets.get(name)
        if stated is None:
            raise UnusableFileError(f"{len(rows)} examples of {name}, which the JSON does not score")
        if len(rows) != stated.examples:
            raise UnusableFileError(f"{len(rows)} examples of {name}, but the JSON says {stated.examples}")
        picked = slice(int(rows[0]), int(rows[-1]) + 1) if rows[-1] - rows[0] + 1 == len(rows) else rows
        chosen = {metric: values[picked] for metric, values in scores.items()}
        for metric, values in chosen.items():
            mean, said = 100 * float(values.mean()), stated.metric(metric)
            if said is None or abs(mean - said) > TOLERANCE:
                raise UnusableFileError(
                    f"{name}: the predictions have {metric} {mean:.2f}, but the JSON says {said}"
                )
        if name in wanted:
            ids, contexts = (_take(columns[key], picked) for key in ("example_id", "context_id"))
            parts[name] = RunExamples(ids, contexts, chosen)
    if lacking := [name for name in run.datasets if name not in names]:
        raise UnusableFileError(f"no examples of {', '.join(lacking)}, which the JSON scores")
    return parts


def _check_ids(parts: dict[str, RunExamples], predictions: Predictions) -> None:
    """Raises UnusableFileError where an example stands twice; ids in the shared order were checked with the
    first run that had them.
    """
    import numpy as np
    import pyarrow.compute as pc

    for name, part in parts.items():
        shared = predictions.examples.get(name)
        if shared is not None and part.ids.equals(shared.ids):
            continue
        counts = pc.value_counts(part.ids)
        twice = np.flatnonzero(np.from_dlpack(counts.field("counts")) > 1)
        if len(twice):
            raise UnusableFileError(
                f"{name}: the example {counts.field('values')[int(twice[0])].as_py()!r} stands twice"
            )


def _columns(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The columns of a predictions file as Arrow arrays, and its scores by metric as numpy arrays.

    Raises:
        UnusableFileError: absent, no Parquet, a column or a value that is not as documented.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.exists():
        raise UnusableFileError("absent: the run's per-example predictions belong beside its JSON")
    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            if lacking := [name for name in COLUMNS if names.count(name) != 1]:
                word = "twice the column" if set(lacking) <= set(names) else "no column"
                raise UnusableFileError(f"{word} {', '.join(lacking)}: needs {', '.join(COLUMNS)}, each once")
            table = file.read(columns=list(COLUMNS))
        types = {"em": pa.float64(), "f1": pa.float64()}
        columns = {name: table[name].cast(types.get(name, pa.string())).combine_chunks() for name in COLUMNS}
    except (pa.ArrowException, OSError, ValueError, NotImplementedError) as error:
        cause = " ".join(str(error).split())[:100]
        reason = f"unreadable ({cause}): truncated or no Parquet; evaluate the run again"
        raise UnusableFileError(reason) from None
    if any(column.null_count for column in columns.values()):
        raise UnusableFileError("a value is missing (null)")
    scores = {name: np.from_dlpack(columns[name.lower()]) for name in ("EM", "F1")}
    for name, values in scores.items():
        if not (np.isfinite(values) & (values >= 0) & (values <= 1)).all():
            raise UnusableFileError(f"{name.lower()} has a value that is not a number of 0 to 1")
    return columns, scores


def _positions(rows: Any) -> Any:
    """Row numbers as an Arrow array."""
    import pyarrow as pa

    return pa.Array.from_buffers(pa.int64(), len(rows), [None, pa.py_buffer(rows.astype("int64"))])


def _take(column: Any, rows: Any) -> Any:
    return (
        column.slice(rows.start, rows.stop - rows.start)
        if isinstance(rows, slice)
        else column.take(_positions(rows))
    )


def _order(
    name: str, run: Run, part: RunExamples, predictions: Predictions, own_ids: dict[str, dict[str, Any]]
) -> NDArray[np.intp] | None:
    """How to bring this run's examples into the shared order: None where they are; notes a dataset whose
    examples differ.

    A few-shot run whose examples differ keeps its order for now: `own_ids[dataset][cell]`.
    """
    import numpy as np
    import pyarrow.compute as pc

    shared = predictions.examples.get(name)
    if shared is None:
        clusters: Any = np.from_dlpack(part.contexts.dictionary_encode().indices)
        predictions.examples[name] = Examples(run.cell, part.ids, clusters)
        return None
    if part.ids.equals(shared.ids):
        return None
    mine, theirs = pc.sort_indices(part.ids), pc.sort_indices(shared.ids)
    if not part.ids.take(mine).equals(shared.ids.take(theirs)):
        if run.identity.K is None:
            predictions.different[name] = f"the examples of {run.cell} are not those of {shared.source}"
        else:
            own_ids.setdefault(name, {})[run.cell] = part.ids
        return None
    back = np.empty(len(mine), dtype=np.intp)
    back[np.from_dlpack(theirs).astype(np.intp)] = np.from_dlpack(mine)
    return back


def _share_few_shot(name: str, own_ids: dict[str, Any], predictions: Predictions) -> None:
    """Restrict every run to the examples that all have: few-shot runs are not scored on the examples that
    they were tuned on.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    shared = predictions.examples[name]
    kept = np.ones(len(shared.ids), dtype=bool)
    for ids in own_ids.values():
        kept &= np.from_dlpack(pc.is_in(shared.ids, value_set=ids).cast(pa.uint8())) > 0
    rows = np.flatnonzero(kept)
    common = shared.ids.take(_positions(rows))
    for cell, by_dataset in predictions.scores.items():
        if name in by_dataset:
            picked = np.from_dlpack(pc.index_in(common, value_set=own_ids[cell])) if cell in own_ids else rows
            by_dataset[name] = {metric: values[picked] for metric, values in by_dataset[name].items()}
    predictions.examples[name] = Examples(
        shared.source, common, shared.contexts[rows], len(shared.ids) - len(rows)
    )


def _fingerprint(scores: dict[str, dict[str, NDArray[np.float64]]]) -> bytes | None:
    """A digest of all scores; None where two runs may well agree by chance: few examples, or the same score
    throughout.
    """
    values = [by_metric[metric] for _, by_metric in sorted(scores.items()) for metric in sorted(by_metric)]
    if sum(map(len, values)) < 2 * FEWEST_TO_MATCH or all((array == array[0]).all() for array in values):
        return None
    digest = hashlib.sha256(",".join(sorted(scores)).encode())
    for array in values:
        digest.update(array.tobytes())
    return digest.digest()
