"""Few-shot transfer to one dataset (section 4.6.2): K of its dev questions, a mean of adapters, some updates,
the test.

    K examples drawn under the seed ──┬─ K/2 train ────────────────▶ updates of theta, phi', psi' under the arm's mask
      └─ loss of each adapter on all K ┴─ K/2 validation ─▶ when to stop, which step is best
           alpha = softmax(-loss)  ──▶  phi' = sum alpha_i phi_i, psi' likewise: where the updates start

An update is `batch` training windows: n windows make ceil(n / batch) updates an epoch, the last one of the
windows that are left, so that
8 examples of one window each, at batch 8, give one update an epoch and never none.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from bmt.errors import ConfigError, ModelError
from bmt.few_shot_settings import FewShotSettings
from bmt.mask_updates import mask_updates
from bmt.masks import Masks
from bmt.qa.adapters import adapters_of, averaged
from bmt.qa.batches import Vocabulary, Windows, collate, length_batches
from bmt.qa.decoding import Prediction, predict
from bmt.qa.model import span_logits, span_nll
from bmt.random_mask import RandomMask
from bmt.runtime.checkpoints import Checkpoints, load_tensors, tensors
from bmt.runtime.keyed_random import key_number, permutation
from bmt.runtime.ranks import Ranks
from bmt.runtime.stopping import Stop, StoppedError, never, until
from bmt.settings import DataSettings, check_settings
from bmt.training.loop import Plan, Questions, Report, adamw, autocast_for, evaluate
from bmt.training.losses import Losses
from bmt.training.mask_schedules import Schedule
from bmt.training.plan import pass_limits
from bmt.training.step import Stepper
from bmt.transfer.target_split import Split, draw, those_of

TargetMasks = Callable[[nn.Module, Windows, np.ndarray], Masks | RandomMask | Schedule | None]
"""(model as it starts, the target's windows, its training rows) -> what holds the updates back."""


@dataclass(frozen=True, slots=True)
class Tuned:
    """What the updates have come to. The model holds the weights of `best_step` (0: as it started).

    Attributes:
        windows: training windows.
        steps: updates that the optimizer made.
        steps_an_epoch: ceil(windows / batch).
        curve: a row an epoch, the first before any update: step, em, f1 in percent, loss where it was
            trained, validation_loss where F1
            tied with the best or beat it.
    """

    windows: int
    steps: int
    steps_an_epoch: int
    best_step: int
    best_f1: float
    curve: list[dict[str, float]]


@dataclass(frozen=True, slots=True)
class FewShot:
    """One (dataset, K, seed).

    Attributes:
        losses, weights: of each source adapter on the K examples; empty for a model without adapters.
        found: answers to the test examples.
    """

    dataset: str
    k: int
    seed: int
    losses: dict[str, float]
    weights: dict[str, float]
    split: Split
    tuned: Tuned
    found: list[Prediction]


@torch.no_grad()
def mean_loss(
    model: nn.Module, windows: Windows, rows: np.ndarray, vocabulary: Vocabulary, plan: Plan
) -> float:
    """Mean -log p of the windows `rows`, the loss of training, without dropout."""
    device, training = next(model.parameters()).device, model.training
    model.eval()
    total = 0.0
    for take in length_batches(windows.lengths[rows], plan.training.evaluation_batch):
        batch = collate([windows], [(0, int(row)) for row in rows[take]], vocabulary).to(device)
        with autocast_for(plan.training.precision, device)():
            start, end = span_logits(model, batch)
        total += float(span_nll(start, end, batch, plan.loss.spans).double().sum())
    model.train(training)
    return total / len(rows)


def adapter_losses(
    model: nn.Module, windows: Windows, rows: np.ndarray, vocabulary: Vocabulary, plan: Plan
) -> dict[str, float]:
    """`mean_loss` with each of the model's adapters and heads, by its dataset; nothing for a model without
    adapters.
    """
    handle, losses = adapters_of(model), {}
    for name in () if handle is None else handle.datasets:
        with handle.only(name):  # type: ignore[union-attr]
            losses[name] = mean_loss(model, windows, rows, vocabulary, plan)
    return losses


def loss_weights(losses: Mapping[str, float]) -> dict[str, float]:
    """alpha_i = softmax(-loss_i): at least 0, 1 in sum."""
    values = np.asarray(list(losses.values()), dtype=np.float64)
    if not np.isfinite(values).all():
        raise ModelError(
            f"the few-shot losses of the adapters are {dict(losses)}: all must be finite; train the model again"
        )
    powers = np.exp(values.min(initial=np.inf) - values)
    return dict(zip(losses, (powers / powers.sum()).tolist(), strict=True))


def few_shot(
    model: nn.Module,
    target: Questions,
    k: int,
    seed: int,
    vocabulary: Vocabulary,
    plan: Plan,
    settings: FewShotSettings,
    *,
    data: DataSettings | None = None,
    masks: TargetMasks | None = None,
    report: Report | None = None,
    checkpoints: Checkpoints | None = None,
    stop: Stop = never,
) -> FewShot:
    """Tune a copy of `model` on K examples of a target dataset and answer its test questions. The model
    itself stays as it is.

    The same (model, dataset, K, seed) gives the same answers, on a CPU bit for bit.

    Args:
        model: trained on the source datasets; one with several adapters starts from their loss-weighted mean,
            another as it is.
        target: the target's dev questions.
        plan: of training; batch size and learning rates are the settings'.
        data: which training windows (`negatives`, `windows`).
        masks: what holds the updates back (bmt.transfer.transfer_runs.target_masks); None: nothing.
        report: called with (update, metrics) at each epoch.
        checkpoints: where a stop keeps what it has done, for the next call; its fingerprint is of the model
            and all arguments. To be
            removed by the caller.
        stop: asked between two updates, and in the evaluations.

    Raises:
        ConfigError: a setting that is not allowed, K odd or larger than the dataset. ModelError: a loss that
            is not finite.
        StoppedError: `stop` asked; the checkpoint is written.
    """
    check_settings(settings, "fewshot")
    windows, chosen = target.windows, data or DataSettings()
    split = draw(target, k, seed, settings.test)

    def rows(examples: np.ndarray) -> np.ndarray:
        return windows.of_examples(examples, negatives=chosen.negatives, windows=chosen.windows)

    losses = adapter_losses(
        model, windows, rows(np.concatenate([split.train, split.validation])), vocabulary, plan
    )
    weights = loss_weights(losses) if losses else {}
    started = averaged(model, weights, literal=settings.literal_weights) if weights else copy.deepcopy(model)
    key = (seed, "few-shot", windows.dataset, k)
    train = rows(split.train)
    saved = None if checkpoints is None else checkpoints.newest()
    if saved is not None and "tuned" in saved.state:  # stopped while the test was answered
        load_tensors(started, saved.tensors("model"))
        tuned = Tuned(**saved.state["tuned"])
    else:
        tuned = tune(
            started,
            windows,
            train,
            those_of(target, split.validation),
            vocabulary,
            few_shot_plan(plan, settings),
            settings,
            seed=key_number(key),
            masks=None if masks is None else masks(started, windows, train),
            report=report,
            checkpoints=checkpoints,
            stop=stop,
        )
    try:
        found = predict(
            started,
            windows,
            target.contexts,
            vocabulary,
            plan.decode,
            rows=windows.of_examples(split.test),
            batch=plan.training.evaluation_batch,
            autocast=autocast_for(plan.training.precision, next(started.parameters()).device),
            progress=until(stop),
        )
    except StoppedError:
        if checkpoints is not None:
            checkpoints.write(settings.steps + 1, {"model": tensors(started)}, {"tuned": asdict(tuned)})
        raise
    return FewShot(windows.dataset, k, seed, losses, weights, split, tuned, found)


def few_shot_plan(plan: Plan, settings: FewShotSettings) -> Plan:
    """The plan with the settings' batch size, and their one learning rate for theta, adapter and head."""
    training = replace(
        plan.training, batch=settings.batch, batch_tokens=None, lr=settings.lr, head_lr=settings.lr
    )
    return replace(plan, training=training)


def tune(
    model: nn.Module,
    windows: Windows,
    rows: np.ndarray,
    validation: Questions,
    vocabulary: Vocabulary,
    plan: Plan,
    settings: FewShotSettings,
    *,
    seed: int,
    masks: Masks | RandomMask | Schedule | None = None,
    report: Report | None = None,
    checkpoints: Checkpoints | None = None,
    stop: Stop = never,
) -> Tuned:
    """Update all of a model's parameters, in place, on the windows `rows`; it ends with the weights of the
    best epoch.

    Epochs are whole: each takes every window once, in an order of its own. Best is the highest validation F1,
        of equals the lowest
    validation loss, of equals the earliest; the start is one of them. It stops after `settings.steps` updates
    or `settings.patience` epochs
    without a higher F1. `checkpoints` and `stop` are `few_shot`'s.

    Raises:
        ConfigError: no training window, masks for several datasets. NonFiniteLossError: a loss that is not
            finite.
        StoppedError: `stop` asked; the checkpoint is written.
    """
    batch = plan.training.batch
    if len(rows) == 0:
        raise ConfigError(
            f"few-shot: the training examples of {windows.dataset} have no window: keep data.negatives, or raise K"
        )
    if isinstance(masks, Masks) and len(masks.datasets) != 1:
        raise ConfigError(
            f"few-shot: masks of {', '.join(masks.datasets)}: one is needed for {windows.dataset}: use masks.union()"
        )
    an_epoch, taken = math.ceil(len(rows) / batch), 0
    limits = pass_limits([windows], {windows.dataset: rows}, plan.training)
    optimizer = adamw(model, plan.training)

    def count(*_: object) -> None:
        nonlocal taken
        taken += 1

    optimizer.register_step_post_hook(count)
    schedule = None if masks is None or isinstance(masks, Masks | RandomMask) else masks
    losses = Losses([windows], next(model.parameters()).device, "lower fewshot.lr")
    best = _Best(model, validation, vocabulary, plan, stop)
    restored = None if checkpoints is None else checkpoints.restore(model, optimizer)
    begin = 0 if restored is None else int(restored[0]["step"])
    at_first = masks if masks is None or isinstance(masks, Masks | RandomMask) else masks.start(begin)
    if restored is not None:
        state, more = restored
        taken = state["taken"]
        losses.restore(state["losses"])
        best.go_on(state["best"], _under("best", more))
        if schedule is not None:
            schedule.restore(_under("schedule", more))
            at_first = schedule.masks()
    compact = plan.tuning.compact_state and schedule is None
    before_clip = plan.tuning.clip_order == "mask_then_clip"

    def leave(step: int) -> StoppedError:
        """Write a checkpoint of the state before update `step`: the error that says so."""
        if len(losses):
            losses.look()
        if checkpoints is not None and step > begin:
            own = {f"best/{name}": value for name, value in best.weights.items()}
            own |= {
                f"schedule/{name}": value
                for name, value in (schedule.tensors() if schedule is not None else {}).items()
            }
            state = {"step": step, "taken": taken, "losses": losses.state(), "best": best.state()}
            checkpoints.save(step, model, optimizer, state, False, own)
        return StoppedError(f"stopped at update {step} of {settings.steps} on {windows.dataset}")

    model.train()
    with (
        nullcontext()
        if at_first is None
        else mask_updates(
            optimizer,
            model,
            at_first,
            apply=plan.tuning.apply,
            before_clip=before_clip,
            compact=compact,
            first_step=begin,
        )
    ) as masked:
        stepper = Stepper(model, optimizer, [windows], vocabulary, plan, limits, seed, masked, None, Ranks())
        step = begin
        while True:
            if best.looked < step and (step % an_epoch == 0 or step == settings.steps):
                try:
                    best.look(step, taken, {"loss": losses.look()} if step else {}, report)
                except StoppedError:
                    raise leave(step) from None
                losses.clear()
                if best.without_gain >= settings.patience:
                    break
            if step == settings.steps:
                break
            if stop():
                raise leave(step)
            epoch, at = divmod(step, an_epoch)
            order = permutation(len(rows), (seed, "order", epoch))[at * batch : (at + 1) * batch]
            picks = [(0, int(rows[place])) for place in order]
            if schedule is not None and masked is not None:
                try:
                    schedule.before(step, picks, masked)
                except StoppedError:
                    raise leave(step) from None
            losses.add(step + 1, picks, stepper.take(step, picks).loss)
            step += 1
    best.restore()
    return Tuned(len(rows), taken, an_epoch, best.step, best.f1, best.curve)


class _Best:
    """The best weights so far: by F1, then by loss, which is measured only where F1 is not below the best."""

    def __init__(
        self, model: nn.Module, validation: Questions, vocabulary: Vocabulary, plan: Plan, stop: Stop
    ) -> None:
        self.model, self.validation, self.vocabulary, self.plan, self.stop = (
            model,
            validation,
            vocabulary,
            plan,
            stop,
        )
        self.step, self.f1, self.loss, self.without_gain, self.looked = 0, -1.0, math.inf, -1, -1
        self.curve: list[dict[str, float]] = []
        self.weights: dict[str, torch.Tensor] = {}

    def look(self, step: int, taken: int, row: dict[str, float], report: Report | None) -> None:
        """Evaluate the model before update `step`, which `taken` updates came before.

        Raises:
            StoppedError: `stop` asked; nothing of this evaluation is kept.
        """
        scores = evaluate(self.model, [self.validation], self.vocabulary, self.plan, until(self.stop))
        em, f1 = scores[self.validation.windows.dataset]
        self.looked = step
        row = {"step": float(taken), **row, "em": em, "f1": f1}
        self.without_gain = 0 if f1 > self.f1 else self.without_gain + 1
        if f1 >= self.f1:
            loss = mean_loss(
                self.model, self.validation.windows, self.validation.rows, self.vocabulary, self.plan
            )
            row["validation_loss"] = loss
            if f1 > self.f1 or loss < self.loss:
                self.step, self.f1, self.loss = taken, f1, loss
                self.weights = {
                    name: parameter.detach().clone() for name, parameter in self.model.named_parameters()
                }
        self.curve.append(row)
        if report is not None:
            report(taken, {f"few_shot/{key}": value for key, value in row.items()})

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps beside the weights, once there was a look."""
        return {key: getattr(self, key) for key in ("step", "f1", "loss", "without_gain", "looked", "curve")}

    def go_on(self, state: Mapping[str, Any], weights: dict[str, torch.Tensor]) -> None:
        """Go on from a checkpoint's state and weights."""
        for key, value in state.items():
            setattr(self, key, value)
        self.weights = weights

    @torch.no_grad()
    def restore(self) -> None:
        """Put the best weights back into the model."""
        for name, parameter in self.model.named_parameters():
            parameter.copy_(self.weights[name])


def _under(prefix: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Those of the tensors that are named `<prefix>/<name>`, by name."""
    return {
        key.removeprefix(f"{prefix}/"): value
        for key, value in tensors.items()
        if key.startswith(f"{prefix}/")
    }
