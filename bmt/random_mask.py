"""The random control of eq. 16 (also Child-Tuning-F): m ~ Bernoulli(p_F), drawn anew at each step.

A mask is keyed by (seed, step, tensor name) on a CPU. On an accelerator a draw per tensor would be several
launches for each of 200 tensors, so there the tensors of a model are drawn together, keyed by (seed, step):
a tensor's mask then depends on which others are masked too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bmt.errors import ConfigError
from bmt.runtime.keyed_random import bernoulli, fill_bernoulli


@dataclass(frozen=True, slots=True)
class RandomMask:
    """One mask for all datasets, drawn anew at each step.

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
        """The bool mask of one tensor at one step, keyed by (seed, step, tensor name)."""
        return bernoulli(tuple(shape), self.p_f, (self.seed, "random mask", step, name), device)

    def draw_together(self, out: Tensor, step: int) -> None:
        """Fill a bool vector with the masks of several tensors at one step, keyed by (seed, step)."""
        fill_bernoulli(out, self.p_f, (self.seed, "random mask", step))


class RandomDraws:
    """A random mask over some tensors, step by step: the same mask in all backward passes of a step.

    Args:
        tensors: by name; their order is that of the draws where they are drawn together.
        together: whether they are; None: where all of them are on one accelerator.
    """

    def __init__(self, mask: RandomMask, tensors: Mapping[str, Tensor], together: bool | None = None) -> None:
        self._mask, self._tensors, self._together = mask, tensors, together
        self._step: int | None = None
        self._drawn: dict[str, Tensor] = {}
        self._vector: Tensor | None = None

    def at(self, name: str, step: int) -> Tensor:
        """The bool mask of one of the tensors at a step."""
        if step != self._step:
            self._begin(step)
        if name not in self._drawn:
            tensor = self._tensors[name]
            self._drawn[name] = self._mask.draw(name, tensor.shape, step, tensor.device)
        return self._drawn[name]

    def _begin(self, step: int) -> None:
        if self._together is None:
            devices = {tensor.device for tensor in self._tensors.values()}
            self._together = len(devices) == 1 and next(iter(devices)).type != "cpu"
        self._step = step
        if not self._together:
            self._drawn = {}
            return
        if self._vector is None:  # one for all steps, seen through a view per tensor
            sizes = [tensor.numel() for tensor in self._tensors.values()]
            device = next(iter(self._tensors.values())).device
            self._vector = torch.empty(sum(sizes), dtype=torch.bool, device=device)
            views = zip(self._tensors.items(), self._vector.split(sizes), strict=True)
            self._drawn = {name: view.view(tensor.shape) for (name, tensor), view in views}
        self._mask.draw_together(self._vector, step)
