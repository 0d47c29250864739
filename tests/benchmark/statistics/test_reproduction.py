from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower
from statsmodels.stats.weightstats import DescrStatsW

from benchmark.statistics.effect_sizes import cv_star, effect_ratio, kendall_tau_b, sign_agreement
from benchmark.statistics.reproduction import (
    CellData,
    CellVerdict,
    ReproductionRule,
    _seeds_to_settle,
    judge_arrays,
    judge_cells,
    moderated_sd,
)
from benchmark.statistics.t_tests import (
    ALPHA,
    fewest_seeds,
    holm,
    power,
    seeds_needed,
    t_quantile,
    t_two_sided,
)

p_values = st.lists(st.floats(0, 1), min_size=1, max_size=20)


# Student's t, Holm, power


def test_t_agrees_with_scipy() -> None:
    df = np.array([1.0, 2.5, 6.0, 1e5])
    assert t_quantile(0.975, df) == pytest.approx(stats.t.ppf(0.975, df), rel=1e-9)
    assert t_two_sided([-2.0, 0.0, 1.0, 3.0], df) == pytest.approx(
        2 * stats.t.sf([2.0, 0.0, 1.0, 3.0], df), rel=1e-9
    )


@settings(max_examples=20, deadline=None)  # the oracle takes a tenth of a second
@given(p_values)
def test_holm_agrees_with_statsmodels(p: list[float]) -> None:
    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1], abs=1e-12)


@settings(max_examples=50, deadline=None)
@given(p_values)
def test_holm_is_monotone_and_never_below_p(p: list[float]) -> None:
    adjusted = holm(p)
    assert (adjusted >= np.array(p)).all() and (adjusted <= 1).all()
    assert (np.diff(adjusted[np.argsort(p, kind="stable")]) >= 0).all()


def test_holm_by_hand_on_the_last_axis() -> None:
    assert holm([[0.01, 0.04, 0.03], [0.5, 0.5, 0.001]]).tolist() == pytest.approx(
        np.array([[0.03, 0.06, 0.06], [1.0, 1.0, 0.003]])
    )
    assert holm([]).shape == (0,)
    for outside in (math.nan, -0.1, 1.1):
        with pytest.raises(ValueError, match=rf"holm: p values must lie in 0..1, found {outside}"):
            holm([0.1, outside])
    assert holm([0.0, 1.0]).tolist() == [0.0, 1.0]


@pytest.mark.parametrize(
    ("effect", "sd", "n"), [(1.2, 0.5, 4), (0.3, 1.0, 10), (-2.0, 1.5, 3), (0.0, 1.0, 5)]
)
def test_power_agrees_with_statsmodels(effect: float, sd: float, n: int) -> None:
    assert power(effect, sd, n) == pytest.approx(TTestPower().power(abs(effect) / sd, n, 0.05), abs=1e-8)


@settings(max_examples=100)
@given(st.floats(0, 20), st.floats(0.05, 3), st.floats(0, 0.5))
def test_power_is_a_probability_and_grows_with_seeds(effect: float, sd: float, example_se: float) -> None:
    found = power(effect, sd, np.arange(2.0, 60.0), example_se)
    assert np.isfinite(found).all() and (found >= ALPHA - 1e-9).all() and (found <= 1 + 1e-9).all()
    if example_se == 0:
        assert (np.diff(found) >= -1e-9).all()


def test_power_of_large_effects_is_not_lost_in_the_far_tail() -> None:
    """scipy's noncentral t is NaN in the tail of the wrong sign here; seeds_needed then skipped 3 and
    answered 7.
    """
    oracle = [
        float(stats.nct.sf(stats.t.ppf(0.975, n - 1), n - 1, 1.5 / 0.31945 * math.sqrt(n)))
        for n in (2, 3, 4, 5)
    ]
    assert power(1.5, 0.31945, np.array([2.0, 3.0, 4.0, 5.0])) == pytest.approx(oracle, abs=1e-9)
    assert seeds_needed(1.5, 0.31945) == 3


@pytest.mark.parametrize(("effect", "sd"), [(1.2, 0.5), (0.4, 0.6), (0.3, 1.1), (2.0, 0.9)])
def test_seeds_needed_agree_with_statsmodels(effect: float, sd: float) -> None:
    exact = TTestPower().solve_power(effect / sd, nobs=None, alpha=0.05, power=0.8)
    assert seeds_needed(effect, sd) == math.ceil(exact)


