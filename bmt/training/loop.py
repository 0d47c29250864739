"""The loop: masked updates on heterogeneous batches, validation, eq. 15, early stopping, checkpoints, resume.

Every random number of a step is keyed by (seed, step): a run that is cut off and resumed ends with the same
weights, bit for bit, on a CPU.
It can be asked to stop between any two steps, and inside an evaluation, which is then done again by the run
that goes on.
Several ranks run one loop (`bmt.runtime.ranks`): the same windows, masks, scores and stop on each; any number
of them resumes a checkpoint.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from bmt.deviation import Deviation, deviations, pretrained_copy
from bmt.errors import ModelError
from bmt.layers import in_encoder
from bmt.mask_updates import mask_updates
from bmt.masks import Masks
from bmt.qa.adapters import check_order
from bmt.qa.batches import Vocabulary, Windows
from bmt.random_mask import RandomMask
from bmt.runtime.checkpoints import Checkpoints
from bmt.runtime.ranks import Ranks
from bmt.runtime.stopping import Stop, StoppedError, never, until
from bmt.settings import TrainingSettings
from bmt.training.compilation import compiled
from bmt.training.losses import Losses
from bmt.training.mask_schedules import Schedule
from bmt.training.plan import Plan, autocast_for, pass_limits, planned_steps, step_size, total_steps
from bmt.training.regularizers import regularizer
from bmt.training.sampling import Sampler
from bmt.training.step import Stepper
from bmt.training.validation import Progress, Questions, evaluate

__all__ = [
    "Outcome",
    "Plan",
    "Progress",
    "Questions",
    "autocast_for",
    "evaluate",
    "planned_steps",
    "total_steps",
    "train",
]

Report = Callable[[int, dict[str, float]], None]


@dataclass(slots=True)
class Progressed:
    """What the loop has done so far: the part of a checkpoint that is not a tensor.

    Attributes:
        loss: mean since the look before the last one.
    """

    step: int = 0
    windows: int = 0
    tokens: int = 0
    padded: int = 0
    seconds: float = 0.0
    best_f1: float = -1.0
    best_step: int = 0
    without_gain: int = 0
    loss: float = 0.0
    curve: list[dict[str, float]] = field(default_factory=list)

    def to_evaluate(self, every: int, steps: int) -> bool:
        """Whether an evaluation is due after the present step and was not made yet."""
        evaluated = self.curve[-1]["step"] if self.curve else 0
        return self.step > evaluated and (self.step % every == 0 or self.step == steps)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run has come to. The model holds the weights of `best_step`.

    Attributes:
        tokens, padded: trained on, without and with padding.
        curve: one row an evaluation: step, loss, macro_f1, f1/<dataset>, em/<dataset>, weight/<dataset>,
            deviation.
        deviation: of the best model from the pretrained one, by group (bmt.deviation).
    """

    steps: int
    best_step: int
    best_f1: float
    windows: int
    tokens: int
    padded: int
    seconds: float
    curve: list[dict[str, float]]
    deviation: dict[str, Deviation]

    @property
    def padding_waste(self) -> float:
        """Share of the positions trained on that were padding; 0 where nothing was."""
        return padding_waste(self.tokens, self.padded)


def padding_waste(tokens: int, padded: int) -> float:
    """Share of `padded` positions that hold none of the `tokens`."""
    return 1 - tokens / padded if padded else 0.0


def adamw(model: nn.Module, training: TrainingSettings) -> torch.optim.AdamW:
    """AdamW over all weights that are trained: the encoder at `lr`, heads and adapters at `head_lr`."""
    named = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    sides = ((training.lr, True), (training.head_lr, False))
    groups = [
        {"params": [own for name, own in named if in_encoder(name) == inner], "lr": rate}
        for rate, inner in sides
    ]
    return torch.optim.AdamW(groups, eps=training.eps, weight_decay=training.weight_decay, fused=True)


