"""The claims half of `benchmark.statistics`; test_reproduction.py has the rest."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from benchmark.statistics.claims import (
    RESAMPLES,
    ClaimData,
    ClaimVerdict,
    _t_interval,
    claim_interval,
    judge_claims,
    seed_interval,
)
from benchmark.statistics.paired import Interval, PairedScores
from benchmark.statistics.resampling import approximate_randomization, paired_bootstrap
from benchmark.statistics.t_tests import seeds_needed, t_quantile, t_two_sided


def paired(
    name: str = "SQuAD",
    seeds: int = 4,
    contexts: int = 30,
    sizes: int | None = 2,
    gain: float = 2.0,
    seed: int = 0,
) -> PairedScores:
    rng = np.random.default_rng(seed)
    clusters = (
        np.repeat(np.arange(contexts), sizes)
        if sizes
        else np.r_[np.arange(contexts), rng.integers(0, contexts, 3 * contexts)]
    )
    shape = (seeds, len(clusters))
    a, b = (
        60 + shift + 10 * rng.standard_normal(shape) + rng.standard_normal((seeds, 1))
        for shift in (gain, 0.0)
    )
    return PairedScores(name, a + 5 * rng.standard_normal(contexts)[clusters], b, clusters)


def two_way(x: np.ndarray) -> tuple[float, float, float, float]:
    """Var and the three mean squares of an (S, C) table, from the definitions."""
    seeds, contexts = x.shape
    rows, columns, grand = x.mean(1), x.mean(0), x.mean()
    ms_seed = contexts * ((rows - grand) ** 2).sum() / (seeds - 1)
    ms_context = seeds * ((columns - grand) ** 2).sum() / (contexts - 1)
    residual = x - rows[:, None] - columns + grand
    ms_residual = (residual**2).sum() / ((seeds - 1) * (contexts - 1))
    return (ms_seed + ms_context - ms_residual) / (seeds * contexts), ms_seed, ms_context, ms_residual


def test_crossed_variance_and_satterthwaite_by_definition() -> None:
    scores = paired()
    x = (scores.a - scores.b).reshape(4, 30, 2).mean(2)
    variance, ms_seed, ms_context, ms_residual = two_way(x)
    df = variance**2 * (4 * 30) ** 2 / (ms_seed**2 / 3 + ms_context**2 / 29 + ms_residual**2 / 87)
    interval = claim_interval([scores])
    assert interval.estimate == pytest.approx(x.mean())
    assert (interval.se, interval.df) == pytest.approx((math.sqrt(variance), df))
    away = stats.t.ppf(0.975, df) * math.sqrt(variance)
    assert (interval.low, interval.high) == pytest.approx((x.mean() - away, x.mean() + away))
    assert interval.p == pytest.approx(2 * stats.t.sf(abs(x.mean()) / math.sqrt(variance), df))
    assert interval.seed_sd == pytest.approx(x.mean(1).std(ddof=1))
    assert interval.example_se == pytest.approx(math.sqrt((ms_context - ms_residual) / 120))
    assert (interval.n_seeds, interval.method) == (4, "crossed seeds x contexts")


def test_mean_squares_agree_with_least_squares() -> None:
    x = np.random.default_rng(0).standard_normal((3, 6))
    seed, context = np.kron(np.eye(3), np.ones((6, 1))), np.kron(np.ones((3, 1)), np.eye(6))

    def residual(*designs: np.ndarray) -> float:
        design = np.hstack(designs)
        return float(((x.ravel() - design @ np.linalg.lstsq(design, x.ravel(), rcond=None)[0]) ** 2).sum())

    one = np.ones((18, 1))
    full = residual(seed, context)
    expected = ((residual(context) - full) / 2, (residual(seed) - full) / 5, full / 10)
    assert two_way(x)[1:] == pytest.approx(expected)
    assert residual(one) == pytest.approx(2 * expected[0] + 5 * expected[1] + full)


def test_macro_average_of_datasets_with_shared_seeds() -> None:
    scores = [paired("a", seed=1), paired("b", contexts=20, seed=2)]
    tables = [(s.a - s.b).reshape(4, -1, 2).mean(2) for s in scores]
    y = np.mean([x.mean(1) for x in tables], axis=0)
    examples = sum(max(0.0, two_way(x)[2] - two_way(x)[3]) / x.size for x in tables) / 4
    interval = claim_interval(scores)
    assert interval.estimate == pytest.approx(y.mean())
    assert interval.se**2 == pytest.approx(y.var(ddof=1) / 4 + examples)


def test_separate_seeds_add_the_datasets_variances() -> None:
    scores = [paired("a", seed=1, seeds=3), paired("b", contexts=20, seed=2, seeds=5)]
    tables = [(s.a - s.b).reshape(len(s.a), -1, 2).mean(2) for s in scores]
    expected = (
        sum(x.mean(1).var(ddof=1) / len(x) + max(0.0, two_way(x)[2] - two_way(x)[3]) / x.size for x in tables)
        / 4
    )
    interval = claim_interval(scores, separate_a=True, separate_b=True)
    assert interval.se**2 == pytest.approx(expected) and interval.n_seeds == 3
    assert claim_interval(scores[::-1], separate_a=True, separate_b=True).n_seeds == 3  # wherever it stands
    with pytest.raises(ValueError, match="arm a has 3 seeds on a but 5 on b"):
        claim_interval(scores)


def test_an_arm_with_one_seed_on_one_dataset_gets_no_verdict_wherever_it_stands() -> None:
    scores = [paired("a", seeds=3), paired("b", contexts=20, seed=2, seeds=1)]
    for order in (scores, scores[::-1]):
        interval = claim_interval(order, separate_a=True, separate_b=True)
        assert (interval.n_seeds, interval.se) == (1, None)
        assert judge_claims([ClaimData("c", 1, interval)])[0].verdict == "no verdict"


@pytest.mark.parametrize("separate", ["a", "b"])
def test_of_unpaired_arms_the_one_that_is_trained_apart_adds_its_datasets_variances(separate: str) -> None:
    """The other arm's rows are models on all datasets: theirs is the variance of the macro mean."""
    rng = np.random.default_rng(7)
    apart = [70 + 3 * rng.standard_normal((n, 1)) + np.zeros((n, 12)) for n in (3, 5)]
    whole = [60 + rng.standard_normal((4, 1)) + np.zeros((4, 12)) for _ in range(2)]
    a, b = (apart, whole) if separate == "a" else (whole, apart)
    scores = [PairedScores(name, a[i], b[i], np.arange(12)) for i, name in enumerate("xy")]
    interval = claim_interval(
        scores, paired_seeds=False, separate_a=separate == "a", separate_b=separate == "b"
    )
    added = sum(arm.mean(1).var(ddof=1) / len(arm) for arm in apart) / 4
    shared = np.mean([arm.mean(1) for arm in whole], axis=0).var(ddof=1) / 4
    assert interval.se**2 == pytest.approx(added + shared)
    assert (interval.n_seeds, interval.method) == (3, "crossed seeds x contexts, seeds unpaired")
    with pytest.raises(ValueError, match=f"arm {separate} has 3 seeds on x but 5 on y"):
        claim_interval(scores, paired_seeds=False)


