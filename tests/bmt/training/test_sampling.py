"""Eq. 15 and the draws."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmt.errors import ConfigError
from bmt.settings import SamplingSettings
from bmt.training.sampling import Sampler, TokenBudget, dynamic_weights, size_weights


def sampler(
    kind: str = "dynamic",
    floor: float = 0.02,
    sizes: tuple[int, ...] = (5, 9, 6),
    batch: int = 16,
    seed: int = 0,
) -> Sampler:
    rows = {name: np.arange(size) + 100 for name, size in zip("ABC", sizes, strict=False)}
    return Sampler(rows, batch, SamplingSettings(kind=kind, floor=floor), seed)


def test_weights_are_the_shares_of_the_changes() -> None:
    assert dynamic_weights([60, 80, 50], [50, 83, 43], [1 / 3] * 3, 0.0) == pytest.approx(
        [10 / 20, 3 / 20, 7 / 20]
    )


def test_the_floor_lifts_and_the_others_share_the_rest() -> None:
    assert dynamic_weights([60, 80, 50], [50, 80, 40], [1 / 3] * 3, 0.1) == pytest.approx([0.45, 0.1, 0.45])
    assert dynamic_weights([1, 0, 0], [0, 0, 0], [1 / 3] * 3, 0.02) == pytest.approx([0.96, 0.02, 0.02])


def test_no_change_keeps_the_old_weights() -> None:
    assert dynamic_weights([5, 6, 7], [5, 6, 7], [0.2, 0.3, 0.5], 0.02) == pytest.approx([0.2, 0.3, 0.5])


@given(st.lists(st.tuples(st.floats(0, 200), st.floats(0, 200)), min_size=2, max_size=12))
def test_weights_are_a_distribution_above_the_floor(scores: list[tuple[float, float]]) -> None:
    n = len(scores)
    weights = dynamic_weights([a for a, _ in scores], [b for _, b in scores], [1 / n] * n, 0.02)
    assert weights.sum() == pytest.approx(1) and bool((weights >= 0.02 - 1e-12).all())


def test_uniform_until_two_evaluations_exist() -> None:
    own = sampler()
    assert own.weights == pytest.approx([1 / 3] * 3)
    own.update({"A": 10, "B": 20, "C": 30})
    assert own.weights == pytest.approx([1 / 3] * 3)
    own.update({"A": 16, "B": 23, "C": 31})
    assert own.weights == pytest.approx([0.6, 0.3, 0.1])


def test_other_kinds_do_not_move() -> None:
    for kind, want in (("uniform", [1 / 3] * 3), ("size", [5 / 20, 9 / 20, 6 / 20])):
        own = sampler(kind)
        own.update({"A": 1, "B": 1, "C": 1})
        own.update({"A": 9, "B": 1, "C": 1})
        assert own.weights == pytest.approx(want)


REFERENCE = {"A": 70.0, "B": 65.0, "C": 40.0}


def against_single_task(floor: float = 0.0, reference: dict[str, float] | None = None) -> Sampler:
    rows = {name: np.arange(9) + 100 for name in "ABC"}
    settings = SamplingSettings(
        kind="dynamic_single_task",
        floor=floor,
        single_task_scores=REFERENCE if reference is None else reference,
    )
    return Sampler(rows, 16, settings, 0)


def test_against_single_task_runs_the_weights_are_shares_of_the_distance_from_the_first_evaluation_on() -> (
    None
):
    own = against_single_task()
    assert own.weights == pytest.approx([1 / 3] * 3)
    own.update({"A": 40, "B": 60, "C": 25})  # 30, 5 and 15 away
    assert own.weights == pytest.approx([0.6, 0.1, 0.3])
    own.update(
        {"A": 68, "B": 65, "C": 46}
    )  # 2, 0 and 6: better than the single-task run is away as well, as eq. 15 has it
    assert own.weights == pytest.approx([0.25, 0.0, 0.75])
    own.update(REFERENCE)  # all of them there: the old weights stay
    assert own.weights == pytest.approx([0.25, 0.0, 0.75])


def test_the_reference_does_not_follow_the_evaluations() -> None:
    """The same scores twice: nothing has changed between them, and the distance to the reference is still
    what counts.
    """
    own, plain = against_single_task(), sampler(floor=0.0)
    for _ in range(2):
        own.update({"A": 40, "B": 60, "C": 25})
        plain.update({"A": 40, "B": 60, "C": 25})
    assert own.weights == pytest.approx([0.6, 0.1, 0.3]) and plain.weights == pytest.approx([1 / 3] * 3)


@given(
    st.lists(st.tuples(st.floats(0, 200), st.floats(0, 200)), min_size=2, max_size=6),
    st.floats(0, 1 / 6),
)
def test_the_weights_against_a_reference_are_eq_15_above_the_floor(
    scores: list[tuple[float, float]], floor: float
) -> None:
    names = [f"d{place}" for place in range(len(scores))]
    settings = SamplingSettings(
        "dynamic_single_task",
        floor,
        single_task_scores={name: of for name, (_, of) in zip(names, scores, strict=True)},
    )
    own = Sampler({name: np.arange(3) for name in names}, 8, settings, 0)
    own.update({name: now for name, (now, _) in zip(names, scores, strict=True)})
    away = np.asarray([abs(now - of) for now, of in scores])
    assert own.weights.sum() == pytest.approx(1) and bool((own.weights >= floor - 1e-12).all())
    if away.sum() > 0 and bool((away / away.sum() >= floor).all()):
        assert own.weights == pytest.approx(away / away.sum())


def test_resuming_against_a_reference_is_exact() -> None:
    whole, cut = against_single_task(0.02), against_single_task(0.02)
    for own in (whole, cut):
        for step in range(5):
            own.draw(step)
        own.update({"A": 40, "B": 60, "C": 25})
    again = against_single_task(0.02)
    again.restore(json.loads(json.dumps(cut.state())))
    for own in (whole, again):
        own.update({"A": 60, "B": 61, "C": 38})
    assert again.weights.tolist() == whole.weights.tolist() == pytest.approx([10 / 16, 4 / 16, 2 / 16])
    assert [again.draw(step) for step in range(5, 20)] == [whole.draw(step) for step in range(5, 20)]


def test_a_dataset_without_its_single_task_score_is_named_and_one_alone_needs_none() -> None:
    with pytest.raises(
        ConfigError,
        match=r"sampling\.single_task_scores: no score of B, C: kind dynamic_single_task needs the EM \+ F1",
    ):
        against_single_task(reference={"A": 70.0})
    alone = Sampler({"A": np.arange(4)}, 2, SamplingSettings(kind="dynamic_single_task"), 0)
    alone.update({"A": 50})
    assert alone.weights.tolist() == [1.0]


@pytest.mark.parametrize(
    ("temperature", "want"), [(1.0, [1 / 5, 4 / 5]), (2.0, [1 / 3, 2 / 3]), (1e9, [1 / 2, 1 / 2])]
)
def test_a_temperature_lies_between_size_and_uniform(temperature: float, want: list[float]) -> None:
    assert size_weights([25, 100], temperature) == pytest.approx(want)
    rows = {"A": np.arange(25), "B": np.arange(100)}
    own = Sampler(rows, 4, SamplingSettings(kind="temperature", temperature=temperature), 0)
    own.update({"A": 1, "B": 1})
    own.update({"A": 9, "B": 1})
    assert own.weights == pytest.approx(want)  # and stays so


@given(st.lists(st.integers(1, 10**7), min_size=1, max_size=12), st.floats(1, 100), st.floats(1, 100))
def test_temperature_weights_are_a_distribution_and_flatten_as_it_grows(
    sizes: list[int], one: float, other: float
) -> None:
    low, high = sorted((one, other))
    hot, cold = size_weights(sizes, high), size_weights(sizes, low)
    assert hot.sum() == pytest.approx(1) and cold.sum() == pytest.approx(1) and bool((hot > 0).all())
    assert hot.max() <= cold.max() + 1e-12 and hot.min() >= cold.min() - 1e-12
    assert cold == pytest.approx(np.asarray(sizes) ** (1 / low) / (np.asarray(sizes) ** (1 / low)).sum())
    assert size_weights(sizes) == pytest.approx(np.asarray(sizes) / sum(sizes))


def test_draws_follow_the_weights_and_pass_through_all_windows() -> None:
    own = sampler()
    own.weights = np.array([0.7, 0.2, 0.1])
    picks = [pick for step in range(400) for pick in own.draw(step)]
    shares = np.bincount([which for which, _ in picks], minlength=3) / len(picks)
    assert shares == pytest.approx([0.7, 0.2, 0.1], abs=0.02)
    of_a = [row for which, row in picks if which == 0]
    for begin in range(0, len(of_a) - 5, 5):  # pass after pass
        assert sorted(of_a[begin : begin + 5]) == [100, 101, 102, 103, 104]


def test_a_restored_sampler_goes_on_with_the_same_draws() -> None:
    whole, cut = sampler(), sampler()
    for step in range(6):
        whole.draw(step), cut.draw(step)
    for own in (whole, cut):
        own.update({"A": 10, "B": 20, "C": 30})
        own.update({"A": 16, "B": 23, "C": 31})
    resumed = sampler()
    resumed.restore(cut.state())
    assert [whole.draw(step) for step in range(6, 20)] == [resumed.draw(step) for step in range(6, 20)]
    assert sampler(seed=1).draw(0) != sampler(seed=0).draw(0)


def three(times: int = 1) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Rows and lengths of three datasets whose windows are 10, 20 and 40 tokens long, give or take some."""
    random = np.random.default_rng(5)
    rows = {name: np.arange(times * size) + 100 for name, size in (("A", 50), ("B", 90), ("C", 60))}
    return rows, {
        name: mean + random.integers(-5, 6, times * 90 + 100)
        for name, mean in (("A", 10), ("B", 20), ("C", 40))
    }


