"""Random numbers by key: what masks on disk and runs that resume count on, value by value."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bmt.runtime.keyed_random import (
    bernoulli,
    choice,
    fill_bernoulli,
    key_number,
    permutation,
    uniform,
    words,
)


def test_the_parts_of_a_key_are_told_apart() -> None:
    keys = [("a", "b"), ("ab",), ("a", 1), ("a1",), ("a", 11), ("a1", 1), (0,), (0, 0)]
    assert len({key_number(key) for key in keys}) == len(keys)
    assert all(0 <= key_number(key) < 2**63 for key in keys)


def test_the_numbers_of_a_key_are_those_of_every_release() -> None:
    """Kept masks and checkpoints are made of them: another generator would go on with other draws."""
    assert key_number(("a", 1)) == 4742018630964328543
    assert words(3, ("a",)).tolist() == [623461075, 109266411, -841377107]
    assert words(4, ("a",)).tolist() == [623461075, 109266411, -841377107, -1272004864]
    assert permutation(5, ("a",)).tolist() == [2, 1, 0, 4, 3]
    assert bernoulli((8,), 0.5, ("a",)).tolist() == [True, False, False, True, True, False, False, True]
    sparse = [(1 / 64, [7, 44, 47, 57]), (1 / 65, [3, 23, 28, 48]), (1e-3, [537, 2697, 3298, 3907])]
    for p, first in sparse:
        assert bernoulli((5000,), p, ("a",)).nonzero().flatten().tolist()[:4] == first
    assert uniform((3,), ("a",)).tolist() == pytest.approx([0.68781507, 0.39530283, 0.88226491], abs=1e-7)
    assert choice(np.array([0.2, 0.3, 0.5]), 5, ("a",)).tolist() == [1, 0, 1, 0, 1]


@pytest.mark.parametrize("p", [0.7, 0.3, 1 / 64, 1 / 65, 1e-3])
def test_bernoulli_draws_have_their_probability(p: float) -> None:
    n = 1 << 20
    opened = int(bernoulli((n,), p, ("p", str(p))).sum())
    assert abs(opened - n * p) < 5 * (n * p * (1 - p)) ** 0.5


def test_a_small_probability_is_not_rounded_away() -> None:
    """2^-18 is nothing in 16 bits: 16 of 2^22 draws are expected."""
    assert 1 < int(bernoulli((1 << 22,), 2.0**-18, ("small",)).sum()) < 45
    # of 2^23, 192 are expected at 1.5 of 2^-16, with a spread of 14; rounded to 16 bits it would be 256
    assert abs(int(bernoulli((1 << 23,), 1.5 * 2.0**-16, ("few",)).sum()) - 192) < 35
    assert bool(bernoulli((100,), 1.0, ("all",)).all())


def test_draws_have_the_shape_and_type_that_is_asked_for() -> None:
    assert bernoulli((2, 3), 0.5, ("a",)).tolist() == [[True, False, False], [True, True, False]]
    assert bernoulli((), 0.5, ("a",)).shape == () and bernoulli((0, 3), 0.5, ("a",)).shape == (0, 3)
    assert bernoulli((2, 3), 1.0, ("a",)).shape == (2, 3) and uniform((2, 3), ("a",)).shape == (2, 3)
    assert uniform((2,), ("a",)).dtype == torch.float32 and words(1, ("a",)).dtype == np.int32
    assert len(words(0, ("a",))) == 0 and sorted(permutation(50, ("a",))) == list(range(50))
    assert not np.array_equal(permutation(50, ("a",)), permutation(50, ("b",)))


def test_choices_follow_their_weights_and_never_take_a_weight_of_nothing() -> None:
    drawn = choice(np.array([0.25, 0.0, 0.75]), 4000, ("c",))
    counts = np.bincount(drawn, minlength=3)
    assert counts[1] == 0 and abs(counts[0] - 1000) < 5 * (4000 * 0.25 * 0.75) ** 0.5
    assert drawn.dtype == np.int64 and not np.array_equal(
        drawn, choice(np.array([0.25, 0, 0.75]), 4000, ("d",))
    )


def test_uniform_draws_are_off_the_ends_and_independent_of_the_global_generator() -> None:
    torch.manual_seed(1)
    a = uniform((1000,), ("u",))
    torch.manual_seed(2)
    assert torch.equal(a, uniform((1000,), ("u",))) and not torch.equal(a, uniform((1000,), ("v",)))
    assert float(a.min()) > 0 and float(a.max()) < 1 and abs(float(a.mean()) - 0.5) < 0.05


def test_a_probability_is_rounded_to_the_nearest_that_its_words_can_draw() -> None:
    """Of 2^18 draws of 16 bits, four are expected to be any one word."""
    for below, above, nearest in ((30_000, 30_001, 30_000.75), (2_000, 2_001, 2_000.5625)):
        low, high, drawn = (bernoulli((1 << 18,), k / 2**16, ("k",)) for k in (below, above, nearest))
        assert torch.equal(drawn, high) and not torch.equal(drawn, low)


def test_uniform_draws_at_an_end_are_put_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A generator may draw 0 and, on some devices, 1: the logit of neither is finite."""
    monkeypatch.setattr(torch, "rand", lambda *_, **__: torch.tensor([0.0, 0.5, 1.0]))
    drawn = uniform((3,), ("u",))
    assert drawn.tolist() == [2.0**-25, 0.5, 1 - 2.0**-24] and bool(torch.logit(drawn).isfinite().all())


@pytest.mark.parametrize("p", [0.01, 0.3, 0.5, 1.0])
def test_a_vector_is_filled_as_its_key_says(p: float) -> None:
    """What an accelerator does; torch's generator gives the CPU other bits than the keyed draws above."""
    out = torch.zeros(100_000, dtype=torch.bool)
    assert fill_bernoulli(out, p, (1, "a")) is out
    assert torch.equal(fill_bernoulli(torch.ones_like(out), p, (1, "a")), out)
    assert abs(float(out.double().mean()) - p) <= 5 * (p * (1 - p) / 1e5) ** 0.5
    assert p == 1 or not torch.equal(fill_bernoulli(torch.ones_like(out), p, (1, "b")), out)
