"""The batches that masks and a head are learned on before the loop, and their loss."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from bmt.mask_learning import GLOBAL
from bmt.qa.batches import Batch, collate
from bmt.qa.model import batch_loss
from bmt.runtime.keyed_random import permutation
from bmt.settings import MaskSettings, SamplingSettings
from bmt.training.data import TrainingData
from bmt.training.plan import Plan, autocast_for
from bmt.training.sampling import Sampler, check_rows

BatchAt = Callable[[int], Batch]
"""step -> batch."""


def in_order(rows: np.ndarray, begin: int, count: int, key: tuple[int | str, ...]) -> list[int]:
    """`count` of the rows from place `begin` of an endless order: passes, each shuffled under `key`."""
    taken: list[int] = []
    while len(taken) < count:
        passes, at = divmod(begin + len(taken), len(rows))
        order = permutation(len(rows), (*key, passes))
        taken.extend(rows[order[at : at + count - len(taken)]].tolist())
    return taken


def dataset_batches(data: TrainingData, which: int, size: int, seed: int, device: torch.device) -> BatchAt:
    """Batches of `size` training windows of one dataset, given by its position."""
    name = data.datasets[which]

    def batch_at(step: int) -> Batch:
        chosen = in_order(data.rows[name], step * size, size, (seed, "mask windows", name))
        return collate(data.sets, [(which, row) for row in chosen], data.vocabulary).to(device)

    return batch_at


def mixture_batches(data: TrainingData, size: int, seed: int, device: torch.device) -> BatchAt:
    """Batches of the uniform mixture, for one global mask or a head's warm-up. Steps must be asked for in
    order.
    """
    sampler = Sampler(data.rows, size, SamplingSettings(kind="uniform"), seed)
    return lambda step: collate(data.sets, sampler.draw(step), data.vocabulary).to(device)


def source_batches(
    data: TrainingData, mask: MaskSettings, seed: int, device: torch.device
) -> dict[str, BatchAt]:
    """The batches that each mask is learned on: by dataset, or of the mixture for a global mask.

    Raises:
        ConfigError: a dataset without training windows.
    """
    check_rows(data.rows)
    if mask.scope == "global":
        return {GLOBAL: mixture_batches(data, mask.batch, seed, device)}
    return {
        name: dataset_batches(data, which, mask.batch, seed, device)
        for which, name in enumerate(data.datasets)
    }


def plan_loss(model: nn.Module, plan: Plan) -> Callable[[nn.Module, Batch], torch.Tensor]:
    """The loss of a batch in the plan's precision."""
    cast = autocast_for(plan.training.precision, next(model.parameters()).device)

    def loss(model: nn.Module, batch: Batch) -> torch.Tensor:
        with cast():
            return batch_loss(model, batch, plan.loss.spans)

    return loss
