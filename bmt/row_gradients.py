"""Per-dataset gradients in one backward pass: the sum over d of M_d * g_d that eq. 14 steps on.

The gradient of a shared weight is a sum over the batch's rows, so the part of dataset d is the sum over its
rows. Rows of one dataset are brought together, and each kind of module gives its own parts:

    linear      dW = sum_d M_d * (dY_d^T X_d)      the same multiplications as one product over all rows
    embedding   dE[token] += M_d[token] * dY       the mask is looked up per token, one scatter
    norm, bias  a copy of the vector per row; its gradient (rows, n) is masked and summed over rows

Modules of other kinds that hold a masked weight are refused by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bmt.errors import ModelError
from bmt.runtime.devices import to_device


@dataclass(frozen=True, slots=True)
class RowGroups:
    """Whose the rows of a batch are.

    Attributes:
        owner: dataset index of each row, (rows,).
        members: for each dataset that occurs, its index and its rows: a slice where they stand together, else
            indices.
    """

    owner: Tensor
    members: tuple[tuple[int, slice | Tensor], ...]

    @staticmethod
    def of(indices: Sequence[int], device: torch.device) -> RowGroups:
        """Group rows by dataset index, for tensors on a device."""
        members: list[tuple[int, slice | Tensor]] = []
        for dataset in sorted(set(indices)):
            rows = [row for row, index in enumerate(indices) if index == dataset]
            together = rows[-1] - rows[0] + 1 == len(rows)
            members.append(
                (dataset, slice(rows[0], rows[-1] + 1) if together else to_device(torch.tensor(rows), device))
            )
        return RowGroups(to_device(torch.tensor(indices), device), tuple(members))

    def __len__(self) -> int:
        return len(self.owner)


class SaidRows(Protocol):
    """Where it is said whose the rows of the present batch are."""

    groups: RowGroups | None


class _GroupedLinear(torch.autograd.Function):
    """y = x W^T, whose gradient in W is masked by dataset before it is summed."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, groups: RowGroups, masks: Tensor) -> Tensor:
        # Autocast does not look inside a Function: what it would cast is cast here, and the gradient of the
        # fp32 weight comes back in fp32, as autocast's own does.
        if torch.is_autocast_enabled(x.device.type):
            dtype = torch.get_autocast_dtype(x.device.type)
            x, cast = x.to(dtype), weight.to(dtype)
        else:
            cast = weight
        ctx.save_for_backward(x, cast)
        ctx.groups, ctx.masks, ctx.dtype = groups, masks, weight.dtype
        return F.linear(x, cast)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, Tensor, None, None]:
        x, weight = ctx.saved_tensors
        dx = dy @ weight if ctx.needs_input_grad[0] else None
        total: Tensor | None = None
        # One product per dataset over its rows alone: together as many multiplications as one product over
        # all rows. What is added is one weight-sized tensor per dataset in the batch, masked and summed.
        for dataset, rows in ctx.groups.members:
            part = dy[rows].flatten(0, -2).t() @ x[rows].flatten(0, -2)
            part = part.to(ctx.dtype).mul_(ctx.masks[dataset])
            total = part if total is None else total.add_(part)
        assert total is not None
        return dx, total, None, None


class _GroupedEmbedding(torch.autograd.Function):
    """A look-up, whose gradient is masked token by token with the mask of the token's row."""

    @staticmethod
    def forward(
        ctx: Any, ids: Tensor, weight: Tensor, groups: RowGroups, masks: Tensor, padding: int | None
    ) -> Tensor:
        ctx.save_for_backward(ids)
        ctx.groups, ctx.masks, ctx.padding = groups, masks, padding
        ctx.shape, ctx.dtype = weight.shape, weight.dtype
        return F.embedding(ids, weight)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[None, Tensor, None, None, None]:
        (ids,) = ctx.saved_tensors
        owner = ctx.groups.owner.to(ids.device).view(-1, *([1] * (ids.dim() - 1))).expand_as(ids)
        # (tokens of the batch, hidden): no (datasets, vocabulary, hidden) table of gradients is ever made
        opened = ctx.masks[owner.reshape(-1), ids.reshape(-1)]
        if ctx.padding is not None:
            opened = opened * (ids.reshape(-1) != ctx.padding)[:, None]
        grad = torch.zeros(ctx.shape, dtype=ctx.dtype, device=dy.device)
        grad.index_add_(0, ids.reshape(-1), dy.reshape(-1, ctx.shape[1]).to(ctx.dtype) * opened)
        return None, grad, None, None, None


