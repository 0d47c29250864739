"""Phase 2 of training with adapters (section 4.5): theta frozen, each (phi_d, psi_d) tuned on its own
dataset, with its own optimizer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from bmt.qa.adapters import Adapters, banks, needed_adapters
from bmt.qa.batches import Vocabulary, Windows
from bmt.runtime.checkpoints import Checkpoints, load_tensors, tensors
from bmt.runtime.keyed_random import key_number
from bmt.runtime.ranks import Ranks
from bmt.runtime.stopping import Stop, never, until
from bmt.training.loop import Outcome, Plan, Progress, Questions, Report, evaluate, planned_steps, train


@contextmanager
def only_adapter(model: nn.Module, dataset: str) -> Iterator[Adapters]:
    """While the block runs, one dataset's adapter and head are all that the model has and all that can be
    trained (phase 2).

    Theta takes no gradient and keeps its bits whatever optimizer runs, and the other datasets' parameters are
    not there to be moved by its
    momentum or weight decay. What was learned is put into the banks when the block ends without an error.

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
    outcome: Outcome


def tune_adapters(
    model: nn.Module,
    sets: Sequence[Windows],
    rows: Mapping[str, np.ndarray],
    validation: Sequence[Questions],
    vocabulary: Vocabulary,
    plan: Plan,
    *,
    epochs: float,
    seed: int,
    folder: Path | None = None,
    fingerprint: str = "",
    report: Report | None = None,
    progress: Progress | None = None,
    ranks: Ranks | None = None,
    stop: Stop = never,
) -> list[TunedAdapter]:
    """Tune each dataset's adapter and head at `plan.training.head_lr`, theta frozen; never to a lower
    validation F1 than they had.

    Args:
        sets, rows, validation: as `bmt.training.loop.train` takes them: the datasets that the model has
            adapters for, in one order.
        epochs: over a dataset's own training windows, at most: `patience` evaluations without a gain end its
            tuning.
        folder: where each dataset keeps its checkpoints, which hold its adapter and head only, to resume
            from; None: nowhere. To be removed
            by the caller when the model is saved.
        fingerprint: of everything that decides the run.
        report, progress, ranks, stop: as `bmt.training.loop.train`'s; metrics are named
            `phase_2/<dataset>/…`.

    Raises:
        ModelError: a dataset without an adapter, a loss that is not finite, a checkpoint of another
            configuration.
        StoppedError: `stop` asked; the checkpoint of the dataset it came in is written.
    """
    own_plan = replace(plan, training=replace(plan.training, lr=plan.training.head_lr))
    ranks, tuned = ranks or Ranks(), []
    for windows, questions in zip(sets, validation, strict=True):
        name = windows.dataset
        own = rows[name]

        def named(step: int, metrics: dict[str, float], name: str = name) -> None:
            if report is not None:
                report(step, {f"phase_2/{name}/{key}": value for key, value in metrics.items()})

        with only_adapter(model, name):
            start = {key: value.clone() for key, value in tensors(model).items()}
            asked = until(stop if ranks.world == 1 else never)
            before = ranks.of_first(evaluate(model, [questions], vocabulary, plan, asked, ranks))[name][1]
            outcome = train(
                model,
                [windows],
                {name: own},
                [questions],
                vocabulary,
                own_plan,
                steps=planned_steps([windows], {name: own}, epochs, plan.training),
                seed=key_number((seed, "phase 2", name)),
                checkpoints=None if folder is None else Checkpoints(folder / f"phase-2-{name}", fingerprint),
                report=named,
                progress=progress,
                ranks=ranks,
                stop=stop,
            )
            kept = outcome.best_f1 > before
            if not kept:
                with torch.no_grad():
                    load_tensors(model, start)
        tuned.append(TunedAdapter(name, before, kept, outcome))
    return tuned
