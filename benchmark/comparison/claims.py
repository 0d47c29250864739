"""The paper's claims on our runs: which scores each sentence is about, judged together by
`benchmark.statistics`.

A claim is tested on any profile: directions can be checked on a small model. What stands in the way of a test
(no runs, literature, mixed data) is its reason, and its verdict is then "no data".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

import numpy as np

from benchmark.comparison.gate import seed_reasons
from benchmark.comparison.matching import Matcher
from benchmark.paper.tables import AVERAGE, RUN_METRICS, SPREAD, Claim, Paper, Row, Table
from benchmark.runs.predictions import Predictions
from benchmark.runs.results import Run
from benchmark.statistics import (
    ClaimData,
    Interval,
    PairedScores,
    claim_interval,
    judge_claims,
    seed_interval,
)

FACTS = "exact numbers"
NO_DATA = "no data"


@dataclass(frozen=True, slots=True)
class ClaimResult:
    """A claim, what the paper's cells give for it, and what ours do. interval: None where nothing could be
    tested.

    note: what the interval is over, where that is not all datasets and seeds.
    """

    claim: Claim
    verdict: str
    reason: str
    paper_delta: float | None
    interval: Interval | None
    p_holm: float | None = None
    seeds_needed: int | None = None
    effect_ratio: float | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Margins:
    """Points within which rows are "comparable": of a dataset, of an average."""

    cell: float
    average: float


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


def claim_results(
    paper: Paper, table: Table, matcher: Matcher, predictions: Predictions, margins: Margins
) -> tuple[ClaimResult, ...]:
    """Every claim of a table of scores, judged together (Holm within the table)."""
    claims = [claim for claim in paper.claims if claim.table == table.table]
    data: list[ClaimData] = []
    notes: list[str] = []
    for claim in claims:
        interval, reason = None, ""
        try:
            interval, reason = _interval(claim, paper, table, matcher, predictions)
        except (NoTestError, ValueError) as error:
            reason = str(error)
        direction = {"greater": 1, "less": -1, "comparable": 0}[claim.direction]
        size = (
            claim.size
            if direction
            else claim.size or (margins.average if claim.over == AVERAGE else margins.cell)
        )
        half_unit = len(claim.rows) * 0.5 * 10.0 ** -table.decimals.get(claim.metric.removeprefix(SPREAD), 1)
        data.append(ClaimData(claim.id, direction, interval, size, half_unit, reason or None))
        notes.append(reason if interval else "")
    return tuple(
        ClaimResult(
            claim,
            said.verdict,
            said.reason,
            paper_delta(claim, paper),
            entry.interval,
            said.p_holm,
            said.seeds_needed,
            said.effect_ratio,
            note,
        )
        for claim, said, note, entry in zip(claims, judge_claims(data), notes, data, strict=True)
    )


def fact_results(paper: Paper, table: Table, facts: dict[str, Any] | None) -> tuple[ClaimResult, ...]:
    """Every claim of a table of facts, on the numbers of its `table_<id>.json`."""
    return tuple(_fact(claim, paper, facts) for claim in paper.claims if claim.table == table.table)


def paper_delta(claim: Claim, paper: Paper) -> float | None:
    """a - b (less than.a - than.b) of the printed numbers, or None where one is not printed."""
    printed = [_printed(claim, *paper.row(claim, row)) for row in claim.rows]
    if any(value is None for value in printed):
        return None
    numbers = [value for value in printed if value is not None]
    return round(sum(sign * value for sign, value in zip((1, -1, -1, 1), numbers, strict=False)), 9)


def _printed(claim: Claim, table: Table, row: Row) -> float | None:
    """The printed number of a row that a claim is about; the spread over datasets is computed from the
    printed cells.
    """
    metric = claim.metric.removeprefix(SPREAD)
    if metric not in row.values:
        return None
    if metric == claim.metric:
        return row.values[metric].get(claim.over or "")
    values = [row.values[metric].get(dataset) for dataset in table.columns.values()]
    return (
        stdev(value for value in values if value is not None)
        if len(values) > 1 and None not in values
        else None
    )


def _fact(claim: Claim, paper: Paper, facts: dict[str, Any] | None) -> ClaimResult:
    """A claim about counted numbers: no seeds, no interval; it holds or it does not."""
    printed = paper_delta(claim, paper)
    numbers = [((facts or {}).get("rows") or {}).get(row, {}).get(claim.metric) for row in claim.rows]
    if any(number is None for number in numbers):
        lacking = next(row for row, number in zip(claim.rows, numbers, strict=True) if number is None)
        return ClaimResult(claim, NO_DATA, f"no {claim.metric} of {lacking}", printed, None)
    ours = float(sum(sign * number for sign, number in zip((1, -1, -1, 1), numbers, strict=False)))
    holds = (
        ours > 0
        if claim.direction == "greater"
        else ours < 0
        if claim.direction == "less"
        else abs(ours) <= (claim.size or 0)
    )
    interval = Interval(ours, None, None, None, 0, FACTS)
    return ClaimResult(claim, "upheld" if holds else "contradicted", f"{FACTS}: {ours:+g}", printed, interval)


def _interval(
    claim: Claim, paper: Paper, table: Table, matcher: Matcher, predictions: Predictions
) -> tuple[Interval, str]:
    """The interval of a claim's difference, and what a reader should know of it."""
    datasets = (claim.over,) if claim.over not in (AVERAGE, None) else tuple(table.columns.values())
    rows = [paper.row(claim, row)[1] for row in claim.rows]
    sides = [_side(row, datasets, matcher) for row in rows]
    if len(matcher.data.evaluators) > 1:
        raise NoTestError(f"mixed evaluator versions: {', '.join(matcher.data.evaluators)}")
    if claim.metric in RUN_METRICS:
        key = claim.metric.split(".")[1]
        return _seed_interval(
            [
                _by_seed(side, datasets, lambda runs: fmean(_deviation(run, key) for run in runs.values()))
                for side in sides
            ]
        )
    scored = [
        dataset
        for dataset in datasets
        if all(dataset in run.datasets for side in sides for run in side.runs[dataset].values())
    ]
    note = ""
    if lacking := [dataset for dataset in datasets if dataset not in scored]:
        if not scored:
            raise NoTestError(f"no scores of {', '.join(lacking)} in all runs")
        note = f"over {len(scored)} of {len(datasets)} datasets (no data: {', '.join(lacking)})"
    for dataset in scored:
        if dataset in matcher.data.differences:
            raise NoTestError(f"{dataset}: {matcher.data.differences[dataset].text}")
    if claim.metric.startswith(SPREAD):
        metric = claim.metric.removeprefix(SPREAD)
        if len(scored) < 2:
            raise NoTestError("a spread needs at least 2 datasets")
        spreads = [
            _by_seed(
                side, scored, lambda runs: stdev(_score(run, metric, name) for name, run in runs.items())
            )
            for side in sides
        ]
        interval, seeds = _seed_interval(spreads)
        return interval, "; ".join(part for part in (note, seeds) if part)
    return _crossed(claim, sides, scored, predictions, note)