class _CopyPerRow(torch.autograd.Function):
    """A small parameter, once per row: (…) -> (rows, …).

    Its gradient is masked with each row's mask, then summed. A vector of 768 numbers for each of 8 rows costs
    nothing; a matrix would.
    """

    @staticmethod
    def forward(ctx: Any, parameter: Tensor, groups: RowGroups, masks: Tensor) -> Tensor:
        ctx.groups, ctx.masks = groups, masks
        return parameter.unsqueeze(0).expand(len(groups), *parameter.shape)

    @staticmethod
    def backward(ctx: Any, grads: Tensor) -> tuple[Tensor, None, None]:
        owner = ctx.groups.owner.to(grads.device)
        return (grads * ctx.masks[owner]).sum(0), None, None


def _vector(module: Any, name: str, groups: RowGroups, masks: dict[str, Tensor], like: Tensor) -> Tensor:
    """A vector parameter (n,) of a module, to broadcast over `like` (rows, …, n); where it is masked, one per
    row, (rows, 1, …, 1, n).
    """
    parameter: Tensor = getattr(module, name)
    if name not in masks:
        return parameter
    rows: Tensor = _CopyPerRow.apply(parameter, groups, masks[name])
    return rows.view(len(groups), *([1] * (like.dim() - 2)), parameter.shape[-1])


def _check_rows(x: Tensor, groups: RowGroups, where: str) -> None:
    if x.shape[0] != len(groups):
        raise ModelError(
            f"{where}: the batch has {x.shape[0]} rows and masked.rows(…) named {len(groups)}: name one "
            "dataset per row"
        )


def _linear(module: nn.Linear, groups: RowGroups, masks: dict[str, Tensor], where: str, x: Tensor) -> Tensor:
    _check_rows(x, groups, where)
    y: Tensor = (
        _GroupedLinear.apply(x, module.weight, groups, masks["weight"])
        if "weight" in masks
        else F.linear(x, module.weight)
    )
    return y if module.bias is None else y + _vector(module, "bias", groups, masks, y).to(y.dtype)


def _embedding(
    module: nn.Embedding, groups: RowGroups, masks: dict[str, Tensor], where: str, ids: Tensor
) -> Tensor:
    if ids.shape[0] == 1 and len(groups) > 1:
        # positions or token types, which the model broadcasts over the batch: each row gets its own
        ids = ids.expand(len(groups), *ids.shape[1:])
    _check_rows(ids, groups, where)
    y: Tensor = _GroupedEmbedding.apply(ids, module.weight, groups, masks["weight"], module.padding_idx)
    return y


def _layer_norm(
    module: nn.LayerNorm, groups: RowGroups, masks: dict[str, Tensor], where: str, x: Tensor
) -> Tensor:
    _check_rows(x, groups, where)
    y = F.layer_norm(x, module.normalized_shape, None, None, module.eps)
    y = y * _vector(module, "weight", groups, masks, y)
    return y if module.bias is None else y + _vector(module, "bias", groups, masks, y)


def _rms_norm(module: Any, groups: RowGroups, masks: dict[str, Tensor], where: str, x: Tensor) -> Tensor:
    """T5's norm: x / rms(x) in float32, times the weight."""
    _check_rows(x, groups, where)
    y = x * torch.rsqrt(x.float().pow(2).mean(-1, keepdim=True) + module.variance_epsilon)
    return y.to(x.dtype) * _vector(module, "weight", groups, masks, x)


