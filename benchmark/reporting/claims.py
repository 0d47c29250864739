"""The claims of the paper as forest plots, one plot per table and unit: our difference with its interval, the
paper's beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from benchmark.comparison.claims import ClaimResult
from benchmark.comparison.table_document import TONES, claim_remark
from benchmark.config.params import CompareSettings
from benchmark.paper.tables import AVERAGE, RUN_METRICS, SPREAD, Claim, Paper, Row
from benchmark.rendering.phrases import NOTHING, fixed
from benchmark.reporting.charts import DataTable
from benchmark.reporting.evidence import grouped
from benchmark.reporting.report_data import ComparedTable, ReportData
from benchmark.reporting.strips import Estimate, forest_axis, forest_strip, symmetric

READING = (
    "Dot and bar: our difference with its 95 % interval; diamond: the paper's difference; shaded: the side "
    "that the paper claims. A claim is upheld where the bar lies in the shade and its p, corrected for all "
    "claims of the table (Holm), is below .05. A bar that crosses 0 decides nothing, and neither do fewer "
    "than three seeds."
)
COLUMNS = ("claim", "id", "paper", "ours", "95 % from", "to", "Holm p", "verdict", "seeds", "method")
ForestPlot = tuple[Markup, str, list["ForestLine"]]
"""The claims of one unit: the axis that they share, its name, and a line for each."""
SIGNS = {"greater": ">", "less": "<", "comparable": "≈"}


@dataclass(frozen=True, slots=True)
class ForestLine:
    """One claim: its name, its quotation ("": that of the claim before), what qualifies the verdict, and its
    drawing.

    numbers: ours with its interval, then the paper's and p.
    """

    name: str
    quote: str
    remark: str
    strip: Markup
    numbers: list[str]
    verdict: str
    tone: str


def claims_section(data: ReportData) -> dict[str, Any]:
    """Values of the template. note: in place of figures; figures: a table, its plots, one per unit, and the
    same as a table; untested: the claims without data, and why.
    """
    results = [(table, result) for table in data.tables for result in table.report.claims]
    tested = dict.fromkeys(table.key for table, result in results if result.interval)
    why = "No claim can be tested on these results; why, claim by claim, stands below."
    return {
        "note": "" if tested else why if results else "The paper's folder holds no claims.",
        "reading": READING if tested else "",
        "figures": [
            _figure(data.paper, table, data.settings) for table in data.tables if table.key in tested
        ],
        "untested": [
            f"{table.name}: {title(data.paper, result.claim)}: {result.reason}"
            for table, result in results
            if result.interval is None
        ],
    }


def title(paper: Paper, claim: Claim) -> str:
    """A claim as a comparison of rows as they are printed: `RoBERTa-base: MT(w/ BMT) > MT(w/ mask), average
    F1`.
    """
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
        return f"{_distance(claim)} deviation from the pretrained weights"
    if claim.over == AVERAGE:
        return f"average {claim.metric}"
    return f"{claim.metric} on {claim.over}" if claim.over else claim.metric


def unit_of(claim: Claim, kind: str) -> tuple[str, int]:
    """The unit of a claim's difference, and the decimals that suit it."""
    if claim.metric in RUN_METRICS:
        return f"{_distance(claim)} deviation", 4
    return "points" if kind == "scores" else claim.metric, 2


def _distance(claim: Claim) -> str:
    return "relative" if claim.metric.endswith("relative") else "L2"


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


def _figure(
    paper: Paper, table: ComparedTable, settings: CompareSettings
) -> tuple[ComparedTable, list[ForestPlot], DataTable]:
    """One table's plots: claims of one unit share an axis."""
    kind, name = table.report.table.kind, f"Claims of {table.name}"
    tested = [result for result in table.report.claims if result.interval]
    plots: list[ForestPlot] = []
    rows, quoted = {}, ""
    for (unit, decimals), group in grouped(tested, lambda result: unit_of(result.claim, kind)).items():
        estimates = [estimate for result in group if (estimate := estimate_of(result, settings))]
        scale = symmetric([value for estimate in estimates for value in estimate.extent])
        lines = []
        for result, estimate in zip(group, estimates, strict=True):
            claim, named = result.claim, title(paper, result.claim)
            numbers, said, row = _numbers(estimate, unit, decimals, result)
            rows[claim.id] = [named, claim.id, *row]
            strip = forest_strip(f"claim-{table.key}-{len(rows)}", named, said, estimate, scale)
            quote = "" if claim.quote == quoted else f"“{claim.quote}” ({claim.section})"
            quoted = claim.quote
            remark = claim_remark(result)
            lines.append(ForestLine(named, quote, remark, strip, numbers, result.verdict, estimate.tone))
        plots.append((forest_axis(scale), f"difference, {unit}", lines))
    return table, plots, DataTable(name, COLUMNS, [rows[result.claim.id] for result in tested])


def _numbers(
    estimate: Estimate, unit: str, decimals: int, result: ClaimResult
) -> tuple[list[str], str, list[str]]:
    """Ours with its interval, the paper's, and p: beneath the drawing, for those who hear the page, and as
    what follows a claim in the table.
    """
    ours, low, high, paper = (
        fixed(value, decimals, True)
        for value in (estimate.value, estimate.low, estimate.high, estimate.paper)
    )
    numbers, interval = [ours], "no interval"
    if NOTHING not in (low, high):
        numbers, interval = [f"{ours} [{low}, {high}]"], f"95 % interval {low} to {high}"
    numbers.append("paper: no number" if estimate.paper is None else f"paper {paper}")
    if result.p_holm is not None:
        numbers.append(f"Holm p {'< .001' if result.p_holm < 0.001 else f'{result.p_holm:.3f}'}")
    printed = "the paper prints no number" if estimate.paper is None else f"the paper {paper}"
    said = f"Ours {ours} {unit}, {interval}; {printed}; {result.verdict}."
    assert result.interval is not None
    seeds, method = str(result.interval.n_seeds or NOTHING), result.interval.method
    return numbers, said, [paper, ours, low, high, fixed(result.p_holm, 4), result.verdict, seeds, method]
