"""Claims: is arm A better than arm B, for new seeds and new examples?

Seeds cross examples: every seed's model answers every example, so both are random factors of one two-way
table. For D datasets, y_s the macro difference of seed s, C_d contexts in dataset d:

    Var = s^2(y)/S + D^-2 sum_d max(0, MS_context,d - MS_residual,d) / (S C_d)

with Satterthwaite's degrees of freedom; for D = 1 this is (MS_seed + MS_context - MS_residual) / (S C).
Contexts hold different numbers of questions; context c with m_c of N questions and the sum T_sc enters as
z_sc = (C/N) (T_sc - theta m_c), the linearised ratio, whose mean over c is the score of seed s less the
overall score theta. Equal sizes give back the context's mean.

Arms that are trained apart on every dataset (ST) have seeds per dataset and add the datasets' seed variances
instead: D^-2 sum_d s_d^2 / S_d.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmark.statistics.paired import Interval, PairedScores, check_scores, context_sums, seed_count
from benchmark.statistics.resampling import CONDITIONAL, paired_bootstrap
from benchmark.statistics.t_tests import ALPHA, LEVEL, Array, holm, seeds_needed, t_quantile, t_two_sided

UPHELD, SMALLER, CONTRADICTED, UNDECIDED = "upheld", "smaller than claimed", "contradicted", "undecided"
NO_VERDICT, NO_DATA = "no verdict", "no data"
CROSSED = "crossed seeds x contexts"
FEWEST_SEEDS = 3
RESAMPLES = 2000
"""Of the bootstrap that stands in for the crossed interval where an arm has one seed."""

Component = tuple[float, float]
"""A term of the variance (it may be negative) and its degrees of freedom."""


@dataclass(frozen=True, slots=True)
class ClaimData:
    """A claim of the paper and our interval for it.

    Attributes:
        direction: +1 where a - b > 0 is claimed, -1 where a - b < 0, 0 where no difference beyond `size` is.
        interval: of the difference a - b, or None without data (`reason` says why).
        size: the claimed amount (its sign is ignored), or None.
        size_half_unit: half of its rounding unit; for a difference of two printed numbers the sum of theirs.
    """

    key: str
    direction: int
    interval: Interval | None
    size: float | None = None
    size_half_unit: float = 0.05
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class ClaimVerdict:
    """What is said about one claim.

    Attributes:
        p_holm: adjusted over the claims of the table with at least 3 seeds per arm.
        seeds_needed: seeds to confirm the claimed size (without a size: what we see) at 80 % power, examples
            as they are; None where it cannot be told or no number is enough.
        effect_ratio: our difference over the claimed one.
    """

    verdict: str
    reason: str
    p_holm: float | None = None
    seeds_needed: int | None = None
    effect_ratio: float | None = None


def claim_interval(
    scores: Sequence[PairedScores],
    paired_seeds: bool = True,
    separate_a: bool = False,
    separate_b: bool = False,
) -> Interval:
    """Interval of the macro difference a - b over the D datasets of `scores`, for new seeds and new contexts.
    Where an arm has one seed: that of `paired_bootstrap`, conditional on these seeds.

    Args:
        scores: one per dataset.
        paired_seeds: row s of a and row s of b belong together (their difference is one observation);
            otherwise the arms' seed variances add and the arms may have different numbers of seeds.
        separate_a, separate_b: the arm is trained apart on every dataset (ST); otherwise row s is one model
            on all datasets (MT). Paired seeds with only one separate arm pair by row, which is valid and
            costs degrees of freedom.

    Raises:
        ValueError: naming the dataset with one context only, or where the numbers of seeds do not fit
            together.
    """
    check_scores(scores)
    _check_seeds(scores, paired_seeds, separate_a, separate_b)
    if seed_count(scores) == 1:
        return paired_bootstrap(scores, RESAMPLES)
    means_a, means_b = list[Array](), list[Array]()
    examples: list[Component] = []
    for entry in scores:
        sums_a, sums_b, sizes = context_sums(entry)
        if len(sizes) < 2:
            raise ValueError(
                f"{entry.dataset}: one context only; an interval for new examples needs at least 2"
            )
        means_a.append(sums_a.sum(1) / sizes.sum())
        means_b.append(sums_b.sum(1) / sizes.sum())
        arms = [sums_a - sums_b] if paired_seeds else [sums_a, sums_b]
        examples += _context_components(arms, sizes, len(scores))
    seeds = (
        _seed_components(list(map(np.subtract, means_a, means_b)), separate_a and separate_b)
        if paired_seeds
        else _seed_components(means_a, separate_a) + _seed_components(means_b, separate_b)
    )
    estimate = sum(float(a.mean() - b.mean()) for a, b in zip(means_a, means_b, strict=True)) / len(scores)
    method = CROSSED + ("" if paired_seeds else ", seeds unpaired")
    return _t_interval(estimate, seeds, examples, seed_count(scores), method)


def seed_interval(a: Sequence[float], b: Sequence[float], paired_seeds: bool = True) -> Interval:
    """Interval of mean(a) - mean(b) for one scalar per seed (weight deviation, spread of F1 over datasets),
    for new seeds.

    Paired: Student's t on the differences; unpaired: Welch's. One seed per arm: the estimate without an
    interval.

    Raises:
        ValueError: for no values, values that are not finite, or paired arms of different lengths.
    """
    x, y = np.asarray(a, float), np.asarray(b, float)
    if not x.size or not y.size or not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError(
            f"seed_interval: each arm needs at least one finite value, found {list(a)} and {list(b)}"
        )
    if paired_seeds and x.size != y.size:
        raise ValueError(f"seed_interval: paired arms have {x.size} and {y.size} seeds")
    seeds, estimate = min(x.size, y.size), float(x.mean() - y.mean())
    if seeds == 1:
        return Interval(estimate, None, None, None, 1, f"one value per side, {CONDITIONAL}")
    observed, method = ([x - y], "seeds (t)") if paired_seeds else ([x, y], "seeds (Welch's t)")
    components = [_variance_of_mean(values) for values in observed]
    return _t_interval(estimate, components, [], seeds, method)


def judge_claims(claims: Sequence[ClaimData]) -> list[ClaimVerdict]:
    """Judge one table's claims, in their order.

    no data → no verdict (one seed per arm) → undecided (two seeds) → upheld (Holm p below ALPHA, claimed
    direction) or smaller than claimed (and the interval lies below the claimed size) → contradicted (Holm p
    below ALPHA, other side) → undecided. A claim of no difference beyond `size`: upheld when two one-sided
    tests say so (Holm), contradicted when the interval lies beyond `size`, else undecided. Holm runs over the
    claims with at least 3 seeds per arm and some variance between seeds.

    Raises:
        ValueError: naming the claim whose direction or size makes no sense.
    """
    for claim in claims:
        if claim.direction not in (-1, 0, 1) or (claim.size is not None and not math.isfinite(claim.size)):
            raise ValueError(
                f"claim {claim.key}: direction {claim.direction} must be -1, 0 or 1 "
                f"and size {claim.size} finite"
            )
        if claim.direction == 0 and not claim.size:
            raise ValueError(
                f"claim {claim.key}: a claim of no difference needs the size that it may not exceed"
            )
    early = [_early_verdict(claim) for claim in claims]
    judged = [i for i, verdict in enumerate(early) if verdict is None]
    adjusted = dict(zip(judged, holm([_p(claims[i]) for i in judged]).tolist(), strict=True))
    return [
        ClaimVerdict(
            *(early[i] or _verdict(claim, adjusted[i])),
            p_holm=adjusted.get(i),
            seeds_needed=_seeds_to_confirm(claim),
            effect_ratio=_effect_ratio(claim),
        )
        for i, claim in enumerate(claims)
    ]


def _check_seeds(
    scores: Sequence[PairedScores], paired_seeds: bool, separate_a: bool, separate_b: bool
) -> None:
    """Raises ValueError where rows cannot be paired, or one model should cover datasets with unequal numbers
    of rows.
    """
    first = scores[0]
    for entry in scores:
        if paired_seeds and len(entry.a) != len(entry.b):
            raise ValueError(f"{entry.dataset}: paired arms have {len(entry.a)} and {len(entry.b)} seeds")
        for name, separate in (("a", separate_a), ("b", separate_b)):
            tied = not separate or (paired_seeds and not (separate_a and separate_b))
            seeds, others = len(getattr(first, name)), len(getattr(entry, name))
            if tied and seeds != others:
                raise ValueError(
                    f"arm {name} has {seeds} seeds on {first.dataset} but {others} on {entry.dataset}"
                )


def _seed_components(by_dataset: Sequence[Array], separate: bool) -> list[Component]:
    """Seed variance of the macro mean of seed means, (S_d,) per dataset: s^2(y)/S; separate: the datasets'
    added.
    """
    rows = [row / len(by_dataset) for row in by_dataset]
    if not separate:
        rows = [np.sum(rows, axis=0)]
    return [_variance_of_mean(row) for row in rows]


def _variance_of_mean(values: Array) -> Component:
    """Variance of the mean of S values and its S - 1 degrees of freedom; exactly 0 where all values agree to
    rounding.
    """
    alike = np.ptp(values) <= 1e-12 * (1 + np.abs(values).max())
    return (0.0 if alike else float(np.var(values, ddof=1))) / len(values), len(values) - 1.0


def _context_components(arms: Sequence[Array], sizes: Array, datasets: int) -> list[Component]:
    """(MS_context - MS_residual) / (S C D^2) of one dataset from sums over contexts, arms of (S, C); empty
    where it is not above 0.
    """
    contexts, examples = len(sizes), sizes.sum()
    z = [(contexts / examples) * (sums - sums.sum() / examples / len(sums) * sizes) for sums in arms]
    column = z[0].mean(0) - (z[1].mean(0) if len(z) > 1 else 0.0)
    terms = [(float(column @ column) / (contexts - 1), contexts - 1.0)]
    for arm in z:
        residual = arm - arm.mean(0) - arm.mean(1, keepdims=True)
        df = (len(arm) - 1.0) * (contexts - 1)
        terms.append((-float((residual**2).sum()) / df / len(arm), df))
    if sum(value for value, _ in terms) <= 0:
        return []
    return [(value / contexts / datasets**2, df) for value, df in terms]


def _t_interval(
    estimate: float,
    seeds: list[Component],
    examples: list[Component],
    n_seeds: int,
    method: str,
) -> Interval:
    """Student's interval from variance components; no variance at all: no width and p 1, for nothing can be
    tested.
    """
    seed_variance, example_variance = (sum(value for value, _ in terms) for terms in (seeds, examples))
    variance = seed_variance + example_variance
    df, se, away, p = n_seeds - 1.0, 0.0, 0.0, 1.0
    if variance > 0:
        df = max(1.0, variance**2 / sum(value**2 / df for value, df in seeds + examples))
        se = math.sqrt(variance)
        away, p = float(t_quantile((1 + LEVEL) / 2, df)) * se, float(t_two_sided(estimate / se, df))
    seed_sd, example_se = math.sqrt(seed_variance * n_seeds), math.sqrt(example_variance)
    return Interval(
        estimate, estimate - away, estimate + away, p, n_seeds, method, se, df, seed_sd, example_se
    )


def _early_verdict(claim: ClaimData) -> tuple[str, str] | None:
    """The verdict and reason of a claim that is not tested, or None."""
    interval = claim.interval
    if interval is None:
        return NO_DATA, claim.reason or "no runs of both rows"
    if interval.se is None:  # one seed per arm, or resampled
        return NO_VERDICT, ("one seed per side: " if interval.n_seeds == 1 else "") + interval.method
    if not interval.seed_sd:
        return (
            UNDECIDED,
            "every seed gives the same difference: no variance to judge with (is the seed used?)",
        )
    if interval.n_seeds < FEWEST_SEEDS:
        return UNDECIDED, f"{interval.n_seeds} seeds per side: a verdict needs at least {FEWEST_SEEDS}"
    return None


def _p(claim: ClaimData) -> float:
    """p of no difference, two-sided; for a claim of no difference beyond `size`, of the two one-sided tests
    (the larger).
    """
    interval = claim.interval
    assert interval is not None and interval.p is not None  # only claims without an early verdict come here
    if claim.direction or interval.se is None or interval.df is None:
        return interval.p
    inside = (abs(claim.size or 0.0) - abs(interval.estimate)) / interval.se
    half = float(t_two_sided(inside, interval.df)) / 2
    return half if inside > 0 else 1 - half


def _verdict(claim: ClaimData, p_holm: float) -> tuple[str, str]:
    interval = claim.interval
    assert interval is not None and interval.low is not None and interval.high is not None  # as in _p
    size = abs(claim.size or 0.0)
    shown = f"{interval.estimate:+.2f} [{interval.low:+.2f}, {interval.high:+.2f}]"
    if claim.direction == 0:
        if p_holm < ALPHA:
            return UPHELD, f"{shown} lies within ±{size:g} (Holm p {p_holm:.2g})"
        if interval.low > size or interval.high < -size:
            return CONTRADICTED, f"{shown} lies beyond ±{size:g}"
        return UNDECIDED, f"{shown} does not settle ±{size:g}"
    if p_holm >= ALPHA:
        return UNDECIDED, f"{shown} (Holm p {p_holm:.2g})"
    if interval.estimate * claim.direction < 0:
        return CONTRADICTED, f"{shown} is on the other side (Holm p {p_holm:.2g})"
    far = interval.high if claim.direction > 0 else -interval.low
    if claim.size is not None and far < size - claim.size_half_unit:
        return SMALLER, f"{shown} lies below the claimed {claim.direction * size:+g}"
    return UPHELD, f"{shown} (Holm p {p_holm:.2g})"


def _effect_ratio(claim: ClaimData) -> float | None:
    """Our difference over the claimed one."""
    claimed = claim.direction * abs(claim.size or 0.0)
    return claim.interval.estimate / claimed if claim.interval and claimed else None


def _seeds_to_confirm(claim: ClaimData) -> int | None:
    """Seeds at which the claimed size (without one: what we see) would be found; None for a claim of no
    difference.
    """
    interval = claim.interval
    effect = abs(claim.size or (interval.estimate if interval else 0.0))
    if interval is None or not interval.seed_sd or not effect or not claim.direction:
        return None
    return seeds_needed(effect, interval.seed_sd, interval.example_se or 0.0)