def test_two_contexts_are_enough_and_negative_terms_leave_one_degree_of_freedom() -> None:
    a = np.array([[1.0, 5.0], [2.0, 8.0]])
    assert claim_interval([PairedScores("d", a, np.zeros((2, 2)), np.arange(2))]).low is not None
    interval = _t_interval(1.0, [(0.5, 2.0)], [(1.0, 3.0), (-0.9, 9.0)], 3, "m")
    assert interval.df == 1.0 and interval.se == pytest.approx(math.sqrt(0.6))
    assert interval.seed_sd == pytest.approx(math.sqrt(1.5))
    assert interval.example_se == pytest.approx(math.sqrt(0.1))
    larger = _t_interval(1.0, [(0.5, 2.0)], [(1.0, 3.0), (-0.2, 9.0)], 3, "m")
    assert larger.df == pytest.approx(1.3**2 / (0.25 / 2 + 1 / 3 + 0.04 / 9))


def test_paired_seeds_of_one_separate_arm_pair_by_row() -> None:
    """One model on all datasets against models trained apart: row s of both is one observation, whichever is
    apart.
    """
    rng = np.random.default_rng(5)
    scores = [
        PairedScores(
            name, 80 + rng.standard_normal((3, 60)), 79 + rng.standard_normal((3, 60)), np.arange(60) // 2
        )
        for name in ("one", "two")
    ]
    together = claim_interval(scores)
    assert claim_interval(scores, separate_a=True) == together == claim_interval(scores, separate_b=True)
    assert claim_interval(scores, separate_a=True, separate_b=True).df != together.df


