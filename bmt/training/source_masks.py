"""What comes before the loop: a warm-up of the head, then one mask per dataset (eq. 12) or a control."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from bmt.controls import fisher_masks, magnitude_masks
from bmt.layers import is_head
from bmt.mask_learning import learn_masks
from bmt.masks import Masks
from bmt.qa.model import batch_loss
from bmt.runtime.control import RunControl
from bmt.runtime.keyed_random import key_number
from bmt.runtime.stopping import Stop, StoppedError, never, until
from bmt.settings import MaskSettings
from bmt.training.data import TrainingData
from bmt.training.mask_batches import mixture_batches, plan_loss, source_batches
from bmt.training.plan import Plan, autocast_for


def source_masks(
    kind: str,
    model: nn.Module,
    data: TrainingData,
    mask: MaskSettings,
    plan: Plan,
    *,
    seed: int,
    control: RunControl | None = None,
) -> Masks:
    """The masks of the source datasets at the model's present weights: one each, or one for the mixture
    (`mask.scope`).

    Args:
        kind: "learned" (eq. 12), "fisher" over as many batches at `mask.density`, or "magnitude" at that
            density.
        control: `report` gets (dataset, step, {loss, density, alpha_mean, interior}), `progress` the windows
            done; checkpoints as `bmt.mask_learning.learn_masks` keeps them. Fisher masks take no update and
            start again.

    Raises:
        StoppedError: `control.stop` asked, between two steps.
    """
    control = control or RunControl()
    if kind == "magnitude":
        return magnitude_masks(model, mask.density or 0, targets=mask.targets)
    device, loss = next(model.parameters()).device, plan_loss(model, plan)
    batches = source_batches(data, mask, seed, device)
    model.train()

    def progress(steps: int, note: str) -> None:
        control.progress(steps * mask.batch, note)

    if kind == "fisher":
        return fisher_masks(
            model,
            batches,
            mask.density or 0,
            steps=mask.steps,
            targets=mask.targets,
            seed=seed,
            loss=loss,
            progress=until(control.stop, progress, "the Fisher masks"),
        )
    learning = replace(control, progress=progress)
    return learn_masks(model, batches, settings=mask, seed=seed, loss=loss, control=learning)


def warm_up_head(
    model: nn.Module, data: TrainingData, plan: Plan, *, steps: int, seed: int, stop: Stop = never
) -> None:
    """Train the head alone for `steps` steps on the uniform mixture, theta fixed.

    It keeps no checkpoint: a restart does it again.

    Raises:
        StoppedError: `stop` asked, between two steps.
    """
    if steps == 0:
        return
    device = next(model.parameters()).device
    head = [parameter for name, parameter in model.named_parameters() if is_head(name)]
    optimizer = torch.optim.AdamW(head, lr=plan.training.head_lr, eps=plan.training.eps, weight_decay=0.0)
    batch_at = mixture_batches(data, plan.training.batch, seed, device)
    cast = autocast_for(plan.training.precision, device)
    model.train()
    for step in range(steps):
        if stop():
            raise StoppedError("stopped during the head's warm-up, which starts again")
        torch.manual_seed(key_number((seed, "head warm-up", step)))
        with cast():
            loss = batch_loss(model, batch_at(step), plan.loss.spans)
        for parameter, gradient in zip(head, torch.autograd.grad(loss, head), strict=True):
            parameter.grad = gradient
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