def test_seeds_needed_are_those_of_the_design_and_the_smallest() -> None:
    assert [seeds_needed(1.2, sd) for sd in (0.3, 0.5, 0.8, 1.0)] == [3, 4, 6, 8]
    for sd in (0.5, 1.0, 3.0):
        n = seeds_needed(1.2, sd)
        assert n is not None and power(1.2, sd, n) >= 0.8 > power(1.2, sd, n - 1)


@pytest.mark.parametrize(("first_enough", "answer"), [(2, 2), (10, 10), (40, 40), (1000, 1000), (1001, None)])
def test_seeds_are_asked_for_up_to_a_thousand_and_no_further(first_enough: int, answer: int | None) -> None:
    assert fewest_seeds(lambda n: n >= first_enough) == answer
    assert fewest_seeds(lambda n: n >= first_enough, first=1000) == (1000 if answer else None)
    assert fewest_seeds(lambda n: n >= first_enough, first=1001) is None


def test_a_power_of_exactly_four_fifths_is_enough() -> None:
    assert fewest_seeds(lambda n: np.where(n < 5, 0.8 - 1e-12, 0.8)) == 5


def test_seeds_do_not_shrink_the_examples_part() -> None:
    assert [seeds_needed(1.2, 0.8, example_se=se) for se in (0.0, 0.2, 0.3, 0.4, 0.45)] == [6, 6, 8, 28, None]
    assert (
        seeds_needed(1.2, 0.5, example_se=1.0) is None
    )  # even without seed noise: P(|Z + 1.2| > 1.96) = .22
    assert power(1.2, 1e-3, 10, example_se=1.0) == pytest.approx(
        special.ndtr(1.2 - 1.959964) + special.ndtr(-1.2 - 1.959964), abs=1e-4
    )
    for effect, sd, se in ((1.2, 0.0, 0.0), (1.2, -1.0, 0.0), (math.nan, 1.0, 0.0), (1.2, 1.0, -0.1)):
        with pytest.raises(ValueError, match=rf"effect {effect}, sd {sd} .*, example_se {se} "):
            seeds_needed(effect, sd, se)


# Descriptive figures


def test_cv_star_by_hand() -> None:
    values = (80.0, 81.0, 82.0)  # s = 1, c4(3) = sqrt(pi) / 2
    assert cv_star(values) == pytest.approx((1 + 1 / 12) * (1 / (math.sqrt(math.pi) / 2)) / 81 * 100)
    assert cv_star([-value for value in values]) == cv_star(values)  # a share of the mean's amount
    assert (
        cv_star(()) is None
        and cv_star((80.0,)) is None
        and cv_star((-1.0, 1.0)) is None
        and cv_star((5.0, 5.0)) == 0
    )


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=2, max_size=15))
def test_kendall_agrees_with_scipy(pairs: list[tuple[int, int]]) -> None:
    x, y = [float(a) for a, _ in pairs], [float(b) for _, b in pairs]
    tau, oracle = kendall_tau_b(x, y), stats.kendalltau(x, y).statistic
    assert (tau is None and math.isnan(oracle)) or tau == pytest.approx(oracle)


def test_effect_ratio_and_sign_agreement() -> None:
    assert effect_ratio([0.6, 0.2], [1.0, 1.0]) == pytest.approx(0.4)
    assert effect_ratio([1.0], [0.0]) is None and effect_ratio([], []) is None
    assert sign_agreement([0.1, -2.0, 3.0, 0.0, 1.0], [1.0, -0.1, -1.0, 2.0, 0.0]) == (2, 4)
    for function in (effect_ratio, sign_agreement, kendall_tau_b):
        with pytest.raises(ValueError, match=r"2 .*\b1\b"):
            function([1.0, 2.0], [1.0])


# Reproduction


def noisy_cells(count: int = 12, seed: int = 0, shift: dict[int, float] | None = None) -> list[CellData]:
    rng = np.random.default_rng(seed)
    return [
        CellData(
            f"c{i}",
            80.0,
            1,
            tuple(80 + (shift or {}).get(i, 0.0) + 0.4 * rng.standard_normal(3)),
            "average" if i >= 10 else "cell",
        )
        for i in range(count)
    ]


