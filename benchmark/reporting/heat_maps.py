"""A heat map with its numbers in it: rows down, columns across; x in percent of the width, y in pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup

from benchmark.rendering.phrases import fixed
from benchmark.reporting.chart_colours import HEAT_STEPS, heat_step
from benchmark.reporting.charts import Chart, ChartSection, DataTable, Legend
from benchmark.reporting.svg import band, boxed, decoration, image, placed, tag, words

CELL = 26
LETTER = 7.4
"""Pixels that a letter of a label takes, about."""
SLANT = 0.71
NARROWEST, WIDEST = 25, 90
"""Pixels of a column: room for its number, and no wider than a figure wants."""


@dataclass(frozen=True, slots=True)
class HeatGrid:
    """`values[row][column]`, None where nothing is known, and the names of both."""

    rows: Sequence[str]
    columns: Sequence[str]
    values: Sequence[Sequence[float | None]]

    @property
    def known(self) -> list[float]:
        """All values that are known."""
        return [value for row in self.values for value in row if value is not None]


def heat_map(key: str, title: str, description: str, grid: HeatGrid, top: float) -> Markup:
    """The values on a scale from 0 to `top`."""
    width, drawn = 100 / max(len(grid.columns), 1), []
    for i, (row, line) in enumerate(zip(grid.rows, grid.values, strict=True)):
        middle = i * CELL + CELL / 2
        drawn.append(tag("text", row, x=-8, y=middle, class_="row-label"))
        for j, (column, value) in enumerate(zip(grid.columns, line, strict=True)):
            hover = tag("title", f"{row}, {column}: {fixed(value, 3)}")
            kind = "unknown" if value is None else f"h{heat_step(value, top)}"
            drawn.append(band(j * width, (j + 1) * width, i * CELL, CELL, f"cell {kind}", hover))
            if value is not None:
                drawn.append(words(short(value), (j + 0.5) * width, middle, "value"))
    for j, column in enumerate(grid.columns):
        label = tag("text", column, transform="rotate(-45)", class_="column-label")
        drawn.append(placed((j + 0.5) * width, -6, label))
    drawing = image(key, title, description, CELL * len(grid.rows), *drawn, class_="heat")
    return boxed("heat-box", drawing, _label_room(grid))


def layer_grid(by_column: Mapping[str, Mapping[str, float]]) -> HeatGrid:
    """Layers down: embeddings first, then the numbered layers, then the rest.

    Args:
        by_column: {column: {layer: value}}.
    """
    layers = sorted(
        {layer for by_layer in by_column.values() for layer in by_layer},
        key=lambda name: (name != "embeddings", not name.startswith("layer_"), name),
    )
    values = [[by_layer.get(layer) for by_layer in by_column.values()] for layer in layers]
    return HeatGrid([*map(layer_name, layers)], list(by_column), values)


def layer_name(layer: str) -> str:
    """`layer_03` as `layer 3`."""
    digits = layer.removeprefix("layer_")
    return f"layer {int(digits)}" if digits != layer and digits.isdecimal() else layer


def heat_section(
    section: ChartSection, grids: Mapping[str, HeatGrid], what: str, unit: str, top: float = 0.0
) -> ChartSection:
    """`section` with a heat map per grid, by its title, all on one scale, and their data as tables.

    Args:
        what: the values are, as a sentence begins; unit: as the scale says it.
        top: of the scale; 0: what holds all values.
    """
    top = top or scale_top([value for grid in grids.values() for value in grid.known])
    charts = []
    for index, (title, grid) in enumerate(grids.items()):
        key, known = f"{section.key}-{index}", grid.known
        said = f"{what} from {fixed(min(known), 3)} to {fixed(max(known), 3)}." if known else "No values."
        rows = [
            [row, *(fixed(value, 4) for value in line)]
            for row, line in zip(grid.rows, grid.values, strict=True)
        ]
        drawing = heat_map(f"{key}-map", title, said, grid, top)
        charts.append(Chart(key, title, drawing, DataTable(title, ("", *grid.columns), rows), scrolls=True))
    return replace(section, legend=colour_bar(top, unit), charts=charts)


def colour_bar(top: float, what: str) -> Legend:
    """What the colours mean: from 0 to `top`."""
    width = 100 / (HEAT_STEPS + 1)
    steps = (
        band(step * width, (step + 1) * width + 0.2, 0, 10, f"h{step}") for step in range(HEAT_STEPS + 1)
    )
    return Legend(what, ((decoration(10, *steps), short(top)),), scale=True)


def short(value: float) -> str:
    """Two digits after the point, without the leading zero: .31, 1.0."""
    if round(value, 2) == 1:
        return "1.0"
    return f"{value:.2f}".removeprefix("0") if value < 1 else f"{value:.1f}"


def scale_top(values: Sequence[float]) -> float:
    """The top of a scale that holds `values`: the next tenth of a power of ten."""
    most = max(values, default=0.0)
    step = 0.1 if most > 0.1 else 0.01 if most > 0.01 else 0.001
    return max(step, -(-round(most / step, 6) // 1) * step)


def _label_room(grid: HeatGrid) -> str:
    """Margins that hold the labels, and the least width that keeps the numbers apart."""
    left = 14 + LETTER * max(map(len, grid.rows), default=0)
    # those of columns are slanted
    slanted = [0.9 * SLANT * LETTER * len(column) for column in grid.columns] or [0.0]
    above, right = 16 + max(slanted), max(6.0, slanted[-1] - 8)
    widths = f"min-width: {NARROWEST * len(grid.columns)}px; max-width: {WIDEST * len(grid.columns)}px"
    return f"margin: {above:.0f}px {right:.0f}px 4px {left:.0f}px; {widths}"