def test_unpaired_arms_with_different_seeds() -> None:
    full = paired(seeds=5)
    scores = PairedScores("d", full.a, full.b[:3], full.clusters)
    a, b = full.a.reshape(5, 30, 2).mean(2), full.b[:3].reshape(3, 30, 2).mean(2)
    columns = a.mean(0) - b.mean(0)
    examples = columns.var(ddof=1) - two_way(a)[3] / 5 - two_way(b)[3] / 3
    interval = claim_interval([scores], paired_seeds=False)
    assert interval.estimate == pytest.approx(a.mean() - b.mean())
    assert interval.se**2 == pytest.approx(
        a.mean(1).var(ddof=1) / 5 + b.mean(1).var(ddof=1) / 3 + max(0.0, examples) / 30
    )
    assert interval.n_seeds == 3
    with pytest.raises(ValueError, match="d: paired arms have 5 and 3 seeds"):
        claim_interval([scores])


def test_examples_that_no_context_binds_leave_student_over_seeds() -> None:
    rng = np.random.default_rng(0)
    a = 60 + rng.standard_normal((4, 1)) + np.zeros((4, 50))  # no example effect at all
    interval = claim_interval([PairedScores("d", a, np.zeros((4, 50)), np.arange(50))])
    low, high = stats.t.interval(0.95, 3, a.mean(), stats.sem(a.mean(1)))
    assert (interval.low, interval.high, interval.df, interval.example_se) == pytest.approx((low, high, 3, 0))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 5), st.booleans())
def test_interval_invariances(seed: int, seeds: int, paired_seeds: bool) -> None:
    scores = paired(seeds=seeds, sizes=None, contexts=8, seed=seed)
    first = claim_interval([scores], paired_seeds=paired_seeds)
    rng = np.random.default_rng(seed)
    order, rows = rng.permutation(scores.a.shape[1]), rng.permutation(seeds)
    labels = np.array([f"context {c}" for c in scores.clusters])
    again = claim_interval(
        [PairedScores("x", scores.a[rows][:, order], scores.b[rows][:, order], labels[order])],
        paired_seeds=paired_seeds,
    )
    flipped = claim_interval(
        [PairedScores("x", scores.b, scores.a, scores.clusters)], paired_seeds=paired_seeds
    )
    assert first.low <= first.estimate <= first.high
    assert first.estimate == pytest.approx(float(scores.a.mean() - scores.b.mean()))
    assert (again.low, again.high, again.df) == pytest.approx((first.low, first.high, first.df))
    assert (flipped.low, flipped.high) == pytest.approx((-first.high, -first.low))
    assert (first.p < 0.05) == (first.low > 0 or first.high < 0)