def by_key(cells: list[CellData]) -> dict[str, CellVerdict]:
    return {cell.key: verdict for cell, verdict in zip(cells, judge_cells(cells), strict=True)}


def test_moderated_variance_by_hand() -> None:
    sd, df = moderated_sd([1.0, 2.0, 3.0], [3, 5, 3], ["cell", "cell", "average"], d0=4)
    pool = (2 * 1 + 4 * 4) / 6
    assert sd == pytest.approx([math.sqrt((4 * pool + 2 * 1) / 6), math.sqrt((4 * pool + 4 * 4) / 8), 3.0])
    assert df.tolist() == [6, 6, 2]  # 4 + 2; 4 + 4 but only 6 in the pool; the lone average has its own 2


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0.01, 5), min_size=2, max_size=8), st.floats(0, 50))
def test_moderated_variance_lies_between_own_and_pooled(sd: list[float], d0: float) -> None:
    n = np.full(len(sd), 4)
    moderated, _ = moderated_sd(sd, n, np.zeros(len(sd)), d0)
    pooled = math.sqrt(np.mean(np.square(sd)))
    assert (moderated >= np.minimum(sd, pooled) - 1e-9).all() and (
        moderated <= np.maximum(sd, pooled) + 1e-9
    ).all()


def test_one_cell_alone_is_the_textbook_t_prediction_interval() -> None:
    values = (80.0, 81.0, 83.0)
    verdict = judge_cells([CellData("a", 80.5, 1, values)], ReproductionRule(n_pub=1))[0]
    mean, sd = float(np.mean(values)), float(np.std(values, ddof=1))
    away = stats.t.ppf(0.975, 2) * sd * math.sqrt(1 / 3 + 1)
    assert verdict.pi95 == pytest.approx((mean - away, mean + away))
    assert verdict.p_holm == pytest.approx(2 * stats.t.sf((mean - 80.5 - 0.05) / (sd * math.sqrt(4 / 3)), 2))
    assert [float(figure[0]) for figure in moderated_sd([sd], [3], ["cell"])] == pytest.approx([sd, 2])
    assert (verdict.mean, verdict.n, verdict.delta) == (pytest.approx(mean), 3, pytest.approx(mean - 80.5))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-1.5, 1.5), min_size=3, max_size=6, unique=True), st.floats(-1, 1))
def test_equivalence_is_tost_of_statsmodels(values: list[float], gap: float) -> None:
    if np.std(values) < 1e-6:
        return
    ours = tuple(80 + gap + value for value in values)
    verdict = judge_cells([CellData("a", 80.0, 1, ours)])[0]
    bound = 1.0 - 0.05  # the margin less the rounding
    p = DescrStatsW(np.array(ours)).ttost_mean(80 - bound, 80 + bound)[0]
    assert verdict.ci90 is not None
    assert (verdict.verdict == "reproduced") == (p < 0.05) == (
        verdict.ci90[0] > -1 and verdict.ci90[1] < 1
    ) or abs(p - 0.05) < 1e-9


def test_verdicts_and_their_reasons() -> None:
    cells = noisy_cells(shift={0: 4.0, 1: -4.0, 2: 0.9})
    verdicts = by_key(cells)
    assert verdicts["c0"].verdict == verdicts["c1"].verdict == "not reproduced"
    assert "above" in verdicts["c0"].reason and "below" in verdicts["c1"].reason
    assert verdicts["c3"].verdict == "reproduced" and "±1" in verdicts["c3"].reason
    assert verdicts["c2"].verdict == "inconclusive" and verdicts["c2"].p_holm >= 0.05
    assert {verdict.margin for verdict in verdicts.values()} == {1.0, 0.5}


