"""What stands where in a compared table: a block a row of the paper, a line a printed number, then claims and
footer. Texts only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from benchmark.comparison.claims import FACTS, ClaimResult
from benchmark.comparison.matching import LITERATURE, MISSING, NO_DATA, NOT_COMPARABLE
from benchmark.comparison.report import (
    DIFFERS,
    EXACT,
    NOT_REPRODUCED,
    REPRODUCED,
    CellResult,
    Density,
    Report,
)
from benchmark.paper.tables import AVERAGE, SPREAD, Row, Table

COLUMNS = ("", "paper", "ours ± sd (n)", "Δ", "95 % PI", "90 % CI ±margin", "CV*", "Holm p", "verdict")
CLAIM_COLUMNS = ("claim", "paper", "ours [95 % CI]", "Holm p", "verdict")
TONES = {
    REPRODUCED: "good",
    EXACT: "good",
    "upheld": "good",
    NOT_REPRODUCED: "bad",
    DIFFERS: "bad",
    "contradicted": "bad",
    "inconclusive": "open",
    "undecided": "open",
    "no verdict": "open",
    "smaller than claimed": "open",
}
"""Tone of a verdict; one that is not here is quiet: nothing was judged."""


@dataclass(frozen=True, slots=True)
class Line:
    """One printed number beside ours, as the texts of `COLUMNS`."""

    texts: tuple[str, ...]
    verdict: str
    average: bool = False


@dataclass(frozen=True, slots=True)
class Block:
    """One row of the paper. model: a heading where it changes. lines are empty where no run of ours answers
    the row.
    """

    model: str
    title: str
    lines: tuple[Line, ...]
    remarks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ClaimLine:
    """One claim, as the texts of `CLAIM_COLUMNS`; the quotation (empty: that of the claim before), and what
    qualifies the verdict.
    """

    texts: tuple[str, ...]
    quote: str
    remark: str
    verdict: str


@dataclass(frozen=True, slots=True)
class Beside:
    """Systems published elsewhere: a small table of their own under the paper's, as texts. remark: whose
    numbers these are.
    """

    title: str
    remark: str
    columns: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Layout:
    """A whole report as texts. footer: (label, text)."""

    title: str
    subtitle: str
    paper: str
    columns: tuple[str, ...]
    blocks: tuple[Block, ...]
    claims: tuple[ClaimLine, ...]
    footer: tuple[tuple[str, str], ...]
    beside: Beside | None = None


def lay_out(report: Report) -> Layout:
    """The report's texts."""
    table = report.table
    facts = table.kind == "facts"
    blocks, last = [], ""
    for row in table.rows:
        cells = [cell for cell in report.cells if cell.match.row.row == row.row]
        block = (
            _facts_block(cells, row)
            if facts
            else _block(report, cells, row, "" if row.model == last else row.model)
        )
        blocks.append(block)
        last = row.model
    runs = f"seeds {', '.join(map(str, report.seeds))}" if report.seeds else "" if facts else "no runs"
    shown = [
        f"profile {report.profile}",
        *([runs] if runs else []),
        *([f"results in {report.source}"] if report.source else []),
    ]
    shown += [f"{ours} stands in for {theirs}" for theirs, ours in report.stand_in.items() if report.seeds]
    name = table.table if table.table.isdigit() else f"{table.table[0].upper()}.{table.table[1:]}"
    columns = ("", "paper", "ours", "Δ", "verdict") if facts else COLUMNS
    claims: list[ClaimLine] = []
    for result in report.claims:
        claim, quoted = _claim(result), [entry.quote for entry in claims if entry.quote]
        claims.append(replace(claim, quote="") if quoted[-1:] == [claim.quote] else claim)
    title = f"Table {name}. {table.caption}"
    return Layout(
        title,
        " · ".join(shown),
        report.title,
        columns,
        tuple(blocks),
        tuple(claims),
        _footer(report),
        _beside(table),
    )


def _beside(table: Table) -> Beside | None:
    """The systems published elsewhere, if the table's file has any."""
    found = table.references
    if found is None:
        return None
    decimals = table.decimals[found.metric]
    about = "; ".join(f"{label}: {text}" for label, text in found.columns.items())
    remark = f"{found.source.rstrip('.')}. {found.metric}; {about}. Not the paper's rows: no verdict, claim or average counts them."
    lines = tuple(
        (system, *(_fixed(numbers[label], decimals) for label in found.columns))
        for system, numbers in found.values.items()
    )
    return Beside("Published elsewhere", remark, ("system", *found.columns), lines)


