"""The random control of eq. 16 (also Child-Tuning-F): m ~ Bernoulli(p_F), drawn anew at each step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bmt.errors import ConfigError
from bmt.runtime.keyed_random import bernoulli


@dataclass(frozen=True, slots=True)
class RandomMask:
    """One mask for all datasets, drawn anew at each step, keyed by (seed, step, tensor name).

    Attributes:
        p_f: probability that a weight is open in a step, in (0, 1].
        seed: of the draws; the same on every rank.
        targets: regular expressions for the tensors; None: every encoder tensor.
        rescale: whether the masked gradient is divided by p_f (Child-Tuning-F; Adam's steps are the same with
            and without).

    Raises:
        ConfigError: p_f is not in (0, 1].
    """

    p_f: float
    seed: int = 0
    targets: Sequence[str] | None = None
    rescale: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.p_f <= 1:
            raise ConfigError(f"p_f: {self.p_f!r} is not allowed: above 0 and at most 1")

    def draw(self, name: str, shape: Sequence[int], step: int, device: torch.device | str = "cpu") -> Tensor:
        """The bool mask of one tensor at one step."""
        return bernoulli(tuple(shape), self.p_f, (self.seed, "random mask", step, name), device)
