"""Every table of the paper: paper, ours, difference, intervals, verdict; with the difference drawn in each line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from benchmark.comparison.layout import TONES, Beside, Block, Line
from benchmark.comparison.report import CellResult
from benchmark.rendering.phrases import NOTHING, counted
from benchmark.reporting.overview import CountBadge, verdict_badges
from benchmark.reporting.report_data import ComparedTable
from benchmark.reporting.scales import Scale
from benchmark.reporting.strips import delta_axis, delta_strip, symmetric

READING = (
    "Δ is ours less the paper's. Drawn beside it: the paper at 0, our difference, where the paper's number would lie if "
    "it came from this pipeline (95 % PI) and, shaded, the margin within which a number counts as reproduced. CV*: "
    "spread of our runs, percent of their mean."
)


@dataclass(frozen=True, slots=True)
class NumberLine:
    """One printed number beside ours. before, after: the texts up to the difference, and from there to the verdict."""

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
    """One table of the paper as the page shows it. before, after: columns about that of the drawing, whose head is
    `axis`; None where there is nothing to draw. shown: whether it is open at first. has_claims: whether the claims'
    section has a figure of it.
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
    beside: Beside | None
    remarks: list[tuple[str, str]]
    has_claims: bool

    @property
    def width(self) -> int:
        """Columns of the table."""
        return len(self.before) + len(self.after) + (self.axis is not None)


def table_section(table: ComparedTable) -> TableSection:
    """One table."""
    report, layout = table.report, table.layout
    scores = report.table.kind == "scores"
    scale = delta_scale(report.cells) if scores else None
    groups = list(_groups(table, scale))
    present, absent = (
        [group for group in groups if group.lines],
        [group for group in groups if not group.lines],
    )
    delta = layout.columns.index("Δ") + 1
    return TableSection(
        key=table.key,
        name=table.name,
        title=layout.title,
        about=f"{layout.subtitle} · {report.table.where}",
        badges=verdict_badges(report.verdicts),
        before=["dataset" if scores else "metric", *layout.columns[1:delta]],
        axis=delta_axis(scale) if scale else None,
        after=list(layout.columns[delta:]),
        summary=f"{counted(sum(len(group.lines) for group in present), 'number')}, the paper's beside ours",
        shown=any(cell.mean is not None for cell in report.cells),
        groups=present,
        absent_summary=f"{counted(len(absent), 'row')} without runs of ours",
        absent=absent,
        beside=layout.beside,
        remarks=[(label, text) for label, text in layout.footer if label != "cells"],
        has_claims=any(result.interval for result in report.claims),
    )


def delta_scale(cells: Sequence[CellResult]) -> Scale | None:
    """One scale, 0 in its middle, for a table's differences, intervals and margins; None where there is nothing to
    draw.
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


def _groups(table: ComparedTable, scale: Scale | None) -> Iterator[NumberGroup]:
    """A layout has one block per row of the paper, and in it one line per cell, in the cells' order. It prints a model
    once, above its rows; here each row's title has it.
    """
    model, delta = "", table.layout.columns.index("Δ") + 1
    for row, block in zip(table.report.table.rows, table.layout.blocks, strict=True):
        model = block.model or model
        title = f"{model} {block.title}".strip() if block.title != model else model
        cells = [cell for cell in table.report.cells if cell.match.row.row == row.row]
        lines = _lines(block, cells, scale, delta) if block.lines else []
        yield NumberGroup(title, lines, block.remarks)


def _lines(block: Block, cells: Sequence[CellResult], scale: Scale | None, delta: int) -> list[NumberLine]:
    return [_line(line, cell, scale, delta) for line, cell in zip(block.lines, cells, strict=True)]


def _line(line: Line, cell: CellResult, scale: Scale | None, delta: int) -> NumberLine:
    tone = TONES.get(line.verdict, "quiet")
    strip = None
    if scale and cell.delta is not None:
        strip = delta_strip(cell.delta, against_paper(cell), cell.margin, tone, scale)
    name, *numbers, verdict = line.texts
    before, after = map(_minus, numbers[: delta - 1]), map(_minus, numbers[delta - 1 :])
    return NumberLine(name, list(before), strip, list(after), verdict, tone, line.average)


def _minus(text: str) -> str:
    """True minus signs before digits; a lone hyphen, which stands for no figure, becomes a dash."""
    return NOTHING if text == "-" else text.replace("-", "−")
