"""The check of mask learning keeps its bounds, and a planted error does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import count
from typing import Any

import pytest

from bmt.gate_learner import GateLearner
from tests.support.checked_figures import SCALE, beyond, bounded
from tools.gpu_day.checks import mask_learning

RIGHT = mask_learning.learner_of


def test_what_is_right_keeps_every_bound() -> None:
    measurement = mask_learning.learned_masks(SCALE)
    assert len(bounded(measurement)) == 9 and not beyond(measurement)


def with_other(**changes: Any) -> Callable[..., Any]:
    return lambda model, names, settings, key: RIGHT(model, names, replace(settings, **changes), key)


@pytest.mark.parametrize(
    ("changes", "seen"),
    [
        (
            {"alpha_lr": 0.101},
            ["element: alpha", "row: alpha"],
        ),
        ({"lam": 1e-2}, ["element: alpha"]),
        ({"clip": 0.1}, ["element: w"]),
        ({"beta": 1.1}, ["element: w"]),
        (
            {"density": 0.31},
            ["element: share of wrong bits in the mask", "row: share of wrong bits in the mask"],
        ),
    ],
)
def test_another_learner_is_seen(
    changes: dict[str, float], seen: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mask_learning, "learner_of", with_other(**changes))
    assert set(seen) <= set(beyond(mask_learning.learned_masks(SCALE)))


def test_other_draws_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    draws = GateLearner.draws
    monkeypatch.setattr(GateLearner, "draws", lambda self, step: draws(self, step + 1))
    assert {"element: alpha", "element: w"} <= set(beyond(mask_learning.learned_masks(SCALE)))


def test_a_second_run_that_draws_anew_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    number = count()

    def anew(model: Any, names: Any, settings: Any, key: Any) -> Any:
        return RIGHT(model, names, settings, (*key, next(number)))

    monkeypatch.setattr(mask_learning, "learner_of", anew)
    assert {
        "share of bits that differ in a second run",
        "bits that differ in a second run, plain attention",
        "alphas that differ in a second run, plain attention",
    } == set(beyond(mask_learning.learned_masks(SCALE)))
