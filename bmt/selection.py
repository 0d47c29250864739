"""From learned alphas to a binary mask: by the gate itself, or the share of weights that is asked for."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from bmt.gates import HardConcrete
from bmt.noise import Key, uniform


def open_gates(law: HardConcrete, alpha: Mapping[str, Tensor], gate: str, key: Key) -> dict[str, Tensor]:
    """Which gates are open, bool in alpha's shapes.

    Args:
        gate: "sampled": s > 0 for one draw under `key`; "deterministic": Louizos' gate > 0; "mean": E[s] > 1/2.
    """
    if gate == "deterministic":
        return {name: law.deterministic(value) > 0 for name, value in alpha.items()}
    if gate == "mean":
        return {name: law.mean(value) > 0.5 for name, value in alpha.items()}
    return {name: law.at(value, uniform(value.shape, (*key, name), value.device)) > 0 for name, value in alpha.items()}


def top_share(scores: Mapping[str, Tensor], density: float, key: Key, weights: Mapping[str, int] | None = None) -> dict[str, Tensor]:
    """The gates with the highest score over all tensors, until they hold the share `density` of the weights; ties are broken by `key`.

    Args:
        weights: weights that a gate of each tensor holds; None: one each, and exactly round(density n) of n are chosen. Gates of several
            weights are taken from the top as long as they fit; at least one is.
    """
    flat = torch.cat([score.reshape(-1) for score in scores.values()])
    if weights is None or all(count == 1 for count in weights.values()):
        chosen = _top(flat, max(1, round(density * flat.numel())), key)
    else:
        held = torch.cat([torch.full((score.numel(),), float(weights[name]), device=flat.device) for name, score in scores.items()])
        order = torch.argsort(flat, descending=True, stable=True)
        reached = held[order].double().cumsum(0) <= density * float(held.double().sum()) + 1e-6
        reached[0] = True
        chosen = torch.zeros_like(flat, dtype=torch.bool)
        chosen[order[reached]] = True
    parts = chosen.split([score.numel() for score in scores.values()])
    return {name: part.reshape(score.shape) for (name, score), part in zip(scores.items(), parts, strict=True)}


def _top(flat: Tensor, count: int, key: Key) -> Tensor:
    threshold = torch.kthvalue(flat, flat.numel() - count + 1).values
    chosen = flat > threshold
    tied = (flat == threshold).nonzero().reshape(-1)
    draw = uniform(tuple(tied.shape), (*key, "ties"), flat.device)
    chosen[tied[draw.argsort(stable=True)[: count - int(chosen.sum())]]] = True
    return chosen
