"""The claims of the paper as forest plots, a plot a table and unit: our difference with its interval, the
paper's beside it.
"""

from __future__ import annotations

from collections.abc import Sequence

from benchmark.comparison.claims import ClaimResult
from benchmark.config.params import CompareSettings
from benchmark.paper.tables import AVERAGE, RUN_METRICS, SPREAD, Claim, Paper, Row
from benchmark.rendering.layout import TONES
from benchmark.reporting.figure import as_table, bullet_list, details, figure, fixed, note, plural, section
from benchmark.reporting.gather import Compared, Gathered
from benchmark.reporting.markup import Markup, join, tag
from benchmark.reporting.strips import Estimate, forest_axis, forest_strip, symmetric

READING = (
    "Dot and bar: our difference with its 95 % interval; diamond: the paper's difference; shaded: the side that the paper claims. A claim "
    "is upheld where the bar lies in the shade and its p, corrected for all claims of the table (Holm), is below .05. A bar that crosses 0 "
    "decides nothing, and neither do fewer than three seeds."
)
SIGNS = {"greater": ">", "less": "<", "comparable": "≈"}


def claims(gathered: Gathered) -> Markup:
    """The whole section."""
    tables = [table for table in gathered.tables if table.report.claims]
    if not tables:
        return section("claims", "Claims", "h2", note("The paper's folder holds no claims."))
    parts = [tag("p", READING, class_="reading")]
    with_data = [table for table in tables if any(result.interval for result in table.report.claims)]
    parts += [_table(gathered.paper, table, gathered.settings) for table in with_data]
    if len(parts) == 1:
        parts = [note("No claim can be tested on these results; why, claim by claim, stands below.")]
    rest = [(table, result) for table in tables for result in table.report.claims if result.interval is None]
    if rest:
        untested = bullet_list(
            [
                f"{table.name}: {title(gathered.paper, result.claim)}: {result.reason}"
                for table, result in rest
            ]
        )
        parts.append(details(f"{plural(len(rest), 'claim')} without data, and why", untested))
    return section("claims", "Claims", "h2", *parts)


def title(paper: Paper, claim: Claim) -> str:
    """A claim as a comparison of rows as they are printed: `RoBERTa-base: MT(w/ BMT) > MT(w/ mask), average
    F1`.
    """
    names = {row: paper.row(claim, row)[1] for row in claim.rows}
    models = {entry.model for entry in names.values()}
    shots = {entry.K for entry in names.values()}
    whole = len(models) == 1
    printed = {row: _row(entry, whole, len(shots) > 1) for row, entry in names.items()}
    pair = f"{printed[claim.a]} {SIGNS[claim.direction]} {printed[claim.b]}"
    if claim.than:
        pair = f"({printed[claim.a]} − {printed[claim.b]}) {SIGNS[claim.direction]} ({printed[claim.than[0]]} − {printed[claim.than[1]]})"
    shared = [models.copy().pop()] if whole else []
    shared += [f"K = {shot}" for shot in shots if shot and len(shots) == 1]
    return f"{', '.join(shared)}{': ' if shared else ''}{pair}, {measure(claim)}"


def measure(claim: Claim) -> str:
    """What a claim is about, in words."""
    if claim.metric.startswith(SPREAD):
        return f"spread of {claim.metric.removeprefix(SPREAD)} over the datasets"
    if claim.metric in RUN_METRICS:
        return f"{'relative' if claim.metric.endswith('relative') else 'L2'} deviation from the pretrained weights"
    return f"{'average ' if claim.over == AVERAGE else ''}{claim.metric}{f' on {claim.over}' if claim.over not in (AVERAGE, None) else ''}"


def unit_of(claim: Claim, kind: str) -> tuple[str, int]:
    """The unit of a claim's difference, and the decimals that suit it."""
    if claim.metric in RUN_METRICS:
        return ("relative deviation" if claim.metric.endswith("relative") else "L2 deviation"), 4
    return ("points", 2) if kind == "scores" else (claim.metric, 2)


def estimate_of(result: ClaimResult, settings: CompareSettings) -> Estimate | None:
    """What there is to draw of a claim; None without data."""
    seen, claim = result.interval, result.claim
    if seen is None:
        return None
    size = claim.size or (settings.margin_average if claim.over == AVERAGE else settings.margin_cell)
    side = {"greater": (0.0, None), "less": (None, 0.0), "comparable": (-size, size)}[claim.direction]
    return Estimate(
        seen.estimate, seen.low, seen.high, result.paper_delta, side, TONES.get(result.verdict, "quiet")
    )


