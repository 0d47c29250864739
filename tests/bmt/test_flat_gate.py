"""The gates in one vector against the plain formulas, which are their oracle; by force on a CPU."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from scipy import stats
from torch import Tensor

import bmt.flat_gate
import bmt.gate_learner
import bmt.mask_learning
import bmt.training.mask_schedules
from bmt.errors import ModelError
from bmt.flat_gate import CLOSED, PLACE, FlatGate, FlatLayout
from bmt.gate_learner import GateLearner, Kernel
from bmt.gates import HardConcrete
from bmt.layers import target_names
from bmt.mask_learning import LearnedGates, learn_masks
from bmt.runtime.checkpoints import Checkpoints
from bmt.runtime.control import RunControl
from bmt.runtime.keyed_random import Key
from bmt.runtime.stopping import StoppedError
from bmt.settings import MaskSettings
from bmt.training.loop import train
from bmt.training.mask_schedules import mask_schedule
from tests.support import tiny
from tests.support.tiny_training import PLAN, data

LAWS = [HardConcrete(), HardConcrete(-0.1, 1.1, 2 / 3), HardConcrete(-0.5, 2.0), HardConcrete(-3.0, 1.2, 2.0)]
KEY: Key = (0, "mask", "A")
NO_GRADIENT = ("key.bias", "layer.1.output.LayerNorm.bias")
"""What adds the same to all that a softmax compares: its gradient is rounding, which Adam makes steps of."""


def batch() -> dict[str, Tensor]:
    ids = torch.randint(5, 50, (4, 12), generator=torch.Generator().manual_seed(0))
    ends = torch.tensor([2, 3, 4, 5])
    return {"input_ids": ids, "start_positions": ends - 1, "end_positions": ends}


def learner(
    kernel: Kernel, model: Any = None, names: list[str] | None = None, **changes: Any
) -> tuple[Any, GateLearner]:
    model = tiny.bert() if model is None else model
    settings = MaskSettings(**({"alpha0": 0.3, "lam": 1e-4, "w_lr": 0.01} | changes))
    names = names or [name for name in target_names(model) if not name.endswith(NO_GRADIENT)]
    return model, GateLearner(model, names, settings, KEY, kernel=kernel)


def both(monkeypatch: pytest.MonkeyPatch, make: Any = tiny.bert, **changes: Any) -> list[tuple[Any, Any]]:
    """(model, learner) of the flat way and of the plain one, which is given the same draws."""
    flat, plain = learner("flat", make(), **changes), learner("plain", make(), **changes)
    the_same_draws(monkeypatch, flat[1])
    return [flat, plain]


def the_same_draws(monkeypatch: pytest.MonkeyPatch, flat: GateLearner) -> None:
    vectors, uniform = flat._flat, bmt.gate_learner.uniform
    assert vectors is not None

    def drawn(shape: Any, key: Key, device: Any) -> Tensor:
        name = key[-1]
        if name in vectors.layout.places:
            return vectors.draws(key[:-1])[name].clone()  # type: ignore[index]
        return uniform(shape, key, device)

    monkeypatch.setattr(bmt.gate_learner, "uniform", drawn)


def agree(flat: GateLearner, plain: GateLearner) -> None:
    start = plain.settings.alpha0
    for name, alpha in plain.alpha.items():
        moved, w = float((alpha - start).norm()), float(plain.w[name].norm())
        assert float((flat.alpha[name] - alpha).norm()) < 1e-3 * moved, name
        assert float((flat.w[name] - plain.w[name]).norm()) < 1e-3 * w, name
    assert flat.lam == pytest.approx(plain.lam, rel=1e-6)
    assert flat.density() == pytest.approx(plain.density(), rel=1e-6)
    assert flat.alpha_mean() == pytest.approx(plain.alpha_mean(), rel=1e-6)


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("lam", [0.0, 0.7])
def test_it_computes_what_the_plain_formulas_do(law: HardConcrete, lam: float) -> None:
    draw = torch.Generator().manual_seed(0)
    shapes = {"a": (13, 17), "b": (), "c": (3, 128), "d": (5,)}
    theta, w, g = (
        {name: 2 * torch.randn(shape, generator=draw) for name, shape in shapes.items()} for _ in range(3)
    )
    flat = FlatGate(law, theta, 0.3)
    for name, alpha in flat.alphas.items():
        alpha.copy_(2 * torch.randn(alpha.shape, generator=draw))
        flat.ws[name].copy_(w[name])
    flat.perturb(list(theta.values()), ("k", 1))
    s = {name: law.at(flat.alphas[name], u) for name, u in flat.draws(("k", 1)).items()}
    for name, value in theta.items():
        torch.testing.assert_close(flat.perturbed[name], value + s[name] * w[name], rtol=1e-5, atol=1e-6)
        assert torch.equal(flat.perturbed[name][s[name] == 0], value[s[name] == 0])
        assert torch.equal(flat.perturbed[name][s[name] == 1], (value + w[name])[s[name] == 1])
    assert all(any(bool((one == end).any()) for one in s.values()) for end in (0, 1))
    between = sum(int(((one > 0) & (one < 1)).sum()) for one in s.values())
    assert int(flat.interior()) == between > 0
    flat.gradients(list(g.values()), torch.tensor(lam))
    for name, u in flat.draws(("k", 1)).items():
        by_alpha, by_w = law.gradients(g[name], flat.alphas[name], w[name], u, lam)
        torch.testing.assert_close(flat.alpha_gradients[name], by_alpha, rtol=1e-4, atol=2e-6)
        torch.testing.assert_close(flat.w_gradients[name], by_w, rtol=1e-5, atol=1e-6)
    # Nothing between the tensors has a gradient, so that one norm is the norm of all.
    assert flat.alpha.grad is not None and flat.w.grad is not None
    for whole, parts in ((flat.alpha, flat.alpha_gradients), (flat.w, flat.w_gradients)):
        assert torch.count_nonzero(whole.grad) == sum(torch.count_nonzero(part) for part in parts.values())


def test_gates_far_from_0_take_any_draw() -> None:
    """u = 0 is drawn once in 2^24; alpha may have gone anywhere."""
    law, theta = HardConcrete(), torch.zeros(6)
    flat = FlatGate(law, {"a": theta}, 0.0)
    flat.alphas["a"].copy_(torch.tensor([-300.0, 300.0, -300.0, 300.0, 0.0, 0.0]))
    flat.w.fill_(1.0)
    u = torch.tensor([0.0, 0.0, 1 - 2.0**-24, 1 - 2.0**-24, 0.0, 1 - 2.0**-24])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bmt.flat_gate, "draw", lambda into, key: into.fill_(0.5)[:6].copy_(u))
        flat.perturb([theta], ("k",))
    assert flat.perturbed["a"].tolist() == [0, 0, 0, 1, 0, 1]
    flat.gradients([torch.ones(6)], torch.tensor(1.0))
    assert bool(torch.isfinite(flat.alpha.grad).all())  # type: ignore[arg-type]
    assert flat.alpha_gradients["a"].tolist() == [0, 0, 0, 0, 0.25, 0.25]
    assert flat.w_gradients["a"].tolist() == [0, 0, 0, 1, 0, 1]


@pytest.mark.parametrize("law", LAWS)
def test_draws_are_uniform_keyed_and_the_gates_have_their_masses_at_0_and_1(law: HardConcrete) -> None:
    count, alpha = 100_000, 0.7
    flat = FlatGate(law, {"a": torch.zeros(count)}, alpha)
    u = flat.draws((0, "a"))["a"]
    assert stats.kstest(u.double().numpy(), "uniform", method="asymp").pvalue > 1e-3 and float(u.max()) < 1
    assert torch.equal(u, flat.draws((0, "a"))["a"])
    other = flat.draws((0, "b"))["a"]
    assert abs(float(torch.corrcoef(torch.stack([u, other]))[0, 1])) < 0.015
    flat.w.fill_(1.0)
    flat.perturb([torch.zeros(count)], (0, "a"))
    s, at = flat.perturbed["a"], torch.tensor(alpha, dtype=torch.float64)
    for x in (0.0, 0.25, 0.5, 0.75, 1 - 1e-7):
        share, p = float((s > x).double().mean()), float(law.prob_above(at, x))
        assert abs(share - p) < 4 * (p * (1 - p) / count) ** 0.5 + 1e-6, x
    assert 0 < int((s == 1).sum()) < count


def test_tensors_begin_where_kernels_read_several_values_at_once() -> None:
    layout = FlatLayout.of({"a": torch.empty(3, 5), "b": torch.empty(PLACE), "c": torch.empty(2)})
    assert (layout.places, layout.size) == ({"a": 0, "b": PLACE, "c": 2 * PLACE}, 3 * PLACE)
    vector = torch.arange(3.0 * PLACE)
    views = layout.views(vector)
    assert views["a"].shape == (3, 5) and views["a"][2, 4] == 14
    assert views["b"][0] == PLACE and views["c"].tolist() == [2 * PLACE, 2 * PLACE + 1]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"lam": 0.0, "beta": 2 / 3, "gamma": -0.1, "zeta": 1.1, "clip": None, "density": 0.1},
        {"density": 0.3, "density_by": "lagrangian", "lam_lr": 0.01, "gamma": -0.5},
        {"clip": 1e-3, "alpha_clip": 1e-4, "density": 0.2},
    ],
)
def test_it_learns_what_the_plain_way_does(changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    made = both(monkeypatch, **changes)
    theta = {name: value.detach().clone() for name, value in made[0][0].named_parameters()}
    taken = [
        [steps.step(lambda model=model: model(**batch()).loss) for _ in range(5)]  # type: ignore[misc]
        for model, steps in made
    ]
    for (loss, interior), (want_loss, want_interior) in zip(*taken, strict=True):
        torch.testing.assert_close(loss, want_loss, rtol=1e-5, atol=1e-6)
        assert float(interior) == pytest.approx(float(want_interior), abs=1e-5)
    (model, flat), (_, plain) = made
    agree(flat, plain)
    # Densities at which the last of the chosen is not one of the many gates that only the penalty moves.
    assert any(bool((value != 0.3).any()) for value in flat.alpha.values())
    masks = [LearnedGates(one.law, one.alpha, one.w, KEY).mask(one.settings) for one in (flat, plain)]
    for name in masks[1]:
        assert torch.equal(masks[0][name], masks[1][name]), name
    assert all(torch.equal(value, theta[name]) for name, value in model.named_parameters())
    between = torch.ones(flat._flat.layout.size, dtype=torch.bool)  # type: ignore[union-attr]
    for part in flat._flat.layout.views(between).values():  # type: ignore[union-attr]
        part.fill_(False)
    assert between.any() and bool((flat._flat.alpha[between] == CLOSED).all())  # type: ignore[union-attr]
    assert not flat._flat.w[between].any()  # type: ignore[union-attr]


@pytest.mark.parametrize("kernel", ["flat", "plain"])
def test_a_step_s_draws_can_be_asked_for(kernel: Kernel) -> None:
    model, steps = learner(kernel, Mixed())
    parameters, u = dict(model.named_parameters()), steps.draws(1)  # a step before it is taken
    steps.step(lambda: mixed_loss(model))
    want = {
        name: theta + (steps.law.at(steps.alpha[name], u[name]) * steps.w[name]).to(theta.dtype)
        for name, theta in ((name, value.detach().clone()) for name, value in parameters.items())
    }

    def loss() -> Tensor:
        for name, value in parameters.items():
            torch.testing.assert_close(value.detach(), want[name], rtol=1e-6, atol=1e-8)
        return mixed_loss(model)

    steps.step(loss)
    assert any(bool((want[name] != value).any()) for name, value in parameters.items())
    assert learner("fused", Mixed())[1].draws(0).keys() == {"middle.weight", "middle.bias", "turned.weight"}


@pytest.mark.parametrize("error", ["draws", "slope", "clip", "penalty"])
def test_an_error_in_a_formula_would_be_seen(error: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = both(monkeypatch)
    flat = made[0][1]._flat
    assert flat is not None
    perturb, slopes = flat._formulas

    def wrong_perturb(law: Any, gamma: Any, alpha: Tensor, w: Any, v: Tensor, s: Any, weights: Any) -> None:
        perturb(law, gamma, -alpha if error == "draws" else alpha, w, v, s, weights)
        if error == "clip":
            torch.add(gamma, v, alpha=law.zeta - law.gamma, out=s)

    def wrong_slopes(law: Any, lam: Any, alpha: Any, w: Any, v: Tensor, s: Any, penalty: Tensor) -> None:
        slopes(law, -lam if error == "penalty" else lam, alpha, w, v, s, penalty)
        if error == "slope":
            v.neg_()

    flat._formulas = (wrong_perturb, wrong_slopes)
    for model, steps in made:
        for _ in range(5):
            steps.step(lambda model=model: model(**batch()).loss)  # type: ignore[misc]
    with pytest.raises(AssertionError):
        agree(made[0][1], made[1][1])


def test_a_step_that_fails_gives_theta_back() -> None:
    model, steps = learner("flat")
    before = {n: (p.detach().clone(), p.data_ptr()) for n, p in model.named_parameters()}
    steps._flat.w.fill_(1.0)  # type: ignore[union-attr]

    def loss() -> Tensor:
        now = model.bert.embeddings.LayerNorm.weight
        assert not torch.equal(now, before["bert.embeddings.LayerNorm.weight"][0])
        model(**batch()).loss.backward()
        raise RuntimeError("no memory")

    with pytest.raises(RuntimeError, match="no memory"):
        steps.step(loss)
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, before[name][0]) and parameter.data_ptr() == before[name][1], name
        assert parameter.grad is None


def stops_at(step: int) -> Any:
    """A function that asks for a stop before that step."""
    asked = iter(range(1000))
    return lambda: next(asked) == step


@pytest.mark.parametrize("changes", [{"density": 0.3}, {"density": 0.3, "density_by": "lagrangian"}])
def test_a_run_that_was_stopped_learns_the_same_bits(
    changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(bmt.mask_learning, "GateLearner", partial(GateLearner, kernel="flat"))

    def learn(**control: Any) -> Any:
        settings = MaskSettings(alpha0=0.0, w_lr=0.01, steps=6, **changes)
        return learn_masks(tiny.bert(), {"A": [batch()]}, settings=settings, control=RunControl(**control))

    whole, checkpoints = learn(), Checkpoints(tmp_path, "f")
    with pytest.raises(StoppedError):
        learn(checkpoints=checkpoints, stop=stops_at(3))
    again = learn(checkpoints=checkpoints)
    assert whole.bits.keys() == again.bits.keys()
    assert all(torch.equal(whole.bits[name], again.bits[name]) for name in whole.bits)
    assert whole.about["alpha"] == again.about["alpha"]


@pytest.mark.parametrize(("first", "second"), [("flat", "plain"), ("plain", "flat"), ("flat", "flat")])
def test_each_way_goes_on_from_a_checkpoint_of_the_other(
    first: Kernel, second: Kernel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Part of the tensors flat, part plain, in an order that mixes them."""
    changes = {"density": 0.3, "density_by": "lagrangian", "lam_lr": 0.01}
    whole = learner("plain", Mixed(), **changes)
    the_same_draws(monkeypatch, learner("flat", Mixed(), **changes)[1])
    half, other = learner(first, Mixed(), **changes), learner(second, Mixed(), **changes)
    for model, steps, count in ((*whole, 6), (*half, 3)):
        for _ in range(count):
            steps.step(lambda model=model: mixed_loss(model))  # type: ignore[misc]
    checkpoints = Checkpoints(tmp_path, "f")
    checkpoints.write(3, {"gates": half[1].tensors()}, {})
    saved = checkpoints.newest()
    assert saved is not None
    kept = saved.tensors("gates")
    assert {name: value.shape for name, value in kept.items()} == {
        name: value.shape for name, value in whole[1].tensors().items()
    }
    other[1].restore(kept)
    for name, value in other[1].tensors().items():
        assert torch.equal(value, half[1].tensors()[name]), name
    for _ in range(3):
        other[1].step(lambda: mixed_loss(other[0]))
    agree(other[1], whole[1])
    assert other[1].steps == 6