def by_tokens(tokens: int, seed: int = 0) -> tuple[Sampler, TokenBudget]:
    rows, lengths = three()
    budget = TokenBudget(tokens, lengths)
    return Sampler(rows, budget, SamplingSettings(kind="uniform"), seed), budget


def tokens_of(own: Sampler, budget: TokenBudget, picks: list[tuple[int, int]]) -> int:
    return sum(int(budget.lengths[own.datasets[which]][row]) for which, row in picks)


def test_a_budget_of_tokens_is_filled_until_the_next_window_would_exceed_it() -> None:
    own, budget = by_tokens(100)
    steps = [own.draw(step) for step in range(300)]
    sizes = [tokens_of(own, budget, picks) for picks in steps]
    assert (
        max(sizes) <= 100 and min(sizes) > 100 - 45
    )  # 45: the longest window, which may be the one that did not fit
    assert all(picks == sorted(picks, key=lambda pick: pick[0]) for picks in steps)
    assert len({len(picks) for picks in steps}) > 2


def test_the_weights_decide_whose_the_windows_are_whatever_fits() -> None:
    """Without the draw that is held over, the long windows of C would come a tenth less often than their
    weight says.
    """
    own, _ = by_tokens(100)
    own.weights = np.array([0.2, 0.3, 0.5])
    picks = [pick for step in range(3000) for pick in own.draw(step)]
    shares = np.bincount([which for which, _ in picks], minlength=3) / len(picks)
    assert shares == pytest.approx([0.2, 0.3, 0.5], abs=0.015)
    of_c = [row for which, row in picks if which == 2]
    assert (
        sorted(of_c[:60]) == list(range(100, 160)) == sorted(of_c[60:120])
    )  # pass after pass, none left out


