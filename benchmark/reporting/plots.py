"""Line, scatter, bar and field plots: x in percent of the width, y in pixels from the top, so that texts and
marks keep their size on a phone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from benchmark.reporting.chart_colours import heat_step
from benchmark.reporting.scales import Scale
from benchmark.reporting.svg import across, band, boxed, dot, image, mark, number, placed, tag, upright, words

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

    def at(self, x: float, y: float) -> tuple[float, float]:
        """The place of a point: percent across, pixels down."""
        return self.x.at(x), self.y.at(y)


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
    paths = []
    for line in sorted((line for line in lines if line.points), key=lambda line: not line.pale):
        places = [" ".join(map(number, axes.at(*point))) for point in line.points]
        kind = f"line s{line.series}{' pale' if line.pale else ''}"
        paths.append(tag("path", tag("title", line.name), d=f"M{'L'.join(places)}", class_=kind))
        if dotted and not line.pale:
            # A line of no length with round ends is a dot, which stretching the plot does not turn into an
            # ellipse.
            points = "".join(f"M{place}h0" for place in places)
            paths.append(tag("path", d=points, class_=f"dots s{line.series}"))
    stretched = {"viewBox": f"0 0 100 {HEIGHT}", "preserveAspectRatio": "none"}
    drawn = [
        *([] if level is None else [across(axes.y.at(level), "reference")]),
        tag("svg", *paths, width="100%", height=HEIGHT, **stretched),
        *(dot(*axes.at(*line.kept), 5, f"kept s{line.series}") for line in lines if line.kept),
    ]
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
    drawn = []
    for row, line in enumerate(field):
        wide, high = 100 / len(line), HEIGHT / len(field)
        for column, share in enumerate(line):
            if share is not None:
                colour = f"h{heat_step(share, 1.0)}"
                # a little more than its size: no gap between cells
                drawn.append(band(column * wide, (column + 1) * wide + 0.1, row * high, high + 0.2, colour))
    return _framed(key, title, description, [*drawn, *_marks(marks, axes)], axes)


def bar_plot(key: str, title: str, description: str, bars: Sequence[tuple[str, float]]) -> Markup:
    """One bar per name, from 0, with its value behind it."""
    top, drawn = max([value for _, value in bars if value > 0], default=1.0), []
    for row, (name, value) in enumerate(bars):
        y, width = row * BAR, 90 * value / top
        drawn += [
            tag("text", name, x=-8, y=y + BAR / 2, class_="row-label"),
            band(0, width, y + 4, BAR - 8, "mark s0"),
            placed(width, y + BAR / 2, tag("text", f"{value:.2f}", x=6, y=4)),
        ]
    return boxed("plot-box bars", image(key, title, description, BAR * len(bars), *drawn, class_="plot"))


def _marks(marks: Sequence[Mark], axes: Axes) -> list[Markup]:
    return [placed(*axes.at(one.x, one.y), mark(one.series, one.name)) for one in marks]


def _framed(key: str, title: str, description: str, drawn: Sequence[str], axes: Axes) -> Markup:
    frame: list[Markup] = []
    for value, text in axes.y.ticks():
        y = axes.y.at(value)
        frame += [across(y, "grid"), tag("text", text, x=-8, y=y, class_="y-tick")]
    for value, text in axes.x.ticks(4):
        x = axes.x.at(value)
        frame += [upright(x, HEIGHT, HEIGHT + 4, "tick"), words(text, x, HEIGHT + 18, "x-tick")]
    frame += [
        across(HEIGHT, "baseline"),
        tag("text", axes.y_name, x=-34, y=-14, class_="axis-name"),
        words(axes.x_name, 100, HEIGHT + 36, "axis-name end"),
    ]
    return boxed("plot-box", image(key, title, description, HEIGHT, *frame, *drawn, class_="plot"))