def test_a_verdict_says_its_reason_and_its_figures() -> None:
    values = {"same": (80.0, 80.1, 80.2), "far": (86.0, 86.1, 86.2), "near": (79.8, 81.0, 82.2)}
    same, far, near = judge_cells([CellData(key, 80.0, 1, ours) for key, ours in values.items()])
    assert same.reason == "the 90% interval of the difference lies within ±1"
    assert far.reason == f"ours is 6.1 above the paper (Holm p {far.p_holm:.2g})"
    (low,) = judge_cells([CellData("low", 80.0, 1, tuple(160 - value for value in values["far"]))])
    assert low.reason == f"ours is 6.1 below the paper (Holm p {low.p_holm:.2g})"
    unsettled = "no number of our seeds settles it against one printed value"
    assert near.reason == f"neither within ±1 nor different; {unsettled}"
    assert (near.seeds_needed, near.n, near.margin) == (None, 3, 1.0)
    for verdict, ours in zip((same, far, near), values.values(), strict=True):
        assert (verdict.mean, verdict.delta) == pytest.approx((np.mean(ours), np.mean(ours) - 80))
        assert sum(verdict.pi95) / 2 == pytest.approx(verdict.mean)
        assert sum(verdict.ci90) / 2 == pytest.approx(verdict.delta)
        assert verdict.sd == pytest.approx(np.std(ours, ddof=1))  # the seeds' own, not the pooled one
        assert verdict.cv_star == cv_star(ours)


def test_several_runs_behind_a_printed_number_narrow_where_it_would_lie() -> None:
    rule, values = ReproductionRule(n_pub=4), (81.0, 82.0, 83.0)
    judged, gated = judge_cells(
        [CellData("a", 80.0, 1, values), CellData("g", 80.0, 1, values, gate="profile mini")], rule
    )
    away = stats.t.ppf(0.975, 2) * math.sqrt(1 / 3 + 1 / 4)
    assert judged.pi95 == pytest.approx((82 - away, 82 + away)) == gated.pi95
    assert judged.p_holm == pytest.approx(2 * stats.t.sf(1.95 / math.sqrt(1 / 3 + 1 / 4), 2))
    assert (gated.cv_star, gated.sd, gated.n, gated.margin) == (cv_star(values), 1.0, 3, None)


def test_averages_lend_cells_no_variance_nor_the_reverse() -> None:
    alike = (80.1,) * 3
    varied = (80.0, 80.2, 80.4)
    for kinds in (("cell", "average"), ("average", "cell")):
        cells = [CellData("a", 80.0, 1, alike, kinds[0]), CellData("b", 80.0, 1, varied, kinds[1])]
        verdicts = judge_cells(cells)
        assert verdicts[0].verdict == "not comparable" and "same value" in verdicts[0].reason
        assert verdicts[0].sd == 0.0 and verdicts[1].p_holm is not None
        lone = judge_cells(cells[1:])[0]
        assert verdicts[1] == lone  # which counts neither in the pool nor in Holm's correction


def test_reproduced_comes_before_not_reproduced() -> None:
    cell = CellData("a", 80.0, 1, (80.499, 80.500, 80.501))
    verdict = judge_cells([cell])[0]
    assert verdict.p_holm < 0.001 and verdict.verdict == "reproduced"  # different, but by less than matters


def test_order_and_gated_cells_change_nothing() -> None:
    cells = noisy_cells(shift={0: 2.0})
    plain = by_key(cells)
    gated = [
        CellData("g", 80.0, 1, (50.0, 90.0, 70.0), gate="another split"),
        CellData("one", 80.0, 1, (99.0,)),
        CellData("none", 80.0, 1, ()),
    ]
    mixed = by_key([gated[0], *reversed(cells), *gated[1:]])
    assert mixed["g"].reason == "another split" and mixed["none"].verdict == "missing"
    for key, verdict in plain.items():
        assert mixed[key].verdict == verdict.verdict
        for figure in ("mean", "p_holm", "pi95", "ci90"):
            assert getattr(mixed[key], figure) == pytest.approx(getattr(verdict, figure))


def test_gated_cells_are_described_from_their_own_seeds() -> None:
    described, alone, empty = judge_cells(
        [
            CellData("g", 80.0, 1, (81.0, 83.0), gate="profile mini"),
            CellData("one", 80.0, 1, (81.0,)),
            CellData("none", 80.0, 1, ()),
        ]
    )
    away = stats.t.ppf(0.975, 1) * math.sqrt(2) * math.sqrt(1.5)
    assert (described.verdict, described.reason, described.delta) == ("not comparable", "profile mini", 2.0)
    assert (
        described.pi95 == pytest.approx((82 - away, 82 + away))
        and described.p_holm is None
        and described.ci90 is None
    )
    assert (alone.verdict, alone.reason, alone.mean, alone.sd, alone.pi95) == (
        "not comparable",
        "fewer than 2 seeds",
        81.0,
        None,
        None,
    )
    assert (empty.verdict, empty.reason, empty.n, empty.mean) == ("missing", "no runs", 0, None)


