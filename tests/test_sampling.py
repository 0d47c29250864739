"""Eq. 15 and the draws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmt.errors import ConfigError
from bmt.sampling import Sampler, dynamic_weights
from bmt.settings import SamplingSettings


def sampler(kind: str = "dynamic", floor: float = 0.02, sizes: tuple[int, ...] = (5, 9, 6), batch: int = 16, seed: int = 0) -> Sampler:
    rows = {name: np.arange(size) + 100 for name, size in zip("ABC", sizes, strict=False)}
    return Sampler(rows, batch, SamplingSettings(kind=kind, floor=floor), seed)


def test_weights_are_the_shares_of_the_changes() -> None:
    assert dynamic_weights([60, 80, 50], [50, 83, 43], [1 / 3] * 3, 0.0) == pytest.approx([10 / 20, 3 / 20, 7 / 20])


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


def test_bad_input_is_named() -> None:
    with pytest.raises(ConfigError, match="dataset B has no training window"):
        sampler(sizes=(5, 0, 6))
    with pytest.raises(ConfigError, match=r"sampling\.floor: 0\.4 is not allowed: 3 datasets"):
        sampler(floor=0.4)
