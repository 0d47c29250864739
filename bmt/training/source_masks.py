"""What comes before the loop: an optional head warm-up, then one learned mask a dataset, or a schedule of
masks that change.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from bmt.controls import fisher_masks, magnitude_masks
from bmt.errors import ConfigError
from bmt.layers import is_head
from bmt.mask_learning import GLOBAL, gates_by_dataset, learn_masks
from bmt.masks import Masks
from bmt.qa.batches import Batch, Vocabulary, Windows, collate
from bmt.qa.model import batch_loss
from bmt.runtime.checkpoints import Checkpoints
from bmt.runtime.keyed_random import key_number, permutation
from bmt.runtime.stopping import Stop, StoppedError, never, until
from bmt.settings import MaskSettings, SamplingSettings
from bmt.training.compilation import compiled
from bmt.training.loop import Plan, Progress, autocast_for, planned_steps
from bmt.training.mask_schedules import Alternating, PerBatch, Refresh, Resampled, Schedule
from bmt.training.sampling import Sampler

MaskReport = Callable[[str, int, dict[str, float]], None]


def in_order(rows: np.ndarray, begin: int, count: int, key: tuple[int | str, ...]) -> list[int]:
    """`count` of the rows from place `begin` of an endless order: pass after pass, each shuffled under `key`."""
    taken: list[int] = []
    while len(taken) < count:
        passes, at = divmod(begin + len(taken), len(rows))
        order = permutation(len(rows), (*key, passes))
        taken.extend(rows[order[at : at + count - len(taken)]].tolist())
    return taken


def dataset_batches(
    sets: Sequence[Windows],
    which: int,
    rows: np.ndarray,
    vocabulary: Vocabulary,
    size: int,
    seed: int,
    device: torch.device,
) -> Callable[[int], Batch]:
    """step -> a batch of one dataset's training windows, for mask learning."""

    def batch_at(step: int) -> Batch:
        own = in_order(rows, step * size, size, (seed, "mask windows", sets[which].dataset))
        return collate(sets, [(which, row) for row in own], vocabulary).to(device)

    return batch_at


def mixture_batches(
    sets: Sequence[Windows],
    rows: Mapping[str, np.ndarray],
    vocabulary: Vocabulary,
    size: int,
    seed: int,
    device: torch.device,
) -> Callable[[int], Batch]:
    """step -> a batch of the uniform mixture, for one global mask or a head warm-up. Steps must be asked for
    in order.
    """
    sampler = Sampler(rows, size, SamplingSettings(kind="uniform"), seed)
    return lambda step: collate(sets, sampler.draw(step), vocabulary).to(device)


def source_batches(
    sets: Sequence[Windows],
    rows: Mapping[str, np.ndarray],
    vocabulary: Vocabulary,
    mask: MaskSettings,
    seed: int,
    device: torch.device,
) -> dict[str, Callable[[int], Batch]]:
    """The batches that each mask is learned on: by dataset, or of the mixture for a global mask."""
    if mask.scope == "global":
        return {GLOBAL: mixture_batches(sets, rows, vocabulary, mask.batch, seed, device)}
    return {
        windows.dataset: dataset_batches(
            sets, which, rows[windows.dataset], vocabulary, mask.batch, seed, device
        )
        for which, windows in enumerate(sets)
    }


def plan_loss(model: nn.Module, plan: Plan) -> Callable[[nn.Module, Batch], torch.Tensor]:
    """The loss of a batch in the plan's precision."""
    cast = autocast_for(plan.training.precision, next(model.parameters()).device)

    def loss(model: nn.Module, batch: Batch) -> torch.Tensor:
        with cast():
            return batch_loss(model, batch, plan.loss.spans)

    return loss