def _side(row: Row, datasets: Iterable[str], matcher: Matcher) -> Side:
    """A row's runs, or why they cannot be used."""
    if row.ours is None:
        raise NoTestError(f"{row.model} is literature: there are no runs of it")
    by_dataset: dict[str, dict[int, Run]] = {}
    for dataset in datasets:
        identity, runs = matcher.identity(row.ours, row.K, dataset), matcher.runs(row.ours, row.K, dataset)
        faults = matcher.faults(identity)
        for reason in seed_reasons(runs, faults, [], matcher.data.copies):
            if reason.mixed or faults:
                raise NoTestError(reason.text)
        if not runs:
            raise NoTestError(f"no run of {identity.stem}")
        if len(profiles := {run.profile for run in runs}) > 1:
            raise NoTestError(f"mixed profiles: {', '.join(sorted(profiles))}")
        by_dataset[dataset] = {run.seed: run for run in runs}
    return Side(row, by_dataset, row.ours.regime == "st")


def _common(side: Side, datasets: Iterable[str]) -> list[int]:
    """Seeds that a side has on all datasets."""
    return sorted(set.intersection(*(set(side.runs[dataset]) for dataset in datasets)))


def _by_seed(side: Side, datasets: Iterable[str], figure: Any) -> dict[int, float]:
    """One figure per seed, from the side's run of every dataset."""
    datasets = list(datasets)
    return {
        seed: figure({dataset: side.runs[dataset][seed] for dataset in datasets})
        for seed in _common(side, datasets)
    }


