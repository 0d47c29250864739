"""A heat map with its numbers in it: rows down, columns across; x in percent of the width, y in pixels."""

from __future__ import annotations

from collections.abc import Sequence

from benchmark.reporting.figure import as_table, figure, fixed, placed, scroll_box, svg
from benchmark.reporting.markup import Markup, percent, tag
from benchmark.reporting.palette import HEAT_STEPS, heat_step

CELL = 26
LETTER = 7.4
"""Pixels that a letter of a label takes, about."""
SLANT = 0.71
NARROWEST, WIDEST = 25, 90
"""Pixels of a column: room for its number, and no wider than a figure wants."""

Values = Sequence[Sequence[float | None]]


def heat_map(
    key: str,
    title: str,
    description: str,
    rows: Sequence[str],
    columns: Sequence[str],
    values: Values,
    top: float,
) -> Markup:
    """`values[row][column]` on a scale from 0 to `top`; None: nothing known."""
    width, drawn = 100 / max(len(columns), 1), []
    for i, (row, line) in enumerate(zip(rows, values, strict=True)):
        y = i * CELL
        drawn.append(tag("text", row, x=-8, y=y + CELL / 2, class_="row-label"))
        for j, (column, value) in enumerate(zip(columns, line, strict=True)):
            hover = tag("title", f"{row}, {column}: {fixed(value, 3)}")
            kind = "unknown" if value is None else f"h{heat_step(value, top)}"
            drawn.append(
                tag(
                    "rect",
                    hover,
                    x=percent(j * width),
                    y=y,
                    width=percent(width),
                    height=CELL,
                    class_=f"cell {kind}",
                )
            )
            if value is not None:
                drawn.append(
                    tag("text", short(value), x=percent((j + 0.5) * width), y=y + CELL / 2, class_="value")
                )
    for j, column in enumerate(columns):
        label = tag("text", column, transform="rotate(-45)", class_="column-label")
        drawn.append(placed(percent((j + 0.5) * width), -6, label))
    drawing = svg(key, title, description, CELL * len(rows), *drawn, class_="heat")
    return tag("div", drawing, class_="heat-box", style=_room(rows, columns))


def heat_figure(
    key: str,
    title: str,
    description: str,
    rows: Sequence[str],
    columns: Sequence[str],
    values: Values,
    top: float,
) -> Markup:
    """A heat map as a figure of its own, with its data as a table."""
    drawing = scroll_box(title, heat_map(f"{key}-map", title, description, rows, columns, values, top))
    table = [[row, *(fixed(value, 4) for value in line)] for row, line in zip(rows, values, strict=True)]
    return figure(key, title, drawing, heading="h4", data=as_table(title, ("", *columns), table))


def colour_bar(top: float, what: str) -> Markup:
    """What the colours mean: from 0 to `top`."""
    steps = [
        tag(
            "rect",
            x=percent(100 * step / (HEAT_STEPS + 1)),
            width=percent(100 / (HEAT_STEPS + 1) + 0.2),
            y=0,
            height=10,
            class_=f"h{step}",
        )
        for step in range(HEAT_STEPS + 1)
    ]
    bar = tag("svg", *steps, width="100%", height="10", aria_hidden="true")
    return tag(
        "div",
        tag("span", what),
        tag("span", "0"),
        tag("span", bar, class_="colours"),
        tag("span", short(top)),
        class_="colour-bar",
    )


def short(value: float) -> str:
    """Two digits after the point, without the leading zero: .31, 1.0."""
    return (
        "1.0" if round(value, 2) == 1 else f"{value:.2f}".removeprefix("0") if value < 1 else f"{value:.1f}"
    )


def highest(values: Sequence[float | None]) -> float:
    """The top of a scale that holds `values`: the next tenth of a power of ten."""
    most = max((value for value in values if value is not None), default=0.0)
    step = 0.1 if most > 0.1 else 0.01 if most > 0.01 else 0.001
    return max(step, -(-round(most / step, 6) // 1) * step)


def _room(rows: Sequence[str], columns: Sequence[str]) -> str:
    """Margins that hold the labels, and the least width that keeps the numbers apart."""
    left = 14 + LETTER * max(map(len, rows), default=0)
    longest, last = max(map(len, columns), default=0), len(columns[-1]) if columns else 0
    above = 16 + 0.9 * SLANT * LETTER * longest
    right = max(6.0, 0.9 * SLANT * LETTER * last - 8)
    widths = f"min-width: {NARROWEST * len(columns)}px; max-width: {WIDEST * len(columns)}px"
    return f"margin: {above:.0f}px {right:.0f}px 4px {left:.0f}px; {widths}"
