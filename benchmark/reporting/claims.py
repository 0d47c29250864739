"""The claims of the paper as forest plots, one plot per table and unit: our difference with its interval, the paper's
beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from benchmark.comparison.claims import ClaimResult
from benchmark.comparison.table_document import TONES, claim_remark
from benchmark.config.params import CompareSettings
from benchmark.paper.tables import AVERAGE, RUN_METRICS, SPREAD, Claim, Paper, Row
from benchmark.rendering.phrases import NOTHING, fixed
from benchmark.reporting.charts import DataTable
from benchmark.reporting.report_data import ComparedTable, ReportData
from benchmark.reporting.strips import Estimate, forest_axis, forest_strip, symmetric

READING = (
    "Dot and bar: our difference with its 95 % interval; diamond: the paper's difference; shaded: the side that the "
    "paper claims. A claim is upheld where the bar lies in the shade and its p, corrected for all claims of the table "
    "(Holm), is below .05. A bar that crosses 0 decides nothing, and neither do fewer than three seeds."
)
COLUMNS = ("claim", "id", "paper", "ours", "95 % from", "to", "Holm p", "verdict", "seeds", "method")
SIGNS = {"greater": ">", "less": "<", "comparable": "≈"}


@dataclass(frozen=True, slots=True)
class ForestLine:
    """One claim: its name, its quotation ("": that of the claim before), what qualifies the verdict, and its drawing.

    numbers: ours with its interval, then the paper's and p.
    """

    name: str
    quote: str
    remark: str
    strip: Markup
    numbers: list[str]
    verdict: str
    tone: str


@dataclass(frozen=True, slots=True)
class ForestPlot:
    """The claims of one unit, which share an axis."""

    axis: Markup
    unit: str
    lines: list[ForestLine]


@dataclass(frozen=True, slots=True)
class ForestFigure:
    """One table's claims: its plots, and the same as a table."""

    key: str
    name: str
    title: str
    plots: list[ForestPlot]
    data: DataTable


@dataclass(frozen=True, slots=True)
class ClaimsSection:
    """What the section shows. note: in place of figures. untested: the claims without data, and why."""

    note: str
    reading: str
    figures: list[ForestFigure]
    untested: list[str]


def claims_section(data: ReportData) -> ClaimsSection:
    """The whole section."""
    results = [(table, result) for table in data.tables for result in table.report.claims]
    if not results:
        return ClaimsSection("The paper's folder holds no claims.", "", [], [])
    tested = dict.fromkeys(table.key for table, result in results if result.interval)
    figures = [_figure(data.paper, table, data.settings) for table in data.tables if table.key in tested]
    untested = [
        f"{table.name}: {title(data.paper, result.claim)}: {result.reason}"
        for table, result in results
        if result.interval is None
    ]
    if not figures:
        why = "No claim can be tested on these results; why, claim by claim, stands below."
        return ClaimsSection(why, "", [], untested)
    return ClaimsSection("", READING, figures, untested)


def title(paper: Paper, claim: Claim) -> str:
    """A claim as a comparison of rows as they are printed: `RoBERTa-base: MT(w/ BMT) > MT(w/ mask), average F1`."""
    rows = {row: paper.row(claim, row)[1] for row in claim.rows}
    models, shots = {row.model for row in rows.values()}, {row.K for row in rows.values()}
    names = {key: _row_name(row, len(models) == 1, len(shots) > 1) for key, row in rows.items()}
    sign = SIGNS[claim.direction]
    pair = f"{names[claim.a]} {sign} {names[claim.b]}"
    if claim.than:
        gain, other = (f"({names[a]} − {names[b]})" for a, b in ((claim.a, claim.b), claim.than))
        pair = f"{gain} {sign} {other}"
    shared = [*models] if len(models) == 1 else []
    shared += [f"K = {shot}" for shot in shots if shot and len(shots) == 1]
    return f"{', '.join(shared)}{': ' if shared else ''}{pair}, {measure(claim)}"


def measure(claim: Claim) -> str:
    """What a claim is about, in words."""
    if claim.metric.startswith(SPREAD):
        return f"spread of {claim.metric.removeprefix(SPREAD)} over the datasets"
    if claim.metric in RUN_METRICS:
        kind = "relative" if claim.metric.endswith("relative") else "L2"
        return f"{kind} deviation from the pretrained weights"
    if claim.over == AVERAGE:
        return f"average {claim.metric}"
    return f"{claim.metric} on {claim.over}" if claim.over else claim.metric


