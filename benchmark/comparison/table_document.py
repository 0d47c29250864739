"""A compared table as a document: a group of rows per row of the paper, a line per printed number, then
claims and what stands under the table. Its JSON, which is documented, is `report_json`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from benchmark.comparison.claims import FACTS, ClaimResult
from benchmark.comparison.mask_density import Density
from benchmark.comparison.matching import LITERATURE, MISSING, NO_DATA, NOT_COMPARABLE
from benchmark.comparison.report import DIFFERS, EXACT, CellResult, TableReport
from benchmark.paper.tables import AVERAGE, SPREAD, Row, Table, table_name
from benchmark.rendering.document import (
    Block,
    Column,
    Document,
    Heading,
    Inline,
    ListItem,
    Phrase,
    RowGroup,
    TextCell,
    TextList,
    TextRow,
    TextTable,
    Tone,
    text_table,
    with_code,
)
from benchmark.statistics.reproduction import NOT_REPRODUCED, REPRODUCED

TONES: dict[str, Tone] = {
    **dict.fromkeys((REPRODUCED, EXACT, "upheld"), "good"),
    **dict.fromkeys((NOT_REPRODUCED, DIFFERS, "contradicted"), "bad"),
    **dict.fromkeys(("inconclusive", "undecided", "no verdict", "smaller than claimed"), "open"),
}
"""Tone of a verdict; one that is not here is quiet: nothing was judged."""
COLUMNS = (
    Column("", "left", label="dataset"),
    Column("paper"),
    Column("ours ± sd (n)"),
    Column("Δ"),
    Column("95 % PI", drop=3),
    Column("90 % CI ±margin", drop=2),
    Column("CV*", drop=1),
    Column("Holm p", drop=4),
    Column("verdict", "left", least=14),
)
COUNTED_COLUMNS = (
    Column("", "left", label="metric"),
    Column("paper"),
    Column("ours"),
    Column("Δ"),
    Column("verdict", "left", least=14),
)
CLAIM_COLUMNS = (
    Column("claim", "left", least=28),
    Column("paper"),
    Column("ours [95 % CI]"),
    Column("Holm p", drop=1),
    Column("verdict", "left", least=12),
)


def table_document(report: TableReport) -> Document:
    """The whole report."""
    blocks: list[Block] = [numbers_table(report)]
    if published := published_elsewhere(report.table):
        blocks += [Heading("Published elsewhere"), published]
    if report.claims:
        blocks += [Heading("Claims"), claims_table(report)]
    blocks.append(TextList(tuple(closing_remarks(report))))
    return Document(document_title(report.table), tuple(blocks), about(report), report.title, level=3)


def document_title(table: Table) -> str:
    """`Table A.10. Its caption`."""
    return f"{table_name(table.table)}. {table.caption}"


def about(report: TableReport) -> str:
    """What was looked at, on one line."""
    counted = report.table.kind == "facts"
    runs = f"seeds {', '.join(map(str, report.seeds))}" if report.seeds else "" if counted else "no runs"
    source = f"results in {report.source}" if report.source else ""
    stand_ins = [f"{ours} stands in for {theirs}" for theirs, ours in report.stand_in.items() if report.seeds]
    return " · ".join(part for part in (f"profile {report.profile}", runs, source, *stand_ins) if part)


def numbers_table(report: TableReport) -> TextTable:
    """Every printed number beside ours: a group per row of the paper, in its order, a row per cell in the
    cells' order.
    """
    counted = report.table.kind == "facts"
    groups = tuple(
        _counted_group(cells, row) if counted else _group(report, cells, row) for row, cells in report.by_row
    )
    return TextTable(COUNTED_COLUMNS if counted else COLUMNS, groups)


def published_elsewhere(table: Table) -> TextTable | None:
    """The systems published elsewhere, if the table's file has any: a table beside the paper's."""
    references = table.references
    if references is None:
        return None
    decimals, metric = table.decimals[references.metric], references.metric
    columns = "; ".join(f"{label}: {text}" for label, text in references.columns.items())
    remark = (
        f"{references.source.rstrip('.')}. {metric}; {columns}. "
        "Not the paper's rows: no verdict, claim or average counts them."
    )
    rows = [
        (system, *(_number(numbers[label], decimals) for label in references.columns))
        for system, numbers in references.values.items()
    ]
    return text_table(["system", *references.columns], rows, "", remark)


def claims_table(report: TableReport) -> TextTable:
    """A row per claim, with its quotation (once where several claims share it) and what qualifies its
    verdict.
    """
    rows, quoted = [], ""
    for result in report.claims:
        quote = f"“{result.claim.quote} ({result.claim.section})”"
        notes: list[Inline] = [Phrase(quote, "emphasis")] if quote != quoted else []
        quoted = quote
        if remark := claim_remark(result):
            notes.append(with_code(remark))
        rows.append(TextRow(_claim_cells(result), tuple(notes)))
    return TextTable(CLAIM_COLUMNS, (RowGroup(tuple(rows)),))


def claim_remark(result: ClaimResult) -> str:
    """What qualifies a claim's verdict; empty where nothing does."""
    # A judged claim's reason repeats its interval and p.
    interval = result.interval
    reason = result.reason if result.p_holm is None and not (interval and interval.method == FACTS) else ""
    return "; ".join(part for part in (result.note, reason, _needed(result)) if part)


