"""One optimizer step: rates and decay of AdamW, gold spans, clipping, and what it tells."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from bmt.layers import in_encoder
from bmt.qa.adapters import add_adapters
from bmt.qa.batches import Ragged, Windows, collate
from bmt.qa.model import span_logits, span_nll
from bmt.settings import LossSettings, TrainingSettings, TuningSettings
from bmt.training.data import TrainingData
from bmt.training.plan import PASS_PRICE, Plan
from bmt.training.regularizers import Regularizer
from bmt.training.step import Stepper, adamw
from tests.support import tiny


@pytest.mark.parametrize("adapters", [False, True])
def test_adamw_takes_the_settings_and_heads_and_adapters_have_a_rate_of_their_own(adapters: bool) -> None:
    model = tiny.bert()
    if adapters:
        add_adapters(model, ["A", "B"])
    frozen = model.bert.embeddings.position_embeddings.weight.requires_grad_(False)
    training = TrainingSettings(lr=3e-4, head_lr=5e-3, eps=1e-5, weight_decay=0.07)
    encoder, head = adamw(model, training).param_groups
    assert (encoder["lr"], head["lr"]) == (3e-4, 5e-3)
    for group in (encoder, head):
        assert (group["eps"], group["weight_decay"], group["betas"]) == (1e-5, 0.07, (0.9, 0.999))
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    assert all(in_encoder(names[id(parameter)]) for parameter in encoder["params"])
    assert not any(in_encoder(names[id(parameter)]) for parameter in head["params"])
    assert {*map(id, encoder["params"]), *map(id, head["params"])} == names.keys() - {id(frozen)}


def data() -> TrainingData:
    """Windows with two gold spans each: a batch's losses tell which of them count."""
    one = tiny.windows("A", 12)
    spans = Ragged(np.tile(np.array([3, 4, 6, 6], dtype=np.int32), 12), np.arange(13) * 4)
    windows = Windows("A", one.example, one.input_ids, one.context_start, one.offsets, spans)
    return TrainingData([windows], {"A": np.arange(12)}, [], tiny.VOCAB)


PICKS = [(0, row) for row in (1, 4, 5, 9)]


@pytest.mark.parametrize(("kind", "price"), [("cpu", 0.0), ("cuda", PASS_PRICE)])
def test_a_pass_has_a_price_where_the_model_is_on_a_gpu(kind: str, price: float) -> None:
    weight = SimpleNamespace(device=torch.device(kind), requires_grad=True)
    model: Any = SimpleNamespace(parameters=lambda: iter([weight]))
    stepper = Stepper(model, torch.optim.SGD([torch.zeros(1)]), data(), Plan(), 0)
    assert stepper.limits.price == price


class Gradients(Regularizer):
    """Looks at the gradients where a regularizer stands: after the last backward pass, before clipping."""

    def __init__(self, model: Any) -> None:
        self.model, self.calls = model, []

    def before(self, step: int) -> None:
        self.calls.append(("before", step))

    def after(self, step: int) -> None:
        self.calls.append(("after", step))
        self.norm = float(torch.cat([p.grad.reshape(-1) for p in self.model.parameters()]).norm())


@pytest.mark.parametrize("spans", ["marginal", "first"])
def test_the_loss_of_a_step_counts_the_gold_spans_that_the_settings_name(spans: str) -> None:
    model, plan = tiny.bert(), Plan(loss=LossSettings(spans))
    taken = Stepper(model, torch.optim.SGD(model.parameters(), lr=0.0), data(), plan, 0).take(0, PICKS)
    batch = collate(data().sets, PICKS, tiny.VOCAB)
    with torch.no_grad():
        scores = span_logits(model, batch)
        want = {name: float(span_nll(*scores, batch, name).mean()) for name in ("marginal", "first")}
    assert float(taken.loss) == pytest.approx(want[spans], rel=1e-6)
    assert want["marginal"] < want["first"] - 0.1


@pytest.mark.parametrize("clip", [None, 0.01])
def test_gradients_are_clipped_to_the_norm_that_is_set_after_the_regularizer(clip: float | None) -> None:
    model = tiny.bert()
    optimizer, norms = torch.optim.SGD(model.parameters(), lr=0.0), []
    optimizer.register_step_pre_hook(
        lambda *_: norms.append(float(torch.cat([p.grad.reshape(-1) for p in model.parameters()]).norm()))
    )
    regularizer = Gradients(model)
    stepper = Stepper(
        model, optimizer, data(), Plan(tuning=TuningSettings(clip=clip)), 0, regularizer=regularizer
    )
    stepper.take(3, PICKS)
    assert regularizer.calls == [("before", 3), ("after", 3)] and regularizer.norm > 0.1
    assert norms == [pytest.approx(regularizer.norm if clip is None else clip, rel=1e-4)]
    assert all(p.grad is None for p in model.parameters())  # nothing is left for the next step


def test_a_step_s_dropout_is_by_seed_and_step_and_its_totals_are_exact() -> None:
    def loss(seed: int, step: int) -> float:
        model = tiny.bert(dropout=True).train()
        stepper = Stepper(model, torch.optim.SGD(model.parameters(), lr=0.0), data(), Plan(), seed)
        taken = stepper.take(step, PICKS)
        lengths = data().sets[0].lengths[[row for _, row in PICKS]]
        assert taken.tokens == int(lengths.sum()) <= taken.padded <= len(PICKS) * int(lengths.max())
        return float(taken.loss)

    losses = [loss(0, 0), loss(0, 1), loss(1, 0)]
    assert len(set(losses)) == 3 and loss(0, 1) == losses[1]
