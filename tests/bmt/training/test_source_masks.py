"""What masks are made from before the loop: settings, seed and loss are handed on, and windows counted."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch

import bmt.training.source_masks
from bmt.errors import ConfigError
from bmt.masks import Masks
from bmt.runtime.control import RunControl
from bmt.runtime.stopping import StoppedError
from bmt.settings import LossSettings, MaskSettings, TrainingSettings
from bmt.training.data import TrainingData
from bmt.training.plan import Plan, planned_steps
from bmt.training.source_masks import source_masks, warm_up_head
from tests.support import tiny

SETS = [tiny.windows("A", 20, 0), tiny.windows("B", 20, 1)]
ATTENTION = [r"attention\.self\.query\.weight$"]


def data() -> TrainingData:
    return tiny.training_data(SETS, dict.fromkeys("AB", np.arange(12)))


@pytest.mark.parametrize("kind", ["learned", "fisher", "magnitude"])
def test_masks_are_of_the_targets_and_at_the_density_of_the_settings(kind: str) -> None:
    settings = MaskSettings(alpha0=0.0, steps=1, batch=2, density=0.25, targets=ATTENTION)
    masks = source_masks(kind, tiny.bert(), data(), settings, Plan(), seed=0)
    assert list(masks.shapes) == [f"bert.encoder.layer.{i}.attention.self.query.weight" for i in (0, 1)]
    want = {"all": 0.25} if kind == "magnitude" else {"A": 0.25, "B": 0.25}
    assert masks.densities() == pytest.approx(want, abs=1e-3)


@pytest.mark.parametrize("kind", ["learned", "fisher"])
def test_the_learner_gets_what_it_was_told_and_windows_are_counted(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, Any] = {}
    counted: list[tuple[int, str]] = []
    made = source_masks("magnitude", tiny.bert(), data(), MaskSettings(density=0.5), Plan(), seed=0)

    def learn(model: Any, batches: Any, *more: Any, **options: Any) -> Masks:
        given.update(options, batches=list(batches), density=more, training=model.training)
        advance = options.get("progress") or options["control"].progress
        advance(2, "note")
        return made

    monkeypatch.setattr(bmt.training.source_masks, "learn_masks", learn)
    monkeypatch.setattr(bmt.training.source_masks, "fisher_masks", learn)
    settings = MaskSettings(steps=7, batch=3, density=0.5, targets=ATTENTION)
    reports: list[Any] = []
    control = RunControl(
        lambda *row: reports.append(row), lambda windows, note: counted.append((windows, note))
    )
    masks = source_masks(kind, tiny.bert().eval(), data(), settings, Plan(), seed=9, control=control)
    assert masks is made and counted == [(6, "note")]  # windows, not steps
    assert given["training"] and given["batches"] == ["A", "B"] and given["seed"] == 9
    if kind == "fisher":
        assert (given["density"], given["steps"], given["targets"]) == ((0.5,), 7, ATTENTION)
    else:
        assert given["settings"] == settings and given["control"].report is control.report


def test_fisher_masks_stop_between_two_steps_and_tell_each() -> None:
    counted: list[int] = []
    control = RunControl(
        progress=lambda windows, note: counted.append(windows), stop=lambda: len(counted) > 2
    )
    settings = MaskSettings(steps=2, batch=3, density=0.5)
    with pytest.raises(StoppedError, match=r"^stopped during the Fisher masks, which starts again$"):
        source_masks("fisher", tiny.bert(), data(), settings, Plan(), seed=0, control=control)
    assert counted == [3, 3, 3]


def test_the_warm_up_has_the_loss_the_precision_and_the_rates_of_the_plan(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[Any] = []

    @contextmanager
    def autocast() -> Any:
        seen.append("cast")
        yield

    def autocast_for(precision: str, device: torch.device) -> Any:
        seen.append((precision, device.type))
        return autocast

    def batch_loss(model: Any, batch: Any, spans: str = "marginal") -> torch.Tensor:
        seen.append((len(batch.owner), spans, model.training))
        return sum(p.sum() for p in model.qa_outputs.parameters())  # type: ignore[no-any-return]

    class AdamW(torch.optim.AdamW):
        def __init__(self, parameters: Any, **options: Any) -> None:
            seen.append(options)
            super().__init__(parameters, **options)

    monkeypatch.setattr(bmt.training.source_masks, "autocast_for", autocast_for)
    monkeypatch.setattr(bmt.training.source_masks, "batch_loss", batch_loss)
    monkeypatch.setattr(torch.optim, "AdamW", AdamW)
    training = TrainingSettings(
        batch=5, precision="bf16", lr=1.0, head_lr=0.25, eps=1e-5, weight_decay=0.5, batch_tokens=300
    )
    model = tiny.bert().eval()
    before = model.qa_outputs.bias.detach().clone()
    warm_up_head(model, data(), Plan(training, loss=LossSettings("first")), steps=2, seed=0)
    assert seen == [
        {"lr": 0.25, "eps": 1e-5, "weight_decay": 0.0},
        ("bf16", "cpu"),
        *["cast", (5, "first", True)] * 2,
    ]
    assert torch.allclose(model.qa_outputs.bias, before - 0.5, atol=1e-4)  # Adam: a rate per step


def test_no_steps_of_warm_up_do_nothing() -> None:
    model, start = tiny.bert().eval(), tiny.bert()
    warm_up_head(model, data(), Plan(), steps=0, seed=0, stop=lambda: True)
    assert not model.training
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), start.parameters(), strict=True))


@pytest.mark.parametrize("scope", ["per_dataset", "global"])
def test_a_dataset_without_training_windows_is_named_before_masks_and_steps(scope: str) -> None:
    empty = tiny.training_data(SETS, {"A": np.arange(5), "B": np.arange(0)})
    learned = MaskSettings(alpha0=0.0, steps=2, batch=2, scope=scope)
    for call in (
        lambda: source_masks("learned", tiny.bert(), empty, learned, Plan(), seed=0),
        lambda: planned_steps(empty.sets, empty.rows, 1, TrainingSettings(batch_tokens=100)),
    ):
        with pytest.raises(ConfigError, match="dataset B has no training window"):
            call()


def test_each_step_of_the_warm_up_has_a_dropout_of_its_own_that_the_seed_decides(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    batch_loss = bmt.training.source_masks.batch_loss

    def drawn(seed: int) -> list[int]:
        seeds: list[int] = []

        def loss(*given: Any) -> torch.Tensor:
            seeds.append(torch.initial_seed())
            return batch_loss(*given)

        monkeypatch.setattr(bmt.training.source_masks, "batch_loss", loss)
        warm_up_head(tiny.bert(dropout=True), data(), Plan(TrainingSettings(batch=2)), steps=3, seed=seed)
        return seeds

    one, other = drawn(5), drawn(6)
    assert len(set(one)) == 3 and drawn(5) == one and not set(one) & set(other)
