"""The statistics of `benchmark.compare`: pure functions on arrays and small dataclasses; numpy and
scipy.special, no files.

    reproduction   judge_cells: is the published number what this pipeline gives?
    claims         claim_interval, seed_interval, judge_claims: is arm A better than arm B? (seeds x examples)
    paired         two arms' scores of the same examples, and the interval of their difference
    resampling     paired_bootstrap, approximate_randomization: for one seed per arm
    t_tests        t, Holm, power, seeds needed
    effect_sizes   CV*, effect ratio, sign agreement, Kendall's tau-b

Why each is what it is: docs/calibration.md, which `python -m tools.calibration` writes by simulating these
functions.
"""

from benchmark.statistics.claims import (
    ClaimData,
    ClaimVerdict,
    Interval,
    PairedScores,
    claim_interval,
    judge_claims,
    seed_interval,
)
from benchmark.statistics.effect_sizes import cv_star, effect_ratio, kendall_tau_b, sign_agreement
from benchmark.statistics.reproduction import (
    CellData,
    CellVerdict,
    ReproductionRule,
    TableStatistics,
    judge_arrays,
    judge_cells,
    moderated_sd,
)
from benchmark.statistics.resampling import approximate_randomization, paired_bootstrap
from benchmark.statistics.t_tests import holm, power, seeds_needed, t_quantile, t_two_sided

__all__ = [
    "CellData",
    "CellVerdict",
    "ClaimData",
    "ClaimVerdict",
    "Interval",
    "PairedScores",
    "ReproductionRule",
    "TableStatistics",
    "approximate_randomization",
    "claim_interval",
    "cv_star",
    "effect_ratio",
    "holm",
    "judge_arrays",
    "judge_cells",
    "judge_claims",
    "kendall_tau_b",
    "moderated_sd",
    "paired_bootstrap",
    "power",
    "seed_interval",
    "seeds_needed",
    "sign_agreement",
    "t_quantile",
    "t_two_sided",
]
