"""Bars, and scattered values over two parameters as a field of colours with the points they were measured at."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.interpolate import griddata
from scipy.spatial import QhullError

from benchmark.reporting.figure import placed, shape, svg
from benchmark.reporting.markup import Markup, percent, tag
from benchmark.reporting.palette import heat_step
from benchmark.reporting.plots import HEIGHT, Axes

ACROSS, DOWN = 24, 16  # cells of the field

BAR = 26  # pixels per bar

Point = tuple[float, float, float, str]
"""x, y, value, name."""


def bar_plot(key: str, title: str, description: str, bars: Sequence[tuple[str, float]]) -> Markup:
    """One bar a name, from 0, with its value behind it."""
    top, drawn = max([value for _, value in bars if value > 0], default=1.0), []
    for place, (name, value) in enumerate(bars):
        y, width = place * BAR, percent(90 * value / top)
        drawn.append(tag("text", name, x=-8, y=y + BAR / 2, class_="row-label"))
        drawn.append(tag("rect", x=0, y=y + 4, width=width, height=BAR - 8, class_="mark s0"))
        drawn.append(placed(width, y + BAR / 2, tag("text", f"{value:.2f}", x=6, y=4)))
    drawing = svg(key, title, description, BAR * len(bars), *drawn, class_="plot")
    return tag("div", drawing, class_="plot-box", style="padding-left: 84px")


def interpolated(points: Sequence[Point], axes: Axes) -> np.ndarray:
    """The values at the cells' middles, linear between the points: (DOWN, ACROSS), NaN outside them and where
    they span no area.
    """
    places = np.array([[axes.x.at(x) / 100, axes.y.at(y) / HEIGHT] for x, y, _, _ in points])
    values = np.array([value for _, _, value, _ in points])
    across, down = np.meshgrid((np.arange(ACROSS) + 0.5) / ACROSS, (np.arange(DOWN) + 0.5) / DOWN)
    try:
        return np.asarray(griddata(places, values, (across, down), method="linear"))
    except (QhullError, ValueError):  # fewer than three points, or all on a line
        return np.full((DOWN, ACROSS), np.nan)


def field_plot(key: str, title: str, points: Sequence[Point], axes: Axes) -> Markup:
    """The field between the points, darkest at the highest value, and a mark with its name and value at each
    point.
    """
    low, high = min(value for _, _, value, _ in points), max(value for _, _, value, _ in points)
    drawn: list[Markup] = []
    for (row, column), value in np.ndenumerate(interpolated(points, axes)):
        if np.isfinite(value):
            left, step = percent(100 * column / ACROSS), heat_step(float(value) - low, high - low)
            drawn.append(
                tag(
                    "rect",
                    x=left,
                    y=HEIGHT * row / DOWN,
                    width=percent(100 / ACROSS + 0.1),
                    height=HEIGHT / DOWN + 0.2,
                    class_=f"h{step}",
                )
            )
    for value, text in axes.y.ticks():
        drawn.append(tag("text", text, x=-8, y=axes.y.at(value), class_="y-tick"))
    for value, text in axes.x.ticks(4):
        at = percent(axes.x.at(value))
        drawn += [
            tag("line", x1=at, x2=at, y1=HEIGHT, y2=HEIGHT + 4, class_="tick"),
            tag("text", text, x=at, y=HEIGHT + 18, class_="x-tick"),
        ]
    drawn.append(tag("line", x1="0%", x2="100%", y1=HEIGHT, y2=HEIGHT, class_="baseline"))
    drawn.append(tag("text", axes.y_name, x=-34, y=-14, class_="axis-name"))
    drawn.append(tag("text", axes.x_name, x="100%", y=HEIGHT + 36, class_="axis-name end"))
    for x, y, value, name in points:
        drawn.append(
            placed(
                percent(axes.x.at(x)), axes.y.at(y), shape(1 if value == high else 0, f"{name}: {value:.2f}")
            )
        )
    said = f"{len(points)} trials, from {low:.2f} to {high:.2f}."
    return tag("div", svg(key, title, said, HEIGHT, *drawn, class_="plot"), class_="plot-box")
