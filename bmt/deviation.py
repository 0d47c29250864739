"""How far the weights have moved from the pretrained ones: what BMT claims to limit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bmt.layers import in_encoder, kind_of, layer_of


@dataclass(frozen=True, slots=True)
class Deviation:
    """Distance of a group of weights from their pretrained values.

    Attributes:
        l2: ||theta_t - theta_0||_2.
        relative: l2 / ||theta_0||_2.
        changed: share of weights whose value differs, 0 to 1.
        cosine: cosine of theta_t and theta_0.
    """

    l2: float
    relative: float
    changed: float
    cosine: float


def pretrained_copy(model: nn.Module) -> dict[str, Tensor]:
    """A copy of every encoder tensor (heads and adapters start anew, so they have no pretrained value)."""
    return {
        name: parameter.detach().clone() for name, parameter in model.named_parameters() if in_encoder(name)
    }


@torch.no_grad()
def deviations(model: nn.Module, pretrained: Mapping[str, Tensor]) -> dict[str, Deviation]:
    """Deviation in total (key `total`), by layer (`layer/layer_00`) and by kind of tensor (`kind/query`).

    One pass over the weights with float64 sums; one transfer from the device at the end.
    """
    names, rows = [], []
    for name, parameter in model.named_parameters():
        if name not in pretrained:
            continue
        now, then = (
            parameter.detach().double().reshape(-1),
            pretrained[name].to(parameter.device).double().reshape(-1),
        )
        moved = now - then
        rows.append(
            torch.stack([moved @ moved, then @ then, now @ now, now @ then, (moved != 0).sum().double()])
        )
        names.append(name)
    sums = torch.stack(rows).cpu()
    groups: dict[str, list[int]] = {"total": list(range(len(names)))}
    for i, name in enumerate(names):
        groups.setdefault(f"layer/{layer_of(name)}", []).append(i)
        groups.setdefault(f"kind/{kind_of(name)}", []).append(i)
    sizes = torch.tensor([pretrained[name].numel() for name in names], dtype=torch.float64)
    return {key: _deviation(sums[rows_].sum(0), float(sizes[rows_].sum())) for key, rows_ in groups.items()}


def _deviation(sums: Tensor, size: float) -> Deviation:
    moved, then, now, product, changed = (float(value) for value in sums)
    length = math.sqrt(then * now)
    return Deviation(
        math.sqrt(moved),
        math.sqrt(moved / then) if then else 0.0,
        changed / size,
        product / length if length else 1.0,
    )