def test_bad_scores_name_the_dataset() -> None:
    good = np.zeros((2, 3))
    with pytest.raises(ValueError, match="SQuAD: arm b has a score"):
        PairedScores("SQuAD", good, np.full((2, 3), math.nan), np.arange(3))
    with pytest.raises(ValueError, match="SQuAD: no examples"):
        PairedScores("SQuAD", np.zeros((2, 0)), np.zeros((2, 0)), np.arange(0))
    with pytest.raises(ValueError, match="SQuAD: arm a has 3 examples, arm b 4"):
        PairedScores("SQuAD", good, np.zeros((2, 4)), np.arange(3))
    with pytest.raises(ValueError, match="SQuAD: arm a has shape"):
        PairedScores("SQuAD", np.zeros(3), good, np.arange(3))
    with pytest.raises(ValueError, match="SQuAD: one context only"):
        claim_interval([PairedScores("SQuAD", good, good, np.zeros(3))])
    scores = PairedScores("SQuAD", good, good, np.arange(3))
    with pytest.raises(ValueError, match="only once"):
        claim_interval([scores, scores])
    with pytest.raises(ValueError, match="none"):
        claim_interval([])
    with pytest.raises(ValueError, match="only once"):
        paired_bootstrap([scores, scores], 10)
    with pytest.raises(ValueError, match=r"SQuAD: arm a has shape \(0, 3\)"):
        PairedScores("SQuAD", np.zeros((0, 3)), good, np.arange(3))
    with pytest.raises(ValueError, match="SQuAD: arm a has a score"):
        PairedScores("SQuAD", np.full((2, 3), math.inf), good, np.arange(3))
    for clusters in (np.arange(4), np.zeros((3, 2)), np.zeros((1, 3))):
        with pytest.raises(ValueError, match=r"SQuAD: .*the same examples"):
            PairedScores("SQuAD", good, good, clusters)


# A scalar a seed


def test_seed_interval_agrees_with_scipy() -> None:
    a, b = [3.0, 4.0, 5.5, 4.4], [2.0, 3.5, 3.0, 4.1]
    paired_oracle = stats.ttest_rel(a, b)
    interval = seed_interval(a, b)
    assert (interval.p, interval.df) == pytest.approx((paired_oracle.pvalue, 3))
    assert interval.seed_sd == pytest.approx(np.subtract(a, b).std(ddof=1))
    assert (interval.method, interval.n_seeds, interval.example_se) == ("seeds (t)", 4, 0.0)
    assert (interval.low, interval.high) == pytest.approx(tuple(paired_oracle.confidence_interval(0.95)))
    welch, b = stats.ttest_ind(a, b[:3], equal_var=False), b[:3]
    interval = seed_interval(a, b, paired_seeds=False)
    assert (interval.p, interval.df, interval.n_seeds) == pytest.approx((welch.pvalue, welch.df, 3))
    assert (interval.low, interval.high) == pytest.approx(tuple(welch.confidence_interval(0.95)))


def test_seed_interval_of_one_seed_and_bad_values() -> None:
    one = seed_interval([2.0], [1.5])
    assert (one.estimate, one.low, one.p, one.n_seeds) == (0.5, None, None, 1) and "conditional" in one.method
    assert one.method == "one value per side, conditional on these seeds"
    few = seed_interval([2.0, 4.0], [1.0], paired_seeds=False)  # one seed of either arm allows no interval
    assert (few.estimate, few.low, few.se, few.n_seeds) == (2.0, None, None, 1)
    assert seed_interval([1.0, 2.0], [0.0, 0.5], paired_seeds=False).method == "seeds (Welch's t)"
    for a, b in (([], [1.0]), ([math.nan], [1.0]), ([1.0], []), ([1.0], [math.inf])):
        with pytest.raises(ValueError, match="finite"):
            seed_interval(a, b)
    with pytest.raises(ValueError, match="2 and 1 seeds"):
        seed_interval([1.0, 2.0], [1.0])


# Resampling


def test_one_seed_gives_a_conditional_bootstrap_and_no_verdict() -> None:
    scores = paired(seeds=1)
    interval = claim_interval([scores])
    assert "conditional on these seeds" in interval.method and interval.n_seeds == 1 and interval.se is None
    assert interval == paired_bootstrap([scores], RESAMPLES) and RESAMPLES == 2000
    assert interval.p == approximate_randomization([scores], RESAMPLES)
    close = [paired(seeds=1, gain=0.5)]
    assert paired_bootstrap(close, 300, 5).p == approximate_randomization(close, 300, 5)
    assert approximate_randomization(close, 300, 5) != approximate_randomization(close, 300)
    verdict = judge_claims([ClaimData("c", 1, interval, 2.0)])[0]
    assert (verdict.verdict, verdict.p_holm) == ("no verdict", None)
    assert verdict.reason == f"one seed per side: {interval.method}"
    one = seed_interval([2.0], [1.0])
    scalar = judge_claims([ClaimData("c", 1, one, 2.0)])[0]
    assert (scalar.verdict, scalar.effect_ratio, one.estimate, one.p) == ("no verdict", 0.5, 1.0, None)
    resampled = judge_claims([ClaimData("c", 1, paired_bootstrap([paired(seeds=4)], 200), 2.0)])[0]
    assert resampled.verdict == "no verdict" and resampled.reason == interval.method