def test_without_any_variance_nothing_is_judged() -> None:
    same = [CellData("a", 80.0, 1, (80.1,) * 3), CellData("b", 80.0, 1, (79.3,) * 3)]
    assert [verdict.verdict for verdict in judge_cells(same)] == ["not comparable"] * 2
    assert "same value" in judge_cells(same)[0].reason
    lent = judge_cells([*same, CellData("c", 80.0, 1, (80.0, 80.2, 80.4))])
    assert all(verdict.pi95[1] > verdict.pi95[0] and verdict.verdict == "reproduced" for verdict in lent)
    assert [
        verdict.verdict
        for verdict in judge_cells(
            [*same, CellData("c", 80.0, 1, (80.0, 80.2, 80.4))], ReproductionRule(d0=0)
        )
    ][:2] == ["not comparable"] * 2


def test_margin_follows_the_claimed_gain_but_never_widens() -> None:
    def margin(gain: float | None, kind: str = "cell") -> float | None:
        cell = CellData("a", 80.0, 1, (80.0, 80.2, 80.5), kind, gain)  # type: ignore[arg-type]
        return judge_cells([cell])[0].margin

    assert [margin(gain) for gain in (None, 0.5, 0.6, -1.2, 1.9, 2.0, 9.0)] == [
        1.0,
        1.0,
        0.3,
        0.6,
        0.95,
        1.0,
        1.0,
    ]
    assert margin(None, "average") == 0.5 and margin(0.8, "average") == 0.4 and margin(4.0, "average") == 0.5


def test_estimand_mean_asks_for_more() -> None:
    cells = noisy_cells()
    printed, mean = judge_cells(cells), judge_cells(cells, ReproductionRule(estimand="mean"))
    wider = [
        (b.ci90[1] - b.ci90[0] - 0.1) / (a.ci90[1] - a.ci90[0] - 0.1)
        for a, b in zip(printed, mean, strict=True)
    ]
    assert wider == pytest.approx([2.0] * 12)  # sqrt(1/3 + 1) / sqrt(1/3)
    assert sum(v.verdict == "reproduced" for v in mean) < sum(v.verdict == "reproduced" for v in printed)
    assert [v.p_holm for v in mean] == [v.p_holm for v in printed]
    assert judge_cells(cells, ReproductionRule(estimand="mean", n_pub=10**9))[0].ci90 == pytest.approx(
        printed[0].ci90
    )


def test_rounding_is_respected() -> None:
    verdict = judge_cells([CellData("a", 80.1, 1, (80.14, 80.15, 80.13))])[0]
    assert (
        verdict.delta == pytest.approx(0.04) and verdict.p_holm == 1.0
    )  # within half a unit of the last digit
    whole = judge_cells([CellData("a", 80.0, 0, (80.4, 80.5, 80.3))])[0]
    assert whole.p_holm == 1.0


def test_seeds_to_settle_an_inconclusive_cell() -> None:
    cells = noisy_cells(1, shift={0: 0.3})
    first = judge_cells([CellData("a", 80.0, 1, (79.7, 80.3, 81.0))])[0]
    assert (
        cells
        and first.verdict == "inconclusive"
        and first.seeds_needed is not None
        and first.seeds_needed > 3
    )
    assert f"{first.seeds_needed} seeds" in first.reason
    # With that many seeds of the same mean and spread, the verdict comes in about 80 % of draws.
    rng = np.random.default_rng(0)
    n, sd, delta = first.seeds_needed, first.sd, first.delta  # a lone cell's moderated sd is its own
    draws = 80 + delta + sd * rng.standard_normal((4000, n, 1))
    table = judge_arrays(
        draws.mean(1), draws.std(1, ddof=1), [n], np.full((4000, 1), 80.0), [0.05], [1.0], [0]
    )
    assert 0.7 < (table.reproduced | table.not_reproduced).mean() < 0.9
    far = judge_cells([CellData("a", 80.0, 1, (81.0, 82.0, 83.0))])[0]
    assert far.verdict == "inconclusive" and far.seeds_needed is None and "no number" in far.reason


