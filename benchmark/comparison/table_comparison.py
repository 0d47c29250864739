"""One table of a paper held against a results folder: `compare` gives a `TableReport`, which every format
shows.

paper (tables) + runs (results, predictions)  →  matching, gate  →  statistics.judge_cells, claims  →
TableReport
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from statistics import fmean, stdev

from benchmark.comparison.claims import claim_results
from benchmark.comparison.counted_tables import compare_counted
from benchmark.comparison.gate import table_data
from benchmark.comparison.inputs import ComparisonInputs
from benchmark.comparison.mask_density import mask_density
from benchmark.comparison.matching import NO_DATA, Match, Matcher, Setting, find_stand_in, match_row
from benchmark.comparison.remarks import assumptions, differences, notes, tau_b
from benchmark.comparison.report import CellResult, TableReport
from benchmark.paper.tables import AVERAGE, Paper, Row, Table
from benchmark.runs import predictions
from benchmark.runs.results import Fault, Results
from benchmark.statistics.effect_sizes import cv_star, effect_ratio, sign_agreement
from benchmark.statistics.reproduction import CellData, ReproductionRule, judge_cells

SMALLEST_GAIN = 0.6
"""A claimed gain below this sets no margin (`benchmark.statistics.reproduction` halves it)."""


def compare(inputs: ComparisonInputs, table: Table) -> TableReport:
    """Hold one table against a results folder."""
    if table.kind == "facts":
        return compare_counted(inputs, table)
    paper, settings = inputs.paper, inputs.settings
    matcher, scores = matched_runs(paper, table, inputs.results, inputs.setting)
    rule = ReproductionRule(**asdict(settings) | {"n_pub": table.published_runs or settings.n_pub})
    matches = [match for row in table.rows for match in match_row(table, row, matcher)]
    cells = tuple(_judge(matches, paper, table, rule))
    claims = claim_results(paper, table, matcher, scores, settings)
    ours, published = differences(claims, cells)
    seconds = [match for row in _second_rows(table) for match in match_row(table, row, matcher)]
    used = {name for cell in cells for name in cell.match.runs}
    runs = [run for run in matcher.results.runs if run.cell in used]
    by_row = {row.row: mask_density(matcher.row_runs(row, table.datasets)) for row in table.rows}
    return TableReport(
        title=paper.title,
        table=table,
        profile=", ".join(sorted({run.profile for run in runs})) or inputs.setting.profile,
        source=inputs.source,
        seeds=tuple(sorted({run.seed for run in runs})),
        stand_in=matcher.stand_in,
        cells=cells,
        claims=claims,
        second_readings=tuple(_described(match) for match in seconds if match.values),
        densities={row: density for row, density in by_row.items() if density},
        faults=_faults(paper, table, matcher),
        assumptions=assumptions(rule),
        notes=notes(cells, runs),
        signs=sign_agreement(ours, published),
        effect_ratio=effect_ratio(ours, published),
        tau_b=tau_b(cells),
    )


def matched_runs(
    paper: Paper, table: Table, results: Results, setting: Setting
) -> tuple[Matcher, predictions.Predictions]:
    """The runs that the table's rows and claims need, with their predictions read and the damaged ones taken
    out.
    """
    stand_in = find_stand_in(table, results, paper.requires, setting.listed)
    matcher = Matcher(results, paper.requires, setting, stand_in)
    needed = {
        run.cell: run for row in _needed_rows(paper, table) for run in matcher.row_runs(row, table.datasets)
    }
    runs = [run for _, run in sorted(needed.items())]
    scores = predictions.read(results, runs, table.datasets)
    damaged = {fault.file.rsplit(".", 1)[0] for fault in scores.faults}
    kept = replace(
        results,
        runs=tuple(run for run in results.runs if run.cell not in damaged),
        faults=(*results.faults, *scores.faults),
    )
    whole = [run for run in runs if run.cell not in damaged]
    data = table_data(whole, table.datasets, scores.different, scores.copies)
    return replace(matcher, results=kept, data=data), scores


def _judge(matches: Sequence[Match], paper: Paper, table: Table, rule: ReproductionRule) -> list[CellResult]:
    """The statistics' verdict on the printed numbers that runs answer, the state of the rest."""
    answered = [
        CellData(
            key=f"{match.row.row}/{match.metric}/{match.dataset}",
            published=match.published,
            decimals=match.decimals,
            values=match.values,
            kind="average" if match.dataset == AVERAGE else "cell",
            claimed_gain=_claimed_gain(match, paper, table),
            gate=match.reason or None,
        )
        for match in matches
        if match.values and match.published is not None
    ]
    verdicts = iter(judge_cells(answered, rule))
    cells = []
    for match in matches:
        if not match.values or match.published is None:
            cells.append(_described(match))
            continue
        cell = CellResult(**asdict(next(verdicts)), match=match)
        cells.append(replace(cell, delta=None, pi95=None) if match.partial else cell)
    return cells


def _claimed_gain(match: Match, paper: Paper, table: Table) -> float | None:
    """The smallest gain that a claim states for this cell."""
    place = (table.table, match.row.row, match.metric, match.dataset)
    gains = (
        claim.size
        for claim in paper.claims
        if claim.size is not None
        and claim.size >= SMALLEST_GAIN
        and claim.direction == "greater"
        and not claim.than
        and (claim.table, claim.a, claim.metric, claim.over) == place
    )
    return min(gains, default=None)


def _described(match: Match) -> CellResult:
    """A cell that nothing is decided about: our mean and sd if there are any."""
    n, state = len(match.values), match.state or NO_DATA
    reason = match.reason or ("" if match.published is not None else "the paper prints no number here")
    if not n:
        return CellResult(state, reason, match=match)
    mean, sd = fmean(match.values), stdev(match.values) if n > 1 else None
    delta = mean - match.published if match.published is not None and not match.partial else None
    return CellResult(state, reason, mean, sd, n, delta, cv_star=cv_star(match.values), match=match)


def _needed_rows(paper: Paper, table: Table) -> list[Row]:
    """The table's rows, those of its claims, and its second readings."""
    claims = [claim for claim in paper.claims if claim.table == table.table]
    claimed = [row for claim in claims for _, row in paper.rows(claim)]
    return [*table.rows, *claimed, *_second_rows(table)]


def _second_rows(table: Table) -> list[Row]:
    """The rows that may stand for another arm, as that arm's."""
    return [
        replace(row, ours=replace(row.ours, arm=row.second_reading), p_f=None)
        for row in table.rows
        if row.ours and row.second_reading
    ]


def _faults(paper: Paper, table: Table, matcher: Matcher) -> tuple[Fault, ...]:
    """The damaged files that could belong to this table: they name one of its cells, or none at all."""
    needed = {
        matcher.identity(row.ours, row.K, dataset)
        for row in _needed_rows(paper, table)
        if row.ours
        for dataset in table.datasets
    }
    return tuple(
        fault
        for fault in matcher.results.faults
        if fault.identity is None or (fault.identity in needed and matcher.setting.counts(fault.seed))
    )