@pytest.mark.parametrize("cut", [1, 7, 8])
def test_a_budgeted_sampler_resumes_at_any_step(cut: int) -> None:
    whole, _ = by_tokens(90)
    drawn = [whole.draw(step) for step in range(20)]
    first, _ = by_tokens(90)
    assert [first.draw(step) for step in range(cut)] == drawn[:cut]
    again, _ = by_tokens(90)
    again.restore(json.loads(json.dumps(first.state())))
    assert [again.draw(step) for step in range(cut, 20)] == drawn[cut:]
    assert by_tokens(90, seed=1)[0].draw(0) != drawn[0]


def test_steps_of_a_budget_are_those_that_a_pass_over_the_windows_takes() -> None:
    rows = {"A": np.arange(10), "B": np.arange(20)}
    even = TokenBudget(100, {"A": np.full(10, 30), "B": np.full(20, 30)})
    assert (
        even.steps(rows, 1) == 10 and even.steps(rows, 2.5) == 25 and even.steps(rows, 0.01) == 1
    )  # three windows of 30 fit
    assert TokenBudget(30, even.lengths).steps(rows, 1) == 30
    rows, lengths = three(times=10)
    budget = TokenBudget(100, lengths)
    own = Sampler(rows, budget, SamplingSettings(kind="size"), 0)
    planned = budget.steps(rows, 3)
    assert (
        planned > 1.1 * 3 * sum(int(lengths[name][windows].sum()) for name, windows in rows.items()) / 100
    )  # a step is not full
    assert sum(len(own.draw(step)) for step in range(planned)) == pytest.approx(3 * 2000, rel=0.01)


