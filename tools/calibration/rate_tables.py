"""A table of the report: what its rows simulate, and what is shown of their rates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

Rates = dict[str, float]
Row = dict[str, str | float]
Simulation = Callable[[np.random.Generator], Rates]

PLAIN = ("width", "seeds")
"""Rates that are numbers; any other is a share, shown in percent."""
HEADINGS = {
    "n": "seeds",
    "runs": "runs behind it",
    "n_pub": "assumed",
    "false_alarm": 'false "not reproduced", per table',
    "coverage": "interval covers",
    "worst_coverage": "worst cell",
    "naive_coverage": "naive interval covers",
    "reproduced": "no gap: reproduced",
    "found_one": "one off by 1.5: found",
    "found_all": "all off by 1.5: found",
    "false_printed": "gap = margin: reproduced (printed)",
    "false_mean": "the same (mean)",
    "false_average": "the same, averages (printed)",
    "false_fixed": "gap from the printed number = margin: reproduced (printed)",
    "layout": "test sets",
    "seeds_only": "seeds only",
    "examples_only": "examples only",
    "width": "half width (points)",
    "a": "arm a",
    "b": "arm b",
    "truth": "true difference",
    "any": "tables with any",
}
"""The columns whose heading is not their key."""


@dataclass(frozen=True, slots=True)
class RateTable:
    """One table of the report.

    Attributes:
        rates: keys of the rates that are shown, right of what identifies a row.
        simulations: what identifies each row, and the simulation of its rates.
        headings: of columns that have another one here than in `HEADINGS`.
    """

    key: str
    title: str
    note: str
    rates: tuple[str, ...]
    simulations: list[tuple[dict[str, str], Simulation]]
    headings: Mapping[str, str] = field(default_factory=dict)

    def heading(self, key: str) -> str:
        """The heading of a column."""
        return self.headings.get(key) or HEADINGS.get(key, key)