def test_bootstrap_agrees_with_scipy_and_with_theory() -> None:
    scores = paired(seeds=3, contexts=200, sizes=1)
    x = (scores.a - scores.b).mean(0)
    ours = paired_bootstrap([scores], 20_000)
    theirs = stats.bootstrap(
        (x,), np.mean, n_resamples=20_000, method="percentile", rng=0
    ).confidence_interval
    assert ours.estimate == pytest.approx(x.mean())
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.03)
    assert (ours.high - ours.low) / 2 == pytest.approx(1.96 * x.std() / math.sqrt(200), rel=0.03)


def test_bootstrap_draws_whole_contexts() -> None:
    one = paired(contexts=40, sizes=1, seeds=1)
    tripled = PairedScores(
        "x", np.repeat(one.a, 3, axis=1), np.repeat(one.b, 3, axis=1), np.repeat(one.clusters, 3)
    )
    assert (paired_bootstrap([tripled]).low, paired_bootstrap([tripled]).high) == pytest.approx(
        (paired_bootstrap([one]).low, paired_bootstrap([one]).high)
    )
    as_examples = PairedScores("x", tripled.a, tripled.b, np.arange(120))
    shrunk = (paired_bootstrap([as_examples]).high - paired_bootstrap([as_examples]).low) / (
        paired_bootstrap([one]).high - paired_bootstrap([one]).low
    )
    assert shrunk == pytest.approx(1 / math.sqrt(3), rel=0.1)


def test_resampling_is_seeded_and_blocks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    scores = [paired("a", seeds=2), paired("b", contexts=20, seeds=2, seed=5)]
    first = paired_bootstrap(scores, 500)
    assert first == paired_bootstrap(scores, 500) and first != paired_bootstrap(scores, 500, rng_seed=1)
    for block in (100, 2):  # 2: less than the contexts, and less than the bytes of their signs
        monkeypatch.setattr("benchmark.statistics.resampling.BLOCK", block)
        again = paired_bootstrap(scores, 500)
        assert again.low == pytest.approx(first.low)
        assert again.p == first.p and 0.002 < first.p < 0.9


def test_ten_thousand_resamples_of_17_000_examples_and_5_seeds_take_under_five_seconds() -> None:
    """Of processor time: bootstrap and randomization together, every example a context of its own."""
    rng = np.random.default_rng(0)
    a, b = (100.0 * (rng.random((5, 17_000)) < share) for share in (0.80, 0.79))
    began = time.process_time()
    seen = paired_bootstrap([PairedScores("SearchQA", a, b, np.arange(17_000))], 10_000)
    assert time.process_time() - began < 5
    se = (a - b).mean(0).std() / math.sqrt(17_000)
    assert (seen.high - seen.low) / 2 == pytest.approx(1.96 * se, rel=0.03)


def test_randomization_agrees_with_the_exact_test() -> None:
    scores = paired(seeds=1, contexts=11, sizes=1, gain=3.0, seed=4)
    x = (scores.a - scores.b)[0]
    signs = 1 - 2 * ((np.arange(2**11)[:, None] >> np.arange(11)) & 1)
    exact = (np.abs(signs @ x) >= abs(x.sum()) - 1e-9).mean()
    assert 0.005 < exact < 0.9
    assert approximate_randomization([scores], 40_000) == pytest.approx(
        exact, abs=4 * math.sqrt(exact / 40_000) + 1e-4
    )