def _row(row: Row, whole: bool, with_shots: bool) -> str:
    name = row.arm if whole and row.arm else " ".join(part for part in (row.model, row.arm) if part)
    marks = [f"K = {row.K}" if with_shots and row.K else "", f"p_F {row.p_f:g}" if row.p_f else ""]
    more = ", ".join(mark for mark in marks if mark)
    return f"{name} ({more})" if more else name


def _table(paper: Paper, table: Compared, settings: CompareSettings) -> Markup:
    """One table's plots: claims of one unit share an axis."""
    lines = [
        (result, line.remark)
        for result, line in zip(table.report.claims, table.layout.claims, strict=True)
        if result.interval
    ]
    groups: dict[tuple[str, int], list[tuple[ClaimResult, str]]] = {}
    for result, remark in lines:
        groups.setdefault(unit_of(result.claim, table.report.table.kind), []).append((result, remark))
    plots, quoted, number = [], "", 0
    for (unit, decimals), own in groups.items():
        drawn = [
            (result, remark, estimate)
            for result, remark in own
            if (estimate := estimate_of(result, settings))
        ]
        scale = symmetric([value for _, _, estimate in drawn for value in estimate.extent])
        rows = []
        for result, remark, estimate in drawn:
            number += 1
            name = title(paper, result.claim)
            strip = forest_strip(
                f"claim-{table.key}-{number}", name, _words(estimate, unit, decimals, result), estimate, scale
            )
            quote = "" if result.claim.quote == quoted else f"“{result.claim.quote}” ({result.claim.section})"
            quoted = result.claim.quote
            words = [tag("span", name, class_="claim")]
            words += [
                tag("span", text, class_=kind)
                for text, kind in ((quote, "quote"), (remark, "remark"))
                if text
            ]
            picture = tag("div", strip, _numbers(estimate, decimals, result), class_="drawn")
            verdict = tag("span", result.verdict, class_=f"verdict {estimate.tone}")
            rows.append(tag("li", tag("div", *words, class_="words"), picture, verdict))
        plots += [forest_axis(scale, f"difference, {unit}"), tag("ol", *rows, class_="forest")]
    columns = ("claim", "id", "paper", "ours", "95 % from", "to", "Holm p", "verdict", "seeds", "method")
    data = as_table(
        f"Claims of {table.name}",
        columns,
        [_data(paper, result, table.report.table.kind) for result, _ in lines],
    )
    heading = f"{table.name}. {table.report.table.caption}"
    shown = figure(
        f"claims-{table.key}-forest",
        heading,
        tag("div", *plots, class_="forest-plot"),
        heading="h3",
        data=data,
    )
    link = tag("p", tag("a", f"the numbers of {table.name}", href=f"#table-{table.key}"), class_="jump")
    return tag("div", shown, link, id=f"claims-{table.key}", class_="forest-block")


def _numbers(estimate: Estimate, decimals: int, result: ClaimResult) -> Markup:
    ours = fixed(estimate.value, decimals, True)
    if estimate.low is not None and estimate.high is not None:
        ours += f" [{fixed(estimate.low, decimals, True)}, {fixed(estimate.high, decimals, True)}]"
    parts = [tag("b", ours)]
    parts.append(
        tag(
            "span",
            f"paper {fixed(estimate.paper, decimals, True)}"
            if estimate.paper is not None
            else "paper: no number",
        )
    )
    if result.p_holm is not None:
        parts.append(tag("span", f"Holm p {'< .001' if result.p_holm < 0.001 else f'{result.p_holm:.3f}'}"))
    return tag("div", join(parts, " "), class_="numbers")


def _words(estimate: Estimate, unit: str, decimals: int, result: ClaimResult) -> str:
    interval = "no interval"
    if estimate.low is not None and estimate.high is not None:
        interval = (
            f"95 % interval {fixed(estimate.low, decimals, True)} to {fixed(estimate.high, decimals, True)}"
        )
    paper = (
        f"the paper {fixed(estimate.paper, decimals, True)}"
        if estimate.paper is not None
        else "the paper prints no number"
    )
    return f"Ours {fixed(estimate.value, decimals, True)} {unit}, {interval}; {paper}; {result.verdict}."


def _data(paper: Paper, result: ClaimResult, kind: str) -> Sequence[str]:
    seen, (_, decimals) = result.interval, unit_of(result.claim, kind)
    assert seen is not None
    return [
        title(paper, result.claim),
        result.claim.id,
        fixed(result.paper_delta, decimals, True),
        fixed(seen.estimate, decimals, True),
        fixed(seen.low, decimals, True),
        fixed(seen.high, decimals, True),
        fixed(result.p_holm, 4),
        result.verdict,
        str(seen.n_seeds) if seen.n_seeds else "–",
        seen.method,
    ]
