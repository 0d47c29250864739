"""What was measured, as a part of a document: a heading, sentences, a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmark.rendering.document import Column, Document, Heading, Paragraph, text_table
from tools.performance.units import FORMATS

COLUMNS = (Column("", "left"), "measured", "smallest to largest", "target", Column("kept", "left"))


@dataclass(frozen=True, slots=True)
class MeasuredFigure:
    """One row: a name, what was measured, and what the project allows itself.

    Attributes:
        measured: the figure of every round, of which the median counts; or the only figure there is.
        target: the largest value allowed, or with `at_least` the smallest; None: only told.
        unit: "x" (a ratio), "%" (a share of 1), "n" (a number), "error" (a difference from what is right), or
            the unit itself, as "MB".
    """

    name: str
    measured: Sequence[float] | float
    target: float | None = None
    at_least: bool = False
    unit: str = "x"

    @property
    def value(self) -> float:
        """The figure itself."""
        return float(np.median(self.measured))

    @property
    def kept(self) -> bool | None:
        """Whether the target is kept; None without one."""
        if self.target is None:
            return None
        return self.value >= self.target if self.at_least else self.value <= self.target

    def cells(self) -> tuple[str, ...]:
        """The table's row."""
        spread, target = "", ""
        if np.size(self.measured) > 1:
            spread = f"{self._text(np.min(self.measured))} to {self._text(np.max(self.measured))}"
        if self.target is not None:
            target = f"at {'least' if self.at_least else 'most'} {self._text(self.target)}"
        kept = {None: "", True: "yes", False: "no"}[self.kept]
        return self.name, self._text(self.value), spread, target, kept

    def _text(self, value: float) -> str:
        return FORMATS[self.unit].format(100 * value if self.unit == "%" else value)


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one experiment found: its title, its figures, sentences that say on what they were taken, and what
    else the JSON file keeps.
    """

    title: str
    figures: Sequence[MeasuredFigure]
    notes: Sequence[str]
    record: dict[str, Any] = field(default_factory=dict)

    def document(self, *ends: str) -> Document:
        """As a part of a page, `ends` below its table."""
        table = text_table(COLUMNS, [figure.cells() for figure in self.figures])
        notes = Paragraph(" ".join(self.notes))
        return Document("", (Heading(self.title, 3), notes, table, *map(Paragraph, ends)))


Keep = Callable[[Measurement], None]
"""Called with what is measured so far, each time that there is more of it."""
