"""What a run's settings come to: precision, how masks are applied, which questions count."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

import bmt.training.applied_masks
import bmt.training.validation
from bmt.qa.decoding import Prediction
from bmt.runtime.ranks import Ranks
from bmt.settings import TuningSettings
from bmt.training.applied_masks import AppliedMasks
from bmt.training.plan import Plan, autocast_for
from bmt.training.validation import evaluate
from tests.bmt.test_masked_updates import masks_for
from tests.support import tiny


@pytest.mark.parametrize(
    ("precision", "device", "cast"),
    [
        ("auto", "cpu", False),
        ("auto", "cuda", True),
        ("bf16", "cpu", True),
        ("bf16", "cuda", True),
        ("fp32", "cpu", False),
        ("fp32", "cuda", False),
    ],
)
def test_bf16_is_taken_where_it_is_asked_for_and_by_default_on_a_gpu_alone(
    precision: str, device: str, cast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    @contextmanager
    def autocast(kind: str, dtype: torch.dtype) -> Iterator[None]:
        asked.append((kind, dtype))
        yield

    monkeypatch.setattr(torch, "autocast", autocast)
    with autocast_for(precision, torch.device(device))():
        assert asked == ([(device, torch.bfloat16)] if cast else [])


class Changing:
    """A schedule whose masks stay what they are."""

    def __init__(self, model: Any) -> None:
        self._masks = masks_for(model, 0.3, "A")

    def start(self, step: int) -> Any:
        return self._masks


@pytest.mark.parametrize(
    ("tuning", "changing", "used"),
    [
        (TuningSettings(), False, ("gradient", True, True)),
        (TuningSettings(), True, ("gradient", False, True)),  # a closed weight may open: it needs its moments
        (TuningSettings(compact_state=False), False, ("gradient", False, True)),
        (TuningSettings(apply="update"), False, ("update", True, True)),
        (TuningSettings(clip_order="clip_then_mask"), False, ("gradient", True, False)),
    ],
)
def test_masks_are_applied_as_the_settings_say_and_compact_only_where_they_stay(
    tuning: TuningSettings,
    changing: bool,
    used: tuple[str, bool, bool],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, options = tiny.bert(), {}

    @contextmanager
    def mask_updates(optimizer: Any, model: Any, masks: Any, **given: Any) -> Iterator[None]:
        options.update(given)
        yield

    monkeypatch.setattr(bmt.training.applied_masks, "mask_updates", mask_updates)
    masks: Any = Changing(model) if changing else masks_for(model, 0.3, "A")
    applied = AppliedMasks(masks, Ranks())
    applied.start(5, None)
    with applied.on(torch.optim.SGD(model.parameters(), lr=0.1), model, tuning, 5):
        pass
    assert (options["apply"], options["compact"], options["before_clip"]) == used
    assert options["first_step"] == 5


def test_a_question_without_a_window_counts_as_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    questions = replace(tiny.as_questions(tiny.windows("A", 4), np.arange(4)), answers=[["mill"]] * 4)

    def answers(*_: Any) -> list[Prediction]:
        return [Prediction(row, "mill", 0, 4, 0.0) for row in (0, 1, 3)]

    monkeypatch.setattr(bmt.training.validation, "answers", answers)
    assert evaluate(tiny.bert(), [questions], tiny.VOCAB, Plan()) == {"A": (75.0, 75.0)}
