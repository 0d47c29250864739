"""Line and scatter plots: x in percent of the width, y in pixels from the top, so that texts and marks keep
their size on a phone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmark.reporting.figure import placed, shape, svg
from benchmark.reporting.markup import Markup, number, percent, tag
from benchmark.reporting.scales import Scale

HEIGHT = 220
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
) -> Markup:
    """Lines over steps, the pale ones below; `level`: a reference line across; `dotted`: with a dot at each
    point of a full line.
    """
    drawn: list[Markup] = []
    if level is not None:
        y = axes.y.at(level)
        drawn.append(tag("line", x1="0%", x2="100%", y1=y, y2=y, class_="reference"))
    shown = sorted((line for line in lines if line.points), key=lambda line: not line.pale)
    paths = []
    for line in shown:
        kind = f"line s{line.series}{' pale' if line.pale else ''}"
        paths.append(tag("path", tag("title", line.name), d=path_of(line.points, axes), class_=kind))
        if dotted and not line.pale:
            paths.append(tag("path", d=dots_of(line.points, axes), class_=f"dots s{line.series}"))
    drawn.append(
        tag(
            "svg",
            *paths,
            width="100%",
            height=HEIGHT,
            viewBox=f"0 0 100 {HEIGHT}",
            preserveAspectRatio="none",
        )
    )
    for line in lines:
        if line.kept:
            x, y = line.kept
            drawn.append(
                tag("circle", cx=percent(axes.x.at(x)), cy=axes.y.at(y), r=5, class_=f"kept s{line.series}")
            )
    return _framed(key, title, description, drawn, axes)


def scatter_plot(key: str, title: str, description: str, marks: Sequence[Mark], axes: Axes) -> Markup:
    """Marks, each with its name where a pointer rests on it."""
    drawn = [
        placed(percent(axes.x.at(mark.x)), axes.y.at(mark.y), shape(mark.series, mark.name)) for mark in marks
    ]
    return _framed(key, title, description, drawn, axes)


def path_of(points: Sequence[Point], axes: Axes) -> str:
    """The line's path in the plot's own units: percent across, pixels down."""
    places = [f"{number(axes.x.at(x))} {number(axes.y.at(y))}" for x, y in points]
    return "M" + "L".join(places)


def dots_of(points: Sequence[Point], axes: Axes) -> str:
    """A line of no length at each point: with round ends it is a dot, which stretching the plot does not turn
    into an ellipse.
    """
    return "".join(f"M{number(axes.x.at(x))} {number(axes.y.at(y))}h0" for x, y in points)


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
    return tag("div", svg(key, title, description, HEIGHT, *frame, *drawn, class_="plot"), class_="plot-box")
