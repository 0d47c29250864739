"""The check of adapters keeps its bounds, and a planted error does not."""

from __future__ import annotations

from typing import Any

import pytest

from bmt.masked_updates import mask_updates
from bmt.qa.adapters import Adapters, averaged
from tests.support.checked_figures import SCALE, beyond, bounded
from tools.gpu_day.checks import adapters


def test_what_is_right_keeps_every_bound() -> None:
    measurement = adapters.adapters(SCALE)
    assert len(bounded(measurement)) == 10 and not beyond(measurement)


def test_rows_through_another_adapter_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = Adapters.rows
    monkeypatch.setattr(Adapters, "rows", lambda self, owner: rows(self, owner[1:] + owner[:1]))
    assert len(beyond(adapters.adapters(SCALE))) == 8


def test_other_masks_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def other(optimizer: Any, model: Any, masks: Any) -> Any:
        return mask_updates(optimizer, model, masks.permuted(1))

    monkeypatch.setattr(adapters, "mask_updates", other)
    assert beyond(adapters.adapters(SCALE)) == [
        f"{family}, jointly with masks: gradients" for family in adapters.FAMILY_OF_ADAPTERS
    ]


def test_a_mean_that_shrinks_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapters, "zero_shot", lambda model: averaged(model, literal=True))
    assert beyond(adapters.adapters(SCALE)) == [
        f"{family}: scores of the mean adapter" for family in adapters.FAMILY_OF_ADAPTERS
    ]
