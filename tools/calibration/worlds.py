"""What `tools.calibration` simulates: the worlds, row by row, and the tables that their rates fill."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tools.calibration.simulated_claims import (
    EvaluationSets,
    claim_coverage,
    claim_table_rates,
    confirmation_rates,
    separate_coverage,
)
from tools.calibration.simulated_tables import Rates, World, reproduction_rates

SPREADS = {f"{sd:g}": (sd,) * 12 for sd in (0.3, 0.5, 0.8, 1.0)} | {
    ".2 to 1.0": tuple(0.2 + 0.8 * i / 11 for i in (0, 11, 3, 8, 5, 6, 1, 10, 2, 9, 4, 7)),
    "in .3, out .8": (0.3,) * 6 + (0.8,) * 6,
}
EVALUATION_SETS = (
    EvaluationSets("1 dataset, 1,500 questions, 750 contexts", 1, 750, 1500),
    EvaluationSets("1 dataset, 258 questions, 31 contexts", 1, 31, 258),
    EvaluationSets("6 datasets, 500 questions, 250 contexts", 6, 250, 500),
)

Row = dict[str, str | float]


@dataclass(frozen=True, slots=True)
class RateTable:
    """One table of the report. columns: (key in the rows, heading). A float is a share, shown in percent,
    unless its key is in `plain`.
    """

    key: str
    title: str
    note: str
    columns: tuple[tuple[str, str], ...]
    plain: tuple[str, ...] = ()
    rows: list[Row] = field(default_factory=list)


Simulation = tuple[str, Row, Callable[[np.random.Generator], Rates]]
"""Table key, what identifies the row, and the simulation of its figures."""


def tables() -> list[RateTable]:
    """The tables of the report, without rows."""
    coverage = (("coverage", "interval covers"), ("worst_coverage", "worst cell"))
    alarm = ("false_alarm", 'false "not reproduced", per table')
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
                ("n", "seeds"),
                ("sd", "sd"),
                alarm,
                *coverage,
                ("reproduced", "no gap: reproduced"),
                ("found_one", "one off by 1.5: found"),
                ("found_all", "all off by 1.5: found"),
                ("false_printed", "gap = margin: reproduced (printed)"),
                ("false_mean", "the same (mean)"),
                ("false_average", "the same, averages (printed)"),
                ("false_fixed", "gap from the printed number = margin: reproduced (printed)"),
            ),
        ),
        RateTable(
            "sizes",
            "Smaller and larger tables",
            "A row is six datasets and their average; Table 4 has one row of ours, Table 6 eight (EM and F1 "
            "of four). The promises are for"
            " two rows and three seeds or more: with two seeds of unequal spread a single row is too quick "
            'with "not reproduced", and in'
            " large tables the intervals are wider than they would have to be.",
            (
                ("n", "seeds"),
                ("rows", "rows"),
                ("sd", "sd"),
                alarm,
                *coverage,
                ("found_all", "all off by 1.5: found"),
                ("false_fixed", "gap from the printed number = margin: reproduced (printed)"),
            ),
        ),
        RateTable(
            "variance",
            "Why the variance is moderated (3 seeds)",
            "d0 = 0 is the standard deviation of each cell alone, d0 = 4 is ours, full pooling gives every "
            "cell the table's.",
            (
                ("d0", "d0"),
                ("sd", "sd"),
                alarm,
                *coverage,
                ("reproduced", "no gap: reproduced"),
                ("found_all", "all off by 1.5: found"),
            ),
        ),
        RateTable(
            "published",
            "What is assumed about the paper's runs (sd .5)",
            "The paper's number is the mean of so many runs; the verdict assumes n_pub. Naive: the 95 % "
            "confidence interval of our mean alone. Correlated: the cells of one seed rise and fall "
            "together, correlation .5.",
            (
                ("n", "seeds"),
                ("runs", "runs behind it"),
                ("n_pub", "assumed"),
                alarm,
                *coverage,
                ("naive_coverage", "naive interval covers"),
                ("found_all", "all off by 1.5: found"),
                ("false_printed", "gap = margin: reproduced (printed)"),
                ("false_mean", "the same (mean)"),
            ),
        ),
        RateTable(
            "claims",
            "Coverage of nominal 95 % intervals of a claim",
            "Seeds crossed with contexts (ours), Student's t over seeds, bootstrap over contexts. sd: of "
            "one seed's difference. Two seeds get an interval but no verdict, and are outside the bounds.",
            (
                ("n", "seeds"),
                ("sd", "sd"),
                ("layout", "test sets"),
                ("crossed", "crossed"),
                ("seeds_only", "seeds only"),
                ("examples_only", "examples only"),
                ("width", "half width (points)"),
            ),
            ("width",),
        ),
        RateTable(
            "separate",
            "Coverage where seeds are separate (ST) or not paired",
            "6 datasets of 500 questions, sd .8.",
            (("a", "arm a"), ("b", "arm b"), ("rows", "rows"), ("crossed", "crossed")),
        ),
        RateTable(
            "seeds",
            "Seeds needed to confirm +1.2 at 80 % power",
            "`seeds_needed`, and how often that many seeds find the difference.",
            (("sd", "sd of one seed's difference"), ("seeds", "seeds"), ("power", "power")),
            ("seeds",),
        ),
        RateTable(
            "verdicts",
            "Verdicts on tables of ten claims of +1.2 (sd .5)",
            "Shares of the claims, and of the tables with any verdict but undecided: where nothing is true, "
            "the false alarms.",
            (
                ("n", "seeds"),
                ("truth", "true difference"),
                ("upheld", "upheld"),
                ("smaller than claimed", "smaller than claimed"),
                ("contradicted", "contradicted"),
                ("any", "tables with any"),
            ),
        ),
    ]


def jobs(repetitions: int) -> list[Simulation]:
    """Every row of every table with the simulation that fills it."""
    made: list[Simulation] = []
    claims = max(1, repetitions // 10)

    def add(table: str, row: Row, simulate: Callable[..., Rates], *arguments: Any, **options: Any) -> None:
        def run(rng: np.random.Generator) -> Rates:
            return simulate(*arguments, rng=rng, **options)

        made.append((table, row, run))

    for n in (3, 5, 10):
        for name in SPREADS:
            add(
                "reproduction",
                {"n": str(n), "sd": name},
                reproduction_rates,
                World(n, SPREADS[name]),
                repetitions,
            )
    for n in (2, 3, 5):
        for count in (1, 2, 8):
            for name in ("0.5", ".2 to 1.0"):
                spreads = tuple(np.resize(SPREADS[name], 6 * count).tolist())
                add(
                    "sizes",
                    {"n": str(n), "rows": str(count), "sd": name},
                    reproduction_rates,
                    World(n, spreads),
                    repetitions,
                )
    for label, d0 in (("0", 0.0), ("4", 4.0), ("full pooling", 1e9)):
        for name in ("0.5", ".2 to 1.0", "in .3, out .8"):
            add(
                "variance",
                {"d0": label, "sd": name},
                reproduction_rates,
                World(3, SPREADS[name]),
                repetitions,
                d0=d0,
            )
    for n in (3, 5, 10):
        for runs, n_pub, correlation in ((1, 1, 0.0), (1, 1, 0.5), (3, 1, 0.0), (3, 3, 0.0), (1, 3, 0.0)):
            world = World(n, SPREADS["0.5"], runs, correlation)
            row: Row = {
                "n": str(n),
                "runs": f"{runs}" + (", correlated" if correlation else ""),
                "n_pub": str(n_pub),
            }
            add("published", row, reproduction_rates, world, repetitions, n_pub=n_pub)
    for n in (2, 3, 5, 10):
        for sd in (0.3, 0.5, 0.8, 1.0):
            for layout in EVALUATION_SETS:
                add(
                    "claims",
                    {"n": str(n), "sd": f"{sd:g}", "layout": layout.name},
                    claim_coverage,
                    layout,
                    n,
                    sd,
                    claims,
                )
    for seeds, separate, paired in (
        ((3, 3), (True, True), True),
        ((3, 3), (True, True), False),
        ((3, 3), (False, True), True),
        ((3, 3), (False, True), False),
        ((5, 3), (False, False), False),
    ):
        arms = [
            f"{'ST' if is_separate else 'MT'}, {n} seeds"
            for n, is_separate in zip(seeds, separate, strict=True)
        ]
        row = {"a": arms[0], "b": arms[1], "rows": "paired" if paired else "not paired"}
        add("separate", row, separate_coverage, EVALUATION_SETS[2], seeds, separate, paired, 0.8, claims)
    for sd in (0.3, 0.5, 0.8, 1.0):
        add("seeds", {"sd": f"{sd:g}"}, confirmation_rates, 1.2, sd, claims)
    for n in (3, 5, 10):
        for share, truth in ((0.0, "0"), (0.5, "+0.6"), (1.0, "+1.2")):
            add("verdicts", {"n": str(n), "truth": truth}, claim_table_rates, n, share, claims)
    return made
