"""The loop: masked updates on heterogeneous batches, validation, eq. 15, early stopping, checkpoints, resume.

Every random number of a step is keyed by (seed, step): a run that is cut off and resumed ends with the same weights, bit for bit, on a CPU.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from bmt.batches import Batch, Vocabulary, Windows, collate
from bmt.checkpoints import Checkpoints
from bmt.decoding import predict
from bmt.deviation import Deviation, deviations, pretrained_copy
from bmt.errors import ModelError
from bmt.layers import is_head
from bmt.masks import Masks
from bmt.metrics import score
from bmt.model import span_logits, span_nll
from bmt.noise import key_number
from bmt.regularizers import Regularizer, regularizer
from bmt.sampling import Sampler
from bmt.schedules import Schedule
from bmt.settings import DecodeSettings, LossSettings, SamplingSettings, TrainingSettings, TuningSettings
from bmt.sources import RandomMask
from bmt.tuning import MaskedUpdates, mask_updates

Report = Callable[[int, dict[str, float]], None]
Progress = Callable[[int, str], None]


@dataclass(frozen=True, slots=True)
class Questions:
    """Questions of one dataset to be answered and scored.

    Attributes:
        windows: windows of the file.
        rows: the windows of these questions.
        examples: rows of these questions in the file's examples.
        contexts, answers: context and gold answers of every example row of the file.
    """

    windows: Windows
    rows: np.ndarray
    examples: np.ndarray
    contexts: Sequence[str]
    answers: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Plan:
    """The settings that the loop reads."""

    training: TrainingSettings = field(default_factory=TrainingSettings)
    tuning: TuningSettings = field(default_factory=TuningSettings)
    sampling: SamplingSettings = field(default_factory=SamplingSettings)
    loss: LossSettings = field(default_factory=LossSettings)
    decode: DecodeSettings = field(default_factory=DecodeSettings)


@dataclass(slots=True)
class Progressed:
    """What the loop has done so far: the part of a checkpoint that is not a tensor."""

    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    best_f1: float = -1.0
    best_step: int = 0
    without_gain: int = 0
    curve: list[dict[str, float]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run has come to. The model holds the weights of `best_step`.

    Attributes:
        curve: one row an evaluation: step, loss, macro_f1, f1/<dataset>, weight/<dataset>, deviation.
        deviation: of the best model from the pretrained one, by group (bmt.deviation).
    """

    steps: int
    best_step: int
    best_f1: float
    windows: int
    tokens: int
    seconds: float
    curve: list[dict[str, float]]
    deviation: dict[str, Deviation]


def total_steps(windows: int, epochs: float, batch: int) -> int:
    """Steps of a run: every window `epochs` times on average, `batch` a step; at least 1."""
    return max(1, math.ceil(windows * epochs / batch))


def autocast_for(precision: str, device: torch.device) -> Callable[[], AbstractContextManager[Any]]:
    """The context of a forward pass: bf16 by autocast, or nothing."""
    if precision == "bf16" or (precision == "auto" and device.type == "cuda"):
        return lambda: torch.autocast(device.type, dtype=torch.bfloat16)
    return nullcontext


def adamw(model: nn.Module, training: TrainingSettings) -> torch.optim.AdamW:
    """AdamW over all weights: the encoder at `lr`, the head at `head_lr`."""
    named = list(model.named_parameters())
    groups = [
        {"params": [parameter for name, parameter in named if not is_head(name)], "lr": training.lr},
        {"params": [parameter for name, parameter in named if is_head(name)], "lr": training.head_lr},
    ]
    return torch.optim.AdamW(groups, eps=training.eps, weight_decay=training.weight_decay, fused=True)


