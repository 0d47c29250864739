"""The check of the training loop keeps its bounds, and a planted error does not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from tests.support.checked_figures import SCALE, beyond, bounded
from tools.gpu_day.checks import subjects, training

KIND = "six masks"
IN_FLOAT32 = [f"{KIND}: way of the weights", f"{KIND}: losses"]


def test_what_is_right_keeps_every_bound() -> None:
    measurement = training.loop(SCALE)
    assert len(bounded(measurement)) == 9 and not beyond(measurement)
    curves = measurement.record["losses"]
    assert {len(curve) for by_side in curves.values() for curve in by_side.values()} == {SCALE.steps}


def test_other_weights_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def rounded(model: nn.Module, device: torch.device) -> nn.Module:
        copy = subjects.placed(model, device)
        for value in copy.parameters():
            value.data.mul_(1.001)
        return copy

    monkeypatch.setattr(training, "placed", rounded)
    monkeypatch.setattr(training, "KINDS", (KIND,))
    assert [name.split(", ")[0] for name in beyond(training.loop(SCALE))] == IN_FLOAT32


@pytest.mark.parametrize(("precision", "seen"), [("bf16", [f"{KIND}: losses in bf16"]), ("fp32", IN_FLOAT32)])
def test_another_learning_rate_in_one_precision_is_seen(
    precision: str, seen: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    trained, numbers = training.trained, iter(range(1000))

    def faster(model: nn.Module, kind: str, settings: Any, steps: int) -> list[float]:
        on_device = next(numbers) % 3 != 1  # the device, the CPU, the device in bf16
        if settings.precision == precision and on_device:
            settings = replace(settings, lr=3 * settings.lr)
        return trained(model, kind, settings, steps)

    monkeypatch.setattr(training, "trained", faster)
    monkeypatch.setattr(training, "KINDS", (KIND,))
    assert set(seen) <= {name.split(", ")[0] for name in beyond(training.loop(SCALE))}
