"""Student's t, Holm's correction, power and seeds needed: what both questions (reproduction, claim) share.

scipy.special is imported inside the functions: it costs a quarter of a second, and a command that only asks
for `--help` does not need it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

ALPHA, LEVEL = 0.05, 0.95
"""The level of every test, and of every interval."""
POWER = 0.8
"""The probability with which so many seeds confirm a claim or settle a cell."""
MOST_SEEDS = 1000
"""No answer to "how many seeds?" beyond this: nobody trains that many."""


def t_quantile(probability: float, df: ArrayLike) -> Any:
    """Quantile of Student's t at `probability`; `df` broadcasts."""
    from scipy.special import stdtrit

    return stdtrit(np.asarray(df, float), probability)


def t_two_sided(statistic: ArrayLike, df: ArrayLike) -> Any:
    """Two-sided p value of a t statistic: 2 P(T > |statistic|); `statistic` and `df` broadcast."""
    from scipy.special import stdtr

    return 2.0 * stdtr(np.asarray(df, float), -np.abs(np.asarray(statistic, float)))


def holm(p: ArrayLike) -> Array:
    """Holm's step-down adjusted p values over the last axis of `p` (..., m): max over j <= i of min(1, (m - j
    + 1) p_(j)).
    """
    p = np.asarray(p, float)
    if p.size and not ((p >= 0) & (p <= 1)).all():  # NaN fails too
        raise ValueError(f"holm: p values must lie in 0..1, found {p[~((p >= 0) & (p <= 1))][0]}")
    order = np.argsort(p, axis=-1, kind="stable")
    factors = np.arange(p.shape[-1], 0, -1)
    stepped = np.maximum.accumulate(np.take_along_axis(p, order, -1) * factors, axis=-1)
    adjusted = np.empty_like(p)
    np.put_along_axis(adjusted, order, np.minimum(stepped, 1.0), -1)
    return adjusted


def power(effect: ArrayLike, sd: ArrayLike, n: ArrayLike, example_se: ArrayLike = 0.0) -> Any:
    """Probability that a two-sided t test over n seeds finds a true `effect` (noncentral t), whatever the
    sign it reports.

    sd: standard deviation of one seed's (paired) difference. example_se: the part of the standard error that
    more seeds do not shrink (test examples); the degrees of freedom then follow Satterthwaite, examples
    counting as many. All broadcast; n >= 2.
    """
    from scipy.special import nctdtr

    n, seed_variance = np.asarray(n, float), np.asarray(sd, float) ** 2 / np.asarray(n, float)
    variance = seed_variance + np.asarray(example_se, float) ** 2
    df = np.minimum((n - 1) * (variance / seed_variance) ** 2, 1e6)
    shift, critical = np.abs(effect) / np.sqrt(variance), t_quantile(1 - ALPHA / 2, df)
    # The far tail, the finding of the wrong sign, is below Phi(-shift); scipy gives it as NaN here and there
    # beyond a shift of 4.9.
    wrong_sign = np.nan_to_num(nctdtr(df, shift, -critical))
    return (nctdtr(df, -shift, -critical) + wrong_sign)[()]


def seeds_needed(effect: float, sd: float, example_se: float = 0.0) -> int | None:
    """Fewest seeds (at least 2) at which `power` reaches `POWER`; None where `MOST_SEEDS` do not.

    With sd .3, .5, .8, 1.0 a difference of 1.2 needs 3, 4, 6, 8 seeds at 80 % power.
    """
    if not (np.isfinite([effect, sd, example_se]).all() and sd > 0 and example_se >= 0):
        raise ValueError(
            f"seeds_needed: effect {effect}, sd {sd} (must be above 0), "
            f"example_se {example_se} (must be at least 0)"
        )
    return fewest_seeds(lambda n: power(effect, sd, n, example_se))


def fewest_seeds(power_at: Callable[[Array], Any], first: int = 2) -> int | None:
    """The least n of `first`, …, `MOST_SEEDS` with power_at(n) >= `POWER`, or None; asked in growing
    stretches: mostly few do.
    """
    low, high = first, first + 8
    while low <= MOST_SEEDS:
        n = np.arange(float(low), min(high, MOST_SEEDS + 1))
        enough = np.asarray(power_at(n)) >= POWER
        if enough.any():
            return int(n[np.argmax(enough)])
        low, high = high, 4 * high
    return None