def evaluate(
    model: nn.Module, questions: Sequence[Questions], vocabulary: Vocabulary, plan: Plan, progress: Progress | None = None
) -> dict[str, tuple[float, float]]:
    """EM and F1, in percent, of each dataset's questions. A question without a window counts as wrong."""
    device = next(model.parameters()).device
    scores = {}
    for own in questions:
        found = predict(
            model, own.windows, own.contexts, vocabulary, plan.decode, rows=own.rows, batch=plan.training.evaluation_batch,
            autocast=autocast_for(plan.training.precision, device), progress=progress,
        )  # fmt: skip
        texts = {prediction.example: prediction.text for prediction in found}
        examples = own.examples.tolist()
        em, f1 = score([texts.get(example, "") for example in examples], [list(own.answers[example]) for example in examples])
        scores[own.windows.dataset] = (100 * float(np.mean(em)), 100 * float(np.mean(f1)))
    return scores


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
) -> Outcome:
    """Fine-tune `model` for `steps` steps, or until `patience` evaluations bring no gain in macro F1; it ends with the best weights.

    Args:
        sets: the source datasets' windows, in the order that `masks` may name them in any order.
        rows: training windows of each dataset, by name, in the order of `sets`.
        validation: validation questions of the same datasets.
        masks: learned masks, the random control, masks that change on the way, or None.
        pretrained: what deviation is measured from and regularizers hold to; None: the weights as they are now.
        holds: kind and strength of a regularizer (bmt.regularizers).
        checkpoints: where to save at every evaluation and resume from; None: nowhere.
        report: called with (step, metrics) every few steps and at every evaluation.
        progress: called with (windows done, note).

    Raises:
        ModelError: a loss that is not finite (step and datasets named), a checkpoint of another configuration.
    """
    device = next(model.parameters()).device
    settings = plan.training
    pretrained = pretrained_copy(model) if pretrained is None else pretrained
    keeper = regularizer(*holds, model, pretrained, seed)
    optimizer = adamw(model, settings)
    sampler = Sampler(rows, settings.batch, plan.sampling, seed)
    done = Progressed()
    best = {name: parameter.detach().clone() for name, parameter in model.named_parameters()} if checkpoints is None else {}
    restored = checkpoints.restore(model, optimizer) if checkpoints is not None else None
    if restored is not None:
        sampler.restore(restored[0]["sampler"])
        done = Progressed(**restored[0]["progressed"])
        if progress is not None:
            progress(done.step * settings.batch, f"resumed at step {done.step}")
    elif keeper is not None:
        keeper.start()
    names = [windows.dataset for windows in sets]
    every = max(1, settings.evaluate_every // 10)
    losses: list[torch.Tensor] = []
    model.train()
    schedule = None if masks is None or isinstance(masks, Masks | RandomMask) else masks
    at_first = masks if masks is None or isinstance(masks, Masks | RandomMask) else masks.start(done.step)
    if schedule is not None and restored is not None:
        schedule.restore(restored[1])
        at_first = schedule.masks()
    with (
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
        ) as masked
    ):
        while done.step < steps and done.without_gain < settings.patience:
            began = time.perf_counter()
            picks = sampler.draw(done.step)
            if schedule is not None and masked is not None:
                schedule.before(done.step, picks, masked)
            loss, tokens = _step(model, optimizer, sets, picks, vocabulary, plan, masked, keeper, names, device, seed, done.step)
            losses.append(loss)
            done.step += 1
            done.tokens += tokens
            if progress is not None:
                progress(settings.batch, "")
            last = done.step == steps
            if done.step % every == 0 or done.step % settings.evaluate_every == 0 or last:
                mean_loss = float(torch.stack(losses).mean())
                losses.clear()
                if not math.isfinite(mean_loss):
                    raise ModelError(
                        f"the training loss is {mean_loss} near step {done.step}: lower training.lr, or set training.precision to fp32"
                    )
                if report is not None:
                    report(done.step, {"train/loss": mean_loss})
                if progress is not None:
                    progress(0, f"loss {mean_loss:.2f}")
            done.seconds += time.perf_counter() - began
            if done.step % settings.evaluate_every == 0 or last:
                gained = _evaluate_step(model, validation, vocabulary, plan, sampler, pretrained, done, mean_loss, report)
                if gained and checkpoints is None:
                    best = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
                if checkpoints is not None:
                    state = {"sampler": sampler.state(), "progressed": {key: getattr(done, key) for key in Progressed.__dataclass_fields__}}
                    checkpoints.save(done.step, model, optimizer, state, gained, None if schedule is None else schedule.tensors())
    with torch.no_grad():
        if checkpoints is not None:
            checkpoints.load_best(model)
        else:
            for name, parameter in model.named_parameters():
                parameter.copy_(best[name])
    return Outcome(
        done.step,
        done.best_step,
        done.best_f1,
        done.step * settings.batch,
        done.tokens,
        done.seconds,
        done.curve,
        deviations(model, pretrained),
    )


