"""Where a tensor's mask of a step comes from: one fixed mask, or the random control of eq. 16 (also
Child-Tuning-F).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from bmt.errors import ConfigError
from bmt.layers import target_names
from bmt.runtime.keyed_random import bernoulli


@dataclass(frozen=True, slots=True)
class RandomMask:
    """The control of eq. 16: m ~ Bernoulli(p_f), drawn anew each step, keyed by (seed, step, tensor name).

    Attributes:
        p_f: probability that a weight is open in a step, in (0, 1].
        seed: of the draws; the same on every rank.
        targets: regular expressions for the tensors; None: every encoder tensor.
        rescale: whether the masked gradient is divided by p_f (Child-Tuning-F; Adam's steps are the same with
            and without).
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


class Source(Protocol):
    """Where a tensor's mask of the present step comes from (None: it is not masked), and what a masked
    gradient is multiplied with.
    """

    scale: float

    def masks(self, name: str) -> bool:
        """Whether the tensor is masked at all."""

    def open(self, name: str, parameter: Tensor, step: int) -> Tensor | None:
        """The mask of a tensor at a step in its shape: bool, or in [0, 1]."""


class Drawn:
    """A random mask over a model's tensors."""

    def __init__(self, mask: RandomMask, model: nn.Module) -> None:
        self.mask, self.names = mask, set(target_names(model, mask.targets))
        self.scale = 1 / mask.p_f if mask.rescale else 1.0
        self._step = -1
        self._drawn: dict[str, Tensor] = {}  # one step's masks, for all of its backward passes

    def masks(self, name: str) -> bool:
        """As `Source.masks`."""
        return name in self.names

    def open(self, name: str, parameter: Tensor, step: int) -> Tensor | None:
        """As `Source.open`: drawn at the first call of a step."""
        if name not in self.names:
            return None
        if step != self._step:
            self._step = step
            self._drawn.clear()
        if name not in self._drawn:
            self._drawn[name] = self.mask.draw(name, parameter.shape, step, parameter.device)
        return self._drawn[name]


class Fixed:
    """One mask a tensor, (1, …)."""

    scale = 1.0

    def __init__(self, unpacked: Mapping[str, Tensor]) -> None:
        self.unpacked = unpacked

    def masks(self, name: str) -> bool:
        """As `Source.masks`."""
        return name in self.unpacked

    def open(self, name: str, parameter: Tensor, step: int) -> Tensor | None:
        """As `Source.open`."""
        return self.unpacked[name][0] if name in self.unpacked else None