def _block(report: Report, cells: Sequence[CellResult], row: Row, model: str) -> Block:
    title = " ".join(
        part
        for part in (
            row.arm or row.model,
            f"K = {row.K}" if row.K else "",
            f"p_F {row.p_f:g}" if row.p_f else "",
        )
        if part
    )
    metrics = report.table.metrics
    printed = [
        f"{metric} "
        + " · ".join(
            f"{c.match.dataset} {_fixed(c.match.published, c.match.decimals)}"
            for c in cells
            if c.match.metric == metric
        )
        for metric in metrics
    ]
    note = (f"note: {row.note}",) if row.note else ()
    if all(cell.verdict == LITERATURE for cell in cells):
        return Block(model, title, (), (f"literature, not ours to train. {'; '.join(printed)}", *note))
    if all(cell.verdict in (MISSING, NO_DATA) and not cell.match.runs for cell in cells):
        # a single-data row has runs of its own for each dataset
        reasons = dict.fromkeys(f"{cell.verdict}: {cell.reason}" for cell in cells)
        return Block(model, title, (), (*reasons, "; ".join(printed), *note))
    remarks = [*_reasons(cells), *note]
    if density := report.densities.get(row.row):
        remarks.insert(0, _density(density))
    elif row.ours and row.ours.arm == "bmt":
        remarks.insert(0, "mask density: not recorded in these runs")
    lines = [
        _line(cell, f"{cell.match.dataset}{f' {cell.match.metric}' if len(metrics) > 1 else ''}")
        for cell in cells
    ]
    return Block(model, title, tuple(lines), tuple(remarks))


def _facts_block(cells: Sequence[CellResult], row: Row) -> Block:
    lines = []
    for cell in cells:
        texts = (
            cell.match.metric,
            _fixed(cell.match.published, cell.match.decimals),
            _fixed(cell.mean, cell.match.decimals + 1),
            _signed(cell.delta),
        )
        lines.append(Line((*texts, cell.verdict), cell.verdict))
    return Block("" if row.arm else row.model, row.arm or "", tuple(lines), ())


def _line(cell: CellResult, label: str) -> Line:
    sd = "" if cell.sd is None else f" ± {cell.sd:.2f}"
    ours = "-" if cell.mean is None else f"{cell.mean:.2f}{sd} ({cell.n})"
    margin = "" if cell.margin is None else f" ±{cell.margin:g}"
    verdict = f"{cell.verdict} ({cell.seeds_needed} seeds)" if cell.seeds_needed else cell.verdict
    texts = (
        label,
        _fixed(cell.match.published, cell.match.decimals),
        ours,
        _signed(cell.delta),
        _interval(cell.pi95),
        _interval(cell.ci90, "+") + margin if cell.ci90 else "-",
        _fixed(cell.cv_star, 2),
        _p(cell.p_holm),
        verdict,
    )
    return Line(texts, cell.verdict, cell.match.dataset == AVERAGE)


def _reasons(cells: Sequence[CellResult]) -> list[str]:
    """Why cells are not judged: one remark a reason, naming the datasets (and metrics) where it is not all of
    them.
    """
    found: dict[tuple[str, str], dict[str, list[str]]] = {}
    for cell in cells:
        if cell.verdict in (NOT_COMPARABLE, NO_DATA, MISSING) and cell.reason:
            found.setdefault((cell.verdict, cell.reason), {}).setdefault(cell.match.dataset, []).append(
                cell.match.metric
            )
    metrics, datasets = ({getattr(cell.match, name) for cell in cells} for name in ("metric", "dataset"))
    remarks = []
    for (verdict, reason), where in found.items():
        names = [
            name if len(own) == len(metrics) else f"{name} {', '.join(own)}" for name, own in where.items()
        ]
        all_of_them = set(where) == datasets and all(len(own) == len(metrics) for own in where.values())
        remarks.append(f"{'' if all_of_them else ', '.join(names) + ': '}{verdict} ({reason})")
    return remarks


def _density(density: Density) -> str:
    parts = [f"{name} {value:.3f}" for name, value in density.by_dataset.items()]
    union = "not recorded" if density.union is None else f"{density.union:.3f}"
    warning = ": mask nearly inactive" if density.nearly_inactive else ""
    return f"mask density {', '.join(parts) or 'by dataset not recorded'}; union {union}{warning}"


