"""Mask learning on the device: the masks of eq. 12 taken literally, and twice the same ones.

The judge is autograd in float64 on the CPU: the gates are part of its graph, and their draws are the
device's, copied over. What it shares with the learner are the settings and AdamW.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

from bmt.gate_learner import GateLearner
from bmt.gates import HardConcrete, gate_shape
from bmt.layers import target_names
from bmt.mask_learning import LearnedGates
from bmt.mask_selection import top_share
from bmt.runtime.keyed_random import Key
from bmt.settings import MaskSettings
from tools.gpu_day.checks.closeness import count, differing, error, error_of_most
from tools.gpu_day.checks.gates import exact_gate, open_probability
from tools.gpu_day.checks.subjects import CheckScale, Regression, exact, placed, small_model
from tools.performance.figures import Measurement

KEY: Key = (14, "mask", "A")
SETTINGS = MaskSettings(alpha0=0.0, lam=1e-6, alpha_lr=0.1, alpha_eps=1e-6, w_lr=1e-3, density=0.3)
MOVED, LEFT_OUT = 2e-4, 1e-4
"""One weight in ten thousand is left out: where a gate is next to 0 or 1, rounding decides whether it has a
gradient, and where a gradient is near rounding, Adam's step is of full size all the same. On a CPU the others
are 1e-5 from float64.
"""
BITS = 2e-4
"""Share of the weights whose alpha may lie on the other side of the cut: those next to it."""
NO_GRADIENT = "key.bias"
"""The softmax does not see it: its gradient is rounding alone, and Adam's steps are of full size all the
same.
"""


def learner_of(model: nn.Module, names: Sequence[str], settings: MaskSettings, key: Key) -> GateLearner:
    """The learner as an accelerator has it; in a rehearsal too, where a CPU has another kernel."""
    return GateLearner(model, names, settings, key, kernel="flat")


def learned_masks(scale: CheckScale) -> Measurement:
    """alpha, w and the mask after some steps, against the judge and against a second run on the device."""
    plain = small_model("RoBERTa", scale)
    names = [name for name in target_names(plain) if not name.endswith(NO_GRADIENT)]
    batches = [Regression.of(scale.rows, scale.tokens, seed) for seed in range(scale.steps)]
    figures = []
    for granularity in ("element", "row"):
        settings = replace(SETTINGS, granularity=granularity)
        learner = learned(placed(plain, scale.device), names, settings, batches)
        alpha, w = judged(plain, names, settings, batches, learner.draws)
        sizes = learner.gate_sizes if granularity == "row" else None
        right = top_share({name: value.float() for name, value in alpha.items()}, 0.3, KEY, sizes)
        chosen = mask_of(learner)
        total = sum(value.numel() for value in chosen.values())
        bits = differing(chosen, {name: value.expand(w[name].shape) for name, value in right.items()})
        figures += [
            error(f"{granularity}: alpha", error_of_most(learner.alpha, alpha, LEFT_OUT), MOVED),
            error(f"{granularity}: w", error_of_most(learner.w, w, LEFT_OUT), MOVED),
            error(f"{granularity}: share of wrong bits in the mask", bits / total, BITS),
        ]
    first, second = (
        mask_of(learned(placed(plain, scale.device), names, SETTINGS, batches)) for _ in range(2)
    )
    figures.append(error("share of bits that differ in a second run", differing(second, first) / total, BITS))
    with _one_way_attention(scale.device):
        one, other = (learned(placed(plain, scale.device), names, SETTINGS, batches) for _ in range(2))
    figures += [
        count("bits that differ in a second run, plain attention", differing(mask_of(other), mask_of(one))),
        count("alphas that differ in a second run, plain attention", differing(other.alpha, one.alpha)),
    ]
    notes = (
        f"RoBERTa of {scale.layers} layers of {scale.hidden}, {total:,} weights, {scale.steps} steps, the "
        f"top {SETTINGS.density:.0%} of alpha; relative in the 2-norm, one weight in ten thousand left "
        "out; key biases are left out: their gradient is rounding alone. A second run may differ where "
        "the backward pass of fused attention adds in any order; plain attention has one.",
    )
    return Measurement("Mask learning", figures, notes)


def learned(
    model: nn.Module, names: Sequence[str], settings: MaskSettings, batches: Sequence[Regression]
) -> GateLearner:
    """A learner on the model's device that has taken a step on each batch."""
    device = next(model.parameters()).device
    learner = learner_of(model, names, settings, KEY)
    for batch in batches:
        there = batch.to(device)
        learner.step(lambda there=there: there.loss(model))  # type: ignore[misc]
    learner.settle()
    return learner


def mask_of(learner: GateLearner) -> dict[str, Tensor]:
    """The mask of what was learned."""
    return LearnedGates(learner.law, learner.alpha, learner.w, KEY).mask(learner.settings)


def judged(
    model: nn.Module,
    names: Sequence[str],
    settings: MaskSettings,
    batches: Sequence[Regression],
    draws_at: Callable[[int], Mapping[str, Tensor]],
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """alpha and w by eq. 12 in float64 on the CPU, at given draws."""
    judge, law = exact(model), HardConcrete.of(settings)
    theta = {name: value.detach() for name, value in judge.named_parameters()}
    shapes = {name: gate_shape(theta[name].shape, settings.granularity) for name in names}
    alpha = {
        name: torch.full(shape, settings.alpha0, dtype=torch.float64, requires_grad=True)
        for name, shape in shapes.items()
    }
    w = {name: torch.zeros_like(theta[name], requires_grad=True) for name in names}
    adams = [
        torch.optim.AdamW(alpha.values(), lr=settings.alpha_lr, eps=settings.alpha_eps, weight_decay=0.0),
        torch.optim.AdamW(w.values(), lr=settings.w_lr, weight_decay=0.0),
    ]
    for step, batch in enumerate(batches):
        u = {name: drawn.cpu().double() for name, drawn in draws_at(step).items()}
        perturbed = {name: theta[name] + exact_gate(law, alpha[name], u[name]) * w[name] for name in names}
        opened = [
            open_probability(law, value).sum() * (w[name].numel() // value.numel())
            for name, value in alpha.items()
        ]
        (batch.loss(_Perturbed(judge, perturbed)) + settings.lam * torch.stack(opened).sum()).backward()
        for part, clip in ((alpha, settings.alpha_clip), (w, settings.clip)):
            if clip is not None:
                torch.nn.utils.clip_grad_norm_(part.values(), clip)
        for adam in adams:
            adam.step()
            adam.zero_grad()
    return _detached(alpha), _detached(w)


class _Perturbed(nn.Module):
    """A model with other weights, in the graph, in the place of some of its own."""

    def __init__(self, model: nn.Module, weights: dict[str, Tensor]) -> None:
        super().__init__()
        self._model, self._weights = model, weights

    def forward(self, **inputs: Tensor) -> object:
        """The model's outputs."""
        return functional_call(self._model, self._weights, kwargs=inputs)


def _one_way_attention(device: torch.device) -> AbstractContextManager[None]:
    """On a GPU, attention by plain products, whose sums have one order."""
    plain: AbstractContextManager[None] = (
        sdpa_kernel(SDPBackend.MATH) if device.type == "cuda" else nullcontext()
    )
    return plain


def _detached(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach() for name, value in values.items()}
