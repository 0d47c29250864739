"""Regularizers in the loop: they act in every step, and a run that was cut goes on with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from bmt.deviation import pretrained_copy
from bmt.runtime.checkpoints import Checkpoints
from bmt.runtime.control import RunControl
from bmt.runtime.stopping import Stop, StoppedError, never
from bmt.settings import TrainingSettings
from bmt.training.loop import Anchor, TrainingOutcome, train
from bmt.training.plan import Plan
from bmt.training.regularizers import regularizer
from tests.support import tiny
from tests.support.tiny_training import data

PLAN = Plan(TrainingSettings(batch=8, lr=3e-3, head_lr=3e-3, evaluate_every=4, patience=50))
STRENGTHS = {"mixout": 0.3, "l2_sp": 0.5, "noisy_tune": 0.4}


def trained(kind: str | None, folder: Path, stop: Stop = never) -> tuple[Any, TrainingOutcome]:
    model = tiny.bert(dropout=True)
    pretrained = pretrained_copy(model)
    keeper = None if kind is None else regularizer(kind, STRENGTHS[kind], model, pretrained, 0)
    control = RunControl(checkpoints=Checkpoints(folder, "f"), stop=stop)
    return model, train(
        model, data(), PLAN, steps=9, seed=0, anchor=Anchor(pretrained, keeper), control=control
    )


@pytest.mark.parametrize("kind", list(STRENGTHS))
def test_a_regularized_run_that_was_cut_ends_as_one_that_was_not(kind: str, tmp_path: Path) -> None:
    whole, outcome = trained(kind, tmp_path / "whole")
    calls = iter(range(100))
    with pytest.raises(StoppedError, match="stopped at step 3 of 9"):
        trained(kind, tmp_path / "cut", stop=lambda: next(calls) >= 3)
    resumed, again = trained(kind, tmp_path / "cut")
    assert again.curve == outcome.curve and again.deviation == outcome.deviation
    assert all(torch.equal(p, q) for p, q in zip(whole.parameters(), resumed.parameters(), strict=True))
    plain, other = trained(None, tmp_path / "plain")
    assert other.curve[0]["loss"] != outcome.curve[0]["loss"]
    assert not all(torch.equal(p, q) for p, q in zip(whole.parameters(), plain.parameters(), strict=True))
    if kind == "l2_sp":
        assert outcome.curve[-1]["deviation"] < other.curve[-1]["deviation"]


def test_a_mixout_step_is_the_papers_mixture_and_its_draw_is_of_the_seed_and_the_step() -> None:
    """W = ((1 - m) theta + m theta_0 - p theta_0) / (1 - p); theta comes back, its gradient is that of W."""
    p, drawn = 0.3, {}
    for seed, step in ((0, 0), (0, 1), (1, 0), (0, 0)):
        model = tiny.bert()
        pretrained = pretrained_copy(model)
        name = "bert.encoder.layer.0.output.dense.weight"
        weight = dict(model.named_parameters())[name]
        with torch.no_grad():
            weight.add_(1.0)
        theta, theta_0 = weight.detach().clone(), pretrained[name]
        keeper = regularizer("mixout", p, model, pretrained, seed)
        assert keeper is not None
        keeper.before(step)
        m = torch.isclose(weight, theta_0, atol=1e-5)
        mixed = (torch.where(m, theta_0, theta) - p * theta_0) / (1 - p)
        assert torch.allclose(weight, mixed, atol=1e-6)
        assert abs(float(m.float().mean()) - p) < 0.05
        weight.grad = torch.ones_like(weight)
        keeper.after(step)
        assert torch.equal(weight, theta)
        assert torch.equal(weight.grad, (~m).float() / (1 - p))
        if (seed, step) in drawn:
            assert torch.equal(m, drawn[seed, step])
        assert not any(torch.equal(m, other) for key, other in drawn.items() if key != (seed, step))
        drawn[seed, step] = m
