"""Line, scatter, bar and field plots: x in percent of the width, y in pixels from the top, so that texts and
marks keep their size on a phone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from benchmark.reporting.chart_colours import heat_step
from benchmark.reporting.scales import Scale
from benchmark.reporting.svg import Attributes, boxed, image, mark, number, percent, placed, tag

HEIGHT = 220
BAR = 26
"""Pixels per bar."""
Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Line:
    """A line through `points`, drawn as `series` of the palette. pale: one of several that another line sums
    up. kept: a ringed point.
    """

    name: str
    series: int
    points: tuple[Point, ...]
    pale: bool = False
    kept: Point | None = None


@dataclass(frozen=True, slots=True)
class Mark:
    """A point of a scatter plot."""

    name: str
    series: int
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Axes:
    """Both scales and what they show. x runs over 0..100 percent, y from HEIGHT (low) to 0 (high)."""

    x: Scale
    y: Scale
    x_name: str
    y_name: str


def line_plot(
    key: str,
    title: str,
    description: str,
    lines: Sequence[Line],
    axes: Axes,
    level: float | None = None,
    dotted: bool = True,
    marks: Sequence[Mark] = (),
) -> Markup:
    """Lines over steps, the pale ones below; `level`: a reference line across; `dotted`: with a dot at each
    point of a full line; `marks`: points that no line joins.
    """
    drawn: list[Markup] = []
    if level is not None:
        y = axes.y.at(level)
        drawn.append(tag("line", x1="0%", x2="100%", y1=y, y2=y, class_="reference"))
    paths = []
    for line in sorted((line for line in lines if line.points), key=lambda line: not line.pale):
        kind = f"line s{line.series}{' pale' if line.pale else ''}"
        paths.append(tag("path", tag("title", line.name), d=path_of(line.points, axes), class_=kind))
        if dotted and not line.pale:
            paths.append(tag("path", d=dots_of(line.points, axes), class_=f"dots s{line.series}"))
    stretched = {"viewBox": f"0 0 100 {HEIGHT}", "preserveAspectRatio": "none"}
    drawn.append(tag("svg", *paths, width="100%", height=HEIGHT, **stretched))
    for line in lines:
        if line.kept:
            x, y = line.kept
            place: Attributes = {"cx": percent(axes.x.at(x)), "cy": axes.y.at(y)}
            drawn.append(tag("circle", **place, r=5, class_=f"kept s{line.series}"))
    return _framed(key, title, description, [*drawn, *_marks(marks, axes)], axes)


def scatter_plot(key: str, title: str, description: str, marks: Sequence[Mark], axes: Axes) -> Markup:
    """Marks, each with its name where a pointer rests on it."""
    return _framed(key, title, description, _marks(marks, axes), axes)


def field_plot(
    key: str,
    title: str,
    description: str,
    field: Sequence[Sequence[float | None]],
    marks: Sequence[Mark],
    axes: Axes,
) -> Markup:
    """Cells of equal size over the whole plot, coloured by their shares of 0 to 1 (None: unknown), and marks
    on them.

    field: rows from the top, each from the left.
    """
    drawn: list[Markup] = []
    for row, line in enumerate(field):
        across, down = 100 / len(line), HEIGHT / len(field)
        size: Attributes = {
            "width": percent(across + 0.1),
            "height": down + 0.2,
        }  # a little more: no gap between cells
        for column, share in enumerate(line):
            if share is not None:
                colour = f"h{heat_step(share, 1.0)}"
                drawn.append(tag("rect", x=percent(column * across), y=row * down, **size, class_=colour))
    return _framed(key, title, description, [*drawn, *_marks(marks, axes)], axes)


def bar_plot(key: str, title: str, description: str, bars: Sequence[tuple[str, float]]) -> Markup:
    """One bar per name, from 0, with its value behind it."""
    top, drawn = max([value for _, value in bars if value > 0], default=1.0), []
    for place, (name, value) in enumerate(bars):
        y, width = place * BAR, percent(90 * value / top)
        drawn.append(tag("text", name, x=-8, y=y + BAR / 2, class_="row-label"))
        drawn.append(tag("rect", x=0, y=y + 4, width=width, height=BAR - 8, class_="mark s0"))
        drawn.append(placed(width, y + BAR / 2, tag("text", f"{value:.2f}", x=6, y=4)))
    drawing = image(key, title, description, BAR * len(bars), *drawn, class_="plot")
    return boxed("plot-box bars", drawing)


def path_of(points: Sequence[Point], axes: Axes) -> str:
    """The line's path in the plot's own units: percent across, pixels down."""
    places = [f"{number(axes.x.at(x))} {number(axes.y.at(y))}" for x, y in points]
    return "M" + "L".join(places)


def dots_of(points: Sequence[Point], axes: Axes) -> str:
    """A line of no length at each point: with round ends it is a dot, which stretching the plot does not turn
    into an ellipse.
    """
    return "".join(f"M{number(axes.x.at(x))} {number(axes.y.at(y))}h0" for x, y in points)


def _marks(marks: Sequence[Mark], axes: Axes) -> list[Markup]:
    return [placed(percent(axes.x.at(one.x)), axes.y.at(one.y), mark(one.series, one.name)) for one in marks]


def _framed(key: str, title: str, description: str, drawn: Sequence[str], axes: Axes) -> Markup:
    frame: list[Markup] = []
    for value, text in axes.y.ticks():
        y = axes.y.at(value)
        frame.append(tag("line", x1="0%", x2="100%", y1=y, y2=y, class_="grid"))
        frame.append(tag("text", text, x=-8, y=y, class_="y-tick"))
    for value, text in axes.x.ticks(4):
        x = percent(axes.x.at(value))
        frame.append(tag("line", x1=x, x2=x, y1=HEIGHT, y2=HEIGHT + 4, class_="tick"))
        frame.append(tag("text", text, x=x, y=HEIGHT + 18, class_="x-tick"))
    frame.append(tag("line", x1="0%", x2="100%", y1=HEIGHT, y2=HEIGHT, class_="baseline"))
    frame.append(tag("text", axes.y_name, x=-34, y=-14, class_="axis-name"))
    frame.append(tag("text", axes.x_name, x="100%", y=HEIGHT + 36, class_="axis-name end"))
    return boxed("plot-box", image(key, title, description, HEIGHT, *frame, *drawn, class_="plot"))
