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
from bmt.errors import ConfigError
from bmt.qa.decoding import Prediction
from bmt.runtime.ranks import Ranks
from bmt.settings import TrainingSettings, TuningSettings
from bmt.training.applied_masks import AppliedMasks
from bmt.training.microbatches import Limits
from bmt.training.plan import (
    PASS_PRICE,
    Plan,
    autocast_for,
    pass_limits,
    planned_steps,
    step_size,
    total_steps,
)
from bmt.training.sampling import TokenBudget
from bmt.training.validation import evaluate
from tests.support import tiny
from tests.support.random_masks import masks_for


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


def test_the_passes_of_a_step_are_limited_as_the_settings_say_by_the_windows_that_are_trained_on() -> None:
    own = tiny.windows("A", 30)
    longest = int(own.lengths.max())
    short = np.flatnonzero(own.lengths < longest)
    training = TrainingSettings(padding=0.25, micro_batch=3, micro_tokens=longest)
    assert pass_limits([own], {"A": np.arange(30)}, training) == Limits(0.25, 3, longest)
    for device, price in (("cpu", 0.0), ("cuda", PASS_PRICE)):
        limits = pass_limits([own], {"A": np.arange(30)}, training, torch.device(device))
        assert limits == Limits(0.25, 3, longest, price)
    assert PASS_PRICE == 16_000
    tight = replace(training, micro_tokens=longest - 1)
    assert pass_limits([own], {"A": short}, tight) == Limits(0.25, 3, longest - 1)
    assert pass_limits([own], {"A": short[:0]}, tight).tokens == longest - 1
    with pytest.raises(
        ConfigError,
        match=rf"^training\.micro_tokens: {longest - 1} is not allowed: at least {longest}, the tokens of A",
    ):
        pass_limits([own], {"A": np.arange(30)}, tight)


@pytest.mark.parametrize(
    ("windows", "epochs", "batch", "steps"),
    [(90, 3, 16, 17), (96, 1, 16, 6), (97, 1, 16, 7), (10, 0.5, 4, 2), (3, 0.1, 64, 1), (8, 2.5, 4, 5)],
)
def test_steps_are_rounded_up_and_one_at_least(windows: int, epochs: float, batch: int, steps: int) -> None:
    assert total_steps(windows, epochs, batch) == steps
    own = [tiny.windows("A", 40), tiny.windows("B", 70, seed=1)]
    rows = {"A": np.arange(windows // 3), "B": np.arange(windows - windows // 3)}
    assert planned_steps(own, rows, epochs, TrainingSettings(batch=batch)) == steps
    budget = step_size(own, TrainingSettings(batch=batch, batch_tokens=50))
    assert isinstance(budget, TokenBudget) and budget.tokens == 50  # the budget decides, not the batch
    assert list(budget.lengths) == ["A", "B"]
    for windows_of, lengths in zip(own, budget.lengths.values(), strict=True):
        assert lengths.tolist() == windows_of.lengths.tolist()
    assert planned_steps(own, rows, epochs, TrainingSettings(batch_tokens=50)) == budget.steps(rows, epochs)
