"""One table of a paper held against a results folder: `compare` gives a `TableReport`, which every format
shows.

paper (tables) + runs (results, predictions)  →  matching, gate  →  statistics.judge_cells, claims  →  TableReport
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean, stdev

from benchmark.comparison.claims import Margins, claim_results
from benchmark.comparison.counted_tables import compare_counted
from benchmark.comparison.gate import table_data
from benchmark.comparison.matching import (
    NO_DATA,
    NOT_COMPARABLE,
    Match,
    Matcher,
    Setting,
    find_stand_in,
    match_row,
    match_table,
)
from benchmark.comparison.remarks import assumptions, differences, notes, tau_b
from benchmark.comparison.report import CellResult, Density, TableReport
from benchmark.config.params import CompareSettings
from benchmark.paper.tables import AVERAGE, Paper, Row, Table
from benchmark.runs import predictions
from benchmark.runs.results import Fault, Results
from benchmark.statistics import (
    CellData,
    CellVerdict,
    ReproductionRule,
    cv_star,
    effect_ratio,
    judge_cells,
    sign_agreement,
)

SMALLEST_GAIN = 0.6
"""A claimed gain below this sets no margin (`benchmark.statistics.reproduction` halves it)."""


def compare(
    paper: Paper,
    table: Table,
    results: Results,
    setting: Setting,
    settings: CompareSettings,
    source: str = "",
) -> TableReport:
    """Hold one table against a results folder."""
    stand_in = find_stand_in(table, results, paper.requires, setting.listed)
    if table.kind == "facts":
        return compare_counted(paper, table, results, setting, source)
    matcher, scores = matched_runs(paper, table, results, setting, stand_in)
    matches = match_table(table, matcher)
    n_pub = table.published_runs or settings.n_pub
    cells = tuple(_judge(matches, paper, table, settings, n_pub))
    claims = tuple(
        claim_results(paper, table, matcher, scores, Margins(settings.margin_cell, settings.margin_average))
    )
    ours, published = differences(claims, cells)
    seconds = [match for row in table.rows for match in _second_reading(table, row, matcher)]
    used = {name for cell in cells for name in cell.match.runs}
    runs = [run for run in matcher.results.runs if run.cell in used]
    return TableReport(
        title=paper.title,
        table=table,
        profile=", ".join(sorted({run.profile for run in runs})) or setting.profile,
        source=source,
        seeds=tuple(sorted({run.seed for run in runs})),
        stand_in=stand_in,
        cells=cells,
        claims=claims,
        second_readings=tuple(_described(match) for match in seconds if match.values),
        densities=_densities(table, matcher),
        faults=tuple(fault for fault in matcher.results.faults if _concerns(fault, paper, table, matcher)),
        assumptions=assumptions(settings, n_pub),
        notes=notes(cells, runs),
        signs=sign_agreement(ours, published),
        effect_ratio=effect_ratio(ours, published),
        tau_b=tau_b(cells),
    )


def matched_runs(
    paper: Paper, table: Table, results: Results, setting: Setting, stand_in: dict[str, str]
) -> tuple[Matcher, predictions.Predictions]:
    """The runs that the table's rows and claims need, with their predictions read and the damaged ones taken
    out.
    """
    rows = _needed_rows(paper, table)
    datasets = tuple(table.columns.values())
    first = Matcher(results, paper.requires, setting, stand_in, table_data([]))
    needed = {run.cell: run for row in rows for run in first.row_runs(row, datasets)}
    scores = predictions.read(results, sorted(needed.values(), key=lambda run: run.cell), datasets)
    damaged = {fault.file.rsplit(".", 1)[0] for fault in scores.faults}
    kept = replace(
        results,
        runs=tuple(run for run in results.runs if run.cell not in damaged),
        faults=(*results.faults, *scores.faults),
    )
    data = table_data(
        [run for cell, run in sorted(needed.items()) if cell not in damaged],
        datasets,
        scores.different,
        scores.copies,
    )
    return Matcher(kept, paper.requires, setting, stand_in, data), scores


def _judge(
    matches: Sequence[Match], paper: Paper, table: Table, settings: CompareSettings, n_pub: int
) -> list[CellResult]:
    """The statistics' verdict on what is comparable, the state of the rest."""
    judged = [
        CellData(
            key=_key(match),
            published=match.published,
            decimals=match.decimals,
            values=match.values,
            kind="average" if match.dataset == AVERAGE else "cell",
            claimed_gain=_claimed_gain(match, paper, table),
            gate=match.reason or None,
        )
        for match in matches
        if match.values and match.published is not None and match.state in (None, NOT_COMPARABLE)
    ]
    rule = ReproductionRule(
        margin_cell=settings.margin_cell,
        margin_average=settings.margin_average,
        d0=settings.d0,
        n_pub=n_pub,
        estimand=settings.estimand,  # type: ignore[arg-type]
    )
    verdicts = {verdict.key: verdict for verdict in judge_cells(judged, rule)}
    return [_cell(match, verdicts.get(_key(match))) for match in matches]


