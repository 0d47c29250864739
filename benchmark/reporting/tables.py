"""Every table of the paper: paper, ours, difference, intervals, verdict; with the difference drawn in each
line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from benchmark.comparison.report import CellResult, TableReport
from benchmark.comparison.table_document import about, closing_remarks, numbers_table, published_elsewhere
from benchmark.rendering.document import TextRow, TextTable, cell_of, plain_text
from benchmark.rendering.phrases import NOTHING, counted
from benchmark.reporting.charts import DataTable
from benchmark.reporting.overview import CountBadge, verdict_badges
from benchmark.reporting.report_data import ComparedTable
from benchmark.reporting.scales import Scale
from benchmark.reporting.strips import delta_axis, delta_strip, symmetric

READING = (
    "Δ is ours less the paper's. Drawn beside it: the paper at 0, our difference, where the paper's number "
    "would lie if it came from this pipeline (95 % PI) and, shaded, the margin within which a number counts "
    "as reproduced. CV*: spread of our runs, percent of their mean."
)


@dataclass(frozen=True, slots=True)
class NumberLine:
    """One printed number beside ours. before, after: the texts up to the difference, and from there to the
    verdict.
    """

    name: str
    before: list[str]
    strip: Markup | None
    after: list[str]
    verdict: str
    tone: str
    average: bool


@dataclass(frozen=True, slots=True)
class NumberGroup:
    """One row of the paper: its lines (none where no run of ours answers it) and what is said of it."""

    title: str
    lines: list[NumberLine]
    remarks: Sequence[str]


@dataclass(frozen=True, slots=True)
class TableSection:
    """One table of the paper as the page shows it. before, after: columns about that of the drawing, whose
    head is `axis`; None where there is nothing to draw. shown: whether it is open at first. has_claims:
    whether the claims' section has a figure of it. published_elsewhere: systems of other papers, whose
    numbers `source` tells.
    """

    key: str
    name: str
    title: str
    about: str
    badges: list[CountBadge]
    before: list[str]
    axis: Markup | None
    after: list[str]
    summary: str
    shown: bool
    groups: list[NumberGroup]
    absent_summary: str
    absent: list[NumberGroup]
    published_elsewhere: DataTable | None
    source: str
    remarks: list[tuple[str, str]]
    has_claims: bool

    @property
    def width(self) -> int:
        """Columns of the table."""
        return len(self.before) + len(self.after) + (self.axis is not None)


def table_section(table: ComparedTable) -> TableSection:
    """One table."""
    report = table.report
    scores = report.table.kind == "scores"
    scale = delta_scale(report.cells) if scores else None
    numbers = numbers_table(report)
    names = [column.name or column.label for column in numbers.columns]
    delta = names.index("Δ") + 1
    groups = _groups(report, numbers, scale, delta)
    present, absent = (
        [group for group in groups if group.lines],
        [group for group in groups if not group.lines],
    )
    elsewhere = published_elsewhere(report.table)
    return TableSection(
        key=table.key,
        name=table.name,
        title=table.title,
        about=f"{about(report)} · {report.table.where}",
        badges=verdict_badges(report.verdicts),
        before=names[:delta],
        axis=delta_axis(scale) if scale else None,
        after=names[delta:],
        summary=f"{counted(sum(len(group.lines) for group in present), 'number')}, the paper's beside ours",
        shown=any(cell.mean is not None for cell in report.cells),
        groups=present,
        absent_summary=f"{counted(len(absent), 'row')} without runs of ours",
        absent=absent,
        published_elsewhere=_data_table("Published elsewhere", elsewhere) if elsewhere else None,
        source=plain_text(elsewhere.notes[0]) if elsewhere else "",
        remarks=[
            (item.label, plain_text(item.text)) for item in closing_remarks(report) if item.label != "cells"
        ],
        has_claims=any(result.interval for result in report.claims),
    )


def delta_scale(cells: Sequence[CellResult]) -> Scale | None:
    """One scale, 0 in its middle, for a table's differences, intervals and margins; None where there is
    nothing to draw.
    """
    if not any(cell.delta is not None for cell in cells):
        return None
    reach = [abs(cell.delta) for cell in cells if cell.delta is not None]
    reach += [abs(end) for cell in cells for end in against_paper(cell) or ()]
    return symmetric([*reach, *(cell.margin for cell in cells if cell.margin is not None)])


def against_paper(cell: CellResult) -> tuple[float, float] | None:
    """The prediction interval as a difference to the printed number."""
    if cell.pi95 is None or cell.match.published is None:
        return None
    return cell.pi95[0] - cell.match.published, cell.pi95[1] - cell.match.published


def _groups(report: TableReport, numbers: TextTable, scale: Scale | None, delta: int) -> list[NumberGroup]:
    """The groups of a table, each row with the cell that it shows: both come in the cells' order."""
    groups = []
    for group, (_, cells) in zip(numbers.groups, report.by_row, strict=True):
        pairs = zip(group.rows, cells, strict=True) if group.rows else ()
        lines = [_line(row, cell, scale, delta) for row, cell in pairs]
        groups.append(NumberGroup(group.name, lines, [plain_text(note) for note in group.notes]))
    return groups


def _line(row: TextRow, cell: CellResult, scale: Scale | None, delta: int) -> NumberLine:
    name, *numbers, verdict = (plain_text(cell_of(text).text) for text in row.cells)
    tone = cell_of(row.cells[-1]).tone or "quiet"
    strip = None
    if scale and cell.delta is not None:
        strip = delta_strip(cell.delta, against_paper(cell), cell.margin, tone, scale)
    before, after = map(_minus, numbers[: delta - 1]), map(_minus, numbers[delta - 1 :])
    return NumberLine(name, list(before), strip, list(after), verdict, tone, row.strong)


def _data_table(caption: str, table: TextTable) -> DataTable:
    rows = [
        [plain_text(cell_of(cell).text) for cell in row.cells] for group in table.groups for row in group.rows
    ]
    return DataTable(caption, [column.name for column in table.columns], rows)


def _minus(text: str) -> str:
    """True minus signs before digits; a lone hyphen, which stands for no figure, becomes a dash."""
    return NOTHING if text == "-" else text.replace("-", "−")
