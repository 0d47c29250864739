"""The paper's claims on our runs: which scores each sentence is about, judged together by
`benchmark.statistics`.

A claim is tested on any profile: directions can be checked on a small model. What stands in the way of a test
(no runs, literature, mixed data) is its reason, and its verdict is then "no data".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import KW_ONLY, asdict, dataclass
from statistics import fmean, stdev
from typing import Any, TypeVar

import numpy as np

from benchmark.comparison.gate import mixed, seed_reasons
from benchmark.comparison.matching import Matcher
from benchmark.config.params import CompareSettings
from benchmark.paper.tables import AVERAGE, RUN_METRICS, SPREAD, Claim, Paper, Row, Table
from benchmark.runs.predictions import Predictions
from benchmark.runs.results import Run
from benchmark.statistics.claims import (
    CONTRADICTED,
    NO_DATA,
    UPHELD,
    ClaimData,
    ClaimVerdict,
    claim_interval,
    judge_claims,
    seed_interval,
)
from benchmark.statistics.paired import Interval, PairedScores

T = TypeVar("T")

EXACT_NUMBERS = "exact numbers"
DIRECTIONS = {"greater": 1, "less": -1, "comparable": 0}


@dataclass(frozen=True, slots=True)
class ClaimResult(ClaimVerdict):
    """A claim, what the paper's cells give for it, and what is said of ours. interval: None where nothing
    could be tested.

    note: what the interval is over, where that is not all datasets and seeds.
    """

    _: KW_ONLY
    claim: Claim
    paper_delta: float | None
    interval: Interval | None
    note: str = ""


class NoTestError(Exception):
    """Why a claim cannot be tested."""


@dataclass(frozen=True, slots=True)
class Side:
    """One row's runs: by dataset, and by seed. separate: every dataset is trained apart, with seeds for
    itself (ST).
    """

    row: Row
    runs: dict[str, dict[int, Run]]
    separate: bool

    def seeds(self, datasets: Iterable[str]) -> list[int]:
        """Seeds that it has on all of `datasets`."""
        return sorted(set.intersection(*(set(self.runs[dataset]) for dataset in datasets)))


def claim_results(
    paper: Paper, table: Table, matcher: Matcher, predictions: Predictions, settings: CompareSettings
) -> tuple[ClaimResult, ...]:
    """Every claim of a table of scores, judged together (Holm within the table)."""
    claims = [claim for claim in paper.claims if claim.table == table.table]
    data, notes = list[ClaimData](), list[str]()
    for claim in claims:
        interval, reason = None, ""
        try:
            interval, reason = _interval(claim, paper, table, matcher, predictions)
        except (NoTestError, ValueError) as error:
            reason = str(error)
        size, decimals = claim.size, table.decimals.get(claim.metric.removeprefix(SPREAD), 1)
        if claim.direction == "comparable" and size is None:
            size = settings.margin_average if claim.over == AVERAGE else settings.margin_cell
        half_unit = len(claim.rows) * 0.5 * 10.0**-decimals
        data.append(ClaimData(claim.id, DIRECTIONS[claim.direction], interval, size, half_unit, reason))
        notes.append(reason if interval else "")
    return tuple(
        ClaimResult(
            **asdict(verdict),
            claim=claim,
            paper_delta=paper_delta(claim, paper),
            interval=interval,
            note=note,
        )
        for claim, verdict, interval, note in zip(
            claims, judge_claims(data), (entry.interval for entry in data), notes, strict=True
        )
    )


def fact_results(paper: Paper, table: Table, facts: dict[str, Any] | None) -> tuple[ClaimResult, ...]:
    """Every claim of a table of facts, on the numbers of its `table_<id>.json`."""
    return tuple(_fact(claim, paper, facts) for claim in paper.claims if claim.table == table.table)


def paper_delta(claim: Claim, paper: Paper) -> float | None:
    """a - b (less than.a - than.b) of the printed numbers, or None where one is not printed."""
    printed = [_printed(claim, *place) for place in paper.rows(claim)]
    numbers = [number for number in printed if number is not None]
    return round(_difference(numbers), 9) if len(numbers) == len(printed) else None


def _difference(numbers: Sequence[float]) -> float:
    """a - b, or (a - b) - (than.a - than.b)."""
    return sum(sign * number for sign, number in zip((1, -1, -1, 1), numbers, strict=False))


def _printed(claim: Claim, table: Table, row: Row) -> float | None:
    """The printed number of a row that a claim is about; the spread over datasets is computed from the
    printed cells.
    """
    metric = claim.metric.removeprefix(SPREAD)
    if metric not in row.values:
        return None
    if metric == claim.metric:
        return row.values[metric].get(claim.over or "")
    printed = [row.values[metric].get(dataset) for dataset in table.datasets]
    numbers = [number for number in printed if number is not None]
    return stdev(numbers) if len(numbers) == len(printed) > 1 else None


def _fact(claim: Claim, paper: Paper, facts: dict[str, Any] | None) -> ClaimResult:
    """A claim about counted numbers: no seeds, no interval; it holds or it does not."""
    printed = paper_delta(claim, paper)
    counted = (facts or {}).get("rows") or {}
    numbers = [counted.get(row, {}).get(claim.metric) for row in claim.rows]
    if lacking := [row for row, number in zip(claim.rows, numbers, strict=True) if number is None]:
        reason = f"no {claim.metric} of {lacking[0]}"
        return ClaimResult(NO_DATA, reason, claim=claim, paper_delta=printed, interval=None)
    ours = float(_difference(numbers))
    direction = DIRECTIONS[claim.direction]
    holds = ours * direction > 0 if direction else abs(ours) <= (claim.size or 0)
    return ClaimResult(
        UPHELD if holds else CONTRADICTED,
        f"{EXACT_NUMBERS}: {ours:+g}",
        claim=claim,
        paper_delta=printed,
        interval=Interval(ours, None, None, None, 0, EXACT_NUMBERS),
    )


def _interval(
    claim: Claim, paper: Paper, table: Table, matcher: Matcher, predictions: Predictions
) -> tuple[Interval, str]:
    datasets = table.datasets if claim.over in (AVERAGE, None) else (claim.over,)
    sides = [_side(row, datasets, matcher) for _, row in paper.rows(claim)]
    for reason in mixed("evaluator versions", matcher.data.evaluators):
        raise NoTestError(reason.text)
    if claim.metric in RUN_METRICS:
        return _seed_interval([_figures(side, datasets, claim.metric) for side in sides])
    scored, note = _scored_datasets(datasets, sides, matcher)
    if claim.metric.startswith(SPREAD):
        if len(scored) < 2:
            raise NoTestError("a spread needs at least 2 datasets")
        interval, seeds = _seed_interval([_figures(side, scored, claim.metric) for side in sides])
    else:
        interval, seeds = _crossed(claim.metric, sides, scored, predictions)
    return interval, "; ".join(part for part in (note, seeds) if part)


def _side(row: Row, datasets: Iterable[str], matcher: Matcher) -> Side:
    """A row's runs, or why they cannot be used."""
    if row.ours is None:
        raise NoTestError(f"{row.model} is literature: there are no runs of it")
    by_dataset: dict[str, dict[int, Run]] = {}
    for dataset in datasets:
        identity = matcher.identity(row.ours, row.K, dataset)
        runs, faults = matcher.runs(identity), matcher.faults(identity)
        for reason in seed_reasons(runs, faults, [], matcher.data.copies):
            if reason.mixed or faults:
                raise NoTestError(reason.text)
        if not runs:
            raise NoTestError(f"no run of {identity.stem}")
        for reason in mixed("profiles", (run.profile for run in runs)):
            raise NoTestError(reason.text)
        by_dataset[dataset] = {run.seed: run for run in runs}
    return Side(row, by_dataset, row.ours.regime == "st")