def _claimed_gain(match: Match, paper: Paper, table: Table) -> float | None:
    """The smallest gain that a claim states for this cell."""
    place = (table.table, match.row.row, match.metric, match.dataset)
    gains = [
        claim.size
        for claim in paper.claims
        if (claim.table, claim.a, claim.metric, claim.over) == place
        and claim.direction == "greater"
        and not claim.than
        and (claim.size or 0.0) >= SMALLEST_GAIN
    ]
    return min((gain for gain in gains if gain is not None), default=None)


def _key(match: Match) -> str:
    return f"{match.row.row}/{match.metric}/{match.dataset}"


def _cell(match: Match, verdict: CellVerdict | None) -> CellResult:
    if verdict is None:
        return _described(match)
    partial = match.partial
    return CellResult(
        match=match,
        verdict=verdict.verdict,
        reason=verdict.reason,
        mean=verdict.mean,
        sd=verdict.sd,
        n=verdict.n,
        delta=None if partial else verdict.delta,
        pi95=None if partial else verdict.pi95,
        ci90=verdict.ci90,
        margin=verdict.margin,
        cv_star=verdict.cv_star,
        p_holm=verdict.p_holm,
        seeds_needed=verdict.seeds_needed,
    )


def _described(match: Match) -> CellResult:
    """A cell that nothing is decided about: our mean and sd if there are any."""
    n, state = len(match.values), match.state or NO_DATA
    reason = match.reason or ("" if match.published is not None else "the paper prints no number here")
    if not n:
        return CellResult(match, state, reason)
    mean, sd = fmean(match.values), stdev(match.values) if n > 1 else None
    delta = mean - match.published if match.published is not None and not match.partial else None
    return CellResult(match, state, reason, mean, sd, n, delta, cv_star=cv_star(match.values))


def _needed_rows(paper: Paper, table: Table) -> list[Row]:
    """The table's rows, those of its claims, and its second readings."""
    claims = [claim for claim in paper.claims if claim.table == table.table]
    claimed = [paper.row(claim, row)[1] for claim in claims for row in claim.rows]
    return [*table.rows, *claimed, *(second for row in table.rows if (second := _second_row(row)))]


def _second_row(row: Row) -> Row | None:
    """The row under its second reading, or None."""
    if row.ours is None or not row.second_reading:
        return None
    return replace(row, ours=replace(row.ours, arm=row.second_reading), p_f=None)


def _second_reading(table: Table, row: Row, matcher: Matcher) -> list[Match]:
    second = _second_row(row)
    return match_row(table, second, matcher) if second else []


def _densities(table: Table, matcher: Matcher) -> dict[str, Density]:
    """Mask densities of the rows whose runs learned masks."""
    densities = {}
    for row in table.rows:
        runs = matcher.row_runs(row, tuple(table.columns.values()))
        masks = [run.mask for run in runs if run.mask and run.mask.get("kind") == "learned"]
        by_dataset: dict[str, list[float]] = {}
        for mask in masks:
            for name, value in (mask.get("density") or {}).items():
                if isinstance(value, int | float):
                    by_dataset.setdefault(name, []).append(value)
        unions = [
            mask["union_density"] for mask in masks if isinstance(mask.get("union_density"), int | float)
        ]
        if masks:
            means = {name: fmean(values) for name, values in by_dataset.items()}
            densities[row.row] = Density(means, fmean(unions) if unions else None)
    return densities


def _concerns(fault: Fault, paper: Paper, table: Table, matcher: Matcher) -> bool:
    """Whether a damaged file could belong to this table: it names one of its cells, or none at all."""
    if fault.identity is None:
        return True
    if matcher.setting.seeds is not None and fault.seed not in matcher.setting.seeds:
        return False
    rows = _needed_rows(paper, table)
    return any(
        fault.identity == matcher.identity(row.ours, row.K, name)
        for row in rows
        if row.ours
        for name in table.columns.values()
    )
