"""Texts that were there before: the set that Python has, in an eighth of the room."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

import bmt.qa.duplicate_ids
from bmt.qa.duplicate_ids import KeySet, key


@given(st.lists(st.text(max_size=3), max_size=60), st.integers(1, 20))
def test_it_is_a_set(texts, recent):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bmt.qa.duplicate_ids, "RECENT", recent)
        seen, plain = KeySet(), set()
        for text in texts:
            assert (key(text) in seen) == (text in plain)
            if key(text) not in seen:
                seen.add(key(text))
            plain.add(text)
            assert key(text) in seen and len(seen) == len(plain)


def test_the_ends_of_the_range(monkeypatch):
    monkeypatch.setattr(bmt.qa.duplicate_ids, "RECENT", 2)
    seen = KeySet()
    for number in (2**64 - 1, 0, 5):
        assert number not in seen
        seen.add(number)
    assert all(number in seen for number in (0, 5, 2**64 - 1)) and 4 not in seen and 6 not in seen


def test_a_text_takes_eight_bytes(monkeypatch):
    monkeypatch.setattr(bmt.qa.duplicate_ids, "RECENT", 1000)
    seen = KeySet()
    tracemalloc.start()
    for number in range(50_000):
        seen.add(key(f"question {number}"))
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(seen) == 50_000 and taken < 8 * 50_000 + 100_000
    assert key("question 49999") in seen and key("question 0") in seen and key("question 50000") not in seen