def _position_bias(
    module: Any,
    groups: RowGroups,
    masks: dict[str, Tensor],
    where: str,
    queries: int,
    keys: int,
    device: Any = None,
    past_seen_tokens: int = 0,
) -> Tensor:
    """T5's relative position bias, (rows, heads, queries, keys) where the original gives (1, heads, queries,
    keys).
    """
    table = module.relative_attention_bias.weight
    context = torch.arange(queries, device=table.device)[:, None] + past_seen_tokens
    bucket = module._relative_position_bucket(
        torch.arange(keys, device=table.device)[None, :] - context,
        bidirectional=not module.is_decoder,
        num_buckets=module.relative_attention_num_buckets,
        max_distance=module.relative_attention_max_distance,
    )
    rows: Tensor = _CopyPerRow.apply(table, groups, masks["weight"])
    return rows[:, bucket].permute(0, 3, 1, 2)


def _kind(module: nn.Module) -> Callable[..., Tensor] | None:
    """What replaces the forward of a module that holds masked weights; None where nothing can."""
    if type(module) is nn.Linear:
        return _linear
    if (
        isinstance(module, nn.Embedding)
        and module.max_norm is None
        and not module.sparse
        and not module.scale_grad_by_freq
    ):
        return _embedding
    if type(module) is nn.LayerNorm and len(module.normalized_shape) == 1:
        return _layer_norm
    if type(module).__name__ == "T5LayerNorm":
        return _rms_norm
    return None


@contextmanager
def split_gradients(model: nn.Module, masks: Mapping[str, Tensor], handle: SaidRows) -> Iterator[None]:
    """While the block runs, the gradients of masked weights are sum_d M_d * g_d, with the rows that
    `handle.groups` names.

    Args:
        masks: M_d by parameter name, bool or in [0, 1], (datasets, *weight); what is written into them holds
            from the next backward on.

    Raises:
        ModelError: a masked weight that stands in a module of a kind that cannot be split, named.
    """
    replaced: list[tuple[nn.Module, str]] = []
    masked = {id(parameter): name for name, parameter in model.named_parameters() if name in masks}

    def masks_of(module: nn.Module) -> dict[str, Tensor]:
        """The masks of a module's parameters, those of modules inside it left out, by their names there."""
        parameters = module.named_parameters(recurse=False)
        return {name: masks[masked[id(value)]] for name, value in parameters if id(value) in masked}

    def replace(
        module: nn.Module, where: str, method: str, new: Callable[..., Tensor], inside: dict[str, Tensor]
    ) -> None:
        old = getattr(module, method)

        def split(*args: Any, **kwargs: Any) -> Tensor:
            if handle.groups is None or not torch.is_grad_enabled():
                return old(*args, **kwargs)
            return new(module, handle.groups, inside, where, *args, **kwargs)

        replaced.append((module, method))
        object.__setattr__(module, method, split)

    try:
        # T5's relative position bias is read by its attention, not through the embedding that holds it.
        biases = set()
        for where, module in model.named_modules():
            table = getattr(module, "relative_attention_bias", None)
            if hasattr(module, "compute_bias") and isinstance(table, nn.Embedding) and masks_of(table):
                biases.add(table)
                replace(module, where, "compute_bias", _position_bias, masks_of(table))
        for where, module in model.named_modules():
            if module in biases or not masks_of(module):
                continue
            kind = _kind(module)
            if kind is None:
                name = next(masked[id(value)] for value in module.parameters(False) if id(value) in masked)
                raise ModelError(
                    f"tensor {name} stands in a {type(module).__name__}, whose gradient cannot be split by "
                    "dataset: leave it out with targets=, or use one mask for all datasets"
                )
            replace(module, where, "forward", kind, masks_of(module))
        yield
    finally:
        for module, method in replaced:
            module.__dict__.pop(method, None)
