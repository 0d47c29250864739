"""Descriptive figures that a table's footer shows; nothing is decided with them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np


def cv_star(values: Sequence[float]) -> float | None:
    """CV* (Belz et al., small-sample coefficient of variation) in percent: (1 + 1/4n) (s / c4) / |m| * 100.

    c4(n) = sqrt(2 / (n - 1)) Gamma(n/2) / Gamma((n-1)/2) makes the standard deviation unbiased for normal
    values. None for fewer than 2 values or a mean of 0, where it has no meaning.
    """
    n = len(values)
    if n < 2 or np.mean(values) == 0:
        return None
    c4 = math.sqrt(2 / (n - 1)) * math.exp(math.lgamma(n / 2) - math.lgamma((n - 1) / 2))
    return float((1 + 1 / (4 * n)) * np.std(values, ddof=1) / c4 / abs(np.mean(values)) * 100)


def effect_ratio(ours: Sequence[float], published: Sequence[float]) -> float | None:
    """Our mean difference over the paper's, over the same comparisons: 1 is the paper's effect, 0 none.

    None without comparisons or where the paper's mean difference is 0.
    """
    _check_pairs("effect_ratio", ours, published)
    return float(np.mean(ours) / np.mean(published)) if len(ours) and np.mean(published) != 0 else None


def sign_agreement(ours: Sequence[float], published: Sequence[float]) -> tuple[int, int]:
    """(k, K): of the K comparisons with a published difference other than 0, ours has the same sign in k.

    A 0 of ours does not agree.
    """
    _check_pairs("sign_agreement", ours, published)
    ours_sign, published_sign = np.sign(ours), np.sign(published)
    counted = published_sign != 0
    return int((ours_sign == published_sign)[counted].sum()), int(counted.sum())


def kendall_tau_b(x: Sequence[float], y: Sequence[float]) -> float | None:
    """Kendall's tau-b (ties corrected) between two rankings of the same things; None for fewer than 2 or
    where one side is all ties.
    """
    _check_pairs("kendall_tau_b", x, y)
    above = np.triu_indices(len(x), 1)
    dx, dy = (np.sign(np.subtract.outer(v, v)[above]) for v in (np.asarray(x, float), np.asarray(y, float)))
    ties = float(np.abs(dx).sum() * np.abs(dy).sum())
    return float((dx * dy).sum() / math.sqrt(ties)) if ties else None


def _check_pairs(function: str, x: Sequence[float], y: Sequence[float]) -> None:
    if len(x) != len(y):
        raise ValueError(f"{function}: {len(x)} values against {len(y)}")
