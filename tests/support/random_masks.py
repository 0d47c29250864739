"""Masks whose weights are open at random, as many as a density says."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from bmt.layers import target_names
from bmt.masks import Masks
from tests.support import tiny


def masks_for(model: nn.Module, density: float = 0.3, datasets: str = "ABC") -> Masks:
    """Masks of a model, one per letter of `datasets`; a density above 1 opens every weight."""
    return _random_masks(model, density, datasets, seed=0)


def learned_masks(density: float = 0.3, seed: int = 0, model: nn.Module | None = None) -> Masks:
    """Masks of the datasets A, B and C, of a tiny BERT unless `model` is given, said to be learned."""
    model = tiny.bert() if model is None else model
    return _random_masks(model, density, "ABC", seed, {"kind": "learned"})


def _random_masks(
    model: nn.Module, density: float, datasets: str, seed: int, about: dict[str, Any] | None = None
) -> Masks:
    generator = torch.Generator().manual_seed(seed)
    parameters = dict(model.named_parameters())
    names = target_names(model)
    masks = {
        dataset: {name: torch.rand(parameters[name].shape, generator=generator) < density for name in names}
        for dataset in datasets
    }
    return Masks.of(masks, model, about)