def test_randomization_of_several_datasets_is_that_of_their_macro_difference() -> None:
    """Exactly, over all signs: 8 and 5 contexts of unlike sizes, each dataset counting as much."""
    rng = np.random.default_rng(3)
    clusters = [np.repeat(np.arange(n), 1 + np.arange(n) % 3) for n in (8, 5)]
    scores = [
        PairedScores(name, rng.random((2, len(c))) + shift, rng.random((2, len(c))), c)
        for name, c, shift in zip("ab", clusters, (0.3, -0.1), strict=True)
    ]
    sums = [
        np.bincount(c, (one.a - one.b).mean(0)) / len(c) / 2 for one, c in zip(scores, clusters, strict=True)
    ]
    weights = np.concatenate(sums)
    signs = 1 - 2 * ((np.arange(2**13)[:, None] >> np.arange(13)) & 1)
    exact = (np.abs(signs @ weights) >= abs(weights.sum()) - 1e-9).mean()
    assert 0.02 < exact < 0.9
    p = approximate_randomization(scores, 20_000)
    assert p == pytest.approx(exact, abs=4 * math.sqrt(exact / 20_000))
    whole = paired_bootstrap(scores, 2000)
    assert whole.estimate == pytest.approx(weights.sum()) and whole.n_seeds == 2
    assert whole.low < whole.estimate < whole.high


def test_a_swap_with_the_very_same_difference_counts() -> None:
    alike = PairedScores("x", np.ones((1, 5)), np.zeros((1, 5)), np.arange(5))  # 2 of 32 signs do
    assert approximate_randomization([alike], 20_000) == pytest.approx(1 / 16, abs=0.01)


@pytest.mark.parametrize(
    ("differences", "exact"),
    [
        ((2.8, 2.5, 0.2, 0.4, 1.5), 1 / 16),  # all signs alike, whatever their sum is rounded to
        ((1.0, 0.004), 1 / 2),  # .996 is less than 1.004, if not by much
    ],
)
def test_a_swap_is_as_large_up_to_rounding_and_no_more(differences: tuple[float, ...], exact: float) -> None:
    row = np.array([differences])
    scores = PairedScores("x", row, 0 * row, np.arange(len(differences)))
    assert approximate_randomization([scores], 20_000) == pytest.approx(exact, abs=0.01)


def test_randomization_of_equal_and_of_very_different_arms() -> None:
    same = PairedScores("x", np.ones((2, 9)), np.ones((2, 9)), np.arange(9))
    assert approximate_randomization([same], 200) == 1.0
    apart = PairedScores("x", np.ones((2, 50)), np.zeros((2, 50)), np.arange(50))
    assert approximate_randomization([apart], 999) == pytest.approx(1 / 1000)


# Claim verdicts


def interval(estimate: float, half: float, n: int = 5, se: float | None = None, df: float = 20.0) -> Interval:
    se = half / float(t_quantile(0.975, df)) if se is None else se
    return Interval(
        estimate,
        estimate - half,
        estimate + half,
        float(t_two_sided(estimate / se, df)),
        n,
        "made up",
        se,
        df,
        se * 2,
        0.0,
    )


def test_claim_verdicts() -> None:
    claims = [
        ClaimData("up", 1, interval(1.2, 0.5), 1.2),
        ClaimData("up without size", 1, interval(1.2, 0.5)),
        ClaimData("small", 1, interval(0.4, 0.2), 1.2),
        ClaimData("small, negative", -1, interval(-0.4, 0.2), -1.2),
        ClaimData("against", 1, interval(-1.2, 0.5), 1.2),
        ClaimData("open", 1, interval(0.3, 0.5), 1.2),
        ClaimData("two", 1, interval(9.0, 0.5, n=2), 1.2),
        ClaimData("none", 1, None, 1.2, reason="no runs of arm mask"),
    ]
    verdicts = judge_claims(claims)
    assert [v.verdict for v in verdicts] == [
        "upheld",
        "upheld",
        "smaller than claimed",
        "smaller than claimed",
        "contradicted",
        "undecided",
        "undecided",
        "no data",
    ]
    assert verdicts[7].reason == "no runs of arm mask" and "at least 3" in verdicts[6].reason
    assert verdicts[2].effect_ratio == verdicts[3].effect_ratio == pytest.approx(1 / 3)
    assert verdicts[4].effect_ratio == pytest.approx(-1.0)
    assert [v.p_holm is None for v in verdicts] == [False] * 6 + [True] * 2
    assert verdicts[5].p_holm == pytest.approx(claims[5].interval.p)  # the largest of the six is not raised


