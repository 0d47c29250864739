"""Offsets that decode to the context's characters, and spans aligned to them: closed forms, and plain loops
as oracles.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmt.qa.token_offsets import align, clean_offsets


def cleaned(text, offsets):
    return [
        tuple(pair)
        for pair in clean_offsets(
            np.array(offsets, dtype=np.int64).reshape(-1, 2), [text], np.array([len(offsets)])
        ).tolist()
    ]


def aligned(spans, offsets):
    first, last = align(
        np.array(spans, dtype=np.int64).reshape(-1, 2), np.array(offsets, dtype=np.int64).reshape(-1, 2)
    )
    return list(zip(first.tolist(), last.tolist(), strict=True))


@pytest.mark.parametrize(
    ("text", "offsets", "expected"),
    [
        ("in Paris", [(0, 2), (3, 8)], [(0, 2), (3, 8)]),
        ("in Paris", [(0, 2), (2, 8)], [(0, 2), (3, 8)]),  # RoBERTa without trimmed offsets
        ("in  Paris ", [(0, 3), (3, 10)], [(0, 2), (4, 9)]),
        (
            "in  Paris",
            [(0, 2), (2, 3), (3, 9)],
            [(0, 2), (2, 2), (4, 9)],
        ),  # a token of white space alone becomes empty
        (" Paris", [(0, 1), (1, 6)], [(0, 0), (1, 6)]),
        ("cafe\u0301 x", [(0, 4), (6, 7)], [(0, 5), (6, 7)]),  # BERT drops the accent: it goes to its word
        ("x \u200bParis", [(0, 1), (3, 8)], [(0, 1), (2, 8)]),  # before a word: to the word
        ("x \u200b Paris", [(0, 1), (4, 9)], [(0, 3), (4, 9)]),  # a word of its own: to the one before
        ("\u200b x", [(2, 3)], [(0, 3)]),
        ("x \u200b", [(0, 1)], [(0, 3)]),
        ("😀", [(0, 1), (0, 1), (0, 1)], [(0, 1), (0, 1), (0, 1)]),  # bytes of one character
        ("a\u3000b", [(0, 1), (1, 3)], [(0, 1), (2, 3)]),
        ("ab", [(0, 0), (0, 2)], [(0, 0), (0, 2)]),  # without characters
        ("ab c", [(0, 2), (0, 0), (3, 4)], [(0, 2), (2, 2), (3, 4)]),
        ("  ", [(0, 1), (1, 2)], [(0, 0), (0, 0)]),
        ("\u200b", [], []),
    ],
)
def test_clean_offsets(text, offsets, expected):
    assert cleaned(text, offsets) == expected


def test_contexts_do_not_reach_into_each_other():
    texts = ["\u200b x", "", "\u200b\u200b y \u200b", "  ", "z"]
    offsets, sizes = [(2, 3), (3, 4), (0, 1), (0, 1), (0, 1)], [1, 0, 1, 1, 2]
    found = clean_offsets(np.array(offsets), texts, np.array(sizes))
    bases = np.repeat([0, 4, 5, 12, 15], sizes)
    assert (found - bases[:, None]).tolist() == [[0, 3], [0, 6], [0, 0], [0, 1], [0, 1]]


@pytest.mark.parametrize(
    ("span", "expected"),
    [
        ((0, 2), (0, 0)),
        ((3, 8), (1, 2)),
        ((4, 5), (1, 1)),
        ((1, 4), (0, 1)),
        ((2, 3), (1, 0)),
        ((8, 9), (3, 2)),
        ((0, 99), (0, 2)),
    ],
)
def test_align(span, expected):
    assert aligned([span], [(0, 2), (3, 5), (5, 8)]) == [expected]


def test_align_passes_over_empty_tokens_wherever_they_claim_to_be():
    assert aligned([(3, 8), (0, 2)], [(0, 2), (0, 0), (3, 5), (9, 9), (5, 8), (1, 1)]) == [(2, 4), (0, 0)]


@st.composite
def text_and_tokens(draw):
    """A text of words, spaces and droppable characters, and tokens that a tokenizer could give: in order,
    some characters in none.
    """
    text = draw(st.text("ab \u200b\n\u0301\u3000😀", max_size=24))
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=16)))
    offsets = [pair for pair in pairwise(cuts) if draw(st.booleans())]
    return text, [pair for pair in offsets for _ in range(draw(st.integers(1, 2)))]


@given(text_and_tokens())
def test_every_character_but_white_space_belongs_to_a_token_and_tokens_have_no_space_at_their_edges(case):
    text, offsets = case
    found = cleaned(text, offsets)
    assert len(found) == len(offsets)
    assert all(0 <= start <= end <= len(text) for start, end in found)
    assert all(text[start:end] == text[start:end].strip() for start, end in found)
    if any(start < end for start, end in found):
        covered = {place for start, end in found for place in range(start, end)}
        assert all(place in covered for place, character in enumerate(text) if not character.isspace())
    starts, ends = [start for start, _ in found], [end for _, end in found]
    assert starts == sorted(starts) and ends == sorted(ends)
    for (start, end), (left, right) in zip(found, offsets, strict=True):  # a token keeps what it had
        kept = text[left:right].strip()
        assert not kept or (
            start <= left + text[left:right].index(kept)
            and end >= left + text[left:right].index(kept) + len(kept)
        )


@given(text_and_tokens(), st.integers(0, 24), st.integers(1, 24))
def test_align_is_the_plain_loop(case, start, length):
    _, offsets = case
    end = start + length
    first = next((row for row, (left, right) in enumerate(offsets) if left < right and right > start), None)
    last = next(
        (
            row
            for row in reversed(range(len(offsets)))
            if offsets[row][0] < offsets[row][1] and offsets[row][0] < end
        ),
        None,
    )
    (found,) = aligned([(start, end)], offsets)
    if first is None or last is None or first > last:
        assert found[0] > found[1]
    else:
        assert found == (first, last)
