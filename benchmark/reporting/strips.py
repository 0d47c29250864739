"""Drawings one line high: an interval about a difference (forest plots, table lines), and a bar of counts. x
in percent, y in pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmark.reporting.figure import placed, svg
from benchmark.reporting.markup import Markup, number, percent, tag
from benchmark.reporting.scales import Scale, Ticks, round_steps

HEIGHT = 34
BAR = 18
SMALL = 22
AXIS = 22
LETTERS = 42
"""Letters that fit beside each other above a strip on a phone."""
DIAMOND = "M0-9L7.5 0L0 9L-7.5 0z"


@dataclass(frozen=True, slots=True)
class Estimate:
    """A difference of ours, its interval (None: none could be made), the paper's, and the side that is
    claimed.

    claimed: (low, high), either end None for no bound. tone: good, bad, open or quiet, as the verdict's.
    """

    value: float
    low: float | None
    high: float | None
    paper: float | None
    claimed: tuple[float | None, float | None] | None
    tone: str

    @property
    def extent(self) -> tuple[float, ...]:
        """The values that a scale must hold."""
        return tuple(
            value for value in (self.value, self.low, self.high, self.paper, 0.0) if value is not None
        )


def forest_strip(key: str, title: str, description: str, estimate: Estimate, scale: Scale) -> Markup:
    """One line of a forest plot: the claimed side shaded, a line at 0, our interval and estimate, the paper's
    difference as a diamond.
    """
    middle = HEIGHT / 2
    parts = [*_claimed(estimate, scale), *_grid(scale, HEIGHT)]
    parts += _interval(estimate.low, estimate.high, scale, middle, estimate.tone)
    if estimate.paper is not None:
        parts.append(
            placed(percent(scale.at(estimate.paper)), middle, tag("path", d=DIAMOND, class_="paper"))
        )
    parts.append(
        tag(
            "circle",
            cx=percent(scale.at(estimate.value)),
            cy=middle,
            r=4.5,
            class_=f"estimate {estimate.tone}",
        )
    )
    return svg(key, title, description, HEIGHT, *parts, class_="strip")


def forest_axis(scale: Scale, unit: str) -> Markup:
    """The ticks above the lines of a forest plot; decoration to a reader, who hears the numbers."""
    ticks = strip_ticks(scale)
    texts = [
        tag("text", text, x=percent(scale.at(value)), y=AXIS - 7, text_anchor="middle")
        for value, text in ticks
    ]
    ends = [
        tag("line", x1=percent(x), x2=percent(x), y1=AXIS - 4, y2=AXIS, class_="tick")
        for x in (scale.at(value) for value, _ in ticks)
    ]
    drawing = tag("svg", *texts, *ends, class_="axis", width="100%", height=AXIS, aria_hidden="true")
    return tag("div", drawing, tag("span", unit, class_="unit"), class_="forest-axis")


def delta_strip(
    delta: float, interval: tuple[float, float] | None, margin: float | None, tone: str, scale: Scale
) -> Markup:
    """A table line's difference to the paper (0), its interval, and the margin as a band: decoration, the
    numbers stand beside it.
    """
    middle, parts = SMALL / 2, []
    if margin is not None:
        left, right = scale.at(-margin), scale.at(margin)
        parts.append(
            tag("rect", x=percent(left), width=percent(right - left), y=0, height=SMALL, class_="margin")
        )
    parts.append(tag("line", x1=percent(scale.at(0)), x2=percent(scale.at(0)), y1=0, y2=SMALL, class_="zero"))
    low, high = interval or (None, None)
    parts += _interval(low, high, scale, middle, tone)
    parts.append(tag("circle", cx=percent(scale.at(delta)), cy=middle, r=3.5, class_=f"estimate {tone}"))
    return tag("svg", *parts, class_="strip small", width="100%", height=SMALL, aria_hidden="true")


def delta_axis(scale: Scale) -> Markup:
    """The ticks above the differences of a table."""
    ticks = strip_ticks(scale)
    ends = (ticks[0], ticks[-1])
    texts = [
        tag("text", text, x=percent(scale.at(value)), y=11, text_anchor="middle") for value, text in ends
    ]
    texts.append(tag("text", "paper", x=percent(scale.at(0)), y=11, text_anchor="middle"))
    return tag("svg", *texts, class_="axis", width="100%", height=14, aria_hidden="true")


def stacked_bar(key: str, title: str, description: str, parts: Sequence[tuple[str, int, str]]) -> Markup:
    """Counts as lengths of one bar: (name, count, CSS class) each, from the left; a count stands in its part
    where it fits.
    """
    total, drawn, done = sum(count for _, count, _ in parts) or 1, [], 0
    for name, count, kind in parts:
        if count:
            left, width = 100 * done / total, 100 * count / total
            hover = tag("title", f"{count} {name}")
            drawn.append(
                tag(
                    "rect",
                    hover,
                    x=percent(left),
                    width=percent(width),
                    y=0,
                    height=BAR,
                    class_=f"part {kind}",
                )
            )
        done += count
    return svg(key, title, description, BAR, *drawn, class_="bar")


def strip_ticks(scale: Scale) -> Ticks:
    """0 and up to three round values on each side of a symmetric scale, at least one; fewer where their
    signed texts are long.
    """
    several = (
        next(step for step in round_steps(scale.high / (most + 1)) if step * (most + 1) > scale.high)
        for most in (3, 2)
    )
    one = max(step for step in round_steps(scale.high) if step <= scale.high)
    for step in (*several, one):
        ticks = scale.multiples(step)
        if len(ticks) > 1 and sum(len(text) + 2 for _, text in ticks) <= LETTERS:
            break
    return tuple((value, f"+{text}" if value > step / 2 else text) for value, text in ticks)


def symmetric(values: Sequence[float], margin: float = 0.08) -> Scale:
    """A scale with 0 in its middle over `values`, up to 1e12: what lies beyond is drawn beyond. Without a
    value off 0: to 1.
    """
    most = min(max((abs(value) for value in values), default=0.0), 1e12)
    most = most if most > 1e-12 else 1.0
    return Scale(-most * (1 + margin), most * (1 + margin))


def _claimed(estimate: Estimate, scale: Scale) -> list[Markup]:
    if estimate.claimed is None:
        return []
    low, high = estimate.claimed
    left = 0.0 if low is None else scale.at(low)
    right = 100.0 if high is None else scale.at(high)
    return [tag("rect", x=percent(left), width=percent(right - left), y=0, height=HEIGHT, class_="claimed")]


def _grid(scale: Scale, height: float) -> list[Markup]:
    lines = []
    for value, _ in strip_ticks(scale):
        x, kind = percent(scale.at(value)), "zero" if abs(value) < 1e-12 else "grid"
        lines.append(tag("line", x1=x, x2=x, y1=0, y2=height, class_=kind))
    return lines


def _interval(low: float | None, high: float | None, scale: Scale, middle: float, tone: str) -> list[Markup]:
    if low is None or high is None:
        return []
    left, right = percent(scale.at(low)), percent(scale.at(high))
    ends = [(left, left, middle - 4, middle + 4), (right, right, middle - 4, middle + 4)]
    return [
        tag("line", x1=x1, x2=x2, y1=number(y1), y2=number(y2), class_=f"interval {tone}")
        for x1, x2, y1, y2 in ((left, right, middle, middle), *ends)
    ]
