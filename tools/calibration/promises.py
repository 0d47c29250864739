"""What the harness promises of its verdicts, held against the simulated figures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tools.calibration.rate_tables import Row

Rows = Mapping[str, Sequence[Row]]
"""The simulated rows of each table, by the table's key."""
Promise = tuple[str, float, float, float]
"""A promise, the simulated figure, and the range that it is promised to lie in."""


@dataclass(frozen=True, slots=True)
class Bound:
    """What the harness promises: `value` lies in low..high, give or take `slack`, three standard errors of
    the simulation.

    0..1 promises nothing: a figure that a reader should know all the same.
    """

    text: str
    value: float
    low: float
    high: float
    slack: float

    @property
    def holds(self) -> bool:
        """Whether the promise is kept."""
        return self.low - self.slack <= self.value <= self.high + self.slack


def bounds(rows: Rows, tables: int, claims: int) -> list[Bound]:
    """The promises of the harness against the simulated figures; none rests on two seeds or on assuming more
    runs than the paper made.

    Args:
        tables, claims: how many were simulated per row.
    """
    made = []
    for promises, count in ((_reproduction_promises(rows), tables), (_claim_promises(rows), claims)):
        for text, value, low, high in promises:
            edge = high if high < 1 else low
            made.append(Bound(text, value, low, high, 3 * math.sqrt(edge * (1 - edge) / count)))
    return made


def _reproduction_promises(rows: Rows) -> list[Promise]:
    alone, published = list(rows["reproduction"]), rows["published"]
    runs = [int(str(row["runs"]).split(",")[0]) for row in published]
    exact = alone + [row for row, made in zip(published, runs, strict=True) if int(row["n_pub"]) == made]
    fair = alone + [row for row, made in zip(published, runs, strict=True) if int(row["n_pub"]) <= made]
    coverage = _values(exact, "coverage")
    gap = 'false "reproduced" at a gap equal to the margin, largest:'
    behind = f"{gap} from the mean behind it, `estimand:"
    interval = "prediction interval covers,"
    return [
        ('false "not reproduced" per table, largest', max(_values(fair, "false_alarm")), 0, 0.05),
        (f"{interval} smallest mean over a table", min(coverage), 0.93, 0.97),
        (f"{interval} largest mean over a table", max(coverage), 0.93, 0.97),
        (f"{interval} worst cell of any table", min(_values(exact, "worst_coverage")), 0.88, 1),
        (f"{gap} gap from the printed number", max(_values(alone, "false_fixed")), 0, 0.05),
        (f"{behind} mean`", max(_values(exact, "false_mean")), 0, 0.05),
        (f"{behind} printed` (default)", max(_values(exact, "false_printed")), 0, 1),
    ]


def _claim_promises(rows: Rows) -> list[Promise]:
    crossed = {
        n: _values([row for row in rows["claims"] if row["n"] == n], "crossed") for n in ("3", "5", "10")
    }
    worst = min(*_values(rows["separate"], "crossed"), *map(min, crossed.values()))
    nothing = [row for row in rows["verdicts"] if row["truth"] == "0"]
    interval = "crossed claim interval covers,"
    return [
        *(
            (f"{interval} mean at {n} seeds", float(np.mean(values)), 0.93, 0.97)
            for n, values in crossed.items()
        ),
        (f"{interval} worst case", worst, 0.88, 1),
        ("seeds needed reach their power of 80 %, smallest", min(_values(rows["seeds"], "power")), 0.8, 1),
        ("false verdicts per table of ten claims, largest", max(_values(nothing, "any")), 0, 0.05),
    ]


def _values(rows: Sequence[Row], key: str) -> list[float]:
    return [float(row[key]) for row in rows]
