"""Bounds of knobs, at and beside them, and how they are told."""

from __future__ import annotations

from dataclasses import dataclass, fields

import pytest

from bmt.errors import ConfigError
from bmt.settings import DataSettings, allowed, check_settings, knob


@dataclass(frozen=True)
class Knobs:
    low: float = knob(1, "", low=1)
    high: float = knob(1, "", high=1)
    above: float = knob(1, "", above=0)
    below: float = knob(0, "", below=1)
    share: float | None = knob(None, "", above=0, high=1)
    kind: str = knob("a", "", choices=("a", "b"))
    switch: bool = knob(True, "", low=5)


@pytest.mark.parametrize(
    ("key", "good", "bad", "words"),
    [
        ("low", [1, 2], [0.99], "at least 1"),
        ("high", [1, -3], [1.01], "at most 1"),
        ("above", [0.01], [0, -1], "above 0"),
        ("below", [0.99], [1, 2], "below 1"),
        ("share", [None, 0.01, 1.0], [0, 1.01], "above 0 and at most 1"),
        ("kind", ["a", "b"], ["c"], "one of a, b"),
        ("switch", [True, False], [], "at least 5"),  # a switch is no number
    ],
)
def test_a_value_is_held_against_its_bounds(
    key: str, good: list[object], bad: list[object], words: str
) -> None:
    assert next(allowed(entry.metadata) for entry in fields(Knobs) if entry.name == key) == words
    for value in good:
        check_settings(Knobs(**{key: value}), "x")  # type: ignore[arg-type]
    for value in [*bad, *([float("nan")] if key not in ("kind", "switch") else [])]:
        with pytest.raises(ConfigError, match=rf"^x\.{key}: {value!r} is not allowed: {words}$"):
            check_settings(Knobs(**{key: value}), "x")  # type: ignore[arg-type]


def test_a_list_is_not_shared_between_settings() -> None:
    one = DataSettings()
    one.train.append("another")
    assert DataSettings().train != one.train
