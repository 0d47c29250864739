"""The updates of few-shot transfer: the loop in whole epochs over some windows of one target dataset.

An update is `batch` training windows: n windows make ceil(n / batch) updates per epoch, the last one of the
windows that are left, so that 8 examples of one window each, at batch 8, give one update per epoch and never
none.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from bmt.errors import ConfigError
from bmt.masks import Masks
from bmt.qa.batches import Vocabulary, Windows, collate, length_batches
from bmt.qa.model import span_logits, span_nll
from bmt.runtime.control import RunControl, unheard
from bmt.runtime.keyed_random import permutation
from bmt.runtime.stopping import until
from bmt.settings import FewShotSettings
from bmt.training.course import Course, Timetable
from bmt.training.data import TrainingData
from bmt.training.loop import run_loop
from bmt.training.plan import Plan, autocast_for
from bmt.training.procedure import Draws, Procedure
from bmt.training.validation import evaluate

if TYPE_CHECKING:
    from bmt.training.applied_masks import UpdateMasks


@dataclass(frozen=True, slots=True)
class TuningOutcome:
    """What the updates have come to. The model holds the weights of `best_step` (0: as it started).

    Attributes:
        windows: training windows.
        steps: updates that were made.
        steps_per_epoch: ceil(windows / batch).
        curve: one row per epoch, the first before any update: step, em, f1 in percent, loss where it was
            trained, validation_loss where F1 tied with the best or beat it.
    """

    windows: int
    steps: int
    steps_per_epoch: int
    best_step: int
    best_f1: float
    curve: list[dict[str, float]]


@dataclass(frozen=True, slots=True)
class EpochOrder(Draws):
    """Draws every window once per epoch, each epoch in an order of its own, keyed by (seed, epoch)."""

    rows: np.ndarray
    batch: int
    seed: int

    def draw(self, step: int) -> list[tuple[int, int]]:
        """(0, window row) of each window of an update."""
        epoch, at = divmod(step, math.ceil(len(self.rows) / self.batch))
        order = permutation(len(self.rows), (self.seed, "order", epoch))
        return [(0, int(self.rows[place])) for place in order[at * self.batch : (at + 1) * self.batch]]


@dataclass(frozen=True, slots=True)
class TargetSelection:
    """Chooses the best epoch: the highest validation F1, of equals the lowest validation loss, of equals the
    earliest. The loss is measured only where F1 is not below the best.
    """

    model: nn.Module
    data: TrainingData
    plan: Plan
    control: RunControl

    def __call__(self, course: Course) -> bool:
        """Score the present weights and note it: the `evaluate` of a `Procedure`."""
        [questions] = self.data.validation
        asked = until(self.control.stop)
        scores = evaluate(self.model, [questions], self.data.vocabulary, self.plan, asked)
        em, f1 = scores[questions.windows.dataset]
        row = {"step": float(course.step)} | ({"loss": course.loss} if course.step else {})
        row |= {"em": em, "f1": f1}
        course.without_gain = 0 if f1 > course.best_f1 else course.without_gain + 1
        best = False
        if f1 >= course.best_f1:
            loss = mean_loss(self.model, questions.windows, questions.rows, self.data.vocabulary, self.plan)
            row["validation_loss"] = loss
            best = f1 > course.best_f1 or course.best_loss is None or loss < course.best_loss
            if best:
                course.best_step, course.best_f1, course.best_loss = course.step, f1, loss
        course.curve.append(row)
        self.control.report(course.step, {f"few_shot/{key}": value for key, value in row.items()})
        return best


def tune(
    model: nn.Module,
    data: TrainingData,
    plan: Plan,
    settings: FewShotSettings,
    *,
    seed: int,
    masks: UpdateMasks | None = None,
    control: RunControl | None = None,
) -> TuningOutcome:
    """Update all of a model's parameters, in place, on the windows of one dataset; it ends with the weights
    of the best epoch.

    Best is what `TargetSelection` chooses; the start is one of the candidates. It stops after
    `settings.steps` updates or `settings.patience` epochs without a higher F1.

    Args:
        data: the target dataset alone.
        control: `report` gets (update, metrics) at each epoch; a checkpoint is written at a stop only, which
            is asked for between two updates and in the evaluations.

    Raises:
        ConfigError: no training window, masks for several datasets.
        NonFiniteLossError: a loss that is not finite.
        StoppedError: `control.stop` asked; the checkpoint is written.
    """
    control = control or RunControl()
    [name], rows = data.datasets, next(iter(data.rows.values()))
    if len(rows) == 0:
        raise ConfigError(
            f"few-shot: the training examples of {name} have no window: keep data.negatives, or raise K"
        )
    if isinstance(masks, Masks) and len(masks.datasets) != 1:
        raise ConfigError(
            f"few-shot: masks of {', '.join(masks.datasets)}: one is needed for {name}: use masks.union()"
        )
    per_epoch = math.ceil(len(rows) / plan.training.batch)
    procedure = Procedure(
        timetable=Timetable(settings.steps, per_epoch, per_epoch, settings.patience, from_start=True),
        draws=EpochOrder(rows, plan.training.batch, seed),
        evaluate=TargetSelection(model, data, plan, control),
        checkpoint_evaluations=False,  # an epoch may be one update
        advice="lower fewshot.lr",
        stop_message=lambda step: f"stopped at update {step} of {settings.steps} on {name}",
    )
    course = run_loop(
        model,
        data,
        plan,
        procedure,
        seed=seed,
        masks=masks,
        control=replace(control, report=unheard, progress=unheard),
    )
    return TuningOutcome(len(rows), course.step, per_epoch, course.best_step, course.best_f1, course.curve)


@torch.no_grad()
def mean_loss(
    model: nn.Module, windows: Windows, rows: np.ndarray, vocabulary: Vocabulary, plan: Plan
) -> float:
    """Mean -log p of the windows `rows`, the loss of training, without dropout."""
    device, training = next(model.parameters()).device, model.training
    model.eval()
    total = 0.0
    for positions in length_batches(windows.lengths[rows], plan.training.evaluation_batch):
        picks = [(0, int(row)) for row in rows[positions]]
        batch = collate([windows], picks, vocabulary).to(device)
        with autocast_for(plan.training.precision, device)():
            start, end = span_logits(model, batch)
        total += float(span_nll(start, end, batch, plan.loss.spans).double().sum())
    model.train(training)
    return total / len(rows)
