"""The fused gate on a CPU against the plain formulas, which are its oracle."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

import bmt.fused_gate
from bmt.fused_gate import FusedGate, draws
from bmt.gate_learner import GateLearner, Kernel
from bmt.gates import HardConcrete, gate_shape, weights_per_gate
from bmt.layers import target_names
from bmt.settings import MaskSettings
from tests.support import tiny

LAWS = [HardConcrete(), HardConcrete(-0.1, 1.1, 2 / 3), HardConcrete(-0.5, 2.0), HardConcrete(-3.0, 1.2, 2.0)]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tensors of several blocks, the last one short."""
    monkeypatch.setattr(bmt.fused_gate, "BLOCK", 64)


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("lam", [0.0, 0.7])
def test_it_computes_what_the_plain_formulas_do(law: HardConcrete, lam: float) -> None:
    generator = torch.Generator().manual_seed(0)
    theta, alpha, w, g = (2 * torch.randn(13, 17, generator=generator) for _ in range(4))
    u = torch.cat(list(draws(("k", 1), 221))).view(13, 17)
    fused, out, grad_alpha = FusedGate.of(law), torch.empty(13, 17), torch.empty(13, 17)
    fused.perturb(theta, alpha, w, ("k", 1), out)
    s = law.at(alpha, u)
    torch.testing.assert_close(out, theta + s * w, rtol=1e-5, atol=1e-6)
    want_alpha, want_w = law.gradients(g, alpha, w, u, lam)
    grad_w = g.clone()
    interior = fused.gradients(grad_w, alpha, w, ("k", 1), lam, grad_alpha)
    torch.testing.assert_close(grad_alpha, want_alpha, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(grad_w, want_w, rtol=1e-5, atol=1e-6)
    assert int(interior) == int(((s > 0) & (s < 1)).sum()) > 0
    fused.penalty(alpha, 0.7, out)
    p = law.prob_open(alpha)
    torch.testing.assert_close(out, 0.7 * p * (1 - p), rtol=1e-5, atol=1e-7)


def test_draws_are_uniform_keyed_and_off_the_ends() -> None:
    bmt.fused_gate.BLOCK = 1 << 16
    u = torch.cat(list(draws((0, "a"), 1_000_000)))
    assert stats.kstest(u.double().numpy(), "uniform").pvalue > 1e-3
    assert float(u.min()) > 0 and float(u.max()) < 1
    assert abs(np.corrcoef(u[:-1].numpy(), u[1:].numpy())[0, 1]) < 5e-3
    assert torch.equal(u, torch.cat(list(draws((0, "a"), 1_000_000))))
    other = torch.cat(list(draws((0, "b"), 1_000_000)))
    assert abs(np.corrcoef(u.numpy(), other.numpy())[0, 1]) < 5e-3


def batch() -> dict[str, torch.Tensor]:
    ids = torch.randint(
        5, 50, (4, 12), generator=torch.Generator().manual_seed(0)
    )  # ids 50 to 99 never occur
    return {
        "input_ids": ids,
        "start_positions": torch.tensor([1, 2, 3, 4]),
        "end_positions": torch.tensor([2, 3, 4, 5]),
    }


def learner(kernel: Kernel = "fused", **changes: object) -> tuple[torch.nn.Module, GateLearner]:
    model = tiny.bert()
    settings = MaskSettings(
        **(
            {"alpha0": 0.3, "lam": 0.0, "alpha_lr": 0.1, "w_lr": 0.1, "clip": None, "alpha_clip": None}
            | changes
        )
    )  # type: ignore[arg-type]
    return model, GateLearner(model, target_names(model), settings, (0, "mask", "A"), kernel=kernel)


def test_rows_that_no_token_looks_up_have_no_gradient_and_others_the_plain_one() -> None:
    """Two steps: w has to leave 0 before the data moves alpha.

    The draws of the looked-up rows are taken from the learner's keys.
    """
    model, own = learner()
    name, data = "bert.embeddings.word_embeddings.weight", batch()
    own.step(lambda: model(**data).loss)
    used = torch.unique(data["input_ids"])
    unused = torch.tensor(sorted(set(range(100)) - set(used.tolist())))
    assert (own.w[name][used] != 0).any() and not own.w[name][unused].any()
    before, w = own.alpha[name].clone(), own.w[name].clone()
    moments = own._alpha_optimizer.state[own.alpha[name]]["exp_avg"].clone()
    u = torch.cat(list(draws((0, "mask", "A", 1, name, 0), w[used].numel()))).view(len(used), -1)
    s = own.law.at(before[used], u)
    seen: dict[str, torch.Tensor] = {}

    def measure() -> torch.Tensor:
        weight = dict(model.named_parameters())[name]
        out = model(**data).loss
        torch.testing.assert_close(weight[used], seen["theta"][used] + s * w[used], rtol=1e-5, atol=1e-6)
        assert torch.equal(weight[unused], seen["theta"][unused])
        weight.register_post_accumulate_grad_hook(lambda p: seen.update(g=p.grad.clone()))
        return out

    seen["theta"] = dict(model.named_parameters())[name].detach().clone()
    own.step(measure)
    assert not seen["g"][unused].any()
    want, _ = own.law.gradients(seen["g"][used], before[used], w[used], u)
    got = (own._alpha_optimizer.state[own.alpha[name]]["exp_avg"] - 0.9 * moments) / 0.1
    torch.testing.assert_close(got[used], want, rtol=1e-3, atol=1e-7)
    assert torch.equal(own.alpha[name][unused], before[unused])
    assert torch.equal(dict(model.named_parameters())[name], seen["theta"])


def test_with_a_penalty_the_gates_of_unused_rows_close_too() -> None:
    model, own = learner(lam=1e-3)
    own.step(lambda: model(**batch()).loss)
    assert (own.alpha["bert.embeddings.word_embeddings.weight"] < 0.3).all()


@pytest.mark.parametrize(
    ("shape", "granularity", "want", "held"),
    [
        ((4, 6), "element", (4, 6), 1),
        ((4, 6), "row", (4, 1), 6),
        ((4, 6), "column", (1, 6), 4),
        ((4, 6), "tensor", (1, 1), 24),
        ((5,), "element", (5,), 1),
        ((5,), "row", (5,), 1),
        ((5,), "column", (1,), 5),
        ((5,), "tensor", (1,), 5),
    ],
)
def test_shapes_of_gates(shape: tuple[int, ...], granularity: str, want: tuple[int, ...], held: int) -> None:
    assert (
        gate_shape(shape, granularity) == want
        and weights_per_gate(torch.empty(shape), torch.empty(gate_shape(shape, granularity))) == held
    )


@pytest.mark.parametrize("granularity", ["element", "row", "column", "tensor"])
def test_shared_gates_learn_by_autograd_s_gradient(granularity: str) -> None:
    """The gradient in alpha and w of loss + lam sum P(s > 0) over weights, through expanded gates, by
    autograd.
    """
    model, own = learner("plain", granularity=granularity, lam=0.01)
    for value in own.w.values():
        value.normal_(0, 0.02, generator=torch.Generator().manual_seed(1))
    name, data = "bert.encoder.layer.0.intermediate.dense.weight", batch()
    from bmt.runtime.keyed_random import uniform

    theta = {n: p.detach().clone() for n, p in model.named_parameters()}
    alpha, w = ({n: v.clone().requires_grad_() for n, v in group.items()} for group in (own.alpha, own.w))
    perturbed = {
        n: theta[n] + own.law.at(alpha[n].detach(), uniform(alpha[n].shape, (0, "mask", "A", 0, n))) * w[n]
        for n in w
    }
    u = uniform(alpha[name].shape, (0, "mask", "A", 0, name))
    s = (torch.sigmoid(torch.log(u) - torch.log1p(-u) + alpha[name]) * 3 - 1.5).clamp(0, 1)
    perturbed[name] = theta[name] + s * w[name]
    loss = torch.func.functional_call(model, {**theta, **perturbed}, kwargs=data).loss
    loss = loss + 0.01 * (torch.sigmoid(alpha[name]) * own.gate_sizes[name]).sum()
    want_alpha, want_w = torch.autograd.grad(loss, (alpha[name], w[name]))
    own.step(lambda: model(**data).loss)
    got_alpha = own._alpha_optimizer.state[own.alpha[name]]["exp_avg"] / 0.1
    got_w = own._w_optimizer.state[own.w[name]]["exp_avg"] / 0.1
    torch.testing.assert_close(got_alpha, want_alpha, rtol=1e-3, atol=1e-6)
    torch.testing.assert_close(got_w, want_w, rtol=1e-3, atol=1e-7)


def test_gates_that_are_not_counted_learn_the_same() -> None:
    law = HardConcrete()
    draw = torch.Generator().manual_seed(0)
    alpha, w, g = (torch.randn(9, 11, generator=draw) for _ in range(3))
    by_w, by_alpha = [g.clone(), g.clone()], [torch.empty(9, 11), torch.empty(9, 11)]
    fused = FusedGate.of(law)
    counts = [
        int(fused.gradients(by_w[i], alpha, w, ("k",), 0.1, by_alpha[i], count=bool(i))) for i in range(2)
    ]
    assert counts[0] == 0 < counts[1]
    assert torch.equal(by_w[0], by_w[1]) and torch.equal(by_alpha[0], by_alpha[1])