@settings(max_examples=60)
@given(st.integers(2, 6), st.floats(0.05, 1.5), st.floats(-3, 3), st.integers(0, 10**6))
def test_the_seeds_that_would_settle_a_cell_are_more_than_there_are(
    n: int, sd: float, gap: float, seed: int
) -> None:
    """A lone average has the degrees of freedom of its own seeds only: what is asked for must count on no
    more than that.
    """
    rng = np.random.default_rng(seed)
    cells = [
        CellData(f"c{i}", 80.0, 1, tuple(80 + gap + sd * rng.standard_normal(n)), "cell" if i else "average")
        for i in range(4)
    ]
    for verdict in judge_cells(cells):
        assert verdict.seeds_needed is None or (
            verdict.verdict == "inconclusive" and verdict.seeds_needed > n
        )


def test_seeds_to_settle_an_average_among_cells_count_on_its_own_variance_alone() -> None:
    """The four cells lend it no degrees of freedom: with theirs, one seed less would seem to be enough."""
    average = CellData("a", 80.0, 1, (79.8, 80.1, 80.4), "average")
    cells = [CellData(f"c{i}", 80.0, 1, (80.0, 80.1, 80.2)) for i in range(4)]
    *others, asked = judge_cells([*cells, average])
    assert {verdict.verdict for verdict in others} == {"reproduced"}
    assert (asked.verdict, asked.seeds_needed) == ("inconclusive", 7)
    assert judge_cells([average])[0].seeds_needed == 7
    assert _seeds_to_settle(average, asked.delta, asked.sd, ReproductionRule(), 5, 5) == 6


def test_seeds_to_settle_a_lone_average_keep_their_word() -> None:
    rng = np.random.default_rng(1)
    asked = judge_cells([CellData("a", 80.0, 1, (79.8, 80.1, 80.4), "average")])[0]
    assert asked.verdict == "inconclusive" and asked.seeds_needed is not None
    draws = 80 + asked.delta + asked.sd * rng.standard_normal((4000, asked.seeds_needed, 1))
    table = judge_arrays(
        draws.mean(1),
        draws.std(1, ddof=1),
        [asked.seeds_needed],
        np.full((4000, 1), 80.0),
        [0.05],
        [0.5],
        ["average"],
    )
    assert 0.72 < (table.reproduced | table.not_reproduced).mean() < 0.9


@pytest.mark.parametrize(
    ("cells", "pool", "n_pub"), [(1, 1, 1), (1, 12, 1), (2, 2, 1), (3, 12, 1), (30, 12, 1), (4, 12, 3)]
)
def test_seeds_to_settle_a_difference_count_holm_over_the_table(cells: int, pool: int, n_pub: int) -> None:
    """A cell 1.6 off, sd .6: the seeds with which the corrected test finds it with 80 %, by hand."""
    rule, delta, sd = ReproductionRule(n_pub=n_pub), 1.6, 0.6
    cell = CellData("a", 80.0, 1, (81.0, 81.6, 82.2))

    def found(n: int) -> float:
        df = min(rule.d0 + n - 1, pool * (n - 1))
        bar = 0.05 + stats.t.ppf(1 - 0.05 / (2 * cells), df) * sd * math.sqrt(1 / n + 1 / n_pub)
        return float(stats.norm.sf((bar - delta) / (sd / math.sqrt(n))))

    needed = next((n for n in range(4, 1001) if found(n) >= 0.8), None)
    assert (needed is None) == (cells == 30)
    assert _seeds_to_settle(cell, delta, sd, rule, cells, pool) == needed


@pytest.mark.parametrize(
    "rule", [ReproductionRule(estimand="mean", n_pub=3), ReproductionRule(margin_cell=0.8, d0=0)]
)
def test_seeds_to_settle_follow_the_rule(rule: ReproductionRule) -> None:
    """A cell .1 off, sd .5: the seeds with which it is reproduced with 80 %, by hand."""
    cell = CellData("a", 80.0, 1, (79.6, 80.1, 80.6))

    def settled(n: int) -> float:
        df, noise = min(rule.d0 + n - 1, n - 1), 1 / 3 if rule.estimand == "mean" else 0.0
        room = rule.margin_cell - 0.05 - stats.t.ppf(0.95, df) * 0.5 * math.sqrt(1 / n + noise)
        bar = 0.05 + stats.t.ppf(0.975, df) * 0.5 * math.sqrt(1 / n + 1 / rule.n_pub)
        se = 0.5 / math.sqrt(n)
        same = stats.norm.cdf((room - 0.1) / se) - stats.norm.cdf((-room - 0.1) / se) if room > 0 else 0.0
        return max(same, stats.norm.sf((bar - 0.1) / se) + stats.norm.cdf((-bar - 0.1) / se))

    needed = next(n for n in range(4, 1001) if settled(n) >= 0.8)
    assert _seeds_to_settle(cell, 0.1, 0.5, rule, 1, 1) == needed
    verdict = judge_cells([cell], rule)[0]
    assert (verdict.verdict, verdict.seeds_needed) == ("inconclusive", needed)


