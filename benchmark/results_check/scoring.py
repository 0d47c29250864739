"""Every prediction scored again by `bmt.qa.metrics` against the stored answers, each distinct pair of example
and text once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from benchmark.cli.progress import Bar
from benchmark.rendering.phrases import counted
from benchmark.results_check.findings import Findings, quoted, shown
from benchmark.results_check.records import Record, note_absent
from benchmark.results_check.tables import PredictionTables, RunPart, SharedExamples
from bmt.qa.metrics import EVALUATOR_VERSION, score

SINGLE = 2.0**-24
"""What single precision adds to a number of 0 to 1."""
EXACT = 4 * SINGLE
"""By which a stored EM or F1, 0 to 1, may differ from its prediction's: computed in single precision."""
TIE = 1e-9
"""By which half a unit may be missed where a score lies between two rounded ones."""
DECIMALS = range(2, 7)
"""To how many decimals foreign results may have been rounded."""
CHUNK = 4096


@dataclass(frozen=True, slots=True)
class _Distinct:
    """The distinct (example, text) pairs of a dataset. of: for each run's rows, which pair; weight: rows that
    a pair stands for.
    """

    examples: NDArray[np.int64]
    texts: Any
    of: dict[str, NDArray[np.intp]]
    weight: NDArray[np.intp]


def check_scores(records: list[Record], tables: PredictionTables, findings: Findings, bar: Bar) -> None:
    """Score what can be scored, and hold every example's EM and F1 against it. Also sets every part's
    `codes`.
    """
    scored = {record.cell: record for record in records if record.run.evaluator in (None, EVALUATOR_VERSION)}
    rows = pairs = 0
    for name, shared in tables.examples.items():
        parts = {
            cell: by_dataset[name]
            for cell, by_dataset in tables.parts.items()
            if name in by_dataset and by_dataset[name].texts is not None
        }
        if not parts:
            continue
        distinct = _distinct(parts)
        able = {cell for cell, part in parts.items() if part.has_answers and cell in scored}
        em, f1 = _score(distinct, shared, name, able, parts, bar)
        for cell in sorted(able):
            _compare(
                scored[cell],
                name,
                shared,
                parts[cell],
                em[distinct.of[cell]],
                f1[distinct.of[cell]],
                findings,
            )
        rows += sum(len(parts[cell].rows) for cell in able)
        pairs += int((~np.isnan(em)).sum())
        for part in parts.values():
            part.texts = None  # its codes say what is still asked of it
    findings.looked["scores"] = f"{counted(rows, 'prediction')}, {pairs:,} distinct" if rows else "nothing"
    _unscored(records, tables, findings)


def _unscored(records: list[Record], tables: PredictionTables, findings: Findings) -> None:
    """Say which runs' scores were taken on trust."""
    read = [record for record in records if record.cell in tables.parts]
    other = [record.cell for record in read if record.run.evaluator not in (None, EVALUATOR_VERSION)]
    if other:
        findings.note(
            "scores",
            f"scored by another evaluator than {EVALUATOR_VERSION}, so not scored again: {', '.join(other)}",
        )
    parts = {record.cell: tables.parts[record.cell].values() for record in read}
    lacking = {
        cell
        for cell, run_parts in parts.items()
        if not all(part.codes is not None and part.has_answers for part in run_parts)
    }
    note_absent(
        "scores",
        "usable columns prediction and answers",
        lacking,
        read,
        "their EM and F1 are taken on trust",
        findings,
    )


def _distinct(parts: dict[str, RunPart]) -> _Distinct:
    """Number the texts of all runs, and the pairs of example and text."""
    texts = pa.concat_arrays([part.texts for part in parts.values()]).dictionary_encode()
    codes = texts.indices.to_numpy(zero_copy_only=False)
    examples = np.concatenate([part.rows for part in parts.values()])
    bounds = np.cumsum([0, *(len(part.rows) for part in parts.values())])
    count = max(len(texts.dictionary), 1)
    pairs, which, weight = np.unique(examples * count + codes, return_inverse=True, return_counts=True)
    of = {}
    for (cell, part), low, high in zip(parts.items(), bounds[:-1], bounds[1:], strict=True):
        part.codes, of[cell] = codes[low:high], which[low:high]
    return _Distinct(pairs // count, texts.dictionary.take(pa.array(pairs % count)), of, weight)


def _score(
    distinct: _Distinct,
    shared: SharedExamples,
    name: str,
    able: set[str],
    parts: dict[str, RunPart],
    bar: Bar,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """EM and F1 of every pair that a run of `able` has, NaN for the others; (pairs,) each, 0 to 1."""
    wanted = np.zeros(len(distinct.weight), dtype=bool)
    for cell in able:
        wanted[distinct.of[cell]] = True
    em, f1 = np.full(len(wanted), np.nan), np.full(len(wanted), np.nan)
    chosen = np.flatnonzero(wanted)
    for start in range(0, len(chosen), CHUNK):
        some = chosen[start : start + CHUNK]
        answers = [shared.answers[example] or [] for example in distinct.examples[some].tolist()]
        em[some], f1[some] = score(distinct.texts.take(pa.array(some)).to_pylist(), answers)
        bar.advance(int(distinct.weight[some].sum()), name)
    return em, f1


def _compare(
    record: Record,
    name: str,
    shared: SharedExamples,
    part: RunPart,
    em: NDArray[np.float64],
    f1: NDArray[np.float64],
    findings: Findings,
) -> None:
    """One run's stored scores of a dataset against those that its predictions have; (n,) each."""
    if part.odd_answers:
        rows = np.fromiter(part.odd_answers, np.int64, len(part.odd_answers))
        texts = [part.texts[int(row)].as_py() for row in rows]
        em, f1 = em.copy(), f1.copy()
        em[rows], f1[rows] = score(texts, list(part.odd_answers.values()))
    for metric, stored, right in (("em", part.em, em), ("f1", part.f1, f1)):
        wrong = np.flatnonzero(~_same(stored, right))
        if len(wrong):
            one = int(wrong[0])
            ids = quoted(shared.ids[int(part.rows[row])].as_py() for row in wrong)
            expected = f"the prediction {shown(part.texts[one].as_py())} has {right[one]:.6g}"
            findings.fault(
                "scores", record.parquet.name, f"{name}.{metric}", f"{stored[one]:.6g} for {ids}", expected
            )


def _same(stored: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Where a stored score is the right one, or the right one rounded; (n,)."""
    same = np.abs(stored - right) <= EXACT
    for decimals in DECIMALS:
        rounded = np.round(stored, decimals)
        on_grid = np.abs(stored - rounded) <= SINGLE
        same |= on_grid & (np.abs(rounded - right) <= 0.5 * 10.0**-decimals + TIE)
    return same