def _claim(result: ClaimResult) -> ClaimLine:
    claim, seen = result.claim, result.interval
    sign = {"greater": ">", "less": "<", "comparable": "≈"}[claim.direction]
    pair = f"{claim.a} {sign} {claim.b}"
    if claim.than:
        pair = f"({claim.a} - {claim.b}) {sign} ({claim.than[0]} - {claim.than[1]})"
    metric = (
        f"spread of {claim.metric.removeprefix(SPREAD)}" if claim.metric.startswith(SPREAD) else claim.metric
    )
    digits = 4 if claim.metric.startswith("deviation.") else 2
    ours = "-" if seen is None else _signed(seen.estimate, digits)
    if seen is not None and seen.low is not None and seen.high is not None:
        ours += f" {_interval((seen.low, seen.high), '+', digits)}"
    texts = (
        f"{pair}, {metric}{f', {claim.over}' if claim.over else ''}",
        _signed(result.paper_delta),
        ours,
        _p(result.p_holm),
        result.verdict,
    )
    # A judged claim's reason repeats its interval and p.
    reason = result.reason if result.p_holm is None and not (seen and seen.method == FACTS) else ""
    remark = "; ".join(part for part in (result.note, reason, _needed(result)) if part)
    return ClaimLine(texts, f"{claim.quote} ({claim.section})", remark, result.verdict)


def _needed(result: ClaimResult) -> str:
    """What more seeds would do for a claim that is open."""
    seen, needed = result.interval, result.seeds_needed
    if seen is None or not needed or result.verdict not in ("undecided", "no verdict"):
        return ""
    if needed > seen.n_seeds:
        return f"{needed} seeds to confirm"
    return f"{'the claimed size' if result.claim.size else 'what we see'} needs {needed} seeds for 80 % power"


def _footer(report: Report) -> tuple[tuple[str, str], ...]:
    lines = [("cells", ", ".join(f"{count} {verdict}" for verdict, count in report.verdicts.most_common()))]
    if report.claims:
        upheld = sum(result.verdict == "upheld" for result in report.claims)
        others = {
            v: sum(r.verdict == v for r in report.claims)
            for v in dict.fromkeys(r.verdict for r in report.claims)
            if v != "upheld"
        }
        rest = ", ".join(f"{count} {verdict}" for verdict, count in others.items())
        lines.append(("claims", f"{upheld}/{len(report.claims)} upheld{f'; {rest}' if rest else ''}"))
    if report.signs[1]:
        ratio = (
            ""
            if report.effect_ratio is None
            else f"; effect ratio {report.effect_ratio:.2f} (our mean difference / the paper's)"
        )
        lines.append(
            (
                "effects",
                f"sign agreement {report.signs[0]}/{report.signs[1]} (the claims' rows, dataset by dataset){ratio}",
            )
        )
    if report.tau_b is not None:
        lines.append(("order", f"Kendall's tau-b {report.tau_b:+.2f} between the rows' means (descriptive)"))
    lines += [("second reading", text) for text in _second_readings(report)]
    if report.table.kind == "facts":
        reasons = dict.fromkeys(
            (cell.verdict, cell.reason) for cell in report.cells if cell.verdict in (MISSING, NOT_COMPARABLE)
        )
        lines += list(reasons)
    lines += [("unreadable", str(fault)) for fault in report.faults]
    if report.table.notes:
        lines.append(("printed", report.table.notes))
    lines += [("note", note) for note in report.notes]
    lines += [("assumed", text) for text in report.assumptions]
    return tuple(lines)


def _second_readings(report: Report) -> list[str]:
    """A line a row and metric: the printed numbers held against the other arm that they may stand for."""
    lines = []
    for row in dict.fromkeys(cell.match.row.row for cell in report.second_readings):
        for metric in report.table.metrics:
            cells = [
                cell
                for cell in report.second_readings
                if (cell.match.row.row, cell.match.metric) == (row, metric)
            ]
            apart = [
                f"{cell.match.dataset} {_signed(cell.delta)}"
                for cell in cells
                if cell.match.dataset != AVERAGE
            ]
            average = next((cell for cell in cells if cell.match.dataset == AVERAGE), None)
            own = cells[0].match.row if cells else None
            if own is None or own.ours is None:
                continue
            what = f"{own.arm or own.model} read as arm {own.ours.arm}{' with adapters' if own.ours.adapter else ''}, {metric}"
            if average:
                paper = _fixed(average.match.published, average.match.decimals)
                what += f" average: paper {paper}, ours {_fixed(average.mean, 2)} ({average.n}), Δ {_signed(average.delta)}"
            lines.append(f"{what}; Δ by dataset: {', '.join(apart)}")
    return lines


def _fixed(value: float | None, decimals: int) -> str:
    return "-" if value is None else f"{value:.{decimals}f}"


def _signed(value: float | None, decimals: int = 2) -> str:
    return "-" if value is None else f"{value:+.{decimals}f}"


def _interval(bounds: tuple[float, float] | None, sign: str = "", decimals: int = 2) -> str:
    return "-" if bounds is None else f"[{bounds[0]:{sign}.{decimals}f}, {bounds[1]:{sign}.{decimals}f}]"


def _p(value: float | None) -> str:
    return "-" if value is None else "<.001" if value < 0.001 else f"{value:.3f}".lstrip("0")