def closing_remarks(report: TableReport) -> list[ListItem]:
    """What stands under the table: counts, descriptive figures, faults, notes, assumptions."""
    items = [("cells", _counts(report.verdicts.most_common()))]
    if report.claims:
        verdicts = report.claim_verdicts
        upheld = f"{verdicts.pop('upheld', 0)}/{len(report.claims)} upheld"
        items.append(("claims", f"{upheld}; {_counts(verdicts.items())}" if verdicts else upheld))
    if report.signs[1]:
        text = f"sign agreement {report.signs[0]}/{report.signs[1]} (the claims' rows, dataset by dataset)"
        if report.effect_ratio is not None:
            text += f"; effect ratio {report.effect_ratio:.2f} (our mean difference / the paper's)"
        items.append(("effects", text))
    if report.tau_b is not None:
        items.append(("order", f"Kendall's tau-b {report.tau_b:+.2f} between the rows' means (descriptive)"))
    items += [("second reading", text) for text in _second_readings(report)]
    if report.table.kind == "facts":
        unsettled = [cell for cell in report.cells if cell.verdict in (MISSING, NOT_COMPARABLE)]
        items += dict.fromkeys((cell.verdict, cell.reason) for cell in unsettled)
    items += [("unreadable", str(fault)) for fault in report.faults]
    if report.table.notes:
        items.append(("printed", report.table.notes))
    items += [("note", note) for note in report.notes]
    items += [("assumed", text) for text in report.assumptions]
    return [
        ListItem(Phrase(text, tone="bad") if label == "unreadable" else with_code(text), label)
        for label, text in items
    ]


def _counts(counts: Iterable[tuple[str, int]]) -> str:
    return ", ".join(f"{count} {verdict}" for verdict, count in counts)


def _group(report: TableReport, cells: Sequence[CellResult], row: Row) -> RowGroup:
    """A row of scores; no lines where no run of ours answers it."""
    settings = (row.arm or "", f"K = {row.K}" if row.K else "", f"p_F {row.p_f:g}" if row.p_f else "")
    metrics, lines = report.table.metrics, tuple[TextRow, ...]()
    density: list[Inline] = []
    if all(cell.verdict == LITERATURE for cell in cells):
        remarks = [f"literature, not ours to train. {_printed(cells, metrics)}"]
    elif all(cell.verdict in (MISSING, NO_DATA) and not cell.match.runs for cell in cells):
        # a single-data row has runs of its own for each dataset
        reasons = dict.fromkeys(f"{cell.verdict}: {cell.reason}" for cell in cells)
        remarks = [*reasons, _printed(cells, metrics)]
    else:
        if row.row in report.densities:
            density = [_density(report.densities[row.row])]
        elif row.ours and row.ours.arm == "bmt":
            density = ["mask density: not recorded in these runs"]
        remarks = _reasons(cells)
        lines = tuple(_line(cell, several=len(metrics) > 1) for cell in cells)
    if row.note:
        remarks.append(f"note: {row.note}")
    return RowGroup(lines, " ".join(filter(None, settings)), row.model, (*density, *map(with_code, remarks)))


def _printed(cells: Sequence[CellResult], metrics: Sequence[str]) -> str:
    """The printed numbers of a row, on one line."""
    by_metric = {metric: [cell.match for cell in cells if cell.match.metric == metric] for metric in metrics}
    return "; ".join(
        f"{metric} "
        + " · ".join(f"{match.dataset} {_number(match.published, match.decimals)}" for match in matches)
        for metric, matches in by_metric.items()
    )


def _counted_group(cells: Sequence[CellResult], row: Row) -> RowGroup:
    """A row of counted numbers."""
    lines = tuple(
        TextRow(
            (
                cell.match.metric,
                _number(cell.match.published, cell.match.decimals),
                _number(cell.mean, cell.match.decimals + 1),
                _signed(cell.delta),
                _verdict(cell.verdict),
            )
        )
        for cell in cells
    )
    return RowGroup(lines, row.arm or "", "" if row.arm else row.model)


def _line(cell: CellResult, several: bool) -> TextRow:
    """One printed number beside ours. several: the table has more than one metric."""
    match = cell.match
    sd = "" if cell.sd is None else f" ± {cell.sd:.2f}"
    margin = "" if cell.margin is None else f" ±{cell.margin:g}"
    texts = (
        f"{match.dataset} {match.metric}" if several else match.dataset,
        _number(match.published, match.decimals),
        "-" if cell.mean is None else f"{cell.mean:.2f}{sd} ({cell.n})",
        _signed(cell.delta),
        _interval(cell.pi95),
        _interval(cell.ci90, "+") + margin if cell.ci90 else "-",
        _number(cell.cv_star, 2),
        _p(cell.p_holm),
        _verdict(cell.verdict, f" ({cell.seeds_needed} seeds)" if cell.seeds_needed else ""),
    )
    return TextRow(texts, strong=match.dataset == AVERAGE)