class Mixed(torch.nn.Module):
    """Layers of another precision and of float32, one whose weight is not contiguous, two that share one, and
    a factor of one number.
    """

    def __init__(self, dtype: torch.dtype = torch.float64) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = torch.nn.Linear(7, 9)
        self.middle = torch.nn.Linear(9, 9, dtype=dtype)
        self.turned = torch.nn.Linear(9, 7)
        self.turned.weight = torch.nn.Parameter(self.turned.weight.data.t().contiguous().t())
        self.last = torch.nn.Linear(7, 9)
        self.last.weight = self.first.weight
        self.factor = torch.nn.Parameter(torch.tensor(1.5))

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.middle(self.first(x).tanh().to(self.middle.weight.dtype)).float()
        return self.factor * self.last(self.turned(hidden).tanh())


def mixed_loss(model: torch.nn.Module) -> Tensor:
    x = torch.randn(5, 7, generator=torch.Generator().manual_seed(3))
    loss: Tensor = (model(x) - 1).square().mean()
    return loss


@pytest.mark.parametrize(("dtype", "count"), [(torch.float64, 5), (torch.bfloat16, 1)])
def test_tensors_that_no_vector_takes_are_learned_beside_it(
    dtype: torch.dtype, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One step where rounding to bfloat16 would make large differences of small ones."""
    make = partial(Mixed, dtype)
    made = both(monkeypatch, make)
    flat = made[0][1]
    assert flat._flat is not None
    in_vector = ["factor", "first.weight", "first.bias", "turned.bias", "last.bias"]
    assert list(flat._flat.layout.shapes) == in_vector
    assert set(flat.alpha) == {name for name, _ in make().named_parameters()}
    for model, steps in made:
        for _ in range(count):
            steps.step(lambda model=model: mixed_loss(model))  # type: ignore[misc]
    agree(flat, made[1][1])
    for name, value in make().named_parameters():
        assert torch.equal(dict(made[0][0].named_parameters())[name], value)


def test_a_weight_that_is_not_contiguous_is_learned_on_a_cpu_too() -> None:
    model, steps = learner("fused", Mixed())
    steps.step(lambda: mixed_loss(model))
    assert "turned.weight" not in steps._fused and "turned.bias" in steps._fused
    assert steps.w["turned.weight"].any()


def test_only_the_targets_are_in_the_vector_and_shared_gates_are_not() -> None:
    names = [name for name in target_names(tiny.bert()) if "attention" in name]
    model, steps = learner("flat", names=names)
    assert list(steps.alpha) == list(steps._flat.layout.shapes) == names  # type: ignore[union-attr]
    steps.step(lambda: model(**batch()).loss)
    assert steps.total == sum(value.numel() for value in steps.alpha.values())
    assert learner("flat", granularity="row")[1]._flat is None
    assert learner("fused")[1]._flat is None and learner("plain")[1]._flat is None


def test_errors_name_the_tensor() -> None:
    model, steps = learner("flat")
    weight = model.bert.encoder.layer[1].output.dense.weight

    def broken() -> Tensor:
        weight.register_hook(lambda grad: grad * float("inf"))
        loss: Tensor = model(**batch()).loss
        return loss

    with pytest.raises(ModelError, match=r"^tensor bert\.encoder\.layer\.1\.output\.dense\.weight: the grad"):
        steps.step(broken)
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2))
    steps = learner("flat", model, ["1.bias"])[1]
    with pytest.raises(ModelError, match=r"^tensor 1\.bias got no gradient at mask-learning step 0"):
        steps.step(lambda: model[0].weight.detach().requires_grad_().sum())


def test_compiled_formulas_are_the_same_in_one_graph_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the compiler behind, which takes 20 seconds to start: what it is given is a graph."""
    compile_ = torch.compile
    asked: list[dict[str, Any]] = []

    def traced(function: Any, **how: Any) -> Any:
        asked.append(how)
        return compile_(function, backend="aot_eager", **how)

    monkeypatch.setattr(torch, "compile", traced)
    made = [learner("flat"), learner("compiled")]
    assert asked == [{"fullgraph": True}] * 2
    for model, steps in made:
        for _ in range(3):
            steps.step(lambda model=model: model(**batch()).loss)  # type: ignore[misc]
    agree(made[1][1], made[0][1])


@pytest.mark.parametrize("scope", ["per_dataset", "per_batch"])
def test_theta_may_change_between_steps(scope: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Alternating: each step perturbs the weights as they are then. The masks move them all."""
    seen: list[bool] = []
    perturb = FlatGate.perturb

    def looked_at(self: FlatGate, theta: Any, key: Key) -> None:
        perturb(self, theta, key)
        seen.append(
            all(
                torch.equal(part[s == 0], value[s == 0])
                for part, value, s in zip(
                    self.perturbed.values(), theta, self.w_gradients.values(), strict=True
                )
            )
        )

    monkeypatch.setattr(FlatGate, "perturb", looked_at)
    monkeypatch.setattr(bmt.training.mask_schedules, "GateLearner", partial(GateLearner, kernel="flat"))
    model, settings = (
        tiny.bert(layers=1),
        MaskSettings(alpha0=0.0, w_lr=1e-3, batch=4, steps=2, schedule="alternating", scope=scope),
    )
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    schedule = mask_schedule(model, data(), settings, PLAN, seed=0)
    train(model, data(), PLAN, steps=3, seed=0, masks=schedule)
    assert len(seen) == 6 and all(seen)
    assert any(not torch.equal(value, before[name]) for name, value in model.named_parameters())