def unit_of(claim: Claim, kind: str) -> tuple[str, int]:
    """The unit of a claim's difference, and the decimals that suit it."""
    if claim.metric in RUN_METRICS:
        return ("relative deviation" if claim.metric.endswith("relative") else "L2 deviation"), 4
    return ("points", 2) if kind == "scores" else (claim.metric, 2)


def estimate_of(result: ClaimResult, settings: CompareSettings) -> Estimate | None:
    """What there is to draw of a claim; None without data."""
    interval, claim = result.interval, result.claim
    if interval is None:
        return None
    size = claim.size or (settings.margin_average if claim.over == AVERAGE else settings.margin_cell)
    side = {"greater": (0.0, None), "less": (None, 0.0), "comparable": (-size, size)}[claim.direction]
    tone = TONES.get(result.verdict, "quiet")
    return Estimate(interval.estimate, interval.low, interval.high, result.paper_delta, side, tone)


def _row_name(row: Row, arm_only: bool, with_shots: bool) -> str:
    name = row.arm if arm_only and row.arm else " ".join(part for part in (row.model, row.arm) if part)
    marks = [f"K = {row.K}" if with_shots and row.K else "", f"p_F {row.p_f:g}" if row.p_f else ""]
    more = ", ".join(mark for mark in marks if mark)
    return f"{name} ({more})" if more else name


def _figure(paper: Paper, table: ComparedTable, settings: CompareSettings) -> ForestFigure:
    """One table's plots: claims of one unit share an axis."""
    kind = table.report.table.kind
    groups: dict[tuple[str, int], list[ClaimResult]] = {}
    rows = []
    for result in table.report.claims:
        if result.interval:
            groups.setdefault(unit_of(result.claim, kind), []).append(result)
            rows.append(_data_row(paper, result, kind))
    plots, number, quoted = [], 0, ""
    for (unit, decimals), group in groups.items():
        estimates = [estimate for result in group if (estimate := estimate_of(result, settings))]
        scale = symmetric([value for estimate in estimates for value in estimate.extent])
        lines = []
        for result, estimate in zip(group, estimates, strict=True):
            number += 1
            claim, name = result.claim, title(paper, result.claim)
            said = _description(estimate, unit, decimals, result)
            strip = forest_strip(f"claim-{table.key}-{number}", name, said, estimate, scale)
            quote = "" if claim.quote == quoted else f"“{claim.quote}” ({claim.section})"
            quoted = claim.quote
            numbers = _numbers(estimate, decimals, result)
            lines.append(
                ForestLine(name, quote, claim_remark(result), strip, numbers, result.verdict, estimate.tone)
            )
        plots.append(ForestPlot(forest_axis(scale), f"difference, {unit}", lines))
    return ForestFigure(
        table.key, table.name, table.title, plots, DataTable(f"Claims of {table.name}", COLUMNS, rows)
    )


def _numbers(estimate: Estimate, decimals: int, result: ClaimResult) -> list[str]:
    """Ours with its interval, the paper's, and p."""
    ours, low, high, paper = (
        fixed(value, decimals, True)
        for value in (estimate.value, estimate.low, estimate.high, estimate.paper)
    )
    bounded = estimate.low is not None and estimate.high is not None
    numbers = [f"{ours} [{low}, {high}]" if bounded else ours]
    numbers.append("paper: no number" if estimate.paper is None else f"paper {paper}")
    if result.p_holm is not None:
        numbers.append(f"Holm p {'< .001' if result.p_holm < 0.001 else f'{result.p_holm:.3f}'}")
    return numbers


def _description(estimate: Estimate, unit: str, decimals: int, result: ClaimResult) -> str:
    """The same for who hears the page."""
    ours, low, high, paper = (
        fixed(value, decimals, True)
        for value in (estimate.value, estimate.low, estimate.high, estimate.paper)
    )
    bounded = estimate.low is not None and estimate.high is not None
    interval = f"95 % interval {low} to {high}" if bounded else "no interval"
    printed = "the paper prints no number" if estimate.paper is None else f"the paper {paper}"
    return f"Ours {ours} {unit}, {interval}; {printed}; {result.verdict}."


def _data_row(paper: Paper, result: ClaimResult, kind: str) -> Sequence[str]:
    interval, (_, decimals) = result.interval, unit_of(result.claim, kind)
    assert interval is not None
    ours = (interval.estimate, interval.low, interval.high)
    return [
        title(paper, result.claim),
        result.claim.id,
        *(fixed(value, decimals, True) for value in (result.paper_delta, *ours)),
        fixed(result.p_holm, 4),
        result.verdict,
        str(interval.n_seeds) if interval.n_seeds else NOTHING,
        interval.method,
    ]