def _deviation(run: Run, key: str) -> float:
    if key not in run.deviation:
        raise NoTestError(f"{run.cell} has no deviation.{key}")
    return run.deviation[key]


def _score(run: Run, metric: str, dataset: str) -> float:
    value = run.datasets[dataset].metric(metric)
    if value is None:
        raise NoTestError(f"{run.cell} has no {metric}")
    return value


def _seed_interval(sides: list[dict[int, float]]) -> tuple[Interval, str]:
    """Of one figure per seed and side: (a - b) - (than.a - than.b), paired where the sides have the same
    seeds.
    """
    same = all(set(side) == set(sides[0]) for side in sides)
    common = sorted(set.intersection(*map(set, sides)))
    if len(sides) == 2 and not same:
        return seed_interval(
            [*sides[0].values()], [*sides[1].values()], paired_seeds=False
        ), "seeds differ: unpaired"
    if not common:
        raise NoTestError("the rows have no seed in common")
    first, second = ([sum(side[seed] for side in chosen) for seed in common] for chosen in _halves(sides))
    return seed_interval(first, second), "" if same else f"seeds {', '.join(map(str, common))} only"


def _halves(sides: list[Any]) -> tuple[list[Any], list[Any]]:
    """Rows that count for a and rows that count for b: (a - b) - (c - d) is (a + d) - (b + c)."""
    return (sides[:1], sides[1:]) if len(sides) == 2 else ([sides[0], sides[3]], [sides[1], sides[2]])


def _crossed(
    claim: Claim, sides: list[Side], datasets: list[str], predictions: Predictions, note: str
) -> tuple[Interval, str]:
    """The crossed interval of a difference in EM or F1 over datasets."""
    same = len({frozenset(side.runs[dataset]) for side in sides for dataset in datasets}) == 1
    common = sorted(set.intersection(*(set(_common(side, datasets)) for side in sides)))
    unpaired = len(sides) == 2 and not same
    if not unpaired and not common:
        raise NoTestError("the rows have no seed in common")
    on_common = _common_questions(datasets, predictions)
    scores = []
    for dataset in datasets:
        halves = []
        for half in _halves(sides):
            seeds = (
                [sorted(side.runs[dataset]) if side.separate else _common(side, datasets) for side in half]
                if unpaired
                else [common]
            )
            if not seeds[0]:
                raise NoTestError(f"{half[0].row.row} has no seed on all datasets")
            halves.append(sum(_matrix(side, dataset, claim.metric, seeds[0], predictions) for side in half))
        scores.append(PairedScores(dataset, halves[0], halves[1], predictions.examples[dataset].contexts))
    tied = len(sides) == 4  # rows of both kinds are added by seed, which ties the datasets' seeds
    interval = claim_interval(
        scores,
        paired_seeds=not unpaired,
        separate_a=sides[0].separate and not tied,
        separate_b=sides[1].separate and not tied,
    )
    seeds_note = (
        "" if same else "seeds differ: unpaired" if unpaired else f"seeds {', '.join(map(str, common))} only"
    )
    return interval, "; ".join(part for part in (note, seeds_note, on_common) if part)


def _common_questions(datasets: Iterable[str], predictions: Predictions) -> str:
    """What to know of the questions where few-shot runs leave out those that they were tuned on."""
    examples = {dataset: predictions.examples[dataset] for dataset in datasets}
    if nothing := [name for name, entry in examples.items() if entry.left_out and not len(entry.contexts)]:
        raise NoTestError(f"no question of {', '.join(nothing)} is scored by every few-shot run")
    kept, left_out = (
        sum(numbers)
        for numbers in zip(
            *((len(entry.contexts), entry.left_out) for entry in examples.values()), strict=True
        )
    )
    return f"on the {kept:,} questions that every few-shot run is scored on" if left_out else ""


def _matrix(side: Side, dataset: str, metric: str, seeds: list[int], predictions: Predictions) -> Any:
    """Scores (S, N) of a side on one dataset, percent."""
    rows = []
    for seed in seeds:
        scores = predictions.scores[side.runs[dataset][seed].cell][dataset]
        if metric not in scores:
            raise NoTestError(f"predictions have EM and F1, no {metric}")
        rows.append(scores[metric])
    return np.stack(rows)
