"""Drawings one line high: an interval about a difference (forest plots, table lines), and a bar of counts. x
in percent, y in pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from benchmark.reporting.scales import Scale, Ticks, round_steps
from benchmark.reporting.svg import across, band, decoration, dot, image, placed, tag, upright, words

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
    parts = _drawn(estimate, scale, strip_ticks(scale), HEIGHT, 4.5, "claimed")
    return image(key, title, description, HEIGHT, *parts, class_="strip")


def forest_axis(scale: Scale) -> Markup:
    """The ticks above the lines of a forest plot; decoration to a reader, who hears the numbers."""
    ticks = strip_ticks(scale)
    ends = (upright(scale.at(value), AXIS - 4, AXIS, "tick") for value, _ in ticks)
    return decoration(AXIS, *_tick_texts(ticks, scale, AXIS - 7), *ends, class_="axis")


def delta_strip(estimate: Estimate, scale: Scale) -> Markup:
    """A table line's difference to the paper (0), its interval, and the margin as a band: decoration, the
    numbers stand beside it.
    """
    parts = _drawn(estimate, scale, ((0.0, ""),), SMALL, 3.5, "margin")
    return decoration(SMALL, *parts, class_="strip small")


def delta_axis(scale: Scale) -> Markup:
    """The ticks above the differences of a table."""
    first, *_, last = strip_ticks(scale)
    return decoration(14, *_tick_texts((first, last, (0, "paper")), scale, 11), class_="axis")


def stacked_bar(key: str, title: str, description: str, parts: Sequence[tuple[str, int, str]]) -> Markup:
    """Counts as lengths of one bar: (name, count, CSS class) each, from the left."""
    total, drawn, before = sum(count for _, count, _ in parts), [], 0
    for name, count, kind in parts:
        if count:
            left, right = 100 * before / total, 100 * (before + count) / total
            drawn.append(band(left, right, 0, BAR, f"part {kind}", tag("title", f"{count} {name}")))
        before += count
    return image(key, title, description, BAR, *drawn, class_="bar")


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


def _drawn(
    estimate: Estimate, scale: Scale, ticks: Ticks, height: float, radius: float, shade: str
) -> list[Markup]:
    """What a strip shows, from the ground up; an interval is a line with a short upright at each end."""
    middle, parts = height / 2, []
    if estimate.claimed is not None:
        low, high = estimate.claimed
        left, right = 0.0 if low is None else scale.at(low), 100.0 if high is None else scale.at(high)
        parts.append(band(left, right, 0, height, shade))
    for value, _ in ticks:
        parts.append(upright(scale.at(value), 0, height, "zero" if abs(value) < 1e-12 else "grid"))
    if estimate.low is not None and estimate.high is not None:
        ends, kind = (scale.at(estimate.low), scale.at(estimate.high)), f"interval {estimate.tone}"
        parts.append(across(middle, kind, *ends))
        parts += [upright(end, middle - 4, middle + 4, kind) for end in ends]
    if estimate.paper is not None:
        parts.append(placed(scale.at(estimate.paper), middle, tag("path", d=DIAMOND, class_="paper")))
    parts.append(dot(scale.at(estimate.value), middle, radius, f"estimate {estimate.tone}"))
    return parts


def _tick_texts(ticks: Ticks, scale: Scale, y: float) -> list[Markup]:
    return [words(text, scale.at(value), y, "x-tick") for value, text in ticks]
