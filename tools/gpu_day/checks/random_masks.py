"""The random mask of eq. 16 on the device: the same bits for a seed and a step, as many open as p_F says, and
the masked gradient is the gradient under those very bits.

The bits are read off a tuning's own hooks: a loss that is the sum of all weights has gradient 1 everywhere,
and what the mask leaves of it is the mask.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bmt.layers import target_names
from bmt.masked_updates import mask_updates
from bmt.random_mask import RandomDraws, RandomMask
from tools.gpu_day.checks.closeness import count, differing, digest, error, largest, relative_error, z_score
from tools.gpu_day.checks.gates import MOST_Z
from tools.gpu_day.checks.masked_gradients import FLOAT32
from tools.gpu_day.checks.subjects import (
    CheckScale,
    Regression,
    exact,
    gradients,
    placed,
    small_model,
)
from tools.performance.figures import MeasuredFigure, Measurement

P_F, SEED, STEPS = 0.3, 14, 4
ALIKE = 0.6
"""Two independent masks of density .3 agree in .3^2 + .7^2 = 58 % of the weights."""


def drawn_masks(model: nn.Module, first_step: int = 0, last_first: bool = False) -> list[dict[str, Tensor]]:
    """The masks of the steps from `first_step` to `STEPS`, by tensor name, on the CPU.

    Args:
        last_first: whether the last tensors meet their masks in a backward pass of their own, before the
            first.
    """
    names, parameters = target_names(model), list(model.parameters())
    optimizer = torch.optim.SGD(parameters, lr=0.0)
    half = len(parameters) // 2
    parts = (parameters[half:], parameters[:half]) if last_first else (parameters,)
    masks = []
    with mask_updates(optimizer, model, RandomMask(P_F, SEED), first_step=first_step):
        for _ in range(first_step, STEPS):
            for part in parts:
                torch.stack([value.sum() for value in part]).sum().backward()
            left = gradients(model)
            masks.append({name: left[name] for name in names})
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
    return masks


def masks_together(model: nn.Module, steps: range, last_first: bool = False) -> list[dict[str, Tensor]]:
    """The masks of some steps as an accelerator draws them: those of all tensors in one vector."""
    parameters = dict(model.named_parameters())
    targets = {name: parameters[name] for name in target_names(model)}
    draws = RandomDraws(RandomMask(P_F, SEED), targets, together=True)
    order = list(reversed(targets)) if last_first else list(targets)
    return [{name: draws.at(name, step).clone() for name in order} for step in steps]


def step_masks(scale: CheckScale) -> Measurement:
    """The bits of a run, of the run once more, of one that goes on in the middle, and in another order."""
    model = placed(small_model("RoBERTa", scale), scale.device)
    masks, again = drawn_masks(model), drawn_masks(model)
    resumed, reversed_ = drawn_masks(model, first_step=2), drawn_masks(model, last_first=True)
    together = masks_together(model, range(STEPS))
    total = sum(value.numel() for value in masks[0].values())
    opened = [sum(float(value.sum()) for value in mask.values()) for mask in masks]
    alike = 1 - differing(masks[1], masks[0]) / total
    figures = [
        count("bits that differ in a second run", _bits_apart(again, masks)),
        count("bits that differ after a resume", _bits_apart(resumed, masks[2:])),
        count("bits that differ in another order of use", _bits_apart(reversed_, masks)),
        count(
            "drawn together: bits that differ in a second run, a resume, another order",
            _bits_apart(masks_together(model, range(STEPS)), together)
            + _bits_apart(masks_together(model, range(2, STEPS)), together[2:])
            + _bits_apart(masks_together(model, range(STEPS), last_first=True), together),
        ),
        MeasuredFigure("bits that two steps share", alike, ALIKE, unit="%"),
        error(
            "|z| of the share of open weights, largest",
            largest(z_score(n, total, P_F) for n in opened),
            MOST_Z,
        ),
    ]
    notes = (
        f"{STEPS} steps, {total:,} weights, p_F {P_F:g}. The record has the digest of the first step's "
        "bits, to hold another GPU or torch against.",
    )
    flat = torch.cat([value.reshape(-1).bool() for value in masks[0].values()])
    return Measurement("Random mask", figures, notes, {"first step": digest(flat)})


def masked_gradient(scale: CheckScale) -> Measurement:
    """A real loss's gradient under the random mask, against the float64 gradient times the mask's bits."""
    plain = small_model("RoBERTa", scale)
    batch, judge, there = (
        Regression.of(scale.rows, scale.tokens, 4),
        exact(plain),
        placed(plain, scale.device),
    )
    mask = drawn_masks(there)[0]
    optimizer = torch.optim.SGD(there.parameters(), lr=0.0)
    with mask_updates(optimizer, there, RandomMask(P_F, SEED)):
        batch.to(scale.device).loss(there).backward()
        masked = gradients(there)
    batch.loss(judge).backward()
    right = {name: value * mask.get(name, 1) for name, value in gradients(judge).items()}
    leaked = sum(int(((masked[name] != 0) & (bits == 0)).sum()) for name, bits in mask.items())
    figures = [
        error("masked gradient, relative in the 2-norm", relative_error(masked, right), FLOAT32),
        count("closed weights with a gradient", leaked),
    ]
    notes = (f"RoBERTa of {scale.layers} layers of {scale.hidden}, float32 against float64.",)
    return Measurement("Gradient under the random mask", figures, notes)


def _bits_apart(masks: list[dict[str, Tensor]], right: list[dict[str, Tensor]]) -> int:
    return sum(differing(a, b) for a, b in zip(masks, right, strict=True))
