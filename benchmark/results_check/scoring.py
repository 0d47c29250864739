"""Every prediction scored again by `bmt.qa.metrics` against the stored answers, each distinct pair of example
and text once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from benchmark.cli.progress import Bar
from benchmark.rendering.phrases import counted
from benchmark.results_check.findings import Findings, quoted, shown
from benchmark.results_check.records import Record, note_absent
from benchmark.results_check.tables import PredictionTables, RunPart, SharedExamples, take
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
        able = [cell for cell in sorted(parts) if parts[cell].has_answers and cell in scored]
        em, f1, pair_of = _score(name, shared, parts, able, bar)
        for cell in able:
            right = {"em": em[pair_of[cell]], "f1": f1[pair_of[cell]]}
            _compare(scored[cell], name, shared, parts[cell], right, findings)
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
        what = f"another evaluator than {EVALUATOR_VERSION}"
        findings.note("scores", f"scored by {what}, so not scored again: {', '.join(other)}")
    lacking = {
        record.cell
        for record in read
        for part in tables.parts[record.cell].values()
        if part.codes is None or not part.has_answers
    }
    what, why = "usable columns prediction and answers", "their EM and F1 are taken on trust"
    note_absent("scores", what, lacking, read, why, findings)


def _score(
    name: str, shared: SharedExamples, parts: dict[str, RunPart], able: list[str], bar: Bar
) -> tuple[NDArray[np.float64], NDArray[np.float64], dict[str, NDArray[np.intp]]]:
    """EM and F1 of every distinct pair of example and text that a run of `able` has, NaN for the others;
    (pairs,) each, 0 to 1; and for each run's rows, which pair. Also numbers the texts of all runs.
    """
    texts = pa.concat_arrays([part.texts for part in parts.values()]).dictionary_encode()
    codes: Any = np.from_dlpack(texts.indices)
    examples = np.concatenate([part.rows for part in parts.values()])
    bounds = np.cumsum([0, *(len(part.rows) for part in parts.values())])
    count = max(len(texts.dictionary), 1)
    pairs, which, weight = np.unique(examples * count + codes, return_inverse=True, return_counts=True)
    pair_of = {}
    for (cell, part), low, high in zip(parts.items(), bounds[:-1], bounds[1:], strict=True):
        part.codes, pair_of[cell] = codes[low:high], which[low:high]
    wanted = np.zeros(len(pairs), dtype=bool)
    for cell in able:
        wanted[pair_of[cell]] = True
    em, f1 = np.full(len(pairs), np.nan), np.full(len(pairs), np.nan)
    chosen = np.flatnonzero(wanted)
    for start in range(0, len(chosen), CHUNK):
        some = chosen[start : start + CHUNK]
        answers = [shared.answers[example] or [] for example in (pairs[some] // count).tolist()]
        predictions = texts.dictionary.take(pa.array(pairs[some] % count)).to_pylist()
        em[some], f1[some] = score(predictions, answers)
        bar.advance(int(weight[some].sum()), name)
    return em, f1, pair_of


def _compare(
    record: Record,
    name: str,
    shared: SharedExamples,
    part: RunPart,
    right: dict[str, NDArray[np.float64]],
    findings: Findings,
) -> None:
    """One run's stored scores of a dataset against the right ones, which its predictions have; (n,) each."""
    if part.odd_answers:
        rows = list(part.odd_answers)
        texts = part.texts.take(pa.array(rows)).to_pylist()
        right["em"][rows], right["f1"][rows] = score(texts, list(part.odd_answers.values()))
    for metric, stored in (("em", part.em), ("f1", part.f1)):
        wrong = np.flatnonzero(~_same(stored, right[metric]))
        if len(wrong):
            one = int(wrong[0])
            ids = quoted(take(shared.ids, part.rows[wrong]).to_pylist())
            stands, prediction = f"{stored[one]:.6g} for {ids}", shown(part.texts[one].as_py())
            expected = f"the prediction {prediction} has {right[metric][one]:.6g}"
            findings.fault("scores", record.parquet.name, f"{name}.{metric}", stands, expected)


def _same(stored: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Where a stored score is the right one, or the right one rounded; (n,)."""
    same = np.abs(stored - right) <= EXACT
    for decimals in DECIMALS:
        rounded = np.round(stored, decimals)
        on_grid = np.abs(stored - rounded) <= SINGLE
        same |= on_grid & (np.abs(rounded - right) <= 0.5 * 10.0**-decimals + TIE)
    return same