def mask_schedule(
    model: nn.Module,
    sets: Sequence[Windows],
    rows: Mapping[str, np.ndarray],
    vocabulary: Vocabulary,
    mask: MaskSettings,
    plan: Plan,
    *,
    seed: int,
    folder: Path | None = None,
    fingerprint: str = "",
    report: MaskReport | None = None,
    progress: Progress | None = None,
    stop: Stop = never,
) -> Schedule:
    """The masks that change while theta is tuned, as `mask.schedule`, `mask.scope` and `mask.gate` say.

    Args:
        folder: where `refresh` keeps the masks of each epoch, and `resampled` the gates, for a resume; and
            both what they have learned of
            them, with `fingerprint`. To be removed by the caller when the run is done.
        others: as `source_masks`; `stop` ends the learning of `refresh` and `resampled`.

    Raises:
        ConfigError: the two-phase schedule, whose masks `source_masks` gives.
    """
    if mask.scope == "per_batch":
        return PerBatch(model, sets, vocabulary, mask, seed, plan_loss(model, plan))
    if mask.schedule == "alternating":
        return Alternating(model, sets, vocabulary, mask, seed, plan_loss(model, plan))
    if mask.gate == "resampled":
        device, loss = next(model.parameters()).device, plan_loss(model, plan)
        batches = source_batches(sets, rows, vocabulary, mask, seed, device)
        advance = None if progress is None else lambda n, note: progress(n * mask.batch, note)
        kept = None if folder is None else Checkpoints(folder / "learning", fingerprint)
        learn_all = partial(
            gates_by_dataset,
            model,
            batches,
            mask,
            mask.targets,
            seed=seed,
            loss=loss,
            report=report,
            progress=advance,
            checkpoints=kept,
            stop=stop,
        )
        return Resampled(model, [own.dataset for own in sets], mask, seed, learn_all, folder)
    if mask.schedule != "refresh":
        raise ConfigError(f"mask.schedule: {mask.schedule!r} has fixed masks: source_masks makes them")

    def learn(epoch: int) -> Masks:
        key = seed if epoch == 0 else key_number((seed, "refresh", epoch))
        kept = None if folder is None else Checkpoints(folder / f"learning-{epoch:04d}", fingerprint)
        masks = source_masks(
            "learned",
            model,
            sets,
            rows,
            vocabulary,
            mask,
            plan,
            seed=key,
            report=report,
            progress=progress,
            checkpoints=kept,
            stop=stop,
        )
        if folder is not None and epoch > 0:
            Checkpoints(
                folder / f"learning-{epoch - 1:04d}", fingerprint
            ).remove()  # whose masks are in a file
        return masks

    return Refresh(model, learn, planned_steps(sets, rows, 1, plan.training), folder)


def source_masks(
    kind: str,
    model: nn.Module,
    sets: Sequence[Windows],
    rows: Mapping[str, np.ndarray],
    vocabulary: Vocabulary,
    mask: MaskSettings,
    plan: Plan,
    *,
    seed: int,
    report: MaskReport | None = None,
    progress: Progress | None = None,
    checkpoints: Checkpoints | None = None,
    stop: Stop = never,
) -> Masks:
    """The masks of the source datasets at the model's present weights: one each, or one for the mixture
    (`mask.scope`).

    Args:
        kind: "learned" (eq. 12), "fisher" over as many batches at `mask.density`, or "magnitude" at that
            density.
        checkpoints: as `bmt.mask_learning.learn_masks`; Fisher masks take no update, and start again.
        others: as `bmt.training.loop.train`; `report` gets (dataset, step, {loss, density, alpha_mean,
            interior}).

    Raises:
        StoppedError: `stop` asked, between two steps.
    """
    device, loss = next(model.parameters()).device, plan_loss(model, plan)
    if kind == "magnitude":
        return magnitude_masks(model, mask.density or 0, targets=mask.targets)
    batches = source_batches(sets, rows, vocabulary, mask, seed, device)
    model.train()
    advance = None if progress is None else lambda n, note: progress(n * mask.batch, note)
    if kind == "fisher":
        ended = until(stop, advance, "the Fisher masks")
        return fisher_masks(
            model,
            batches,
            mask.density or 0,
            steps=mask.steps,
            targets=mask.targets,
            seed=seed,
            loss=loss,
            progress=ended,
        )
    with compiled(model, plan.training.compile):
        return learn_masks(
            model,
            batches,
            settings=mask,
            targets=mask.targets,
            seed=seed,
            loss=loss,
            report=report,
            progress=advance,
            checkpoints=checkpoints,
            stop=stop,
        )


def warm_up_head(
    model: nn.Module,
    sets: Sequence[Windows],
    rows: Mapping[str, np.ndarray],
    vocabulary: Vocabulary,
    plan: Plan,
    *,
    steps: int,
    seed: int,
    stop: Stop = never,
) -> None:
    """Train the head alone for `steps` steps on the uniform mixture, theta fixed. It keeps no checkpoint: a
    restart does it again.

    Raises:
        StoppedError: `stop` asked, between two steps.
    """
    if steps == 0:
        return
    device = next(model.parameters()).device
    head = [parameter for name, parameter in model.named_parameters() if is_head(name)]
    optimizer = torch.optim.AdamW(head, lr=plan.training.head_lr, eps=plan.training.eps, weight_decay=0.0)
    batch_at = mixture_batches(sets, rows, vocabulary, plan.training.batch, seed, device)
    cast = autocast_for(plan.training.precision, device)
    model.train()
    for step in range(steps):
        if stop():
            raise StoppedError("stopped during the head's warm-up, which starts again")
        torch.manual_seed(key_number((seed, "head warm-up", step)))
        with cast():
            loss = batch_loss(model, batch_at(step), plan.loss.spans)
        for parameter, grad in zip(head, torch.autograd.grad(loss, head), strict=True):
            parameter.grad = grad
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
