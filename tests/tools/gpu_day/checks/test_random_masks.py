"""The checks of the random mask keep their bounds, and a planted error does not."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest

from bmt.masked_updates import mask_updates
from bmt.random_mask import RandomMask
from tests.support.checked_figures import SCALE, beyond, bounded
from tools.gpu_day.checks import random_masks


def test_what_is_right_keeps_every_bound() -> None:
    for check in (random_masks.step_masks, random_masks.masked_gradient):
        measurement = check(SCALE)
        assert len(bounded(measurement)) == len(measurement.figures) and not beyond(measurement)
    assert len(random_masks.step_masks(SCALE).record["first step"]) == 64


def test_masks_that_are_drawn_anew_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    number = count()
    monkeypatch.setattr(random_masks, "RandomMask", lambda p_f, seed: RandomMask(p_f, seed + next(number)))
    assert beyond(random_masks.step_masks(SCALE)) == [
        "bits that differ in a second run",
        "bits that differ after a resume",
        "bits that differ in another order of use",
        "drawn together: bits that differ in a second run, a resume, another order",
    ]
    assert beyond(random_masks.masked_gradient(SCALE)) == [
        "masked gradient, relative in the 2-norm",
        "closed weights with a gradient",
    ]


def test_another_density_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random_masks, "RandomMask", lambda p_f, seed: RandomMask(p_f + 0.02, seed))
    assert beyond(random_masks.step_masks(SCALE)) == ["|z| of the share of open weights, largest"]


def test_a_resume_that_forgets_its_step_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def forgetful(optimizer: Any, model: Any, masks: Any, first_step: int = 0) -> Any:
        return mask_updates(optimizer, model, masks)

    monkeypatch.setattr(random_masks, "mask_updates", forgetful)
    assert beyond(random_masks.step_masks(SCALE)) == ["bits that differ after a resume"]


def test_steps_with_one_mask_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    masks = random_masks.drawn_masks
    monkeypatch.setattr(
        random_masks,
        "drawn_masks",
        lambda *given, **options: [masks(*given, **options)[0]] * len(masks(*given, **options)),
    )
    assert "bits that two steps share" in beyond(random_masks.step_masks(SCALE))
