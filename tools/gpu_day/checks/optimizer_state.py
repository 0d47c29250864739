"""Optimizer state of open weights alone on the device: the steps and the state of the dense one."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from bmt.masked_updates import mask_updates
from tools.gpu_day.checks.closeness import count, differing, error, relative_error
from tools.gpu_day.checks.subjects import (
    DATASETS,
    CheckScale,
    Regression,
    placed,
    random_masks,
    small_model,
    values,
)
from tools.gpu_day.checks.training import way
from tools.performance.figures import Measurement

STEPS = 4
SAME_STEPS = 1e-6
"""The same numbers through the same element-wise kernels, which may add and multiply in one rounding or two.
"""
SAME_GRADIENTS = 1e-5
"""The gradient of each of the two runs is its own, with its own rounding."""
Optimizer = torch.optim.Optimizer
OPTIMIZERS: dict[str, Callable[[list[nn.Parameter]], Optimizer]] = {
    "AdamW": lambda weights: torch.optim.AdamW(weights, lr=1e-2, weight_decay=0.1, fused=True),
    "SGD with momentum": lambda weights: torch.optim.SGD(weights, lr=1e-2, momentum=0.9),
}


def compact_state(scale: CheckScale) -> Measurement:
    """Weights and state after some steps, compact against dense."""
    figures = []
    plain = small_model("RoBERTa", scale)
    masks, start = random_masks(plain, density=0.1), values(plain)
    for name, optimizer_of in OPTIMIZERS.items():
        dense, state = weighted_steps(placed(plain, scale.device), optimizer_of, False)
        compact, handed_back = weighted_steps(placed(plain, scale.device), optimizer_of, True)
        figures += [
            error(
                f"{name}: way of the weights",
                relative_error(way(compact, start), way(dense, start)),
                SAME_STEPS,
            ),
            error(f"{name}: state that is handed back", relative_error(handed_back, state), SAME_STEPS),
        ]
    there = [placed(plain, scale.device) for _ in range(2)]
    for model, compact_one in zip(there, (False, True), strict=True):
        optimizer = OPTIMIZERS["SGD with momentum"](list(model.parameters()))
        with mask_updates(optimizer, model, masks, compact=compact_one) as handle:
            for step in range(STEPS):
                batch = Regression.of(scale.rows, scale.tokens, step)
                handle.rows([DATASETS[owner] for owner in batch.owner])
                batch.to(scale.device).loss(model).backward()
                torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
    ways = [way(values(model), start) for model in there]
    opened = masks.union().unpacked(start)
    moved = sum(
        differing(ways[1][name][~mask[0]], torch.zeros_like(ways[1][name])[~mask[0]])
        for name, mask in opened.items()
    )
    figures += [
        error(
            "six masks, SGD with momentum: way of the weights",
            relative_error(ways[1], ways[0]),
            SAME_GRADIENTS,
        ),
        count("six masks: closed weights that moved", moved),
    ]
    notes = (
        f"{STEPS} steps; a tenth of the weights open. One mask: both runs step on the same given "
        "gradients. Six masks: each on the gradients of its own backward passes, clipped. Relative in the "
        "2-norm; the way of a weight is how far it went from its start.",
    )
    return Measurement("Compact state", figures, notes)


def weighted_steps(
    model: nn.Module, optimizer_of: Callable[[list[nn.Parameter]], Optimizer], compact: bool
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Steps under one mask on losses whose gradients are given numbers: the weights, and the optimizer's
    state once the masks are off.
    """
    optimizer, device = optimizer_of(list(model.parameters())), next(model.parameters()).device
    draw = torch.Generator().manual_seed(16)
    with mask_updates(optimizer, model, random_masks(model, DATASETS[:1], density=0.1), compact=compact):
        for _ in range(STEPS):
            parts = []
            for value in model.parameters():
                given = torch.randn(value.shape, generator=draw).to(device)
                parts.append((value * given).sum())
            torch.stack(parts).sum().backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
    named = {id(parameter): name for name, parameter in model.named_parameters()}
    state = {
        f"{named[id(parameter)]}.{key}": value
        for parameter, entries in optimizer.state.items()
        for key, value in entries.items()
        if isinstance(value, Tensor)
    }
    return values(model), state
