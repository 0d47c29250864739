"""Optimizer state for the weights that some mask opens, and for no others.

A weight that is closed in every mask has gradient 0 for ever, and so have its moments. While the block runs,
the optimizer steps on a vector of a tensor's open weights in place of the tensor:

    before a step   values.grad <- theta.grad[open]
    after it        theta[open] <- values
                    theta.grad <- None        the optimizer's own zero_grad does not see theta

For AdamW a tensor with n weights, a share d of them open, then takes 16 d n bytes (index, values, two
moments) instead of 8 n: only tensors with d < 1/2 are exchanged. The steps are the same, to the last bit's
rounding, for every optimizer that works element by element.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

LARGEST_SHARE = 0.5
_LARGEST_INDEX = 2**31 - 1  # positions are int32


@dataclass(frozen=True, slots=True)
class _OpenWeights:
    """A tensor and the vector of its open weights: `positions` of them in the flattened tensor, int32."""

    parameter: Tensor
    values: nn.Parameter
    positions: Tensor

    @staticmethod
    def of(parameter: Tensor, opened: Tensor) -> _OpenWeights:
        positions = opened.reshape(-1).nonzero().reshape(-1).to(torch.int32)
        values = nn.Parameter(parameter.detach().reshape(-1).index_select(0, positions))
        return _OpenWeights(parameter, values, positions)

    def vector(self, dense: Tensor) -> Tensor:
        return dense.reshape(-1).index_select(0, self.positions)

    def vector_of_state(self, value: Any) -> Any:
        """An entry of the optimizer's state (moments have the tensor's shape, a step count has none)."""
        dense = isinstance(value, Tensor) and value.dim() > 0 and value.numel() == self.parameter.numel()
        return self.vector(value) if dense else value

    def dense_of_state(self, value: Any) -> Any:
        """The inverse of `vector_of_state`, 0 where a weight is closed."""
        if not (isinstance(value, Tensor) and value.dim() > 0 and value.shape == self.values.shape):
            return value
        dense = torch.zeros(self.parameter.numel(), dtype=value.dtype, device=value.device)
        return dense.index_copy_(0, self.positions.long(), value).view(self.parameter.shape)


@contextmanager
def compact_state(
    optimizer: torch.optim.Optimizer, targets: Mapping[str, Tensor], opened: Mapping[str, Tensor]
) -> Iterator[None]:
    """While the block runs, `optimizer` holds vectors of open weights in place of the tensors of `targets`
    where that saves memory.

    State that the optimizer has at entry is taken over, dense or as an earlier block saved it; at exit it is
    made dense again.

    Args:
        targets: parameters by name.
        opened: the union of all masks by the same names, bool in the parameters' shapes.
    """
    vectors = [
        _OpenWeights.of(parameter, opened[name])
        for name, parameter in targets.items()
        if parameter.numel() <= _LARGEST_INDEX and float(opened[name].float().mean()) < LARGEST_SHARE
    ]

    @torch.no_grad()
    def before_step(*_: Any) -> None:
        for tensor in vectors:
            grad = tensor.parameter.grad
            tensor.values.grad = None if grad is None else tensor.vector(grad)

    @torch.no_grad()
    def after_step(*_: Any) -> None:
        for tensor in vectors:
            tensor.parameter.view(-1).index_copy_(0, tensor.positions.long(), tensor.values)
            tensor.parameter.grad = tensor.values.grad = None

    _exchange(optimizer, {tensor.parameter: (tensor.values, tensor.vector_of_state) for tensor in vectors})
    hooks = [
        optimizer.register_step_pre_hook(before_step),
        optimizer.register_step_post_hook(after_step),
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
        _exchange(optimizer, {tensor.values: (tensor.parameter, tensor.dense_of_state) for tensor in vectors})


def _exchange(
    optimizer: torch.optim.Optimizer, to: Mapping[Tensor, tuple[Tensor, Callable[[Any], Any]]]
) -> None:
    """Give the optimizer other tensors in place of some of its own, with their state in the new shape."""
    for group in optimizer.param_groups:
        group["params"] = [to[tensor][0] if tensor in to else tensor for tensor in group["params"]]
    for old, (new, of_state) in to.items():
        if old in optimizer.state:
            state = optimizer.state.pop(old)
            optimizer.state[new] = {key: of_state(value) for key, value in state.items()}
