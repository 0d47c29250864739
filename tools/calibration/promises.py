"""What the harness promises of its verdicts, held against the simulated figures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tools.calibration.worlds import RateTable, Row


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


def bounds(filled: Sequence[RateTable], repetitions: int) -> list[Bound]:
    """The promises of the harness against the simulated figures; none rests on two seeds or on assuming more
    runs than the paper made.
    """
    rows = {table.key: table.rows for table in filled}
    fair = [row for row in rows["published"] if float(row["n_pub"]) <= float(str(row["runs"]).split(",")[0])]
    judged = rows["reproduction"] + fair
    claims = [row for row in rows["claims"] if row["n"] != "2"]

    def values(chosen: Sequence[Row], key: str) -> list[float]:
        return [float(row[key]) for row in chosen]

    def promise(text: str, value: float, low: float, high: float, count: int) -> Bound:
        edge = high if high < 1 else low
        return Bound(text, value, low, high, 3 * math.sqrt(edge * (1 - edge) / count))

    tables_per_row, claims_per_row = repetitions, max(1, repetitions // 10)
    exact_runs = [row for row in fair if row["n_pub"] == str(row["runs"]).split(",")[0]]
    exact = rows["reproduction"] + exact_runs
    coverage = values(exact, "coverage")
    promises = [
        promise(
            'false "not reproduced" per table, largest',
            max(values(judged, "false_alarm")),
            0,
            0.05,
            tables_per_row,
        ),
        promise(
            "prediction interval covers, smallest mean over a table",
            min(coverage),
            0.93,
            0.97,
            tables_per_row,
        ),
        promise(
            "prediction interval covers, largest mean over a table", max(coverage), 0.93, 0.97, tables_per_row
        ),
        promise(
            "prediction interval covers, worst cell of any table",
            min(values(exact, "worst_coverage")),
            0.88,
            1,
            tables_per_row,
        ),
    ]
    reproduced = 'false "reproduced" at a gap equal to the margin, largest: '
    at_margin = rows["reproduction"] + exact_runs
    promises += [
        promise(
            f"{reproduced}gap from the printed number",
            max(values(rows["reproduction"], "false_fixed")),
            0,
            0.05,
            tables_per_row,
        ),
        promise(
            f"{reproduced}from the mean behind it, `estimand: mean`",
            max(values(at_margin, "false_mean")),
            0,
            0.05,
            tables_per_row,
        ),
        Bound(
            f"{reproduced}from the mean behind it, `estimand: printed` (default)",
            max(values(at_margin, "false_printed")),
            0,
            1,
            0,
        ),
    ]
    for n in ("3", "5", "10"):
        crossed = values([row for row in claims if row["n"] == n], "crossed")
        promises.append(
            promise(
                f"crossed claim interval covers, mean at {n} seeds",
                float(np.mean(crossed)),
                0.93,
                0.97,
                claims_per_row,
            )
        )
    worst = min(values(claims + rows["separate"], "crossed"))
    nothing = [row for row in rows["verdicts"] if row["truth"] == "0"]
    return [
        *promises,
        promise("crossed claim interval covers, worst case", worst, 0.88, 1, claims_per_row),
        promise(
            "seeds needed reach their power of 80 %, smallest",
            min(values(rows["seeds"], "power")),
            0.8,
            1,
            claims_per_row,
        ),
        promise(
            "false verdicts per table of ten claims, largest",
            max(values(nothing, "any")),
            0,
            0.05,
            claims_per_row,
        ),
    ]