def test_a_difference_that_is_found_but_lies_within_the_margin_is_reproduced() -> None:
    """Many seeds find any difference: what is within the margin is not called different for that."""
    values = tuple(80.3 + 0.01 * math.sin(i) for i in range(12))
    table = judge_arrays([np.mean(values)], [np.std(values, ddof=1)], [12], [80.0], [0.05], [1.0], ["cell"])
    assert table.p_holm[0] < 1e-4 and table.reproduced[0] and not table.not_reproduced[0]
    assert judge_cells([CellData("a", 80.0, 1, values)])[0].verdict == "reproduced"


def test_bad_numbers_name_the_cell() -> None:
    good = (80.0, 80.1, 80.2)
    with pytest.raises(ValueError, match=r"cell x: .*run 1 is nan"):
        judge_cells([CellData("x", 80.0, 1, (80.0, math.nan, 80.2))])
    with pytest.raises(ValueError, match="cell x: the published value is inf"):
        judge_cells([CellData("x", math.inf, 1, good)])
    with pytest.raises(ValueError, match="cell x: the claimed gain is nan"):
        judge_cells([CellData("x", 80.0, 1, good, claimed_gain=math.nan)])
    for option, value in {
        "margin_cell": 0.0,
        "margin_average": -1.0,
        "d0": -1.0,
        "n_pub": 0,
        "estimand": "both",
    }.items():
        with pytest.raises(ValueError, match=rf"{option} is {value!r}; it must be "):
            ReproductionRule(**{option: value})  # type: ignore[arg-type]
    for option in ("margin_cell", "margin_average", "d0"):
        for value in (math.inf, math.nan):
            with pytest.raises(ValueError, match=option):
                ReproductionRule(**{option: value})  # type: ignore[arg-type]
    assert (ReproductionRule(margin_average=0.0001).margin_cell, ReproductionRule().d0) == (1.0, 4.0)
    with pytest.raises(ValueError, match=r"cell x: the value of run 0 is nan"):
        judge_cells([CellData("x", 80.0, 1, (math.nan,), gate="profile mini")])  # said of gated cells, too
    assert judge_cells([]) == []


def test_arrays_of_tables_agree_with_cells() -> None:
    rng = np.random.default_rng(3)
    groups = np.array(["cell"] * 4 + ["average"])
    ours, published = 80 + rng.standard_normal((7, 3, 5)), np.round(80 + rng.standard_normal((7, 5)), 1)
    margin = np.where(groups == "cell", 1.0, 0.5)
    table = judge_arrays(ours.mean(1), ours.std(1, ddof=1), [3] * 5, published, [0.05] * 5, margin, groups)
    for t in range(7):
        cells = [CellData(f"{c}", published[t, c], 1, tuple(ours[t, :, c]), groups[c]) for c in range(5)]
        verdicts = judge_cells(cells)
        assert [v.p_holm for v in verdicts] == pytest.approx(table.p_holm[t].tolist())
        assert [v.verdict == "reproduced" for v in verdicts] == table.reproduced[t].tolist()
        assert [v.verdict == "not reproduced" for v in verdicts] == table.not_reproduced[t].tolist()


def test_import_is_light() -> None:
    """compare starts in under 2 s: importing the statistics brings in neither scipy nor anything heavier."""
    heavy = {"scipy", "statsmodels", "pandas", "torch", "mlflow"}
    rooms = "claims, effect_sizes, paired, reproduction, resampling, t_tests"
    code = f"from benchmark.statistics import {rooms}; import sys; print({heavy!r} & sys.modules.keys())"
    assert (
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.strip()
        == "set()"
    )
