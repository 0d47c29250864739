"""The tables on verdicts of reproduction, and the worlds that they simulate."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from tools.calibration.rate_tables import RateTable, Simulation
from tools.calibration.simulated_tables import World, reproduction_rates

SPREADS = {f"{sd:g}": (sd,) * 12 for sd in (0.3, 0.5, 0.8, 1.0)} | {
    ".2 to 1.0": tuple(0.2 + 0.8 * i / 11 for i in (0, 11, 3, 8, 5, 6, 1, 10, 2, 9, 4, 7)),
    "in .3, out .8": (0.3,) * 6 + (0.8,) * 6,
}
COVERAGE = ("false_alarm", "coverage", "worst_coverage")


def reproduction_tables(repetitions: int) -> list[RateTable]:
    """The tables, with `repetitions` simulated tables per row."""

    def rates(world: World, **options: Any) -> Simulation:
        return partial(reproduction_rates, world, repetitions, **options)

    return [
        RateTable(
            "reproduction",
            "Reproduction verdicts by seeds and spread",
            "12 datasets and 2 averages, published from one run. No gap: tables with any false alarm, "
            "coverage of the 95 % prediction interval (mean over the table's 14 numbers, and its worst), "
            "cells called reproduced. A cell 1.5 off: found when it is the only one, and the share found "
            "when all are. A gap equal to the margin (1.0 for a cell, .5 for an average): wrongly called "
            "reproduced, by estimand; the gap is counted from the mean behind the printed number, in the "
            "last column from the printed number itself.",
            (
                *COVERAGE,
                "reproduced",
                "found_one",
                "found_all",
                "false_printed",
                "false_mean",
                "false_average",
                "false_fixed",
            ),
            [
                ({"n": str(n), "sd": name}, rates(World(n, spread)))
                for n in (3, 5, 10)
                for name, spread in SPREADS.items()
            ],
        ),
        RateTable(
            "sizes",
            "Smaller and larger tables",
            "A row is six datasets and their average; Table 4 has one row of ours, Table 6 eight (EM and F1 "
            "of four). The promises are for two rows and three seeds or more: with two seeds of unequal "
            'spread a single row is too quick with "not reproduced", and in large tables the intervals are '
            "wider than they would have to be.",
            (*COVERAGE, "found_all", "false_fixed"),
            [
                (
                    {"n": str(n), "rows": str(rows), "sd": name},
                    rates(World(n, tuple(np.resize(SPREADS[name], 6 * rows).tolist()))),
                )
                for n in (2, 3, 5)
                for rows in (1, 2, 8)
                for name in ("0.5", ".2 to 1.0")
            ],
        ),
        RateTable(
            "variance",
            "Why the variance is moderated (3 seeds)",
            "d0 = 0 is the standard deviation of each cell alone, d0 = 4 is ours, full pooling gives every "
            "cell the table's.",
            (*COVERAGE, "reproduced", "found_all"),
            [
                ({"d0": label, "sd": name}, rates(World(3, SPREADS[name]), d0=d0))
                for label, d0 in (("0", 0.0), ("4", 4.0), ("full pooling", 1e9))
                for name in ("0.5", ".2 to 1.0", "in .3, out .8")
            ],
        ),
        RateTable(
            "published",
            "What is assumed about the paper's runs (sd .5)",
            "The paper's number is the mean of so many runs; the verdict assumes n_pub. Naive: the 95 % "
            "confidence interval of our mean alone. Correlated: the cells of one seed rise and fall "
            "together, correlation .5.",
            (*COVERAGE, "naive_coverage", "found_all", "false_printed", "false_mean"),
            [
                (
                    {
                        "n": str(n),
                        "runs": f"{runs}, correlated" if correlation else str(runs),
                        "n_pub": str(n_pub),
                    },
                    rates(World(n, SPREADS["0.5"], runs, correlation), n_pub=n_pub),
                )
                for n in (3, 5, 10)
                for runs, n_pub, correlation in (
                    (1, 1, 0.0),
                    (1, 1, 0.5),
                    (3, 1, 0.0),
                    (3, 3, 0.0),
                    (1, 3, 0.0),
                )
            ],
        ),
    ]
