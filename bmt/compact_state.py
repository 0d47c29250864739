"""Optimizer state for the weights that some mask opens, and for no others.

A weight that is closed in every mask has gradient 0 for ever, and so have its moments. While the block runs,
the optimizer steps on a
vector of a tensor's open weights in place of the tensor:

    before a step   values.grad <- theta.grad[open]
    after it        theta[open] <- values;  theta.grad <- None (the optimizer's own zero_grad does not see
    theta)

For AdamW a tensor with n weights, a share d of them open, then takes 16 d n bytes (index, values, two
moments) instead of 8 n: only tensors
with d < 1/2 are exchanged. The steps are the same, to the last bit's rounding, for every optimizer that works
element by element.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

LARGEST_SHARE = 0.5
_MOST_INDEX = 2**31 - 1


@dataclass(frozen=True, slots=True)
class _Exchanged:
    """A tensor and the vector that stands for it: `opened` are flat positions, int32."""

    parameter: Tensor
    values: nn.Parameter
    opened: Tensor

    def taken(self, dense: Tensor) -> Tensor:
        return dense.reshape(-1).index_select(0, self.opened)

    def spread(self, values: Tensor) -> Tensor:
        dense = torch.zeros(self.parameter.numel(), dtype=values.dtype, device=values.device)
        return dense.index_copy_(0, self.opened.long(), values).view(self.parameter.shape)


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
    exchanged: dict[Tensor, _Exchanged] = {}
    for name, parameter in targets.items():
        if parameter.numel() <= _MOST_INDEX and float(opened[name].float().mean()) < LARGEST_SHARE:
            where = opened[name].reshape(-1).nonzero().reshape(-1).to(torch.int32)
            values = nn.Parameter(parameter.detach().reshape(-1).index_select(0, where))
            exchanged[parameter] = _Exchanged(parameter, values, where)

    def replace(towards: Mapping[Tensor, Tensor], state: Any) -> None:
        for group in optimizer.param_groups:
            group["params"] = [towards.get(parameter, parameter) for parameter in group["params"]]
        for old, new in towards.items():
            if old in optimizer.state:
                optimizer.state[new] = {
                    key: state(value, old) for key, value in optimizer.state.pop(old).items()
                }

    @torch.no_grad()
    def before(*_: Any) -> None:
        for one in exchanged.values():
            one.values.grad = None if one.parameter.grad is None else one.taken(one.parameter.grad)

    @torch.no_grad()
    def after(*_: Any) -> None:
        for one in exchanged.values():
            one.parameter.view(-1).index_copy_(0, one.opened.long(), one.values)
            one.parameter.grad = one.values.grad = None

    def compact(value: Any, parameter: Tensor) -> Any:
        dense = isinstance(value, Tensor) and value.dim() > 0 and value.numel() == parameter.numel()
        return exchanged[parameter].taken(value) if dense else value

    def dense(value: Any, values: Tensor) -> Any:
        whole = isinstance(value, Tensor) and value.dim() > 0 and value.shape == values.shape
        return by_values[values].spread(value) if whole else value

    by_values: dict[Tensor, _Exchanged] = {one.values: one for one in exchanged.values()}
    replace({parameter: one.values for parameter, one in exchanged.items()}, compact)
    hooks = [optimizer.register_step_pre_hook(before), optimizer.register_step_post_hook(after)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
        replace({one.values: one.parameter for one in exchanged.values()}, dense)