def test_bad_input_is_named() -> None:
    with pytest.raises(
        ConfigError,
        match=r"batch_tokens: 40 is not allowed: at least 45, the tokens of the longest window of C",
    ):
        by_tokens(40)
    with pytest.raises(ConfigError, match="dataset B has no training window"):
        sampler(sizes=(5, 0, 6))
    with pytest.raises(ConfigError, match=r"sampling\.floor: 0\.4 is not allowed: 3 datasets"):
        sampler(floor=0.4)


def test_what_just_fits_is_allowed() -> None:
    """A floor that the datasets share out whole, and a budget of the longest window's tokens."""
    halves = sampler(sizes=(5, 9), floor=0.5)
    halves.update({"A": 10.0, "B": 10.0})
    halves.update({"A": 90.0, "B": 11.0})
    assert halves.weights.tolist() == [0.5, 0.5]
    tight, budget = by_tokens(45)
    assert max(tokens_of(tight, budget, tight.draw(step)) for step in range(40)) == 45


def test_whose_windows_come_and_which_of_them_are_both_by_the_seed() -> None:
    one, other = sampler(seed=0, batch=40), sampler(seed=1, batch=40)
    mine, its = one.draw(0), other.draw(0)
    assert [which for which, _ in mine] != [which for which, _ in its]
    for name in "ABC":
        assert one._order(name, 0).tolist() != other._order(name, 0).tolist()
        assert one._order(name, 0).tolist() != one._order(name, 1).tolist()
    alike = Sampler({name: np.arange(30) for name in "AB"}, 4, SamplingSettings(), 0)
    assert alike._order("A", 0).tolist() != alike._order("B", 0).tolist()
    steps = [[which for which, _ in sampler(batch=40).draw(step)] for step in (0, 1)]
    assert steps[0] != steps[1]
    rows = {name: np.arange(30) for name in "AB"}
    even = TokenBudget(400, {name: np.full(30, 10) for name in "AB"})  # whatever is drawn, 40 windows fit
    budgets = [Sampler(rows, even, SamplingSettings(), seed).draw(0) for seed in (0, 1)]
    counts = [sum(which for which, _ in picks) for picks in budgets]
    assert [len(picks) for picks in budgets] == [40, 40] and counts[0] != counts[1]


def test_a_sampler_s_state_is_what_it_says() -> None:
    own = sampler(batch=4)
    picks = own.draw(0) + own.draw(1)
    own.update({"A": 10, "C": 30, "B": 20})  # by name, whatever their order
    given = {name: sum(which == place for which, _ in picks) for place, name in enumerate("ABC")}
    assert own.state() == {
        "weights": [1 / 3] * 3,
        "given": given,
        "scores": [10.0, 20.0, 30.0],
        "held": -1,
    }
    state = own.state()
    own.draw(2)
    assert state["given"] == given  # what was kept does not change with the steps to come
    own.restore(state)
    own.draw(2)
    assert state["given"] == given


def test_a_dataset_that_is_far_below_the_floor_lifts_only_as_far_as_the_others_stay_above_it() -> None:
    """Lifting B and C to .3 takes from D too, which then is below and is lifted in its turn."""
    weights = dynamic_weights([64, 1, 1, 34], [0, 0, 0, 0], [0.25] * 4, 0.24)
    assert weights == pytest.approx([0.28, 0.24, 0.24, 0.24])
    assert dynamic_weights([0, 0], [0, 0], [1.0, 0.0], 0.1) == pytest.approx([0.9, 0.1])
    assert dynamic_weights([3, 1], [0, 0], [0.5, 0.5], 0.5) == pytest.approx([0.5, 0.5])
    assert dynamic_weights([3], [0], [1.0], 0.02) == pytest.approx([1.0])
