"""Dropout on a CPU for a fraction of its usual price.

torch draws a Bernoulli number at a time, and with dropout leaves its fused attention for plain operations: at
0.1 a training pass of MiniLM over windows of 512 tokens takes 1.4 times as long as without, and 1.2 times by
what is here. 16 bits of a fast generator decide an entry, and attention with dropout is one function that
takes a window at a time, whose scores then stay near the core:

    P = softmax(scale q k' + mask)      D = P * K / (1 - p)      out = D v          K: kept entries, 0 or 1
    dP = (dout v') * K / (1 - p)        dS = P * dP - P * rowsum(P * dP)

The same distribution, other draws: they follow torch's generator, so that a step's seed fixes them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from bmt.runtime.keyed_random import words

NAME = "bmt_cpu_dropout"  # in transformers' registers of attention and of masks
# Bidirectional, no position bias: a mask says which keys are padding, and nothing else.
FAMILIES = ("bert", "roberta")
_LEVELS = 1 << 16


def kept(shape: torch.Size | tuple[int, ...], p: float) -> tuple[Tensor, float]:
    """Which entries stay (bool), with probability 1 - p to 2^-17, and the factor that keeps the mean."""
    bound = max(1, round((1 - p) * _LEVELS))
    count = math.prod(shape)
    seed = int(torch.randint(1 << 62, ()))
    drawn = words((count + 1) // 2, (seed, "dropout")).view(np.uint16)[:count]
    return torch.from_numpy(drawn < bound if bound < _LEVELS else np.ones(count, dtype=bool)).reshape(
        shape
    ), _LEVELS / bound


class _Dropped(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, p: float) -> Tensor:
        keep, ctx.factor = kept(x.shape, p)
        ctx.save_for_backward(keep)
        return torch.mul(x, keep).mul_(ctx.factor)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return torch.mul(grad, ctx.saved_tensors[0]).mul_(ctx.factor), None


class _Attention(torch.autograd.Function):
    """q, k, v: (windows, heads, tokens, size); shut: bool (windows, tokens), the keys that are padding, or
    None.
    """

    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, shut: Tensor | None, p: float, scale: float
    ) -> Tensor:
        keep, ctx.factor = kept((*q.shape[:3], k.shape[2]), p)
        ctx.scale = scale
        chances, out = q.new_empty(keep.shape), torch.empty_like(q)
        for i in range(len(q)):
            scores = torch.bmm(q[i], k[i].transpose(1, 2)).mul_(scale)
            if shut is not None:
                scores.masked_fill_(shut[i], -torch.inf)
            torch.softmax(scores, -1, out=chances[i])
            out[i] = torch.bmm(chances[i] * keep[i], v[i]).mul_(ctx.factor)
        ctx.save_for_backward(q, k, v, chances, keep)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, chances, keep = ctx.saved_tensors
        by_q, by_k, by_v = torch.empty_like(q), torch.empty_like(k), torch.empty_like(v)
        for i in range(len(q)):
            dropped, dout = chances[i] * keep[i], grad[i] * ctx.factor
            by_v[i] = torch.bmm(dropped.transpose(1, 2), dout)
            scores = torch.bmm(dout, v[i].transpose(1, 2)).mul_(dropped)  # P * dP
            scores.addcmul_(chances[i], scores.sum(-1, keepdim=True), value=-1).mul_(ctx.scale)
            by_q[i], by_k[i] = torch.bmm(scores, k[i]), torch.bmm(scores.transpose(1, 2), q[i])
        return by_q, by_k, by_v, None, None, None


def dropped(x: Tensor, p: float) -> Tensor:
    """`x` with entries set to 0 with probability p, the others divided by 1 - p."""
    out: Tensor = _Dropped.apply(x, p)
    return out


def attention(q: Tensor, k: Tensor, v: Tensor, shut: Tensor | None, p: float, scale: float) -> Tensor:
    """Scaled dot-product attention whose probabilities are dropped with probability p: (windows, heads,
    tokens, size).

    Args:
        shut: bool (windows, tokens): keys that are padding; None: none is.
    """
    out: Tensor = _Attention.apply(q, k, v, shut, p, scale)
    return out


def _for_transformers(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    **options: Any,
) -> tuple[Tensor, None]:
    """What a model's layers call: ours where there is dropout, else transformers' own."""
    p, scale = options.get("dropout") or 0.0, options.get("scaling")
    if not p or query.dtype != torch.float32:
        from transformers.integrations.sdpa_attention import sdpa_attention_forward

        out, _ = sdpa_attention_forward(module, query, key, value, attention_mask, **options)
        return out, None
    # (windows, 1, keys): every query sees the same keys
    shut = None if attention_mask is None else ~attention_mask[:, 0, :1]
    attended = attention(query, key, value, shut, p, query.shape[-1] ** -0.5 if scale is None else scale)
    return attended.transpose(1, 2).contiguous(), None


def takes_key_masks(model: nn.Module) -> bool:
    """Whether a model is an encoder that attends by SDPA and takes a mask (rows, 1, 1, tokens): BERT or
    RoBERTa.
    """
    config = getattr(model, "config", None)
    fitting = getattr(config, "model_type", None) in FAMILIES and getattr(
        config, "_attn_implementation", None
    ) in ("sdpa", NAME)
    return fitting and not getattr(config, "is_decoder", False)


@contextmanager
def quick_dropout(model: nn.Module) -> Iterator[None]:
    """While the block runs, a BERT or RoBERTa on a CPU in fp32 drops out by the functions of this file; other
    models stay as they are.
    """
    if not takes_key_masks(model) or next(model.parameters()).device.type != "cpu":
        yield
        return
    _register()
    config: Any = model.config
    dropouts = [module for module in model.modules() if type(module) is nn.Dropout and module.p > 0]
    for module in dropouts:
        module.forward = _forward_of(module)  # type: ignore[method-assign]
    config._attn_implementation = NAME
    try:
        yield
    finally:
        config._attn_implementation = "sdpa"
        for module in dropouts:
            del module.forward


def _forward_of(module: nn.Dropout) -> Any:
    def forward(x: Tensor) -> Tensor:
        quick = module.training and x.dtype == torch.float32 and 0 < module.p < 1
        return dropped(x, module.p) if quick else nn.functional.dropout(x, module.p, module.training)

    return forward


def _register() -> None:
    from transformers import AttentionInterface
    from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

    AttentionInterface.register(NAME, _for_transformers)
    AttentionMaskInterface.register(NAME, sdpa_mask)
