"""The cut of a step into passes: against every other cut, within its limits, and shared over ranks."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bmt.training.microbatches import Limits, cut, passes, shares

LENGTHS = st.lists(st.integers(1, 40), min_size=1, max_size=8).map(np.array)
LIMITS = st.builds(
    Limits,
    waste=st.none() | st.sampled_from([0.0, 0.05, 0.08, 0.3, 0.9]),
    rows=st.none() | st.integers(1, 8),
    tokens=st.none() | st.integers(40, 200),
)


def padded_tokens(lengths: np.ndarray, parts: list[np.ndarray]) -> int:
    return sum(len(part) * int(lengths[part].max()) for part in parts)


def partitions(items: list[int]) -> list[list[list[int]]]:
    """Every way to put items into parts, contiguous or not."""
    if not items:
        return [[]]
    first, rest = items[0], items[1:]
    found = []
    for size in range(len(rest) + 1):
        for others in combinations(rest, size):
            left = [item for item in rest if item not in others]
            found += [[[first, *others], *more] for more in partitions(left)]
    return found


def fits(lengths: np.ndarray, parts: list[np.ndarray], limits: Limits) -> bool:
    padded = padded_tokens(lengths, parts)
    most_rows, most_tokens = limits.rows or 99, limits.tokens or 10**9
    caps = all(
        len(part) <= most_rows and (len(part) == 1 or len(part) * lengths[part].max() <= most_tokens)
        for part in parts
    )
    return caps and (limits.waste is None or padded - lengths.sum() <= limits.waste * padded + 1e-6)


@given(LENGTHS, LIMITS)
def test_no_contiguous_cut_is_better(lengths: np.ndarray, limits: Limits) -> None:
    found = cut(lengths, limits)
    assert sorted(np.concatenate(found).tolist()) == list(range(len(lengths)))
    order = np.argsort(-lengths, kind="stable")
    best = (99, 0)
    for count in range(1, len(lengths) + 1):
        for ends in combinations(range(1, len(lengths)), count - 1):
            parts = np.split(order, ends)
            if fits(lengths, parts, limits):
                best = min(best, (count, padded_tokens(lengths, parts)))
    assert fits(lengths, found, limits) and (len(found), padded_tokens(lengths, found)) == best


PRICED = st.builds(
    Limits,
    waste=st.none() | st.just(0.08),
    rows=st.none() | st.integers(1, 8),
    tokens=st.none() | st.integers(40, 200),
    price=st.sampled_from([0.5, 1.0, 3.0, 10.0, 60.0, 1e4]),
)


@given(st.lists(st.integers(1, 40), min_size=1, max_size=6).map(np.array), PRICED)
@settings(max_examples=60)
def test_where_a_pass_has_a_price_no_grouping_costs_less(lengths: np.ndarray, limits: Limits) -> None:
    """Of equal totals the fewest passes; the share of padding does not bind."""
    caps = replace(limits, waste=None)
    every = [[np.array(part) for part in parts] for parts in partitions(list(range(len(lengths))))]
    best = min(
        (padded_tokens(lengths, parts) + limits.price * len(parts), len(parts))
        for parts in every
        if fits(lengths, parts, caps)
    )
    found = cut(lengths, limits)
    assert fits(lengths, found, caps)
    assert sorted(np.concatenate(found).tolist()) == list(range(len(lengths)))
    assert (padded_tokens(lengths, found) + limits.price * len(found), len(found)) == best


def test_a_price_by_hand() -> None:
    """100, 90, 10, 10: one pass pads to 400; two to 200 + 20; three to 100 + 90 + 20."""
    lengths = np.array([10, 100, 10, 90])
    sizes = {price: [len(part) for part in cut(lengths, Limits(price=price))] for price in (5, 50, 180, 181)}
    assert sizes == {5: [1, 1, 2], 50: [2, 2], 180: [4], 181: [4]}
    assert [len(part) for part in cut(lengths, Limits(price=1e9, rows=3))] == [2, 2]
    assert [len(part) for part in cut(lengths, Limits(waste=0.0, price=1e9))] == [4]


@given(LENGTHS, PRICED, st.integers(1, 3))
def test_every_rank_finds_the_same_priced_passes(lengths: np.ndarray, limits: Limits, world: int) -> None:
    found = [passes(lengths, limits, rank, world) for rank in range(world)]
    assert len({own.padded for own in found}) == 1
    parts = [part for own in found for part in own.parts]
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(lengths)))
    assert padded_tokens(lengths, parts) == found[0].padded


@given(st.lists(st.integers(1, 12), min_size=1, max_size=6).map(np.array), LIMITS)
@settings(max_examples=40)
def test_no_other_grouping_is_better_either(lengths: np.ndarray, limits: Limits) -> None:
    every = [[np.array(part) for part in parts] for parts in partitions(list(range(len(lengths))))]
    best = min((len(parts), padded_tokens(lengths, parts)) for parts in every if fits(lengths, parts, limits))
    found = cut(lengths, limits)
    assert (len(found), padded_tokens(lengths, found)) == best


def test_known_cuts() -> None:
    lengths = np.array([5, 9, 1, 9, 5])

    def parts(limits: Limits) -> list[list[int]]:
        return [part.tolist() for part in cut(lengths, limits)]

    assert parts(Limits()) == [[1, 3, 0, 4, 2]]
    assert parts(Limits(waste=0.0)) == [[1, 3], [0, 4], [2]]
    assert parts(Limits(waste=0.15)) == [[1, 3], [0, 4, 2]]  # 33 positions, 29 tokens: 12 %
    assert parts(Limits(rows=2)) == [[1, 3], [0, 4], [2]]
    assert parts(Limits(rows=3)) == [[1, 3], [0, 4, 2]]
    assert parts(Limits(tokens=18)) == [[1, 3], [0, 4, 2]]
    assert parts(Limits(tokens=8)) == [[1], [3], [0], [4], [2]]  # longer windows go alone
    assert cut(np.array([], dtype=np.int64), Limits()) == []
    assert [len(part) for part in cut(np.full(512, 300), Limits(0.0))] == [512]


def test_sixteen_windows_in_passes_of_eight_are_the_two_halves_by_length() -> None:
    lengths = np.random.default_rng(0).integers(20, 256, 16)
    order = np.argsort(-lengths, kind="stable")
    assert [part.tolist() for part in cut(lengths, Limits(rows=8))] == [
        order[:8].tolist(),
        order[8:].tolist(),
    ]


@given(
    st.lists(st.integers(1, 500), max_size=40).map(lambda own: np.array(own, dtype=np.int64)),
    st.integers(1, 6),
)
def test_ranks_share_every_window_and_their_tokens_differ_by_at_most_one_window(
    lengths: np.ndarray, world: int
) -> None:
    own = shares(lengths, world)
    assert len(own) == world and sorted(np.concatenate(own).tolist()) == list(range(len(lengths)))
    tokens = [int(lengths[share].sum()) for share in own]
    assert max(tokens) - min(tokens) <= (lengths.max() if len(lengths) else 0)


def test_every_rank_counts_the_padding_of_all() -> None:
    lengths = np.array([100, 50, 50, 98, 10, 7, 100, 50])
    limits = Limits(waste=0.08)
    found = [passes(lengths, limits, rank, 3) for rank in range(3)]
    assert {own.padded for own in found} == {sum(padded_tokens(lengths, own.parts) for own in found)}
    assert sorted(np.concatenate([part for own in found for part in own.parts]).tolist()) == list(range(8))
    assert found[0].padded - lengths.sum() <= 0.08 * found[0].padded
    assert [part.tolist() for part in passes(lengths, limits).parts] == [
        part.tolist() for part in cut(lengths, limits)
    ]
    empty = passes(np.array([3]), limits, 1, 2)
    assert empty.parts == [] and empty.padded == 3


@pytest.mark.parametrize("world", [1, 4])
def test_mixed_windows_stay_within_the_limit(world: int) -> None:
    random = np.random.default_rng(1)
    for _ in range(50):
        lengths = random.integers(20, 512, int(random.integers(1, 65)))
        found = passes(lengths, Limits(waste=0.08), 0, world)
        assert found.padded >= lengths.sum() and 1 - lengths.sum() / found.padded <= 0.08 + 1e-9
