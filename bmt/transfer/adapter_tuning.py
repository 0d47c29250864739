"""Phase 2 of training with adapters (section 4.5): theta frozen, each (phi_d, psi_d) tuned on its own
dataset, with its own optimizer.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import nn

from bmt.qa.adapters import Adapters, banks, needed_adapters
from bmt.runtime.checkpoints import load_tensors, tensors
from bmt.runtime.control import RunControl
from bmt.runtime.keyed_random import key_number
from bmt.runtime.stopping import until
from bmt.training.data import TrainingData
from bmt.training.loop import TrainingOutcome, train
from bmt.training.plan import Plan, planned_steps
from bmt.training.procedure import stop_alone
from bmt.training.validation import evaluate


@contextmanager
def only_adapter(model: nn.Module, dataset: str) -> Iterator[Adapters]:
    """While the block runs, one dataset's adapter and head are all that the model has and all that can be
    trained (phase 2).

    Theta takes no gradient and keeps its bits whatever optimizer runs, and the other datasets' parameters are
    not there to be moved by its momentum or weight decay. What was learned is put into the banks when the
    block ends without an error.

    Raises:
        ModelError: no adapters, or none of this dataset.
    """
    handle = needed_adapters(model)
    index, datasets = handle.index(dataset), handle.datasets
    wanted = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    wholes = [
        (bank, name, whole) for bank in banks(model) for name, whole in bank.named_parameters(recurse=False)
    ]
    try:
        for parameter, _ in wanted:
            parameter.requires_grad_(False)
            parameter.grad = None
        for bank, name, whole in wholes:
            setattr(bank, name, nn.Parameter(whole.detach()[index : index + 1].clone()))
        handle.datasets = (dataset,)
        yield handle
        with torch.no_grad():
            for bank, name, whole in wholes:
                whole[index] = getattr(bank, name)[0]
    finally:
        for bank, name, whole in wholes:
            setattr(bank, name, whole)
        handle.datasets = datasets
        for parameter, trained in wanted:
            parameter.requires_grad_(trained)


@dataclass(frozen=True, slots=True)
class TunedAdapter:
    """What phase 2 has come to for one dataset.

    Attributes:
        before: F1 on its validation questions with what phase 1 left, percent.
        kept: whether the tuned parameters are the model's now; where none of the evaluations was better than
            `before` they are not.
        outcome: of the loop; its deviation is 0, theta did not move.
    """

    dataset: str
    before: float
    kept: bool
    outcome: TrainingOutcome


def tune_adapters(
    model: nn.Module,
    data: TrainingData,
    plan: Plan,
    *,
    epochs: float,
    seed: int,
    control: RunControl | None = None,
) -> list[TunedAdapter]:
    """Tune each dataset's adapter and head at `plan.training.head_lr`, theta frozen; never to a lower
    validation F1 than they had.

    Args:
        data: the datasets that the model has adapters for, in one order.
        epochs: over a dataset's own training windows, at most: `patience` evaluations without a gain end its
            tuning.
        control: as of `bmt.training.loop.train`; metrics are named `phase_2/<dataset>/…`. Each dataset has
            checkpoints of its own beside `control.checkpoints`, which hold its adapter and head only; to be
            removed by the caller when the model is saved.

    Raises:
        ModelError: a dataset without an adapter, a loss that is not finite, a checkpoint of another
            configuration.
        StoppedError: `control.stop` asked; the checkpoint of the dataset it came in is written.
    """
    control = control or RunControl()
    head_plan = replace(plan, training=replace(plan.training, lr=plan.training.head_lr))
    return [
        _tune_adapter(model, data.alone(position), head_plan, epochs, seed, control)
        for position in range(len(data.sets))
    ]


def _tune_adapter(
    model: nn.Module, data: TrainingData, plan: Plan, epochs: float, seed: int, control: RunControl
) -> TunedAdapter:
    """Tune the adapter and head of the one dataset of `data`."""
    [name] = data.datasets

    def report(step: int, metrics: dict[str, float]) -> None:
        control.report(step, {f"phase_2/{name}/{key}": value for key, value in metrics.items()})

    kept_in = None if control.checkpoints is None else control.checkpoints.within(f"phase-2-{name}")
    stop = until(stop_alone(control))
    with only_adapter(model, name):
        start = {key: value.clone() for key, value in tensors(model).items()}
        scores = evaluate(model, data.validation, data.vocabulary, plan, stop, control.ranks)
        before = control.ranks.of_first(scores)[name][1]
        outcome = train(
            model,
            data,
            plan,
            steps=planned_steps(data.sets, data.rows, epochs, plan.training),
            seed=key_number((seed, "phase 2", name)),
            control=replace(control, report=report, checkpoints=kept_in),
        )
        kept = outcome.best_f1 > before
        if not kept:
            with torch.no_grad():
                load_tensors(model, start)
    return TunedAdapter(name, before, kept, outcome)
