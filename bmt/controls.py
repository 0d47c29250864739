"""Masks that are not learned by eq. 12, at a stated density: what a reviewer holds BMT against.

    Fisher      Child-Tuning-D: the weights with the largest mean squared gradient on a dataset's batches, at
    theta_0
    magnitude   the weights with the largest |theta_0|; one mask, whatever the data

The random mask at the learned density is `Masks.permuted`; the one drawn anew each step (eq. 16,
Child-Tuning-F) is `bmt.random_mask.RandomMask`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from bmt.errors import ConfigError, ModelError
from bmt.layers import target_names
from bmt.mask_learning import GLOBAL, Batches, Loss, batch_function, model_loss
from bmt.mask_selection import top_share
from bmt.masks import Masks
from bmt.runtime.keyed_random import key_number


def fisher_masks(
    model: nn.Module,
    batches_by_dataset: Mapping[str, Batches],
    density: float,
    *,
    steps: int,
    targets: Sequence[str] | None = None,
    seed: int = 0,
    loss: Loss = model_loss,
    progress: Callable[[int, str], None] | None = None,
) -> Masks:
    """One mask per dataset: the `density` share of weights with the largest sum of squared batch gradients
    over `steps` batches.

    The weights are not changed, nor the gradients that parameters hold.

    Raises:
        ConfigError: a density outside (0, 1], no steps, no dataset. ModelError: a masked parameter got no
            gradient.
    """
    _check_density(density)
    if steps < 1 or not batches_by_dataset:
        raise ConfigError(
            f"fisher_masks: {steps} steps over {len(batches_by_dataset)} datasets is not allowed: at least "
            "1 of each"
        )
    parameters = dict(model.named_parameters())
    names, parts = target_names(model, targets), []
    for dataset, batches in batches_by_dataset.items():
        batch_at = batch_function(batches, dataset)
        fisher = {name: torch.zeros_like(parameters[name], dtype=torch.float32) for name in names}
        weights = [parameters[name] for name in names]
        for step in range(steps):
            torch.manual_seed(key_number((seed, "fisher", dataset, step)))
            grads = torch.autograd.grad(loss(model, batch_at(step)), weights, allow_unused=True)
            for name, grad in zip(names, grads, strict=True):
                if grad is None:
                    raise ModelError(
                        f"tensor {name} got no gradient at Fisher step {step}: the loss does not use it; "
                        "leave it out with targets="
                    )
                fisher[name].addcmul_(grad.float(), grad.float())
            if progress is not None:
                progress(1, "")
        parts.append(Masks.of({dataset: top_share(fisher, density, (seed, "fisher", dataset))}, model))
        del fisher
    return Masks.joined(parts, {"kind": "fisher", "seed": seed, "steps": steps, "density": density})


def magnitude_masks(model: nn.Module, density: float, *, targets: Sequence[str] | None = None) -> Masks:
    """One mask named `all`: the `density` share of weights with the largest |theta|.

    Raises ConfigError for a density outside (0, 1].
    """
    _check_density(density)
    parameters = dict(model.named_parameters())
    scores: dict[str, Tensor] = {
        name: parameters[name].detach().abs() for name in target_names(model, targets)
    }
    return Masks.of(
        {GLOBAL: top_share(scores, density, ("magnitude",))}, model, {"kind": "magnitude", "density": density}
    )


def _check_density(density: float) -> None:
    if not 0 < density <= 1:
        raise ConfigError(f"density: {density!r} is not allowed: above 0 and at most 1")
