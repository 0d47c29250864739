"""Every table of the paper: paper, ours, difference, intervals, verdict; with the difference drawn in each
line.
"""

from __future__ import annotations

from collections.abc import Sequence

from benchmark.comparison.report import CellResult
from benchmark.rendering.layout import TONES, Beside, Block, Line
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
    report, layout = table.report, table.layout
    counts = [
        tag("span", f"{count} {verdict}", class_=f"count {VERDICTS.get(verdict, 'absent')}")
        for verdict, count in _counts(table)
    ]
    has_lines = any(block.lines for block in layout.blocks)
    about = f"{layout.subtitle} · {report.table.where}"
    parts = [tag("p", about, class_="quiet"), tag("p", join(counts, " "), class_="counts")]
    if has_lines:
        shown = scroll_box(f"{table.name}: paper beside ours", _cells(table))
        lines = sum(len(block.lines) for block in layout.blocks)
        ours = any(cell.mean is not None for cell in report.cells)
        parts.append(details(f"{plural(lines, 'number')}, the paper's beside ours", shown, opened=ours))
    absent = [block for block in _named(layout.blocks) if not block.lines]
    if absent:
        items = [
            tag("li", tag("b", block.title), *(tag("span", remark) for remark in block.remarks))
            for block in absent
        ]
        parts.append(
            details(
                f"{plural(len(absent), 'row')} without runs of ours", tag("ul", *items, class_="absent-rows")
            )
        )
    if layout.beside:
        parts.append(_beside(layout.beside))
    footer = [(label, text) for label, text in layout.footer if label != "cells"]
    if footer:
        terms = [term for label, text in footer for term in (tag("dt", label), tag("dd", text))]
        parts.append(details("Notes and assumptions", tag("dl", *terms, class_="footer-notes")))
    if any(result.interval for result in report.claims):
        parts.append(
            tag("p", tag("a", f"the claims of {table.name}", href=f"#claims-{table.key}"), class_="jump")
        )
    return section(f"table-{table.key}", layout.title, "h3", *parts)


def _beside(beside: Beside) -> Markup:
    """Systems published elsewhere: a table of their own, which no count of the page has."""
    head = tag("thead", tag("tr", *(tag("th", name, scope="col") for name in beside.columns)))
    rows = [
        tag("tr", tag("th", name, scope="row"), *(tag("td", text) for text in numbers))
        for name, *numbers in beside.lines
    ]
    own = tag(
        "table", tag("caption", beside.title, class_="hidden"), head, tag("tbody", *rows), class_="numbers"
    )
    return details(beside.title, tag("p", beside.remark, class_="quiet"), scroll_box(beside.title, own))


def _counts(table: Compared) -> list[tuple[str, int]]:
    found = table.report.verdicts
    return [
        (verdict, found[verdict])
        for verdict in (*VERDICTS, *(name for name in found if name not in VERDICTS))
        if found[verdict]
    ]


def _named(blocks: Sequence[Block]) -> list[Block]:
    """The blocks with their model in the title: a layout prints a model once, above its rows."""
    named, model = [], ""
    for block in blocks:
        model = block.model or model
        title = f"{model} {block.title}".strip() if block.title != model else model
        named.append(Block(model, title, block.lines, block.remarks))
    return named


def _cells(table: Compared) -> Markup:
    """The table of all lines. A layout has a block a row of the paper, and in it a line a cell, in the cells'
    own order.
    """
    report, columns = table.report, list(table.layout.columns)
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
    for row, block in zip(report.table.rows, _named(table.layout.blocks), strict=True):
        cells = [cell for cell in report.cells if cell.match.row.row == row.row]
        if not block.lines:
            continue
        lines = [_line(line, cell, scale) for line, cell in zip(block.lines, cells, strict=True)]
        remarks = [
            tag("tr", tag("td", tag("div", remark, class_="pinned"), colspan=len(head)), class_="remark")
            for remark in block.remarks
        ]
        title = tag(
            "tr",
            tag("th", tag("div", block.title, class_="pinned"), colspan=len(head), scope="rowgroup"),
            class_="row",
        )
        bodies.append(tag("tbody", title, *lines, *remarks))
    return tag(
        "table",
        tag("caption", table.layout.title, class_="hidden"),
        tag("thead", tag("tr", *head)),
        *bodies,
        class_="numbers",
    )


def _line(line: Line, cell: CellResult, scale: Scale | None) -> Markup:
    tone = TONES.get(line.verdict, "quiet")
    cells = [tag("td", _minus(text)) for text in line.texts[1:-1]]
    if scale:
        strip = (
            ""
            if cell.delta is None
            else delta_strip(cell.delta, against_paper(cell), cell.margin, tone, scale)
        )
        cells.insert(DELTA, tag("td", strip, class_="delta"))
    verdict = tag("td", tag("span", line.texts[-1], class_=f"verdict {tone}"))
    return tag(
        "tr",
        tag("th", line.texts[0], scope="row"),
        *cells,
        verdict,
        class_="average" if line.average else None,
    )


def _minus(text: str) -> str:
    """True minus signs before digits; a lone hyphen, which stands for no figure, becomes a dash."""
    return fixed(None) if text == "-" else text.replace("-", "−")
