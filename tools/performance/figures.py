"""What was measured, as rows of a Markdown table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from tools.performance.paired_timing import Timing


@dataclass(frozen=True, slots=True)
class MeasuredFigure:
    """One row: a name, what was measured (all rounds, for the spread), and what the project allows itself.

    Attributes:
        value: the figure itself: a median ratio, a share of 1, megabytes.
        rounds: the figure of every round; empty where there is but one.
        target: the largest value allowed, or with `at_least` the smallest; None: only told.
        unit: "x" (a ratio), "%" (a share of 1), "MB", "h" or "n" (a number).
    """

    name: str
    value: float
    rounds: tuple[float, ...] = ()
    target: float | None = None
    at_least: bool = False
    unit: str = "x"

    @property
    def kept(self) -> bool | None:
        """Whether the target is kept; None without one."""
        if self.target is None:
            return None
        return self.value >= self.target if self.at_least else self.value <= self.target

    def row(self) -> str:
        """The table's row."""
        spread = (
            f"{self._text(min(self.rounds))} to {self._text(max(self.rounds))}"
            if len(self.rounds) > 1
            else ""
        )
        target = (
            ""
            if self.target is None
            else f"{'at least' if self.at_least else 'at most'} {self._text(self.target)}"
        )
        kept = "" if self.kept is None else "yes" if self.kept else "no"
        return f"| {self.name} | {self._text(self.value)} | {spread} | {target} | {kept} |"

    def _text(self, value: float) -> str:
        shown = {
            "x": f"{value:.2f}",
            "%": f"{100 * value:.1f} %",
            "MB": f"{value:,.0f} MB",
            "h": f"{value:.2f} h",
            "n": f"{value:,.0f}",
        }
        return shown[self.unit]


@dataclass(frozen=True, slots=True)
class Measurement:
    """A part of the measurement: its title, its figures, sentences that say on what they were taken, and what
    else the JSON file keeps.
    """

    title: str
    figures: tuple[MeasuredFigure, ...]
    notes: tuple[str, ...]
    record: dict[str, Any] = field(default_factory=dict)

    @property
    def repeated(self) -> bool:
        """Whether any figure was taken in rounds."""
        return any(figure.rounds for figure in self.figures)

    def lines(self) -> list[str]:
        """Markdown: a heading, the notes, the table."""
        table = ["| | measured | smallest to largest | target | kept |", "| --- | ---: | ---: | ---: | --- |"]
        return [
            f"### {self.title}",
            "",
            " ".join(self.notes),
            "",
            *table,
            *(figure.row() for figure in self.figures),
            "",
        ]


def against(timings: dict[str, Timing], name: str, base: str) -> tuple[float, ...]:
    """Ratio of `name` to `base` in each round."""
    return tuple(one / other for one, other in zip(timings[name].seconds, timings[base].seconds, strict=True))


def ratio(
    label: str, ratios: Sequence[float], target: float | None, at_least: bool = False
) -> MeasuredFigure:
    """The median of ratios as a figure."""
    return MeasuredFigure(label, median(ratios), tuple(ratios), target, at_least)
