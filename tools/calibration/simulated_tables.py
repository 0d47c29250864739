"""Simulated tables with known truth, judged by the very functions that `benchmark.compare` uses.

A table here has rows of six datasets and their average: two rows unless said otherwise, 14 printed numbers,
the paper's from n_pub runs, rounded to .1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.statistics.reproduction import Estimand, ReproductionRule, TableStatistics, judge_arrays
from benchmark.statistics.t_tests import Array, t_quantile
from tools.calibration.rate_tables import Rates

COLUMNS = 6
TABLES_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class World:
    """The truth of a simulated table: n seeds of ours, sd over seeds of each cell (6 rows,), n_pub runs
    behind the paper's numbers, and the correlation of one seed's cells."""

    n: int
    sd: tuple[float, ...]
    n_pub: int = 1
    correlation: float = 0.0

    @property
    def groups(self) -> NDArray[np.str_]:
        """The kind of each printed number: the cells of all rows, then the rows' averages."""
        return np.array(["cell"] * len(self.sd) + ["average"] * (len(self.sd) // COLUMNS))


def reproduction_rates(
    world: World,
    tables: int,
    rng: np.random.Generator,
    d0: float = 4.0,
    n_pub: int = 1,
) -> Rates:
    """Error rates, power and coverage of `judge_arrays` in `world`, which it judges with `d0` and the
    assumption `n_pub`.

    Without a gap: false_alarm (tables with any "not reproduced"), coverage, worst_coverage (95 % prediction
        interval, over the printed
    numbers), naive_coverage (the confidence interval of our mean alone), reproduced (cells).
    With one: found_one (one cell in the table is off by 1.5 and found), found_all (all are off by
    1.5: share found), and at a gap equal to the margin false_printed, false_mean (cells, estimand printed or
    mean), false_average (averages, estimand printed), false_fixed (cells, estimand printed, the gap counted
    from the printed number itself: what that estimand promises).
    """
    groups, cells = world.groups, len(world.sd)
    half_unit, seeds = np.full(len(groups), 0.05), np.full(len(groups), world.n)
    margin = np.where(groups == "cell", 1.0, 0.5)

    def judge(
        gap: Array | float, estimand: Estimand = "printed", from_printed: bool = False
    ) -> tuple[TableStatistics, Array]:
        mean, sd, published = _draw_tables(world, gap, size, rng, from_printed)
        rule = ReproductionRule(d0=d0, n_pub=n_pub, estimand=estimand)
        return judge_arrays(mean, sd, seeds, published, half_unit, margin, groups, rule), sd

    chunks: list[dict[str, Any]] = []
    for start in range(0, tables, TABLES_AT_ONCE):
        size = min(TABLES_AT_ONCE, tables - start)
        judged, sd = judge(0.0)
        delta = np.abs(judged.delta)
        off = np.zeros((size, 1, cells))
        off[np.arange(size), 0, rng.integers(0, cells, size)] = 1.5
        chunks.append(
            {
                "false_alarm": judged.not_reproduced.any(-1),
                "covered": delta <= judged.prediction_half_width,
                "naive_coverage": delta <= t_quantile(0.975, world.n - 1) * sd / np.sqrt(world.n),
                "reproduced": judged.reproduced[:, :cells],
                "found_one": judge(off)[0].not_reproduced[:, :cells][off[:, 0] > 0],
                "found_all": judge(1.5)[0].not_reproduced[:, :cells],
                "false_printed": judge(1.0)[0].reproduced[:, :cells],
                "false_mean": judge(1.0, "mean")[0].reproduced[:, :cells],
                "false_average": judge(0.5)[0].reproduced[:, cells:],
                "false_fixed": judge(1.0, from_printed=True)[0].reproduced[:, :cells],
            }
        )
    made = {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}
    covered = made.pop("covered").mean(0)
    rates = {name: float(values.mean()) for name, values in made.items()}
    return rates | {"coverage": float(covered.mean()), "worst_coverage": float(covered.min())}


def _draw_tables(
    world: World, gap: Array | float, tables: int, rng: np.random.Generator, from_printed: bool = False
) -> tuple[Array, Array, Array]:
    """Our mean and sd over seeds and the paper's rounded numbers, (tables, printed numbers) each.

    Our cells lie `gap` above the means behind the paper's, or above its printed numbers.
    """
    cells = len(world.sd)
    truth = rng.uniform(60, 90, (tables, 1, cells))

    def noise(count: int) -> Array:
        shared, alone = np.sqrt(world.correlation), np.sqrt(1 - world.correlation)
        drawn = alone * rng.standard_normal((tables, count, cells)) + shared * rng.standard_normal(
            (tables, count, 1)
        )
        return np.array(world.sd) * drawn

    ours, theirs = noise(world.n), truth[:, 0] + noise(world.n_pub).mean(1)
    published = np.round(_with_averages(theirs), 1)
    ours = _with_averages((published[:, None, :cells] if from_printed else truth) + ours + gap)
    return ours.mean(1), ours.std(1, ddof=1), published


def _with_averages(cells: Array) -> Array:
    return np.concatenate([cells, cells.reshape(*cells.shape[:-1], -1, COLUMNS).mean(-1)], -1)