def _scored_datasets(
    datasets: Sequence[str], sides: Sequence[Side], matcher: Matcher
) -> tuple[list[str], str]:
    """The datasets that every run of every side has scores of, and a note on those left out."""
    scored = [
        dataset
        for dataset in datasets
        if all(dataset in run.datasets for side in sides for run in side.runs[dataset].values())
    ]
    note = ""
    if lacking := ", ".join(dataset for dataset in datasets if dataset not in scored):
        if not scored:
            raise NoTestError(f"no scores of {lacking} in all runs")
        note = f"over {len(scored)} of {len(datasets)} datasets (no data: {lacking})"
    for dataset in scored:
        if dataset in matcher.data.differences:
            raise NoTestError(f"{dataset}: {matcher.data.differences[dataset].text}")
    return scored, note


def _figures(side: Side, datasets: Sequence[str], metric: str) -> dict[int, float]:
    """One figure per seed: the mean deviation of its runs, or the spread of their scores over datasets."""
    over_datasets = stdev if metric.startswith(SPREAD) else fmean
    return {
        seed: over_datasets([_value(side.runs[dataset][seed], dataset, metric) for dataset in datasets])
        for seed in side.seeds(datasets)
    }


def _value(run: Run, dataset: str, metric: str) -> float:
    """`deviation.<kind>` of a run, or its score that `spread.<score>` is about."""
    kind, _, name = metric.partition(".")
    of_run = kind == "deviation"
    value = run.deviation.get(name) if of_run else run.datasets[dataset].metric(name)
    if value is None:
        raise NoTestError(f"{run.cell} has no {metric if of_run else name}")
    return value


