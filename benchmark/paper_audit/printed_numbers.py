"""Printed numbers as intervals: what they can have been before they were rounded, carried exactly through
means and differences.

A number printed with k decimals was between half a unit of the k-th below and above it. Fractions, so that a
number on the very edge of what rounding allows is no matter of floating point.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from math import isqrt

from benchmark.paper.tables import Row, Table


@dataclass(frozen=True, slots=True)
class Span:
    """All that a number can be: from `low` to `high`, both included. `middle` is the number as printed, or as
    it follows from those.
    """

    low: Fraction
    middle: Fraction
    high: Fraction

    def __add__(self, other: Span) -> Span:
        return Span(self.low + other.low, self.middle + other.middle, self.high + other.high)

    def __neg__(self) -> Span:
        return Span(-self.high, -self.middle, -self.low)

    def __sub__(self, other: Span) -> Span:
        return self + -other

    def meets(self, other: Span) -> bool:
        """Whether both can be the same number."""
        return self.low <= other.high and other.low <= self.high

    def above(self, other: Span) -> bool:
        """Whether this is the larger number for certain. Rounding keeps the order, so touching ends are
        enough where the numbers differ.
        """
        return self.low >= other.high and self.middle > other.middle


def exact(number: float) -> Fraction:
    """The decimal number that `number` is written as: .1 is 1/10."""
    return Fraction(str(number))


def printed(number: float, decimals: int) -> Span:
    """What a number printed with `decimals` decimals can have been."""
    middle, half = exact(number), Fraction(1, 2 * 10**decimals)
    return Span(middle - half, middle, middle + half)


def stated(number: float) -> Span:
    """The same of a number whose decimals are those that it is written with: 5 is 4.5 to 5.5, 5.0 is 4.95 to
    5.05.
    """
    return printed(number, decimals_of(number))


def decimals_of(number: float) -> int:
    """The decimals that a number is written with."""
    exponent = Decimal(str(number)).as_tuple().exponent
    return max(0, -int(exponent))


def mean(spans: Sequence[Span]) -> Span:
    """The mean of at least one number."""
    total = sum(spans[1:], spans[0])
    return Span(total.low / len(spans), total.middle / len(spans), total.high / len(spans))


def percent(part: Span, whole: Span) -> Span:
    """100 * part / whole, for a part of at least 0 and a whole above 0 whatever the rounding."""
    return Span(
        100 * max(part.low, Fraction(0)) / whole.high,
        100 * part.middle / whole.middle,
        100 * part.high / whole.low,
    )


def spread(spans: Sequence[Span]) -> Span:
    """The standard deviation (n - 1) of at least two numbers: rounding by up to h each moves it by at most h
    * sqrt(n / (n - 1)).
    """
    n = len(spans)
    centre = sum((span.middle for span in spans), Fraction(0)) / n
    middle = _root(sum(((span.middle - centre) ** 2 for span in spans), Fraction(0)) / (n - 1))
    moved = _root(sum(((span.high - span.middle) ** 2 for span in spans), Fraction(0)) / (n - 1))
    return Span(max(Fraction(0), middle - moved), middle, middle + moved)


def _root(number: Fraction) -> Fraction:
    """The square root, to twelve decimals."""
    scale = 10**12
    return Fraction(isqrt(int(number * scale * scale)), scale)


def shown(number: Fraction, decimals: int, sign: bool = False) -> str:
    """The number with `decimals` decimals; sign: with + where it is above 0."""
    return f"{float(number):{'+' if sign and number > 0 else ''}.{decimals}f}"


def between(span: Span, decimals: int, sign: bool = False) -> str:
    """`82.90, with rounding 82.85 to 82.95`: one decimal more than is printed, which shows the ends."""
    digits = decimals + 1
    middle, low, high = (shown(value, digits, sign) for value in (span.middle, span.low, span.high))
    return f"{middle}, with rounding {low} to {high}"


def as_printed(table: Table, row: Row, metric: str, dataset: str = "") -> str:
    """A printed number as it stands."""
    return f"{row.values[metric][dataset]:.{table.decimals[metric]}f}"


def cell(table: Table, row: Row, metric: str, dataset: str) -> Span | None:
    """A printed cell of a table (dataset "" in tables of facts), or None where nothing is printed."""
    number = row.values.get(metric, {}).get(dataset)
    return None if number is None else printed(number, table.decimals[metric])


def cells(table: Table) -> Iterator[tuple[Row, str, str, Span]]:
    """Every printed cell of a table: row, metric, dataset, and what the number can have been."""
    for row in table.rows:
        for metric in table.metrics:
            for dataset in row.values[metric]:
                if span := cell(table, row, metric, dataset):
                    yield row, metric, dataset, span
