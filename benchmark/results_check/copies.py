"""Predictions that two runs share. Two trainings never give the same answers with the same scores; a copied
file does.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from benchmark.rendering.phrases import counted
from benchmark.results_check.agreement import COPY
from benchmark.results_check.findings import Findings
from benchmark.results_check.records import Record
from benchmark.results_check.tables import PredictionTables

NEARLY_ALL = 0.99
"""Share of answers equal in text and score from which a run is a copy, with some of it edited perhaps."""
CLEARLY = 0.9
"""Share, in a sample of some 512 answers, below which two runs are not looked at further."""
ENOUGH = 300
"""Examples on which equal texts, or equal EM and F1, without scores of the model beside them are no chance
any more.
"""
WHOLE = 1 - 1e-9


@dataclass(frozen=True, slots=True)
class _Answers:
    """A run's answers over all examples of the folder, (N,) each: codes of texts, -1 where it has none;
    scores; em + 2 f1.

    texts, scored: whether it has predictions, and scores of them.
    """

    codes: NDArray[np.int32]
    score: NDArray[np.float64]
    right: NDArray[np.float64]
    texts: bool
    scored: bool


def check_copies(records: list[Record], tables: PredictionTables, findings: Findings) -> None:
    """Look for a run whose predictions are another's."""
    read = [record for record in records if record.cell in tables.parts]
    answers = {record.cell: _answers(record, tables) for record in read}
    for a, b in combinations(read, 2):
        if a.run.identity.K != b.run.identity.K or (a.run.seed == b.run.seed and (_open(a) or _open(b))):
            continue  # zero-shot runs answer as their source does, and a mask that is open everywhere is none
        share = _share(answers[a.cell], answers[b.cell])
        if share:
            same = "all of them the same" if share >= WHOLE else f"{share:.1%} of them the same"
            stands = f"the predictions of {a.cell}, {same}"
            unlike = "two seeds" if a.run.identity == b.run.identity else "two runs"
            findings.fault("seeds", b.parquet.name, "", stands, f"{unlike} never answer alike", COPY)
    findings.looked["seeds"] = f"{counted(len(read), 'run')}, pair by pair"


def _open(record: Record) -> bool:
    """Whether a run's mask lets everything through."""
    densities = (record.mask.get("density") or {}).values()
    return record.run.p_f == 1 or min(densities, default=0) == 1


def _answers(record: Record, tables: PredictionTables) -> _Answers:
    starts = np.cumsum([0, *(len(shared.ids) for shared in tables.examples.values())])
    codes, score, right = (np.full(starts[-1], empty) for empty in (np.int32(-1), np.nan, np.nan))
    parts = tables.parts[record.cell]
    for name, start in zip(tables.examples, starts[:-1], strict=True):
        if part := parts.get(name):
            rows = start + part.rows
            right[rows] = part.em + 2 * part.f1
            if part.codes is not None:
                codes[rows] = part.codes
            if part.score is not None:
                score[rows] = part.score
    texts = bool(parts) and all(part.codes is not None for part in parts.values())
    scored = bool(parts) and all(part.score is not None for part in parts.values())
    return _Answers(codes, score, right, texts, scored)


def _share(a: _Answers, b: _Answers) -> float:
    """The share of their common answers that two runs have alike, where that makes one a copy of the other; 0
    where it does not.
    """
    if a.texts and b.texts and a.scored and b.scored:
        return _alike(a, b)
    mine, theirs = (
        answers.codes.astype(float) if a.texts and b.texts else answers.right for answers in (a, b)
    )
    there = (mine >= 0) & (theirs >= 0)  # and no NaN
    varied = int(there.sum()) >= ENOUGH and bool(np.ptp(mine[there]) > 0)
    return float(varied and bool((mine == theirs)[there].all()))


def _alike(a: _Answers, b: _Answers) -> float:
    """The share of common answers that are equal in text and score; 0 below NEARLY_ALL, or where there is one
    score throughout.
    """
    for rows in (
        slice(None, None, max(1, len(a.codes) // 512)),
        slice(None),
    ):  # most pairs of runs are told apart by a few answers
        there = (a.codes[rows] >= 0) & (b.codes[rows] >= 0)
        mine, theirs = a.score[rows][there], b.score[rows][there]
        same = (a.codes[rows][there] == b.codes[rows][there]) & (
            (mine == theirs) | (np.isnan(mine) & np.isnan(theirs))
        )
        share = float(same.mean()) if len(same) else 0.0
        if share < (NEARLY_ALL if len(there) == len(a.codes) else CLEARLY):
            return 0.0
    return share if np.unique(mine[~np.isnan(mine)]).size > 1 else 0.0
