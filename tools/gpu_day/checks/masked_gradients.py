"""Several masks in one backward pass on the device (eq. 14): the gradients of one backward pass per dataset.

The judge takes those passes in float64 on the CPU, each gradient multiplied by its dataset's mask.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn

from bmt.masked_updates import mask_updates
from bmt.masks import Masks
from tools.gpu_day.checks.closeness import (
    Tensors,
    cosine,
    count,
    error,
    largest,
    relative_error,
)
from tools.gpu_day.checks.subjects import (
    DATASETS,
    FAMILIES,
    CheckScale,
    Regression,
    exact,
    gradients,
    placed,
    random_masks,
    small_model,
    span_model,
    values,
)
from tools.performance.figures import MeasuredFigure, Measurement

FLOAT32 = 1e-5
"""A gradient of two layers is some twenty roundings of 6e-8 from right, and sums of n numbers add sqrt(n) of
them to their norm: 30 at a thousand tokens.
"""
BF16_LOSS, BF16_GRADIENT, BF16_COSINE = 1e-2, 2e-2, 5e-4
"""bf16 rounds by at most 2^-9 = .2 % at each of some twenty products on the way: sqrt(20) times .1 % is .5 %,
and four times that is allowed. An error e turns a gradient by 1 - cos = e^2 / 2.
"""
STEPS, DECAY = 5, 0.1


def kinds(model: nn.Module) -> dict[str, str]:
    """linear, bias, norm, embedding or position of each parameter; head where no mask is."""
    named = {}
    for where, module in model.named_modules():
        for key, _ in module.named_parameters(recurse=False):
            name = f"{where}.{key}"
            if where.startswith(("qa_outputs", "classifier")):
                kind = "head"
            elif isinstance(module, nn.Embedding):
                kind = "position bias" if "relative" in where else "embedding"
            elif isinstance(module, nn.Linear):
                kind = "bias" if key == "bias" else "linear"
            else:
                kind = "norm"
            named[name] = kind
    return named


def one_backward(
    model: nn.Module,
    masks: Masks,
    passes: Sequence[Regression],
    cast: AbstractContextManager[object] | None = None,
) -> tuple[float, dict[str, Tensor]]:
    """The loss and the masked gradients of a step of some passes, on the model's device."""
    device, total = next(model.parameters()).device, 0.0
    optimizer = torch.optim.AdamW(model.parameters())
    with mask_updates(optimizer, model, masks) as handle:
        for part in passes:
            there = part.to(device)
            handle.rows([DATASETS[owner] for owner in part.owner])
            with cast or nullcontext():
                loss = there.loss(model)
            (loss / len(passes)).backward()
            total += float(loss.detach()) / len(passes)
        return total, gradients(model)


def one_backward_per_dataset(
    model: nn.Module, masks: Masks, passes: Sequence[Regression]
) -> tuple[float, dict[str, Tensor]]:
    """The same by a backward pass for each dataset, in float64 on the CPU."""
    judge = exact(model)
    parameters = dict(judge.named_parameters())
    opened = masks.unpacked(parameters)
    sums = {name: torch.zeros_like(value) for name, value in parameters.items()}
    total = 0.0
    for part in passes:
        for owner in sorted(set(part.owner)):
            rows = part.rows([row for row, whose in enumerate(part.owner) if whose == owner])
            loss = rows.loss(judge) * len(rows.owner) / len(part.owner) / len(passes)
            loss.backward()
            total += float(loss.detach())
            for name, value in parameters.items():
                if value.grad is not None:
                    mask = opened[name][masks.index(DATASETS[owner])] if name in opened else 1
                    sums[name] += value.grad * mask
                value.grad = None
    return total, sums


