"""The tables on claims, and the test sets and seeds that they simulate."""

from __future__ import annotations

from functools import partial

from benchmark.statistics.claims import CONTRADICTED, SMALLER, UPHELD
from tools.calibration.rate_tables import RateTable
from tools.calibration.simulated_claims import (
    EvaluationSets,
    claim_coverage,
    claim_table_rates,
    confirmation_rates,
    separate_coverage,
)

SIX = EvaluationSets("6 datasets, 500 questions, 250 contexts", 6, 250, 500)
EVALUATION_SETS = (
    EvaluationSets("1 dataset, 1,500 questions, 750 contexts", 1, 750, 1500),
    EvaluationSets("1 dataset, 258 questions, 31 contexts", 1, 31, 258),
    SIX,
)
SPREADS = (0.3, 0.5, 0.8, 1.0)
ARMS = (
    ((3, 3), (True, True), True),
    ((3, 3), (True, True), False),
    ((3, 3), (False, True), True),
    ((3, 3), (False, True), False),
    ((5, 3), (False, False), False),
)
"""Seeds of two arms, whether each is separate (ST), and whether the rows are paired."""


def claim_tables(claims: int) -> list[RateTable]:
    """The tables, with `claims` simulated claims, or tables of claims, per row."""
    return [
        RateTable(
            "claims",
            "Coverage of nominal 95 % intervals of a claim",
            "Seeds crossed with contexts (ours), Student's t over seeds, bootstrap over contexts. sd: of "
            "one seed's difference. Two seeds get an interval but no verdict, and are outside the bounds.",
            ("crossed", "seeds_only", "examples_only", "width"),
            [
                (
                    {"n": str(n), "sd": f"{sd:g}", "layout": layout.name},
                    partial(claim_coverage, layout, n, sd, claims),
                )
                for n in (2, 3, 5, 10)
                for sd in SPREADS
                for layout in EVALUATION_SETS
            ],
        ),
        RateTable(
            "separate",
            "Coverage where seeds are separate (ST) or not paired",
            "6 datasets of 500 questions, sd .8.",
            ("crossed",),
            [
                (
                    {
                        "a": _arm(separate[0], seeds[0]),
                        "b": _arm(separate[1], seeds[1]),
                        "rows": "paired" if paired else "not paired",
                    },
                    partial(separate_coverage, SIX, seeds, separate, paired, 0.8, claims),
                )
                for seeds, separate, paired in ARMS
            ],
        ),
        RateTable(
            "seeds",
            "Seeds needed to confirm +1.2 at 80 % power",
            "`seeds_needed`, and how often that many seeds find the difference.",
            ("seeds", "power"),
            [({"sd": f"{sd:g}"}, partial(confirmation_rates, 1.2, sd, claims)) for sd in SPREADS],
            {"sd": "sd of one seed's difference"},
        ),
        RateTable(
            "verdicts",
            "Verdicts on tables of ten claims of +1.2 (sd .5)",
            "Shares of the claims, and of the tables with any verdict but undecided: where nothing is true, "
            "the false alarms.",
            (UPHELD, SMALLER, CONTRADICTED, "any"),
            [
                ({"n": str(n), "truth": truth}, partial(claim_table_rates, n, share, claims))
                for n in (3, 5, 10)
                for share, truth in ((0.0, "0"), (0.5, "+0.6"), (1.0, "+1.2"))
            ],
        ),
    ]


def _arm(separate: bool, seeds: int) -> str:
    return f"{'ST' if separate else 'MT'}, {seeds} seeds"
