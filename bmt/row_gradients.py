"""Per-dataset gradients in one backward pass: the sum over d of M_d * g_d that eq. 14 steps on.

The gradient of a shared weight is a sum over the batch's rows, so the part of dataset d is the sum over its
rows. Each kind of module runs its own forward unchanged and gives its parts on the way back:

    linear      dW = sum_d M_d * (dY_d^T X_d)      the same multiplications as one product over all rows
    embedding   dE[token] += M_d[token] * dY       the mask is looked up per token, one scatter
    layer norm  dw = sum_t (M_d(t) * dY_t) x^_t    dY is masked row by row, then the norm's own backward
    biases      db = sum_r M_d(r) * sum_t dY_rt    one sum per row, (rows, n), is masked and summed
    T5's norm and position bias: a copy of the parameter per row, whose gradient is masked and summed

Parts are added in float32 where they are of 16 bits. Modules of other kinds that hold a masked weight are
refused by name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from typing import Any, NoReturn, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bmt.errors import ModelError
from bmt.runtime.devices import to_device

_NORM_BACKWARD = torch.ops.aten.native_layer_norm_backward.default
_EMBEDDING_BACKWARD = torch.ops.aten.embedding_dense_backward.default
Gradients = tuple[Tensor | None, ...]
LARGEST_TOGETHER = 2**26
"""Values of a weight's parts, all datasets counted, that an accelerator holds at once: 128 MiB of bf16."""


@dataclass(frozen=True, slots=True)
class RowGroups:
    """Whose the rows of a batch are. A group is the rows of one dataset.

    Attributes:
        owner: dataset index of each row, (rows,).
        datasets, sizes: of each group in the order of their rows: dataset index, number of rows.
        order: the rows, group after group, (rows,); None where they stand so in the batch.
        blocks: neighbouring groups of equal size: (first group, groups, first row, rows per group).
        stretches: neighbouring groups of consecutive datasets: (first group, groups, first dataset).
    """

    owner: Tensor
    datasets: tuple[int, ...]
    sizes: tuple[int, ...]
    order: Tensor | None
    blocks: tuple[tuple[int, int, int, int], ...]
    stretches: tuple[tuple[int, int, int], ...]

    @staticmethod
    def of(indices: Sequence[int], device: torch.device) -> RowGroups:
        """Group rows by dataset index, for tensors on a device."""
        datasets, order = tuple(dataset for dataset, _ in groupby(indices)), None
        if len(set(datasets)) < len(datasets):  # another's rows stand between those of one dataset
            datasets = tuple(sorted(set(indices)))
            rows = sorted(range(len(indices)), key=lambda row: indices[row])
            order = to_device(torch.tensor(rows), device)
        count = Counter(indices)
        sizes = tuple(count[dataset] for dataset in datasets)
        return RowGroups(
            to_device(torch.tensor(indices), device),
            datasets,
            sizes,
            order,
            tuple(_blocks(sizes)),
            tuple(_stretches(datasets)),
        )

    def __len__(self) -> int:
        return len(self.owner)

    def of_rows(self, masks: Tensor) -> Tensor:
        """The mask of each row's dataset: (datasets, …) -> (rows, …)."""
        return masks.index_select(0, self.owner.to(masks.device))

    def flat(self, values: Tensor) -> Tensor:
        """(rows, …, n) -> (tokens, n), group after group."""
        if self.order is not None:
            values = values.index_select(0, self.order.to(values.device))
        return values.reshape(-1, values.shape[-1])


def _blocks(sizes: Sequence[int]) -> Iterator[tuple[int, int, int, int]]:
    group = row = 0
    for size, alike in groupby(sizes):
        count = len(list(alike))
        yield group, count, row, size
        group, row = group + count, row + count * size


