"""From values to places: linear scales and the ticks that people like."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

Ticks = tuple[tuple[float, str], ...]
"""Values and their texts, ascending."""


@dataclass(frozen=True, slots=True)
class Scale:
    """Values low..high on places start..end (percent of a width, or pixels from the top with start > end)."""

    low: float
    high: float
    start: float = 0.0
    end: float = 100.0

    def at(self, value: float) -> float:
        """The place of `value`; values beyond the ends lie beyond the places."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self, count: int = 5) -> Ticks:
        """Round values within the scale, about `count` of them."""
        return self.multiples(tick_step(self.high - self.low, count))

    def multiples(self, step: float) -> Ticks:
        """The multiples of `step` within the scale, with as many decimals as the step has."""
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        decimals = max(0, -math.floor(math.log10(step) + 1e-9))
        return tuple(
            (index * step, f"{index * step:.{decimals}f}".replace("-", "−"))
            for index in range(first, last + 1)
        )


def round_steps(around: float) -> tuple[float, ...]:
    """1, 2, 5 and 10 times the power of ten at or below `around`."""
    power = 10.0 ** math.floor(math.log10(around))
    return tuple(factor * power for factor in (1, 2, 5, 10))


def tick_step(span: float, count: int) -> float:
    """The distance between ticks that gives about `count` of them over `span`: a round step, nearest in
    ratio.
    """
    rough = span / count
    return min(round_steps(rough), key=lambda step: abs(math.log(step / rough)))


def spanning(values: Iterable[float], start: float = 0.0, end: float = 100.0, margin: float = 0.06) -> Scale:
    """A scale over `values` with a margin (share of their span) at both ends; a single value gets room around
    it.
    """
    known = list(values)
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    alike = high - low <= 1e-9 * max(abs(low), abs(high))  # up to the last digits of a float
    room = abs(low) * 0.05 or 1.0 if alike else (high - low) * margin
    return Scale(low - room, high + room, start, end)


def from_zero(values: Iterable[float], start: float = 0.0, end: float = 100.0, margin: float = 0.06) -> Scale:
    """A scale from 0 to a little above the largest of `values`."""
    highest = max([*values, 0.0])
    return Scale(0.0, highest * (1 + margin) if highest > 0 else 1.0, start, end)
