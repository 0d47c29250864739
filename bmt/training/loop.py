"""The loop, and training on the source datasets by it.

    repeat     scores of the present weights, from time to time; the best weights are kept
               windows of the step                    eq. 15 says whose they are
               masks that change learn again          eq. 12, at the present theta
               theta <- theta - AdamW(sum M_d * g_d)  eq. 14, or eq. 16 with the random control
    until      the last step, or `patience` evaluations without a gain

Every random number of a step is keyed by (seed, step): a run that is cut off and resumed ends with the same
weights, bit for bit, on a CPU. It can be asked to stop between any two steps, and inside an evaluation, which
is then done again by the run that goes on. Several ranks run one loop (`bmt.runtime.ranks`): the same
windows, masks, scores and stop on each; any number of them resumes a checkpoint.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from torch import Tensor, nn

from bmt.deviation import Deviation, deviations, pretrained_copy
from bmt.qa.adapters import adapters_of, check_order
from bmt.runtime.control import RunControl
from bmt.training.applied_masks import AppliedMasks
from bmt.training.course import Course, Timetable
from bmt.training.data import TrainingData
from bmt.training.model_selection import SourceSelection
from bmt.training.plan import Plan, step_size
from bmt.training.procedure import Procedure, stop_alone
from bmt.training.sampling import Sampler
from bmt.training.step import Stepper, adamw
from bmt.training.training_state import TrainingState

if TYPE_CHECKING:
    from bmt.training.applied_masks import UpdateMasks
    from bmt.training.regularizers import Regularizer

LOSSES_PER_EVALUATION = 10
"""Readings of the training loss between two evaluations: each waits for the device, so they are few."""


def run_loop(
    model: nn.Module,
    data: TrainingData,
    plan: Plan,
    procedure: Procedure,
    *,
    seed: int,
    masks: UpdateMasks | None = None,
    regularizer: Regularizer | None = None,
    control: RunControl,
) -> Course:
    """Take the steps of a run; the model ends with the best weights.

    Args:
        masks: what the updates are under; None: every weight is updated.
        regularizer: called around each step, if any.
        control: `report` gets (step, {"train/loss": …}).

    Raises:
        NonFiniteLossError: a loss is not finite; the first such step is named, and what the steps since the
            last reading were trained on.
        StoppedError: `control.stop` asked; the checkpoint is written.
        ModelError: a checkpoint of another configuration, or one that not all ranks see.
        ConfigError: a window that does not fit a pass.
    """
    timetable, draws, ranks = procedure.timetable, procedure.draws, control.ranks
    optimizer, applied = adamw(model, plan.training), AppliedMasks(masks, ranks)
    state = TrainingState(model, optimizer, data, applied, procedure, control)
    restored = state.resume()
    course, losses = state.course, state.losses
    if restored is not None:
        control.progress(course.windows, f"resumed at step {course.step}")
    elif regularizer is not None:
        regularizer.start()
    ranks.share_weights(model)
    model.train()
    applied.start(course.step, restored)
    stop = stop_alone(control)

    with applied.on(optimizer, model, plan.tuning, course.step) as masked:
        stepper = Stepper(model, optimizer, data, plan, seed, masked, regularizer, ranks)
        while True:
            if timetable.evaluation_due(course):
                with state.resumable():
                    gained = procedure.evaluate(course)  # eq. 15: the scores move the sampling weights
                state.keep(gained)
            if timetable.ended(course):
                break
            if stop():
                raise state.stopped()
            with course.timed():
                undrawn = draws.state()
                picks = draws.draw(course.step)  # eq. 15: each dataset's share of the step's windows
                with state.resumable(undrawn):
                    applied.before(course.step, picks)  # eq. 12 again, of masks that change
                totals = stepper.take(course.step, picks)  # eq. 14: masked updates; eq. 16: random masks
                course.count(len(picks), totals.tokens, totals.padded)
                losses.add(course.step, picks, totals.loss)
                control.progress(len(picks), "")
                if loss_due := timetable.loss_due(course):
                    course.loss = losses.mean()
                    control.report(course.step, {"train/loss": course.loss})
                    control.progress(0, f"loss {course.loss:.2f}")
            # Ranks stop together, where they wait for each other anyway.
            if loss_due and ranks.world > 1 and any(ranks.gathered(control.stop())):
                raise state.stopped()
    state.load_best()
    return course


@dataclass(frozen=True, slots=True)
class Anchor:
    """theta_0, from which deviation is measured, and what holds theta near it.

    Attributes:
        pretrained: theta_0 by name, as `bmt.deviation.pretrained_copy` gives it.
        regularizer: of `bmt.training.regularizers`, if any.
    """

    pretrained: Mapping[str, Tensor]
    regularizer: Regularizer | None = None


@dataclass(slots=True)
class TrainingOutcome(Course):
    """A course that has ended, and how far it has led. The model holds the weights of `best_step`.

    Attributes:
        deviation: of the best model from the pretrained one, by group (bmt.deviation).
    """

    deviation: dict[str, Deviation] = field(default_factory=dict)


def train(
    model: nn.Module,
    data: TrainingData,
    plan: Plan,
    *,
    steps: int,
    seed: int,
    masks: UpdateMasks | None = None,
    anchor: Anchor | None = None,
    control: RunControl | None = None,
) -> TrainingOutcome:
    """Fine-tune `model` for `steps` steps, or until `patience` evaluations bring no gain in macro F1; it ends
    with the best weights.

    Args:
        data: the source datasets; masks may name them in any order.
        masks: learned masks, the random control, masks that change on the way, or None.
        anchor: what deviation is measured from, and a regularizer; None: the weights as they are now.
        control: `report` gets (step, metrics) every few steps and at every evaluation, `progress` the windows
            done; a checkpoint is written at every evaluation and at a stop, which is asked for before every
            step and in evaluations; of several ranks, which stop together, when the loss is read.

    Raises:
        ModelError: adapters for other datasets.
        NonFiniteLossError, StoppedError, ModelError, ConfigError: as `run_loop`.
    """
    control = control or RunControl()
    if adapters_of(model) is not None:
        check_order(model, data.datasets)
    anchor = anchor or Anchor(pretrained_copy(model))
    sampler = Sampler(data.rows, step_size(data.sets, plan.training), plan.sampling, seed)
    every, kept = plan.training.evaluate_every, control.checkpoints
    place = "" if kept is None else f"; kept in {kept.folder}"
    procedure = Procedure(
        timetable=Timetable(steps, every, max(1, every // LOSSES_PER_EVALUATION), plan.training.patience),
        draws=sampler,
        evaluate=SourceSelection(model, data, plan, sampler, anchor.pretrained, control),
        checkpoint_evaluations=True,
        advice="lower training.lr, or set training.precision to fp32",
        stop_message=lambda step: f"stopped at step {step} of {steps}{place}",
    )
    course = run_loop(
        model, data, plan, procedure, seed=seed, masks=masks, regularizer=anchor.regularizer, control=control
    )
    return TrainingOutcome(**course.state(), deviation=deviations(model, anchor.pretrained))
