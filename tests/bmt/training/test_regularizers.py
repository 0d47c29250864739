"""Regularizers in the loop: they act in every step, and a run that was cut goes on with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from bmt.deviation import pretrained_copy
from bmt.errors import ConfigError
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


def test_l2_sp_adds_the_strength_times_the_way_from_theta_0_to_the_gradient() -> None:
    """The gradient of strength / 2 ||theta - theta_0||^2; a tensor without a gradient gets none."""
    model = tiny.bert()
    pretrained = pretrained_copy(model)
    named = dict(model.named_parameters())
    first, second = (f"bert.encoder.layer.{layer}.output.dense.weight" for layer in (0, 1))
    keeper = regularizer("l2_sp", 0.5, model, pretrained, 0)
    assert keeper is not None
    with torch.no_grad():
        named[first].add_(0.25)
        named[second].sub_(1.0)
    named[first].grad = torch.full_like(named[first], 3.0)
    keeper.start()
    keeper.before(0)
    keeper.after(0)
    assert torch.allclose(named[first].grad, torch.full_like(named[first], 3.0 + 0.5 * 0.25), atol=1e-6)
    assert named[second].grad is None
    assert torch.allclose(named[second], pretrained[second] - 1.0)


def test_noisy_tune_moves_each_tensor_once_by_its_own_draws_within_half_the_strength_of_its_spread() -> None:
    """theta += U(-strength/2, strength/2) std(theta); a single number has no spread and stays."""

    def noise(seed: int) -> dict[str, torch.Tensor]:
        draws = torch.Generator().manual_seed(1)
        model = nn.Module()
        for name, spread in (("a", 2.0), ("b", 0.5)):
            model.register_parameter(name, nn.Parameter(spread * torch.randn(200, 100, generator=draws)))
        model.register_parameter("gain", nn.Parameter(torch.ones(1)))
        before = {name: value.detach().clone() for name, value in model.named_parameters()}
        keeper = regularizer("noisy_tune", 0.4, model, before, seed)
        assert keeper is not None
        keeper.start()
        started = {name: value.detach().clone() for name, value in model.named_parameters()}
        keeper.before(0)
        keeper.after(0)
        assert all(torch.equal(value, started[name]) for name, value in model.named_parameters())
        moved = {name: value - before[name] for name, value in started.items()}
        assert torch.equal(moved.pop("gain"), torch.zeros(1))
        return {name: value / (0.4 * before[name].std()) for name, value in moved.items()}

    drawn = noise(3)
    for shares in drawn.values():
        assert -0.5001 < float(shares.min()) < -0.499 and 0.499 < float(shares.max()) < 0.5001
        assert abs(float(shares.mean())) < 0.01
    again, other = noise(3), noise(4)
    assert all(torch.equal(shares, again[name]) for name, shares in drawn.items())
    for one, two in ((drawn["a"], drawn["b"]), (drawn["a"], other["a"])):
        assert abs(float(torch.corrcoef(torch.stack([one.flatten(), two.flatten()]))[0, 1])) < 0.05


def test_mixout_draws_each_tensor_by_its_name() -> None:
    model = tiny.bert()
    pretrained = pretrained_copy(model)
    names = [f"bert.encoder.layer.{layer}.output.dense.weight" for layer in (0, 1)]
    weights = [dict(model.named_parameters())[name] for name in names]
    with torch.no_grad():
        for weight in weights:
            weight.add_(1.0)
    keeper = regularizer("mixout", 0.5, model, pretrained, 0)
    assert keeper is not None
    keeper.before(0)
    one, two = (
        torch.isclose(weight, pretrained[name], atol=1e-5)
        for name, weight in zip(names, weights, strict=True)
    )
    assert abs(float((one & two).float().mean()) - 0.25) < 0.06  # independent: a quarter of both
    keeper.after(0)


@pytest.mark.parametrize(
    ("kind", "strength", "allowed"),
    [
        ("mixout", None, "above 0 and below 1 for mixout"),
        ("mixout", 0.0, "above 0 and below 1 for mixout"),
        ("mixout", 1.0, "above 0 and below 1 for mixout"),
        ("l2_sp", 0.0, "above 0 for l2_sp"),
        ("noisy_tune", -0.1, "above 0 for noisy_tune"),
    ],
)
def test_a_strength_out_of_its_range_is_refused(kind: str, strength: float | None, allowed: str) -> None:
    model = tiny.bert()
    with pytest.raises(ConfigError, match=rf"^strength: {strength!r} is not allowed: {allowed}$"):
        regularizer(kind, strength, model, pretrained_copy(model), 0)
    assert regularizer("l2_sp", 1.0, model, pretrained_copy(model), 0) is not None
    assert regularizer("none", strength, model, pretrained_copy(model), 0) is None
