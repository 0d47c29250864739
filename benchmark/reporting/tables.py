"""Every table of the paper: paper, ours, difference, intervals, verdict; with the difference drawn in each
line.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from benchmark.comparison.report import CellResult
from benchmark.comparison.table_document import about, closing_remarks, numbers_table, published_elsewhere
from benchmark.rendering.document import Inline, TextCell, TextRow, cell_of, plain_text
from benchmark.rendering.phrases import NOTHING, counted
from benchmark.reporting.evidence import grouped
from benchmark.reporting.overview import verdict_badges
from benchmark.reporting.report_data import ComparedTable
from benchmark.reporting.scales import Scale
from benchmark.reporting.strips import delta_axis, delta_strip, symmetric

READING = (
    "Δ is ours less the paper's. Drawn beside it: the paper at 0, our difference, where the paper's number "
    "would lie if it came from this pipeline (95 % PI) and, shaded, the margin within which a number counts "
    "as reproduced. CV*: spread of our runs, percent of their mean."
)


def table_section(table: ComparedTable) -> dict[str, Any]:
    """Values of the template for one table.

    columns: their names, those before `delta` left of the drawing, whose head is `axis` (None where there is
    nothing to draw). groups: a row of the paper, and its lines with their drawings. shown: whether it is open
    at first. has_claims: whether the claims' section has a figure of it.
    """
    report = table.report
    scale = delta_scale(report.cells) if report.table.kind == "scores" else None
    numbers = numbers_table(report)
    columns = [column.name or column.label for column in numbers.columns]
    by_row = grouped(report.cells, lambda cell: cell.match.row.row)
    groups = [
        (
            group,
            [(row, _strip(row, cell, scale)) for row, cell in zip(group.rows, by_row[key.row], strict=True)],
        )
        for key, group in zip(report.table.rows, numbers.groups, strict=True)
        if group.rows
    ]
    return {
        "table": table,
        "about": f"{about(report)} · {report.table.where}",
        "badges": verdict_badges(report.verdicts),
        "columns": columns,
        "delta": columns.index("Δ") + 1,
        "axis": delta_axis(scale) if scale else None,
        "groups": groups,
        "summary": f"{counted(sum(len(lines) for _, lines in groups), 'number')}, the paper's beside ours",
        "shown": any(cell.mean is not None for cell in report.cells),
        "absent": [group for group in numbers.groups if not group.rows],
        "elsewhere": published_elsewhere(report.table),
        "remarks": [
            (item.label, plain_text(item.text)) for item in closing_remarks(report) if item.label != "cells"
        ],
        "has_claims": any(result.interval for result in report.claims),
    }


def number_text(cell: TextCell | Inline) -> str:
    """A number as the page prints it: with a true minus sign; a lone hyphen, which stands for no figure,
    becomes a dash.
    """
    text = plain_text(cell_of(cell).text)
    return NOTHING if text == "-" else text.replace("-", "−")


def delta_scale(cells: Sequence[CellResult]) -> Scale | None:
    """One scale, 0 in its middle, for a table's differences, intervals and margins; None where there is
    nothing to draw.
    """
    deltas = [abs(cell.delta) for cell in cells if cell.delta is not None]
    if not deltas:
        return None
    ends = [abs(end) for cell in cells for end in against_paper(cell) or ()]
    return symmetric([*deltas, *ends, *(cell.margin for cell in cells if cell.margin is not None)])


def against_paper(cell: CellResult) -> tuple[float, float] | None:
    """The prediction interval as a difference to the printed number."""
    if cell.pi95 is None or cell.match.published is None:
        return None
    return cell.pi95[0] - cell.match.published, cell.pi95[1] - cell.match.published


def _strip(row: TextRow, cell: CellResult, scale: Scale | None) -> Markup | str:
    """The difference of a line, drawn."""
    if scale is None or cell.delta is None:
        return ""
    tone = cell_of(row.cells[-1]).tone or "quiet"
    return delta_strip(cell.delta, against_paper(cell), cell.margin, tone, scale)
