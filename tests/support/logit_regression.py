"""Regression of a model's logits on random numbers: a batch, and a loss that every tiny model has."""

from __future__ import annotations

import torch
from torch import nn


def ids(rows: int = 7, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Token ids (rows, 11), their attention, row 2 three tokens shorter, and targets (rows, 11, 2)."""
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(5, 90, (rows, 11), generator=generator)
    attention = torch.ones_like(tokens)
    attention[2, 8:] = 0
    return tokens, attention, torch.randn(rows, 11, 2, generator=generator)


def loss_on(
    model: nn.Module, tokens: torch.Tensor, attention: torch.Tensor, target: torch.Tensor
) -> torch.Tensor:
    """The sum of squared distances of the start and end logits from the targets."""
    out = model(input_ids=tokens, attention_mask=attention)
    logits = (
        torch.stack([out.start_logits, out.end_logits], -1) if hasattr(out, "start_logits") else out.logits
    )
    return ((logits - target) ** 2).sum()
