"""The batches that masks are learned on: whose windows, in which order; and their loss by the plan."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

import bmt.training.mask_batches
from bmt.qa.batches import collate
from bmt.qa.model import batch_loss, span_logits, span_nll
from bmt.settings import LossSettings, MaskSettings, SamplingSettings, TrainingSettings
from bmt.training.data import TrainingData
from bmt.training.mask_batches import dataset_batches, in_order, plan_loss, source_batches
from bmt.training.plan import Plan
from bmt.training.sampling import Sampler
from tests.support import tiny

CPU = torch.device("cpu")
SETS = [tiny.windows("A", 20, 0), tiny.windows("B", 20, 1)]


def data() -> TrainingData:
    return tiny.training_data(SETS, {"A": np.arange(3, 13), "B": np.arange(5)})


def rows_of(which: int, batches: Any, steps: int) -> list[int]:
    """The windows of a dataset that the batches hold, in their order."""
    row_of = {tuple(SETS[which].input_ids[row].tolist()): row for row in range(20)}
    rows = []
    for step in range(steps):
        batch = batches(step)
        assert set(batch.owner) == {which}
        for ids, attention in zip(batch.inputs["input_ids"], batch.inputs["attention_mask"], strict=True):
            rows.append(row_of[tuple(ids[: int(attention.sum())].tolist())])
    return rows


def test_a_dataset_s_batches_pass_through_its_training_windows_again_and_again() -> None:
    batches = dataset_batches(data(), 0, 4, 0, CPU)
    rows = rows_of(0, batches, 5)
    assert rows == in_order(np.arange(3, 13), 0, 20, (0, "mask windows", "A"))
    assert sorted(rows[:10]) == sorted(rows[10:]) == list(range(3, 13)) and rows[:10] != rows[10:]
    assert rows_of(0, lambda step: batches(3), 1) == rows[12:16]  # whatever came before


def test_a_dataset_s_order_is_by_the_seed_and_by_its_name() -> None:
    alike = tiny.training_data(SETS, dict.fromkeys("AB", np.arange(12)))
    orders = [
        rows_of(which, dataset_batches(alike, which, 4, seed, CPU), 3) for which in (0, 1) for seed in (0, 1)
    ]
    assert len({tuple(order) for order in orders}) == 4


def test_each_mask_is_learned_on_its_dataset_or_one_on_the_mixture() -> None:
    apart = source_batches(data(), MaskSettings(batch=3, steps=1), 7, CPU)
    assert list(apart) == ["A", "B"]
    assert rows_of(0, apart["A"], 4) == rows_of(0, dataset_batches(data(), 0, 3, 7, CPU), 4)
    assert rows_of(1, apart["B"], 4) == rows_of(1, dataset_batches(data(), 1, 3, 7, CPU), 4)
    together = source_batches(data(), MaskSettings(batch=6, steps=1, scope="global"), 7, CPU)
    assert list(together) == ["all"]
    sampler = Sampler(data().rows, 6, SamplingSettings(kind="uniform"), 7)
    for step in range(3):
        want, batch = collate(SETS, sampler.draw(step), tiny.VOCAB), together["all"](step)
        assert batch.owner == want.owner
        assert torch.equal(batch.inputs["input_ids"], want.inputs["input_ids"])


@pytest.mark.parametrize("spans", ["marginal", "first"])
def test_the_loss_of_masks_is_that_of_the_plan(spans: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, asked = tiny.bert().eval(), []

    @contextmanager
    def autocast() -> Any:
        asked.append("in")
        yield
        asked.append("out")

    def autocast_for(precision: str, device: torch.device) -> Any:
        asked.append((precision, device))
        return autocast

    monkeypatch.setattr(bmt.training.mask_batches, "autocast_for", autocast_for)
    gold = torch.tensor([[[3, 4], [5, 5]], [[4, 4], [-1, -1]]])
    batch = replace(collate(SETS, [(0, 1), (0, 2)], tiny.VOCAB), spans=gold)
    loss = plan_loss(model, Plan(TrainingSettings(precision="bf16"), loss=LossSettings(spans)))
    with torch.no_grad():
        found = loss(model, batch)
        each = span_nll(*span_logits(model, batch), batch, spans)
        other = batch_loss(model, batch, "first" if spans == "marginal" else "marginal")
    assert asked == [("bf16", CPU), "in", "out"]
    assert float(found) == float(each.mean()) != float(other)