def two_passes(scale: CheckScale) -> list[Regression]:
    """A step of two passes whose rows are in no order of datasets."""
    return [Regression.of(scale.rows, scale.tokens, 1), Regression.of(scale.rows, scale.tokens // 2, 2)]


def six_masks(scale: CheckScale) -> Measurement:
    """Each kind of tensor of each family, in float32."""
    off: dict[str, list[float]] = {}
    for family in FAMILIES:
        model = small_model(family, scale)
        masks, passes = random_masks(model), two_passes(scale)
        _, result = one_backward(placed(model, scale.device), masks, passes)
        _, right = one_backward_per_dataset(model, masks, passes)
        for kind, value in errors_by_kind(model, result, right).items():
            off.setdefault(f"{family}: {kind}", []).append(value)
    figures = [error(name, largest(errors), FLOAT32) for name, errors in off.items()]
    notes = (
        f"{scale.layers} layers of {scale.hidden}; {len(DATASETS)} datasets, their rows in no order, two "
        "passes per step. float32 in one backward pass against float64 in one per dataset; relative in "
        "the 2-norm over all tensors of a kind.",
    )
    return Measurement("Six masks in one backward pass", figures, notes)


def errors_by_kind(model: nn.Module, result: Tensors, right: Tensors) -> dict[str, float]:
    """The relative error of each kind of tensor, all of that kind together."""
    named = kinds(model)
    return {
        kind: relative_error(
            *({name: part[name] for name in part if named[name] == kind} for part in (result, right))
        )
        for kind in dict.fromkeys(named.values())
    }


def wide_layer(scale: CheckScale) -> Measurement:
    """One layer as wide as RoBERTa-base's, in float32 and under bf16 autocast."""
    model = span_model("RoBERTa", scale.wide, layers=1)
    masks = random_masks(model)
    passes = [Regression.of(scale.rows, 4 * scale.tokens, 3)]
    loss, right = one_backward_per_dataset(model, masks, passes)
    single_loss, single = one_backward(placed(model, scale.device), masks, passes)
    cast = torch.autocast(scale.device.type, dtype=torch.bfloat16)
    half_loss, half = one_backward(placed(model, scale.device), masks, passes, cast)
    figures = [
        error("loss, float32", abs(single_loss / loss - 1), FLOAT32),
        error("gradients, float32, relative in the 2-norm", relative_error(single, right), FLOAT32),
        error("loss, bf16", abs(half_loss / loss - 1), BF16_LOSS),
        error("gradients, bf16, relative in the 2-norm", relative_error(half, right), BF16_GRADIENT),
        error("gradients, bf16, 1 - cosine", 1 - cosine(half, right), BF16_COSINE),
    ]
    notes = (
        f"One layer of {scale.wide} with six masks, {scale.rows} rows of at most {4 * scale.tokens} "
        "tokens; against float64 on the CPU, one backward pass per dataset.",
    )
    return Measurement("Six masks in a wide layer", figures, notes)


def closed_weights(scale: CheckScale) -> Measurement:
    """Weights that are closed in every mask, after steps of AdamW with weight decay: the same bits."""
    moved, kept = 0, []
    shares = []
    for family in FAMILIES:
        model = small_model(family, scale)
        masks = random_masks(model)
        before, there = values(model), placed(model, scale.device)
        optimizer = torch.optim.AdamW(there.parameters(), lr=1e-3, weight_decay=DECAY, fused=True)
        with mask_updates(optimizer, there, masks) as handle:
            for step in range(STEPS):
                batch = Regression.of(scale.rows, scale.tokens, step)
                handle.rows([DATASETS[owner] for owner in batch.owner])
                batch.to(scale.device).loss(there).backward()
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
        after = values(there)
        opened = {name: mask.any(0) for name, mask in masks.unpacked(before).items()}
        changed = {name: before[name] != after[name] for name in opened}
        moved += sum(int((changed[name] & ~opened[name]).sum()) for name in opened)
        kept.append(sum(int((~opened[name]).sum()) for name in opened))
        shares.append(
            sum(int((changed[name] & opened[name]).sum()) for name in opened)
            / sum(int(opened[name].sum()) for name in opened)
        )
    figures = [
        count("closed weights that moved", moved),
        MeasuredFigure("open weights that moved", min(shares), 0.95, at_least=True, unit="%"),
    ]
    notes = (f"{STEPS} steps of fused AdamW, decay {DECAY:g}, six masks; {sum(kept):,} closed weights.",)
    return Measurement("Closed weights", figures, notes)