def _shared_seeds(seeds: Sequence[Iterable[int]], sides: int) -> tuple[list[int], str]:
    """The seeds that all have, and what a reader should know of them; none where two sides are not paired."""
    sets = list(map(set, seeds))
    same, common = all(entry == sets[0] for entry in sets), sorted(set.intersection(*sets))
    if sides == 2 and not same:
        return [], "seeds differ: unpaired"
    if not common:
        raise NoTestError("the rows have no seed in common")
    return common, "" if same else f"seeds {', '.join(map(str, common))} only"


def _halves(sides: Sequence[T]) -> tuple[list[T], list[T]]:
    """Rows that count for a and rows that count for b: (a - b) - (c - d) is (a + d) - (b + c)."""
    a, b, *than = sides
    return [a, *than[1:]], [b, *than[:1]]


def _seed_interval(sides: Sequence[dict[int, float]]) -> tuple[Interval, str]:
    """Of one figure per seed and side: (a - b) - (than.a - than.b), paired where the sides have the same
    seeds.
    """
    common, note = _shared_seeds(sides, len(sides))
    first, second = (
        [sum(side[seed] for side in half) for seed in common or half[0]] for half in _halves(sides)
    )
    return seed_interval(first, second, paired_seeds=bool(common)), note


def _crossed(
    metric: str, sides: Sequence[Side], datasets: Sequence[str], predictions: Predictions
) -> tuple[Interval, str]:
    """The crossed interval of a difference in EM or F1 over datasets."""
    common, seeds_note = _shared_seeds(
        [side.runs[dataset] for side in sides for dataset in datasets], len(sides)
    )
    questions_note = _common_questions(datasets, predictions)
    scores = []
    for dataset in datasets:
        a, b = (
            sum(
                _matrix(
                    side, dataset, metric, common or _unpaired_seeds(side, dataset, datasets), predictions
                )
                for side in half
            )
            for half in _halves(sides)
        )
        scores.append(PairedScores(dataset, a, b, predictions.examples[dataset].contexts))
    tied = len(sides) == 4  # rows of both kinds are added by seed, which ties the datasets' seeds
    interval = claim_interval(
        scores,
        paired_seeds=bool(common),
        separate_a=sides[0].separate and not tied,
        separate_b=sides[1].separate and not tied,
    )
    return interval, "; ".join(part for part in (seeds_note, questions_note) if part)


def _unpaired_seeds(side: Side, dataset: str, datasets: Iterable[str]) -> list[int]:
    """The seeds of a side by itself; an arm trained apart on every dataset has its own on each."""
    seeds = sorted(side.runs[dataset]) if side.separate else side.seeds(datasets)
    if not seeds:
        raise NoTestError(f"{side.row.row} has no seed on all datasets")
    return seeds


def _common_questions(datasets: Iterable[str], predictions: Predictions) -> str:
    """What to know of the questions where few-shot runs leave out those that they were tuned on."""
    examples = {dataset: predictions.examples[dataset] for dataset in datasets}
    if nothing := [name for name, entry in examples.items() if entry.left_out and not len(entry.contexts)]:
        raise NoTestError(f"no question of {', '.join(nothing)} is scored by every few-shot run")
    if not any(entry.left_out for entry in examples.values()):
        return ""
    kept = sum(len(entry.contexts) for entry in examples.values())
    return f"on the {kept:,} questions that every few-shot run is scored on"


def _matrix(side: Side, dataset: str, metric: str, seeds: Iterable[int], predictions: Predictions) -> Any:
    """Scores (S, N) of a side on one dataset, percent."""
    by_seed = [predictions.scores[side.runs[dataset][seed].cell][dataset] for seed in seeds]
    if any(metric not in scores for scores in by_seed):
        raise NoTestError(f"predictions have EM and F1, no {metric}")
    return np.stack([scores[metric] for scores in by_seed])