def _reasons(cells: Sequence[CellResult]) -> list[str]:
    """Why cells are not judged: one remark per reason, naming the datasets (and metrics) where it is not all
    of them.
    """
    reasons: dict[tuple[str, str], dict[str, list[str]]] = {}
    for cell in cells:
        if cell.verdict in (NOT_COMPARABLE, NO_DATA, MISSING) and cell.reason:
            by_dataset = reasons.setdefault((cell.verdict, cell.reason), {})
            by_dataset.setdefault(cell.match.dataset, []).append(cell.match.metric)
    metrics = {cell.match.metric for cell in cells}
    datasets = {cell.match.dataset for cell in cells}
    remarks = []
    for (verdict, reason), where in reasons.items():
        whole = {name for name, its_metrics in where.items() if len(its_metrics) == len(metrics)}
        names = [name if name in whole else f"{name} {', '.join(where[name])}" for name in where]
        remarks.append(f"{'' if whole == datasets else ', '.join(names) + ': '}{verdict} ({reason})")
    return remarks


def _density(density: Density) -> Phrase:
    parts = [f"{name} {value:.3f}" for name, value in density.by_dataset.items()]
    union = "not recorded" if density.union is None else f"{density.union:.3f}"
    text = f"mask density {', '.join(parts) or 'by dataset not recorded'}; union {union}"
    return Phrase(f"{text}: mask nearly inactive", tone="open") if density.nearly_inactive else Phrase(text)


def _claim_cells(result: ClaimResult) -> tuple[Inline | TextCell, ...]:
    claim, interval = result.claim, result.interval
    sign = {"greater": ">", "less": "<", "comparable": "≈"}[claim.direction]
    pair = f"{claim.a} {sign} {claim.b}"
    if claim.than:
        pair = f"({claim.a} - {claim.b}) {sign} ({claim.than[0]} - {claim.than[1]})"
    spread = claim.metric.startswith(SPREAD)
    metric = f"spread of {claim.metric.removeprefix(SPREAD)}" if spread else claim.metric
    digits = 4 if claim.metric.startswith("deviation.") else 2
    ours = "-" if interval is None else _signed(interval.estimate, digits)
    if interval is not None and interval.low is not None and interval.high is not None:
        ours += f" {_interval((interval.low, interval.high), '+', digits)}"
    return (
        f"{pair}, {metric}{f', {claim.over}' if claim.over else ''}",
        _signed(result.paper_delta),
        ours,
        _p(result.p_holm),
        _verdict(result.verdict),
    )


def _needed(result: ClaimResult) -> str:
    """What more seeds would do for a claim that is open."""
    interval, needed = result.interval, result.seeds_needed
    if interval is None or not needed or result.verdict not in ("undecided", "no verdict"):
        return ""
    if needed > interval.n_seeds:
        return f"{needed} seeds to confirm"
    return f"{'the claimed size' if result.claim.size else 'what we see'} needs {needed} seeds for 80 % power"


def _second_readings(report: TableReport) -> list[str]:
    """A line per row and metric: the printed numbers held against the other arm that they may stand for."""
    lines = []
    readings = groupby(report.second_readings, lambda cell: (cell.match.row, cell.match.metric))
    for (row, metric), group in readings:
        cells = list(group)
        assert row.ours is not None  # literature has no second reading
        adapters = " with adapters" if row.ours.adapter else ""
        line = f"{row.arm or row.model} read as arm {row.ours.arm}{adapters}, {metric}"
        if average := next((cell for cell in cells if cell.match.dataset == AVERAGE), None):
            paper = _number(average.match.published, average.match.decimals)
            ours = f"{_number(average.mean, 2)} ({average.n})"
            line += f" average: paper {paper}, ours {ours}, Δ {_signed(average.delta)}"
        deltas = [f"{cell.match.dataset} {_signed(cell.delta)}" for cell in cells if cell is not average]
        lines.append(f"{line}; Δ by dataset: {', '.join(deltas)}")
    return lines


def _verdict(word: str, more: str = "") -> TextCell:
    return TextCell(word + more, TONES.get(word, "quiet"))


def _number(value: float | None, decimals: int, sign: str = "") -> str:
    return "-" if value is None else f"{value:{sign}.{decimals}f}"


def _signed(value: float | None, decimals: int = 2) -> str:
    return _number(value, decimals, "+")


def _interval(bounds: tuple[float, float] | None, sign: str = "", decimals: int = 2) -> str:
    return f"[{', '.join(_number(end, decimals, sign) for end in bounds)}]" if bounds else "-"


def _p(value: float | None) -> str:
    return "-" if value is None else "<.001" if value < 0.001 else f"{value:.3f}".lstrip("0")