def _stretches(datasets: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    for first, part in groupby(range(len(datasets)), lambda group: datasets[group] - group):
        groups = list(part)
        yield groups[0], len(groups), first + groups[0]


class SaidRows(Protocol):
    """Where it is said whose the rows of the present batch are."""

    groups: RowGroups | None


def weight_parts(dy: Tensor, x: Tensor, groups: RowGroups) -> Tensor:
    """dY_g^T X_g of each group: (rows, …, n), (rows, …, k) -> (groups, n, k), in their dtype.

    One launch for neighbouring groups of equal size.
    """
    tokens = dy.shape[1:-1].numel()  # per row
    dy, x = groups.flat(dy), groups.flat(x)
    if len(groups.blocks) == 1:
        count = len(groups.sizes)
        return torch.bmm(dy.view(count, -1, dy.shape[1]).mT, x.view(count, -1, x.shape[1]))
    parts = dy.new_empty(len(groups.sizes), dy.shape[1], x.shape[1])
    for group, count, row, size in groups.blocks:
        first, last = row * tokens, (row + count * size) * tokens
        torch.bmm(
            dy[first:last].view(count, -1, dy.shape[1]).mT,
            x[first:last].view(count, -1, x.shape[1]),
            out=parts[group : group + count],
        )
    return parts


def masked_sum(parts: Tensor, groups: RowGroups, masks: Tensor) -> Tensor:
    """sum_g M_g * part_g, in float32 where the parts are of 16 bits: (groups, …), (datasets, …) -> (…). The
    parts are overwritten.
    """
    if masks.is_floating_point():
        parts = parts.to(_at_least_float32(parts))  # 0 and 1 are exact in every dtype, what is between is not
    if len(groups.stretches) == 1 and len(parts) == len(masks):
        parts.mul_(masks)
    else:
        for group, count, dataset in groups.stretches:
            parts[group : group + count].mul_(masks[dataset : dataset + count])
    return parts.sum(0, dtype=_at_least_float32(parts))


def masked_sum_one_by_one(dy: Tensor, x: Tensor, groups: RowGroups, masks: Tensor) -> Tensor:
    """`masked_sum` of `weight_parts`, that holds one part at a time: for a CPU, in whose cache it stays, and
    for a weight whose parts are large.
    """
    dtype = _at_least_float32(dy)
    tokens = [size * dy.shape[1:-1].numel() for size in groups.sizes]
    total: Tensor | None = None
    for dataset, of_dy, of_x in zip(
        groups.datasets, groups.flat(dy).split(tokens), groups.flat(x).split(tokens), strict=True
    ):
        part = (of_dy.t() @ of_x).to(dtype)
        total = part.mul_(masks[dataset]) if total is None else total.addcmul_(part, masks[dataset])
    assert total is not None
    return total


def _weight_gradient(dy: Tensor, x: Tensor, groups: RowGroups, masks: Tensor | None) -> Tensor:
    """sum_d M_d * (dY_d^T X_d), or dY^T X where there is no mask: (n, k)."""
    if masks is None:
        return dy.reshape(-1, dy.shape[-1]).t() @ x.reshape(-1, x.shape[-1])
    if dy.device.type == "cpu" or masks[0].numel() * len(groups.sizes) > LARGEST_TOGETHER:
        return masked_sum_one_by_one(dy, x, groups, masks)
    return masked_sum(weight_parts(dy, x, groups), groups, masks)


def _bias_gradient(dy: Tensor, groups: RowGroups, masks: Tensor | None) -> Tensor:
    """sum_r M_owner(r) * sum_t dY_rt, or the sum over all rows where there is no mask: (n,)."""
    rows = dy.flatten(1, -2).sum(1, dtype=_at_least_float32(dy)) if dy.dim() > 2 else dy
    if masks is not None:
        rows = rows * groups.of_rows(masks)
    return rows.sum(0, dtype=_at_least_float32(rows))


def _at_least_float32(values: Tensor) -> torch.dtype:
    return torch.float32 if values.dtype.itemsize < 4 else values.dtype


class _OnceDifferentiable(torch.autograd.Function):
    """A gradient as it is. To differentiate it raises ModelError: what would come of it is not masked."""

    @staticmethod
    def forward(ctx: Any, gradient: Tensor, *_: Tensor) -> Tensor:
        return gradient.view_as(gradient)

    @staticmethod
    def backward(ctx: Any, *_: Tensor) -> NoReturn:
        raise ModelError(
            "the gradient of a masked linear map or norm is differentiated once more, where masks would not "
            "hold: leave out what needs second derivatives (a gradient penalty), or use one mask for all "
            "datasets"
        )


def _once(backward: Callable[..., Gradients]) -> Callable[..., Gradients]:
    """A Function's `backward`, whose gradients cannot be differentiated (`create_graph=True`)."""

    def once(ctx: Any, dy: Tensor) -> Gradients:
        if not torch.is_grad_enabled():
            return backward(ctx, dy)
        with torch.no_grad():
            gradients = backward(ctx, dy)
        inputs = (dy, *ctx.saved_tensors)
        return tuple(None if one is None else _OnceDifferentiable.apply(one, *inputs) for one in gradients)

    return once


# What a Function gives back in another dtype than its input's, autograd casts: the gradient of an fp32 weight
# under autocast is fp32.


class _GroupedLinear(torch.autograd.Function):
    """y = x W^T + b, whose gradients in W and b are masked by dataset before they are summed."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        groups: RowGroups,
        weight_masks: Tensor | None,
        bias_masks: Tensor | None,
    ) -> Tensor:
        # The backward needs what autocast would cast inside F.linear, so it is cast here; fp64 it leaves.
        if torch.is_autocast_enabled(x.device.type) and weight.dtype != torch.float64:
            dtype = torch.get_autocast_dtype(x.device.type)
            x, weight, bias = x.to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype)
        ctx.save_for_backward(x, weight)
        ctx.groups, ctx.weight_masks, ctx.bias_masks = groups, weight_masks, bias_masks
        return F.linear(x, weight, bias)

    @staticmethod
    @_once
    def backward(ctx: Any, dy: Tensor) -> Gradients:
        x, weight = ctx.saved_tensors
        of_x, of_weight, of_bias, *_ = ctx.needs_input_grad
        return (
            dy @ weight if of_x else None,
            _weight_gradient(dy, x, ctx.groups, ctx.weight_masks) if of_weight else None,
            _bias_gradient(dy, ctx.groups, ctx.bias_masks) if of_bias else None,
            None,
            None,
            None,
        )


class _GroupedEmbedding(torch.autograd.Function):
    """A look-up, whose gradient is masked token by token with the mask of the token's row."""

    @staticmethod
    def forward(
        ctx: Any, ids: Tensor, weight: Tensor, groups: RowGroups, masks: Tensor, padding: int | None
    ) -> Tensor:
        ctx.save_for_backward(ids)
        ctx.groups, ctx.masks, ctx.padding = groups, masks, padding
        return F.embedding(ids, weight)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[None, Tensor, None, None, None]:
        (ids,) = ctx.saved_tensors
        datasets, tokens, size = ctx.masks.shape
        of_row = (ctx.groups.owner.to(ids.device) * tokens).view(-1, *([1] * (ids.dim() - 1)))
        # (tokens of the batch, size): no (datasets, vocabulary, size) table of gradients is ever made
        opened = ctx.masks.view(datasets * tokens, size).index_select(0, (ids + of_row).view(-1))
        grad = _EMBEDDING_BACKWARD(
            dy * opened.view(dy.shape), ids, tokens, -1 if ctx.padding is None else ctx.padding, False
        )
        return None, grad, None, None, None


class _GroupedLayerNorm(torch.autograd.Function):
    """y = w x^ + b over the last dimension, with the gradients in w and b masked row by row."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        eps: float,
        groups: RowGroups,
        weight_masks: Tensor | None,
        bias_masks: Tensor | None,
    ) -> Tensor:
        y, mean, rstd = torch.native_layer_norm(x, weight.shape, weight, bias, eps)
        ctx.save_for_backward(x, weight, mean, rstd)
        ctx.groups, ctx.weight_masks, ctx.bias_masks = groups, weight_masks, bias_masks
        return y

    @staticmethod
    @_once
    def backward(ctx: Any, dy: Tensor) -> Gradients:
        x, weight, mean, rstd = ctx.saved_tensors
        of_x, of_weight, of_bias, *_ = ctx.needs_input_grad

        def backward(dy: Tensor, wanted: list[bool]) -> tuple[Tensor | None, ...]:
            # under autocast a norm may have run wider than what it was given
            wide = [
                value.float() if dy.dtype == torch.float32 else value for value in (x, mean, rstd, weight)
            ]
            given = (dy, wide[0], weight.shape, *wide[1:], None, wanted)
            grads: tuple[Tensor | None, ...] = _NORM_BACKWARD(*given)
            return grads

        masks = ctx.weight_masks
        split = of_weight and masks is not None
        dx, dweight, _ = backward(dy, [of_x, of_weight and not split, False])
        if split:
            opened = ctx.groups.of_rows(masks).view(-1, *([1] * (dy.dim() - 2)), len(weight))
            masked = dy.to(_at_least_float32(dy)) * opened  # a CPU adds 16-bit rows in 16 bits
            dweight = backward(masked, [False, True, False])[1]
        dbias = _bias_gradient(dy, ctx.groups, ctx.bias_masks) if of_bias else None
        return dx, dweight, dbias, None, None, None, None


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
        return (grads * ctx.groups.of_rows(ctx.masks)).sum(0), None, None


def _check_rows(x: Tensor, groups: RowGroups, where: str) -> None:
    if x.shape[0] != len(groups):
        raise ModelError(
            f"{where}: the batch has {x.shape[0]} rows and masked.rows(…) named {len(groups)}: name one "
            "dataset per row"
        )


def _linear(module: nn.Linear, groups: RowGroups, masks: dict[str, Tensor], where: str, x: Tensor) -> Tensor:
    _check_rows(x, groups, where)
    y: Tensor = _GroupedLinear.apply(
        x, module.weight, module.bias, groups, masks.get("weight"), masks.get("bias")
    )
    return y


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
    y: Tensor = _GroupedLayerNorm.apply(
        x, module.weight, module.bias, module.eps, groups, masks.get("weight"), masks.get("bias")
    )
    return y


def _rms_norm(module: Any, groups: RowGroups, masks: dict[str, Tensor], where: str, x: Tensor) -> Tensor:
    """T5's norm: x / rms(x) in float32, times the weight; in 16 bits where the weight is."""
    _check_rows(x, groups, where)
    y = x * torch.rsqrt(x.float().pow(2).mean(-1, keepdim=True) + module.variance_epsilon)
    rows: Tensor = _CopyPerRow.apply(module.weight, groups, masks["weight"])
    if rows.dtype in (torch.float16, torch.bfloat16):
        y = y.to(rows.dtype)  # x may be wider: transformers keeps one of T5's maps in float32
    return y * rows.view(len(groups), *([1] * (x.dim() - 2)), x.shape[-1])


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
