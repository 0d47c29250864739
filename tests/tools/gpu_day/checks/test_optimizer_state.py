"""The check of compact state keeps its bounds, and a planted error does not."""

from __future__ import annotations

from typing import Any

import pytest
from torch import Tensor

import bmt.compact_state
from bmt.masked_updates import mask_updates
from tests.support.checked_figures import SCALE, beyond, bounded
from tools.gpu_day.checks import optimizer_state


def test_what_is_right_keeps_every_bound() -> None:
    measurement = optimizer_state.compact_state(SCALE)
    assert len(bounded(measurement)) == 6 and not beyond(measurement)


def test_steps_under_other_masks_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def other(optimizer: Any, model: Any, masks: Any, compact: bool) -> Any:
        return mask_updates(optimizer, model, masks.permuted(1) if compact else masks, compact=compact)

    monkeypatch.setattr(optimizer_state, "mask_updates", other)
    assert len(beyond(optimizer_state.compact_state(SCALE))) == 6


def test_state_that_is_lost_on_the_way_back_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    dense = bmt.compact_state._OpenWeights.dense_of_state

    def lost(self: Any, value: Any) -> Any:
        back = dense(self, value)
        return back.zero_() if isinstance(back, Tensor) and back.dim() else back

    monkeypatch.setattr(bmt.compact_state._OpenWeights, "dense_of_state", lost)
    assert beyond(optimizer_state.compact_state(SCALE)) == [
        "AdamW: state that is handed back",
        "SGD with momentum: state that is handed back",
    ]
