"""From learned alphas to a binary mask: by the gate itself, or the share of weights that is asked for."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from bmt.gates import HardConcrete
from bmt.runtime.keyed_random import Key, uniform
from bmt.settings import MaskSettings


def top_density(settings: MaskSettings) -> float | None:
    """The density, where the mask is that share of the weights with the largest alpha; None: the gates
    themselves decide.
    """
    return settings.density if settings.density_by == "top_k" else None


def gate_masks(
    law: HardConcrete, alpha: Mapping[str, Tensor], gate: str, binarise: str, key: Key
) -> dict[str, Tensor]:
    """The gates as masks in alpha's shapes: bool, or s itself in float32.

    Args:
        gate: s: "sampled" (or "resampled"): a draw under `key`; "deterministic": Louizos' gate; "mean": E[s].
        binarise: "positive": s > 0; "half": s > 1/2; "none": s.
    """
    chosen = {}
    for name, value in alpha.items():
        if gate == "deterministic":
            s = law.deterministic(value)
        elif gate == "mean":
            s = law.mean(value)
        else:
            s = law.at(value, uniform(value.shape, (*key, name), value.device))
        chosen[name] = s if binarise == "none" else s > (0.5 if binarise == "half" else 0)
    return chosen


def top_share(
    scores: Mapping[str, Tensor], density: float, key: Key, weights: Mapping[str, int] | None = None
) -> dict[str, Tensor]:
    """The gates with the highest score over all tensors, until they hold the share `density` of the weights;
    ties are broken by `key`.

    Args:
        weights: weights that a gate of each tensor holds; None: one each, and exactly round(density n) of n
            are chosen. Gates of several weights are taken from the top as long as they fit; at least one is.
    """
    flat = torch.cat([score.reshape(-1) for score in scores.values()])
    if weights is None or all(count == 1 for count in weights.values()):
        chosen = _top(flat, max(1, round(density * flat.numel())), key)
    else:
        held = torch.cat(
            [
                torch.full((score.numel(),), float(weights[name]), device=flat.device)
                for name, score in scores.items()
            ]
        )
        order = torch.argsort(flat, descending=True, stable=True)
        reached = held[order].double().cumsum(0) <= density * float(held.double().sum()) + 1e-6
        reached[0] = True
        chosen = torch.zeros_like(flat, dtype=torch.bool)
        chosen[order[reached]] = True
    parts = chosen.split([score.numel() for score in scores.values()])
    return {
        name: part.reshape(score.shape) for (name, score), part in zip(scores.items(), parts, strict=True)
    }


def _top(flat: Tensor, count: int, key: Key) -> Tensor:
    """The `count` largest of a vector, bool; those equal to the last of them are drawn under `key`."""
    threshold = kth_largest(flat, count)
    chosen = flat > threshold
    missing = count - int(chosen.sum())
    tied = (flat == threshold).nonzero().reshape(-1)
    if missing < len(tied):
        draw = uniform(tuple(tied.shape), (*key, "ties"), flat.device)
        last = kth_largest(draw, missing)
        first = draw > last
        equal = (draw == last).nonzero().reshape(-1)  # draws can be equal too: the first of them
        first[equal[: missing - int(first.sum())]] = True
        tied = tied[first]
    chosen[tied] = True
    return chosen


def kth_largest(flat: Tensor, count: int) -> float:
    """The `count`-th largest value of a float32 vector without NaN.

    On a CPU by NumPy, whose selection stays linear where millions of values are equal; torch.kthvalue takes
    seconds on them.
    """
    place = flat.numel() - count
    if flat.device.type != "cpu":
        return float(torch.kthvalue(flat, place + 1).values)
    return float(np.partition(flat.numpy(), place)[place])
