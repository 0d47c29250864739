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