@pytest.mark.parametrize(
    ("claim", "verdict", "reason"),
    [
        (ClaimData("c", 1, interval(1.2, 0.5), 1.2), "upheld", "+1.20 [+0.70, +1.70] (Holm p 6.8e-05)"),
        (
            ClaimData("c", -1, interval(-0.4, 0.2), 1.2),
            "smaller than claimed",
            "-0.40 [-0.60, -0.20] lies below the claimed -1.2",
        ),
        (
            ClaimData("c", 1, interval(-1.2, 0.5), 1.2),
            "contradicted",
            "-1.20 [-1.70, -0.70] is on the other side (Holm p 6.8e-05)",
        ),
        (ClaimData("c", 1, interval(0.3, 0.5), 1.2), "undecided", "+0.30 [-0.20, +0.80] (Holm p 0.23)"),
        (
            ClaimData("c", 0, interval(0.1, 0.4), 1.0),
            "upheld",
            "+0.10 [-0.30, +0.50] lies within ±1 (Holm p 7e-05)",
        ),
        (
            ClaimData("c", 0, interval(2.0, 0.5), -1.0),
            "contradicted",
            "+2.00 [+1.50, +2.50] lies beyond ±1",
        ),
        (ClaimData("c", 0, interval(0.8, 0.6), 1.0), "undecided", "+0.80 [+0.20, +1.40] does not settle ±1"),
        (ClaimData("c", 1, None), "no data", "no runs of both rows"),
        (
            ClaimData("c", 1, interval(9.0, 0.5, n=2)),
            "undecided",
            "2 seeds per side: a verdict needs at least 3",
        ),
    ],
)
def test_a_verdict_says_its_reason(claim: ClaimData, verdict: str, reason: str) -> None:
    judged = judge_claims([claim])[0]
    assert (judged.verdict, judged.reason) == (verdict, reason)


def test_three_seeds_are_enough_and_fewer_do_not_count_in_holms_correction() -> None:
    weak = interval(1.0, 0.9, n=3)
    claims = [ClaimData("c", 1, weak), *(ClaimData(f"{k}", 1, interval(0.0, 1.0, n=2)) for k in range(9))]
    assert (judge_claims(claims)[0].verdict, judge_claims(claims)[0].p_holm) == ("upheld", weak.p)
    assert judge_claims([]) == []


def test_what_a_claim_of_no_difference_or_without_runs_does_not_say() -> None:
    far = judge_claims([ClaimData("c", 0, interval(2.0, 0.5), 1.0)])[0]
    assert (far.seeds_needed, far.effect_ratio) == (None, None) and far.p_holm > 0.99
    edge = judge_claims([ClaimData("c", 0, interval(-1.0, 0.5), 1.0)])[0]
    assert edge.p_holm == pytest.approx(0.5)
    absent = judge_claims([ClaimData("c", 1, None, 1.2)])[0]
    assert absent == ClaimVerdict("no data", "no runs of both rows")
    level = judge_claims([ClaimData("c", 1, interval(0.0, 0.5))])[0]
    assert (level.seeds_needed, level.effect_ratio) == (None, None)  # no number of seeds finds nothing


@pytest.mark.parametrize("size", [math.inf, math.nan])
def test_a_claimed_size_is_a_finite_number(size: float) -> None:
    with pytest.raises(ValueError, match=r"claim c: direction 1 must be -1, 0 or 1 and size \w+ finite"):
        judge_claims([ClaimData("c", 1, None, size)])
    with pytest.raises(ValueError, match="claim c: a claim of no difference needs the size"):
        judge_claims([ClaimData("c", 0, None, 0.0)])


