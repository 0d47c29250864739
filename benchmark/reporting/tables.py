"""Every table of the paper: paper, ours, difference, intervals, verdict; with the difference drawn in each
line.
"""

from __future__ import annotations

from collections.abc import Sequence

from benchmark.comparison.report import CellResult, TableReport
from benchmark.comparison.table_document import (
    TONES,
    about,
    document_title,
    footer,
    numbers_table,
    published_elsewhere,
)
from benchmark.rendering.document import TextRow, TextTable, cell_of, plain_text
from benchmark.reporting.figure import details, fixed, plural, scroll_box, section
from benchmark.reporting.gather import Compared, Gathered
from benchmark.reporting.markup import Markup, join, tag
from benchmark.reporting.overview import VERDICTS
from benchmark.reporting.scales import Scale
from benchmark.reporting.strips import delta_axis, delta_strip, symmetric

READING = (
    "Δ is ours less the paper's. Drawn beside it: the paper at 0, our difference, where the paper's number would lie if it came from "
    "this pipeline (95 % PI) and, shaded, the margin within which a number counts as reproduced. CV*: spread of our runs, percent of "
    "their mean."
)
DELTA = 3
"""The column of the differences; the drawing follows it."""


def tables(gathered: Gathered) -> Markup:
    """The whole section."""
    return section(
        "tables", "Tables", "h2", tag("p", READING, class_="reading"), *map(_table, gathered.tables)
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


def _table(table: Compared) -> Markup:
    report, numbers = table.report, numbers_table(table.report)
    counts = [
        tag("span", f"{count} {verdict}", class_=f"count {VERDICTS.get(verdict, 'absent')}")
        for verdict, count in _counts(table)
    ]
    has_lines = any(group.rows for group in numbers.groups)
    where = f"{about(report)} · {report.table.where}"
    parts = [tag("p", where, class_="quiet"), tag("p", join(counts, " "), class_="counts")]
    if has_lines:
        shown = scroll_box(f"{table.name}: paper beside ours", _cells(table.report, numbers))
        lines = sum(len(group.rows) for group in numbers.groups)
        ours = any(cell.mean is not None for cell in report.cells)
        parts.append(details(f"{plural(lines, 'number')}, the paper's beside ours", shown, opened=ours))
    absent = [group for group in numbers.groups if not group.rows]
    if absent:
        items = [
            tag("li", tag("b", group.name), *(tag("span", plain_text(note)) for note in group.notes))
            for group in absent
        ]
        parts.append(
            details(
                f"{plural(len(absent), 'row')} without runs of ours", tag("ul", *items, class_="absent-rows")
            )
        )
    if published := published_elsewhere(report.table):
        parts.append(_published(published))
    remarks = [(item.label, plain_text(item.text)) for item in footer(report) if item.label != "cells"]
    if remarks:
        terms = [term for label, text in remarks for term in (tag("dt", label), tag("dd", text))]
        parts.append(details("Notes and assumptions", tag("dl", *terms, class_="footer-notes")))
    if any(result.interval for result in report.claims):
        parts.append(
            tag("p", tag("a", f"the claims of {table.name}", href=f"#claims-{table.key}"), class_="jump")
        )
    return section(f"table-{table.key}", document_title(report.table), "h3", *parts)


def _published(table: TextTable) -> Markup:
    """Systems published elsewhere: a table beside the paper's, which no count of the page has."""
    head = tag("thead", tag("tr", *(tag("th", column.name, scope="col") for column in table.columns)))
    rows = []
    for group in table.groups:
        for row in group.rows:
            name, *numbers = (plain_text(cell_of(cell).text) for cell in row.cells)
            rows.append(tag("tr", tag("th", name, scope="row"), *(tag("td", text) for text in numbers)))
    title, remark = "Published elsewhere", plain_text(table.notes[0])
    caption = tag("caption", title, class_="hidden")
    return details(
        title,
        tag("p", remark, class_="quiet"),
        scroll_box(title, tag("table", caption, head, tag("tbody", *rows), class_="numbers")),
    )


def _counts(table: Compared) -> list[tuple[str, int]]:
    found = table.report.verdicts
    return [
        (verdict, found[verdict])
        for verdict in (*VERDICTS, *(name for name in found if name not in VERDICTS))
        if found[verdict]
    ]


def _cells(report: TableReport, numbers: TextTable) -> Markup:
    """The table of all lines: a group per row of the paper, and in it a line per cell, in the cells' order."""
    columns = [column.name for column in numbers.columns]
    scale = delta_scale(report.cells) if report.table.kind == "scores" else None
    head = [tag("th", name.replace("Holm p", "Holm\u00a0p"), scope="col") for name in columns]
    head[0] = tag("th", "dataset" if report.table.kind == "scores" else "metric", scope="col")
    if scale:
        head.insert(
            DELTA + 1,
            tag(
                "th", tag("span", "Δ drawn", class_="hidden"), delta_axis(scale), scope="col", class_="delta"
            ),
        )
    bodies = []
    for row, group in zip(report.table.rows, numbers.groups, strict=True):
        cells = [cell for cell in report.cells if cell.match.row.row == row.row]
        if not group.rows:
            continue
        lines = [_line(line, cell, scale) for line, cell in zip(group.rows, cells, strict=True)]
        remarks = [
            tag(
                "tr",
                tag("td", tag("div", plain_text(note), class_="pinned"), colspan=len(head)),
                class_="remark",
            )
            for note in group.notes
        ]
        title = tag(
            "tr",
            tag("th", tag("div", group.name, class_="pinned"), colspan=len(head), scope="rowgroup"),
            class_="row",
        )
        bodies.append(tag("tbody", title, *lines, *remarks))
    return tag(
        "table",
        tag("caption", document_title(report.table), class_="hidden"),
        tag("thead", tag("tr", *head)),
        *bodies,
        class_="numbers",
    )


def _line(line: TextRow, cell: CellResult, scale: Scale | None) -> Markup:
    tone = TONES.get(cell.verdict, "quiet")
    label, *texts, said = (plain_text(cell_of(text).text) for text in line.cells)
    cells = [tag("td", _minus(text)) for text in texts]
    if scale:
        strip = (
            ""
            if cell.delta is None
            else delta_strip(cell.delta, against_paper(cell), cell.margin, tone, scale)
        )
        cells.insert(DELTA, tag("td", strip, class_="delta"))
    verdict = tag("td", tag("span", said, class_=f"verdict {tone}"))
    return tag(
        "tr",
        tag("th", label, scope="row"),
        *cells,
        verdict,
        class_="average" if line.strong else None,
    )


def _minus(text: str) -> str:
    """True minus signs before digits; a lone hyphen, which stands for no figure, becomes a dash."""
    return fixed(None) if text == "-" else text.replace("-", "−")
