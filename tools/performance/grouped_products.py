"""All datasets' products of a linear map in one launch, of groups of any sizes: torch's grouped matrix
product, to be measured beside `bmt.row_gradients.weight_parts`, which takes one launch per run of equal
sizes.

On CUDA it takes bf16 from compute capability 8.0 on (its fastest kernel is Hopper's), rows that begin at
multiples of 16 bytes, and the groups' ends as int32 on the device.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from itertools import accumulate

import torch
from torch import Tensor

import bmt.row_gradients
from bmt.row_gradients import RowGroups
from bmt.runtime.devices import to_device


def grouped_weight_parts(dy: Tensor, x: Tensor, groups: RowGroups) -> Tensor:
    """dY_g^T X_g of each group, as `bmt.row_gradients.weight_parts` gives it, in bf16: (rows, …, n),
    (rows, …, k) -> (groups, n, k).
    """
    tokens = dy.shape[1:-1].numel()
    parts: Tensor = torch.nn.functional.grouped_mm(
        groups.flat(dy).t(), groups.flat(x), offs=_ends(groups.sizes, tokens, dy.device)
    )
    return parts


@lru_cache(maxsize=8)
def _ends(sizes: tuple[int, ...], tokens: int, device: torch.device) -> Tensor:
    """The token with which each group ends, on the device: the same for all maps of a pass."""
    return to_device(torch.tensor([row * tokens for row in accumulate(sizes)], dtype=torch.int32), device)


@contextmanager
def grouped_products() -> Iterator[None]:
    """While the block runs, backward passes with several masks take torch's grouped product, on an
    accelerator.
    """
    usual = bmt.row_gradients.weight_parts
    bmt.row_gradients.weight_parts = grouped_weight_parts
    try:
        yield
    finally:
        bmt.row_gradients.weight_parts = usual