def test_smaller_than_claimed_respects_rounding() -> None:
    near = interval(0.9, 0.26)  # up to 1.16; the claimed 1.2 may be 1.15 before rounding
    assert judge_claims([ClaimData("c", 1, near, 1.2)])[0].verdict == "upheld"
    below = interval(-0.9, 0.26)  # the same of a claimed fall: the far end is the low one
    assert judge_claims([ClaimData("c", -1, below, 1.2)])[0].verdict == "upheld"
    assert (
        judge_claims([ClaimData("c", 1, near, 1.2, size_half_unit=0.0)])[0].verdict == "smaller than claimed"
    )


def test_holm_makes_a_lone_finding_among_many_undecided() -> None:
    weak = interval(1.0, 0.9)
    assert weak.p < 0.05
    assert judge_claims([ClaimData("c", 1, weak)])[0].verdict == "upheld"
    many = judge_claims(
        [ClaimData("c", 1, weak), *(ClaimData(f"{k}", 1, interval(0.0, 1.0)) for k in range(9))]
    )
    assert many[0].verdict == "undecided" and many[0].p_holm == pytest.approx(10 * weak.p)
    spared = judge_claims([ClaimData("c", 1, weak), *(ClaimData(f"{k}", 1, None) for k in range(9))])
    assert spared[0].verdict == "upheld"


def test_claims_of_no_difference() -> None:
    inside, beyond, open_ = (
        ClaimData("c", 0, interval(e, h), 1.0) for e, h in ((0.1, 0.4), (2.0, 0.5), (0.8, 0.6))
    )
    assert [judge_claims([claim])[0].verdict for claim in (inside, beyond, open_)] == [
        "upheld",
        "contradicted",
        "undecided",
    ]
    mirrored = [ClaimData("c", 0, interval(e, h), 1.0) for e, h in ((-0.1, 0.4), (-2.0, 0.5), (-0.8, 0.6))]
    assert [judge_claims([claim])[0].verdict for claim in mirrored] == ["upheld", "contradicted", "undecided"]
    assert judge_claims([inside])[0].p_holm == pytest.approx(stats.t.sf((1.0 - 0.1) / inside.interval.se, 20))
    with pytest.raises(ValueError, match="claim c: a claim of no difference"):
        judge_claims([ClaimData("c", 0, interval(0.1, 0.4))])
    with pytest.raises(ValueError, match="claim c: direction 2"):
        judge_claims([ClaimData("c", 2, interval(0.1, 0.4))])


def test_identical_runs_decide_nothing() -> None:
    a, clusters = np.full((3, 20), 61.0), np.arange(20)
    for b in (a, a - 5):
        seen = claim_interval([PairedScores("d", a, b, clusters)])
        assert (seen.low, seen.high, seen.p) == (seen.estimate, seen.estimate, 1.0)
        verdict = judge_claims([ClaimData("c", 1, seen, 1.0)])[0]
        assert (
            verdict.verdict == "undecided"
            and "same difference" in verdict.reason
            and verdict.seeds_needed is None
        )


def test_seeds_needed_of_a_claim() -> None:
    assert judge_claims([ClaimData("c", 1, seed_interval([1.0, 2.0, 1.5], [1.0, 1.0, 1.0]), 1.2)])[
        0
    ].seeds_needed == seeds_needed(1.2, 0.5)
    assert judge_claims([ClaimData("c", 1, seed_interval([1.0, 2.0, 1.5], [1.0, 1.0, 1.0]))])[
        0
    ].seeds_needed == seeds_needed(0.5, 0.5)
    measured = Interval(-1.2, -2.0, -0.4, 0.01, 4, "m", 0.4, 9.0, 0.8, 0.3)  # a fall, and noise of examples
    claims = [ClaimData("c", -1, measured), ClaimData("c", -1, measured, -1.2), ClaimData("c", 1, measured)]
    assert [one.seeds_needed for one in judge_claims(claims)] == [seeds_needed(1.2, 0.8, 0.3)] * 3 == [8] * 3
