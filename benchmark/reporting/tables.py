"""Every table of the paper: paper, ours, difference, intervals, verdict; with the difference drawn in each
line.
"""

from __future__ import annotations

from typing import Any

from benchmark.comparison.report import CellResult
from benchmark.comparison.table_document import about, closing_remarks, numbers_table, published_elsewhere
from benchmark.rendering.document import Inline, TextCell, TextRow, cell_of, plain_text
from benchmark.rendering.phrases import NOTHING, counted
from benchmark.reporting.overview import verdict_badges
from benchmark.reporting.report_data import ComparedTable
from benchmark.reporting.strips import Estimate, delta_axis, delta_strip, symmetric

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
    numbers = numbers_table(report)
    columns = [column.name or column.label for column in numbers.columns]
    groups = [
        (group, [_line(row, cell) for row, cell in zip(group.rows, cells, strict=True)])
        for group, (_, cells) in zip(numbers.groups, report.by_row, strict=True)
        if group.rows
    ]
    scale = None
    drawn = [estimate for _, lines in groups for _, estimate in lines if estimate]
    if drawn and report.table.kind == "scores":
        scale = symmetric(
            [
                value
                for estimate in drawn
                for value in (*estimate.extent, *(estimate.claimed or ()))
                if value is not None
            ]
        )
    return {
        "table": table,
        "about": f"{about(report)} · {report.table.where}",
        "badges": verdict_badges(report.verdicts),
        "columns": columns,
        "delta": columns.index("Δ") + 1,
        "axis": delta_axis(scale) if scale else None,
        "groups": [
            (
                group,
                [
                    (row, delta_strip(estimate, scale) if scale and estimate else "")
                    for row, estimate in lines
                ],
            )
            for group, lines in groups
        ],
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


def _line(row: TextRow, cell: CellResult) -> tuple[TextRow, Estimate | None]:
    """A line, and its difference to the printed number with the prediction interval as such differences."""
    published = cell.match.published
    if cell.delta is None or published is None:
        return row, None
    low, high = (end - published for end in cell.pi95) if cell.pi95 else (None, None)
    margin = None if cell.margin is None else (-cell.margin, cell.margin)
    return row, Estimate(cell.delta, low, high, None, margin, cell_of(row.cells[-1]).tone or "quiet")
