"""A linear regression whose right mask is known: the support of the planted weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn


class Regression(nn.Module):
    """y = x . theta, theta 0; the right mask is the support of the planted weights."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Linear(200, 1, bias=False)
        nn.init.zeros_(self.encoder.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.encoder(x).squeeze(-1)


def planted(seed: int = 0) -> tuple[torch.Tensor, Callable[[int], dict[str, torch.Tensor]]]:
    """The support of true weights, 10 % of 200, and a function from a step to its batch."""
    generator = torch.Generator().manual_seed(seed)
    weights = torch.zeros(200)
    support = torch.randperm(200, generator=generator)[:20]
    weights[support] = (torch.randint(0, 2, (20,), generator=generator) * 2 - 1) * (
        1 + torch.rand(20, generator=generator)
    )

    def batch_at(step: int) -> dict[str, torch.Tensor]:
        x = torch.randn(64, 200, generator=torch.Generator().manual_seed(1000 + step))
        return {"x": x, "y": x @ weights}

    return weights != 0, batch_at


def squared(model: nn.Module, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """The mean squared error."""
    return ((model(batch["x"]) - batch["y"]) ** 2).mean()


TOY: dict[str, Any] = {
    "alpha0": 0.0,
    "w_lr": 0.05,
    "alpha_lr": 0.05,
    "steps": 500,
    "loss": squared,
    "gate": "deterministic",
}
"""Settings of `learn_masks` under which the support is found."""