def _step(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    sets: Sequence[Windows],
    picks: Sequence[tuple[int, int]],
    vocabulary: Vocabulary,
    plan: Plan,
    masked: MaskedUpdates | None,
    keeper: Regularizer | None,
    names: Sequence[str],
    device: torch.device,
    seed: int,
    step: int,
) -> tuple[torch.Tensor, int]:
    """One optimizer step on the windows `picks`: the mean loss a window (on the device) and the number of real tokens."""
    torch.manual_seed(key_number((seed, "train", step)))
    total, tokens = torch.zeros((), device=device), 0
    if keeper is not None:
        keeper.before(step)
    for part in micro_batches(sets, picks, plan.training.micro_batch):
        batch: Batch = collate(sets, part, vocabulary).to(device)
        if masked is not None:
            masked.rows([names[which] for which in batch.owner])
        with autocast_for(plan.training.precision, device)():
            start, end = span_logits(model, batch)
        loss = span_nll(start, end, batch, plan.loss.spans).sum() / len(picks)
        loss.backward()
        total += loss.detach()
        tokens += batch.tokens
    if keeper is not None:
        keeper.after(step)
    if plan.tuning.clip is not None:
        torch.nn.utils.clip_grad_norm_(model.parameters(), plan.tuning.clip)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return total, tokens


def micro_batches(sets: Sequence[Windows], picks: Sequence[tuple[int, int]], size: int | None) -> list[list[tuple[int, int]]]:
    """A step's windows in parts of at most `size`, windows of like length together; the step's gradient is the sum over its parts."""
    if size is None or size >= len(picks):
        return [list(picks)]
    ordered = sorted(picks, key=lambda pick: -len(sets[pick[0]].input_ids[pick[1]]))
    return [ordered[i : i + size] for i in range(0, len(ordered), size)]


def _evaluate_step(
    model: nn.Module,
    validation: Sequence[Questions],
    vocabulary: Vocabulary,
    plan: Plan,
    sampler: Sampler,
    pretrained: Mapping[str, torch.Tensor],
    done: Progressed,
    loss: float,
    report: Report | None,
) -> bool:
    """Validate, move the sampling weights, note the course; True where macro F1 is the best so far."""
    scores = evaluate(model, validation, vocabulary, plan)
    macro = float(np.mean([f1 for _, f1 in scores.values()]))
    used = dict(zip(sampler.datasets, sampler.weights.tolist(), strict=True))
    sampler.update({name: em + f1 for name, (em, f1) in scores.items()})
    gained = macro > done.best_f1
    if gained:
        done.best_f1, done.best_step, done.without_gain = macro, done.step, 0
    else:
        done.without_gain += 1
    moved = deviations(model, pretrained)["total"]
    row = {"step": float(done.step), "loss": loss, "macro_f1": macro, "deviation": moved.l2, "relative_deviation": moved.relative}
    row |= {f"f1/{name}": f1 for name, (_, f1) in scores.items()}
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
        metrics |= {f"sampling/weight/{name}": float(weight) for name, weight in zip(sampler.datasets, sampler.weights, strict=True)}
        if done.seconds > 0:
            metrics["perf/tokens_per_s"] = done.tokens / done.seconds
        report(done.step, metrics)
    return gained