def train(
    model: nn.Module,
    sets: Sequence[Windows],
    rows: Mapping[str, np.ndarray],
    validation: Sequence[Questions],
    vocabulary: Vocabulary,
    plan: Plan,
    *,
    steps: int,
    seed: int,
    masks: Masks | RandomMask | Schedule | None = None,
    pretrained: Mapping[str, torch.Tensor] | None = None,
    holds: tuple[str, float | None] = ("none", None),
    checkpoints: Checkpoints | None = None,
    report: Report | None = None,
    progress: Progress | None = None,
    ranks: Ranks | None = None,
    stop: Stop = never,
) -> Outcome:
    """Fine-tune `model` for `steps` steps, or until `patience` evaluations bring no gain in macro F1; it ends
    with the best weights.

    Args:
        sets: the source datasets' windows, in the order that `masks` may name them in any order.
        rows: training windows of each dataset, by name, in the order of `sets`.
        validation: validation questions of the same datasets.
        masks: learned masks, the random control, masks that change on the way, or None.
        pretrained: what deviation is measured from and regularizers hold to; None: the weights as they are
            now.
        holds: kind and strength of a regularizer (bmt.training.regularizers).
        checkpoints: where to save at every evaluation and at a stop, and resume from; None: nowhere.
        report: called with (step, metrics) every few steps and at every evaluation.
        progress: called with (windows done, note).
        ranks: of the processes that all call this with the same arguments; the first alone writes
            checkpoints. Default: a process alone.
        stop: asked before every step and in evaluations; of several ranks, which stop together, when the loss
            is looked at.

    Raises:
        NonFiniteLossError: a loss is not finite; the first such step is named, and what the steps since the
            last look were trained on.
        StoppedError: `stop` asked; the checkpoint is written.
        ModelError: adapters for other datasets, a checkpoint of another configuration, or one that not all
            ranks see.
        ConfigError: a window that does not fit a step or a pass.
    """
    ranks = ranks or Ranks()
    check_order(model, [own.dataset for own in sets])
    settings = plan.training
    pretrained = pretrained_copy(model) if pretrained is None else pretrained
    keeper = regularizer(*holds, model, pretrained, seed)
    optimizer = adamw(model, settings)
    sampler = Sampler(rows, step_size(sets, settings), plan.sampling, seed)
    limits = pass_limits(sets, rows, settings)
    done = Progressed()
    device = next(model.parameters()).device
    losses = Losses(sets, device, "lower training.lr, or set training.precision to fp32")
    best = (
        {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
        if checkpoints is None
        else {}
    )
    restored = checkpoints.restore(model, optimizer) if checkpoints is not None else None
    if restored is not None:
        sampler.restore(restored[0]["sampler"])
        losses.restore(restored[0]["losses"])
        done = Progressed(**restored[0]["progressed"])
        if progress is not None:
            progress(done.windows, f"resumed at step {done.step}")
    elif keeper is not None:
        keeper.start()
    if len(set(found := ranks.gathered(done.step))) > 1:
        where = "" if checkpoints is None else f"{checkpoints.folder}: "
        raise ModelError(f"{where}the ranks resume at steps {found}: let all of them share the folder")
    if checkpoints is not None and ranks.first:
        checkpoints.discard_after(done.step)
    ranks.share_weights(model)
    every = max(1, settings.evaluate_every // 10)
    model.train()
    schedule = None if masks is None or isinstance(masks, Masks | RandomMask) else masks
    at_first = (
        masks
        if masks is None or isinstance(masks, Masks | RandomMask)
        else _first_masks(masks, done.step, restored, ranks)
    )
    kept = done.step  # the step of the newest checkpoint

    def keep(gained: bool, drawn: Mapping[str, Any] | None = None) -> None:
        """Write a checkpoint; `drawn` is the sampler's state where it has gone on already."""
        nonlocal kept
        if masked is not None:
            masked.settle()  # what is broken is no checkpoint
        if checkpoints is not None and ranks.first:
            state = {"sampler": drawn or sampler.state(), "losses": losses.state()}
            state["progressed"] = {key: getattr(done, key) for key in Progressed.__dataclass_fields__}
            checkpoints.save(
                done.step, model, optimizer, state, gained, None if schedule is None else schedule.tensors()
            )
        kept = done.step

    def leave(drawn: Mapping[str, Any] | None = None) -> StoppedError:
        """Write a checkpoint of the present step, if there is none: the error that says so."""
        if len(losses):
            losses.look()  # what is broken is no checkpoint
        if kept < done.step:
            keep(False, drawn)
        ranks.wait()  # a launcher takes a rank that is gone for the end
        return StoppedError(
            f"stopped at step {done.step} of {steps}"
            + ("" if checkpoints is None else f"; kept in {checkpoints.folder}")
        )

    with (
        compiled(model, settings.compile),
        nullcontext()
        if at_first is None
        else mask_updates(
            optimizer,
            model,
            at_first,
            apply=plan.tuning.apply,
            first_step=done.step,
            compact=plan.tuning.compact_state and schedule is None,
            before_clip=plan.tuning.clip_order == "mask_then_clip",
        ) as masked,
    ):
        stepper = Stepper(model, optimizer, sets, vocabulary, plan, limits, seed, masked, keeper, ranks)
        asked = never if ranks.world > 1 else stop  # one rank may be asked a step before another
        while (due := done.to_evaluate(settings.evaluate_every, steps)) or (
            done.step < steps and done.without_gain < settings.patience
        ):
            if due:
                try:
                    gained = _evaluate_step(
                        model, validation, vocabulary, plan, sampler, pretrained, done, report, ranks, asked
                    )
                except StoppedError:
                    raise leave() from None
                if gained and checkpoints is None:
                    best = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
                keep(gained)
                continue
            if asked():
                raise leave()
            began = time.perf_counter()
            before = None if schedule is None else copy.deepcopy(sampler.state())
            picks = sampler.draw(done.step)
            if schedule is not None and masked is not None:
                try:
                    with ranks.first_before_others(schedule.in_files(done.step)):
                        schedule.before(done.step, picks, masked)
                except StoppedError:
                    raise leave(before) from None
            taken = stepper.take(done.step, picks)
            done.step += 1
            losses.add(done.step, picks, taken.loss)
            done.windows += len(picks)
            done.tokens += taken.tokens
            done.padded += taken.padded
            if progress is not None:
                progress(len(picks), "")
            look = done.step % every == 0 or done.to_evaluate(settings.evaluate_every, steps)
            if look:
                done.loss = losses.mean()
                if report is not None:
                    report(done.step, {"train/loss": done.loss})
                if progress is not None:
                    progress(0, f"loss {done.loss:.2f}")
            done.seconds += time.perf_counter() - began
            if look and ranks.world > 1 and any(ranks.gathered(stop())):
                raise leave()
    with torch.no_grad():
        if checkpoints is not None:
            ranks.wait()  # until the last checkpoint is written
            checkpoints.load_best(model)
            ranks.wait()  # until all have read it, so that the first may remove it
        else:
            for name, parameter in model.named_parameters():
                parameter.copy_(best[name])
    return Outcome(
        done.step,
        done.best_step,
        done.best_f1,
        done.windows,
        done.tokens,
        done.padded,
        done.seconds,
        done.curve,
        deviations(model, pretrained),
    )


def _first_masks(
    schedule: Schedule, step: int, restored: tuple[Any, Mapping[str, torch.Tensor]] | None, ranks: Ranks
) -> Masks:
    """The masks that a schedule begins with, or goes on with after a resume."""
    with ranks.first_before_others():
        masks = schedule.start(step)
    if restored is None:
        return masks
    schedule.restore(restored[1])
    return schedule.masks()


def _evaluate_step(
    model: nn.Module,
    validation: Sequence[Questions],
    vocabulary: Vocabulary,
    plan: Plan,
    sampler: Sampler,
    pretrained: Mapping[str, torch.Tensor],
    done: Progressed,
    report: Report | None,
    ranks: Ranks,
    stop: Stop,
) -> bool:
    """Validate, move the sampling weights, note the course; True where macro F1 is the best so far."""
    scores = ranks.of_first(evaluate(model, validation, vocabulary, plan, until(stop), ranks))
    macro = float(np.mean([f1 for _, f1 in scores.values()]))
    used = dict(zip(sampler.datasets, sampler.weights.tolist(), strict=True))
    sampler.update({name: em + f1 for name, (em, f1) in scores.items()})
    gained = macro > done.best_f1
    if gained:
        done.best_f1, done.best_step, done.without_gain = macro, done.step, 0
    else:
        done.without_gain += 1
    moved = deviations(model, pretrained)["total"]
    row = {
        "step": float(done.step),
        "loss": done.loss,
        "macro_f1": macro,
        "deviation": moved.l2,
        "relative_deviation": moved.relative,
    }
    row |= {f"f1/{name}": f1 for name, (_, f1) in scores.items()} | {
        f"em/{name}": em for name, (em, _) in scores.items()
    }
    row |= {f"weight/{name}": weight for name, weight in used.items()}
    done.curve.append(row)
    if report is not None:
        metrics = {
            "validation/f1/macro": macro,
            "weights/deviation_l2": moved.l2,
            "weights/deviation_relative": moved.relative,
            "weights/changed": moved.changed,
        }
        metrics |= {f"validation/em/{name}": em for name, (em, _) in scores.items()} | {
            f"validation/f1/{name}": f1 for name, (_, f1) in scores.items()
        }
        metrics |= {
            f"sampling/weight/{name}": float(weight)
            for name, weight in zip(sampler.datasets, sampler.weights, strict=True)
        }
        if done.seconds > 0:
            metrics["perf/tokens_per_s"] = done.tokens / done.seconds
        metrics["perf/padding_waste"] = padding_waste(done.tokens, done.padded)
        report(done.step, metrics)
    return gained
