"""Adapters on the device (eq. 17): forward and backward, alone and jointly with masks, and their mean.

The judge is the same model in float64 on the CPU, each row passed alone through its own dataset's adapter.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bmt.masked_updates import mask_updates
from bmt.masks import Masks
from bmt.qa.adapters import AVERAGE, Adapters, adapters_of, add_adapters, banks
from bmt.transfer.zero_shot import zero_shot
from tools.gpu_day.checks.closeness import error, relative_error
from tools.gpu_day.checks.masked_gradients import FLOAT32
from tools.gpu_day.checks.subjects import (
    DATASETS,
    CheckScale,
    Regression,
    exact,
    gradients,
    placed,
    random_masks,
    small_model,
)
from tools.performance.figures import Measurement

FAMILY_OF_ADAPTERS = ("RoBERTa", "T5")


def adapted(family: str, scale: CheckScale) -> nn.Module:
    """A model with adapters and heads of every dataset, away from where they start."""
    model = small_model(family, scale)
    add_adapters(model, DATASETS, seed=14)
    draw = torch.Generator().manual_seed(17)
    with torch.no_grad():
        for bank in banks(model):
            for value in bank.parameters():
                value.add_(0.1 * torch.randn(value.shape, generator=draw))
    return model


def handle_of(model: nn.Module) -> Adapters:
    """The model's adapters."""
    handle = adapters_of(model)
    assert handle is not None
    return handle


def mixed_batch(
    model: nn.Module, batch: Regression, masks: Masks | None = None
) -> tuple[Tensor, dict[str, Tensor]]:
    """Scores and gradients of a batch of all datasets, in one pass on the model's device."""
    there = batch.to(next(model.parameters()).device)

    def passed() -> Tensor:
        handle_of(model).rows(batch.owner)
        scores = there.scores(model)
        handle_of(model).rows(batch.owner)
        there.loss(model).backward()
        return scores.detach()

    if masks is None:
        return passed(), gradients(model)
    with mask_updates(torch.optim.AdamW(model.parameters()), model, masks) as masked:
        with torch.no_grad():
            handle_of(model).rows(batch.owner)
            scores = there.scores(model)
        handle_of(model).rows(batch.owner)
        masked.rows([DATASETS[owner] for owner in batch.owner])
        there.loss(model).backward()
        return scores, gradients(model)


def row_by_row(
    model: nn.Module, batch: Regression, masks: Masks | None = None
) -> tuple[Tensor, dict[str, Tensor]]:
    """The same in float64 on the CPU, a row at a time."""
    judge = exact(model)
    opened = {} if masks is None else masks.unpacked(dict(judge.named_parameters()))
    scores, sums = [], {name: torch.zeros_like(value) for name, value in judge.named_parameters()}
    for row, owner in enumerate(batch.owner):
        one = batch.rows([row])
        with handle_of(judge).only(owner):
            scores.append(one.scores(judge).detach())
            (one.loss(judge) / len(batch.owner)).backward()
        for name, grad in gradients(judge).items():
            sums[name] += grad * (opened[name][owner] if name in opened else 1)
        judge.zero_grad()
    return torch.cat(scores), sums


def mean_adapter(model: nn.Module) -> nn.Module:
    """A float64 copy on the CPU in which every dataset's adapter and head are the mean of all."""
    judge = exact(model)
    with torch.no_grad():
        for bank in banks(judge):
            for value in bank.parameters(recurse=False):
                value.copy_(value.mean(0, keepdim=True).expand_as(value))
    return judge


def adapters(scale: CheckScale) -> Measurement:
    """Each family alone, jointly with masks, and its mean adapter."""
    figures = []
    batch = Regression.of(scale.rows, scale.tokens, 5)
    real = batch.attention.bool()
    for family in FAMILY_OF_ADAPTERS:
        model = adapted(family, scale)
        masks = random_masks(model)
        for name, chosen in (("", None), (", jointly with masks", masks)):
            scores, grads = mixed_batch(placed(model, scale.device), batch, chosen)
            right_scores, right = row_by_row(model, batch, chosen)
            off = relative_error(scores.cpu()[real], right_scores[real])
            figures += [
                error(f"{family}{name}: scores", off, FLOAT32),
                error(f"{family}{name}: gradients", relative_error(grads, right), FLOAT32),
            ]
        with torch.no_grad():
            mean = zero_shot(placed(model, scale.device))
            assert handle_of(mean).datasets == (AVERAGE,)
            result = batch.to(scale.device).scores(mean).cpu()
            judge = mean_adapter(model)
            with handle_of(judge).only(0):
                expected = batch.scores(judge)
        figures.append(
            error(
                f"{family}: scores of the mean adapter", relative_error(result[real], expected[real]), FLOAT32
            )
        )
    notes = (
        f"{scale.layers} layers of {scale.hidden}, {len(DATASETS)} datasets' adapters, rows in no order; "
        "float32 in one pass against float64 row by row on the CPU; relative in the 2-norm.",
    )
    return Measurement("Adapters", figures, notes)
