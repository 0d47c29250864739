"""The checks of several masks in one backward pass keep their bounds, and a planted error does not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import nn

import bmt.masked_updates
from bmt.masked_updates import MaskedUpdates, mask_updates
from tests.support.checked_figures import SCALE, beyond, bounded
from tools.gpu_day.checks import masked_gradients, subjects


def test_what_is_right_keeps_every_bound() -> None:
    six = masked_gradients.six_masks(SCALE)
    kinds = ["embedding", "norm", "linear", "bias", "head"]
    of_t5 = ["embedding", "linear", "position bias", "norm", "head"]
    assert [figure.name for figure in six.figures] == [
        f"{family}: {kind}"
        for family in subjects.FAMILIES
        for kind in (of_t5 if family.startswith("T5") else kinds)
    ]
    for measurement in (six, masked_gradients.wide_layer(SCALE), masked_gradients.closed_weights(SCALE)):
        assert len(bounded(measurement)) == len(measurement.figures) and not beyond(measurement)


def test_rows_of_another_dataset_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = MaskedUpdates.rows
    monkeypatch.setattr(MaskedUpdates, "rows", lambda self, named: rows(self, named[1:] + named[:1]))
    seen = beyond(masked_gradients.six_masks(SCALE))
    assert len(seen) == 16 and not any("head" in name for name in seen)


@pytest.mark.parametrize("kind", ["embedding", "norm", "linear", "bias", "position bias"])
def test_a_mask_of_one_kind_that_is_wrong_is_seen_at_that_kind(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def opened(optimizer: Any, model: nn.Module, masks: Any, **rest: Any) -> Iterator[Any]:
        with mask_updates(optimizer, model, masks, **rest) as handle:
            named = masked_gradients.kinds(model)
            for name, mask in handle.unpacked.items():
                if named[name] == kind:
                    mask.fill_(True)
            yield handle

    monkeypatch.setattr(masked_gradients, "mask_updates", opened)
    families = [family for family in subjects.FAMILIES if kind not in ("bias", "position bias")]
    families = families or list(subjects.FAMILIES[:2] if kind == "bias" else subjects.FAMILIES[2:])
    assert beyond(masked_gradients.six_masks(SCALE)) == [f"{family}: {kind}" for family in families]


@pytest.mark.parametrize(
    ("noise", "seen"), [(1e-4, ["float32"]), (0.1, ["float32", "bf16"])], ids=["as of TF32", "as of fp8"]
)
def test_products_of_less_precision_are_seen(
    noise: float, seen: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def rounded(model: nn.Module, device: torch.device) -> nn.Module:
        copy = subjects.placed(model, device)
        draw = torch.Generator().manual_seed(0)
        for value in copy.parameters():
            value.data.mul_(1 + noise * torch.randn(value.shape, generator=draw))
        return copy

    monkeypatch.setattr(masked_gradients, "placed", rounded)
    names = beyond(masked_gradients.wide_layer(SCALE))
    assert {name.split(", ")[1] for name in names if "gradients" in name} == set(seen)


def test_closed_weights_that_decay_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bmt.masked_updates, "_keep_closed", lambda *given: None)
    assert beyond(masked_gradients.closed_weights(SCALE)) == ["closed weights that moved"]


def test_weights_that_do_not_learn_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masked_gradients, "DECAY", 0.0)
    monkeypatch.setattr(subjects.Regression, "loss", lambda self, model: 0 * self.scores(model).sum())
    assert beyond(masked_gradients.closed_weights(SCALE)) == ["open weights that moved"]


def test_one_family_that_does_not_move_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    class Still(torch.optim.AdamW):
        """The first model's steps are of length 0."""

        def __init__(self, *given: Any, **options: Any) -> None:
            super().__init__(*given, **(options if made else options | {"lr": 0.0}))
            made.append(self)

    monkeypatch.setattr(torch.optim, "AdamW", Still)
    assert beyond(masked_gradients.closed_weights(SCALE)) == ["open weights that moved"]
