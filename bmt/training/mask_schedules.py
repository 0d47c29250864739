"""Masks that change while theta is tuned (`mask.schedule`, `mask.scope`, `mask.gate`); the two-phase schedule
needs none of this.

    refresh       the masks are learned again at the start of each epoch, at the present theta
    alternating   before each step of theta, one step of alpha and w on the rows of each dataset in the batch;
                  the gates stay, the mask of the step is drawn from them
    per_batch     scope: before each step of theta, fresh gates learn `mask.steps` steps on the very batch;
                  one mask for all its rows
    resampled     gate: the gates are learned once at theta_0; each step of theta draws its masks from them

A schedule is asked `start` once and `before` each step; it learns with the masks of the handle paused, and
puts new ones in with `handle.use`. What it needs to go on after a resume it keeps in files (refresh,
resampled) or in the checkpoint's tensors (alternating).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from bmt.errors import ConfigError
from bmt.gate_learner import GateLearner
from bmt.gates import HardConcrete
from bmt.layers import target_names
from bmt.mask_learning import GLOBAL, LearnedGates, gates_by_dataset
from bmt.mask_selection import gate_masks
from bmt.masked_updates import MaskedUpdates
from bmt.masks import Masks
from bmt.qa.batches import Batch, collate
from bmt.runtime.checkpoints import Checkpoints
from bmt.runtime.control import RunControl
from bmt.runtime.files import write_aside
from bmt.runtime.keyed_random import key_number
from bmt.settings import MaskSettings
from bmt.training.data import TrainingData
from bmt.training.mask_batches import plan_loss, source_batches
from bmt.training.plan import Plan, planned_steps
from bmt.training.source_masks import source_masks

Picks = Sequence[tuple[int, int]]


class Schedule(Protocol):
    """Masks by step."""

    def start(self, step: int) -> Masks:
        """The masks to begin with, at step 0 or after a resume at `step`."""

    def in_files(self, step: int) -> bool:
        """Whether `before` this step makes something that it keeps in a file: of several ranks one makes it
        and the others read it.
        """

    def before(self, step: int, picks: Picks, handle: MaskedUpdates) -> None:
        """Bring the handle's masks up to date for the step that trains on `picks`."""

    def masks(self) -> Masks:
        """The masks as they are now."""

    def tensors(self) -> dict[str, Tensor]:
        """What a checkpoint keeps."""

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from a checkpoint's tensors."""


class Refresh:
    """The two-phase masks, learned anew each epoch.

    Args:
        learn: epoch -> masks at the model's present weights.
        steps: optimizer steps an epoch.
        folder: where each epoch's masks are kept, so that a resume finds them; None: nowhere.
    """

    def __init__(
        self, model: nn.Module, learn: Callable[[int], Masks], steps: int, folder: Path | None
    ) -> None:
        self._model, self._learn, self._steps, self._folder = model, learn, max(1, steps), folder
        self._epoch = -1
        self._now: Masks | None = None

    def _of(self, epoch: int) -> Masks:
        path = None if self._folder is None else self._folder / f"masks-{epoch:04d}.safetensors"
        if path is not None and path.is_file():
            return Masks.load(path, self._model)
        masks = self._learn(epoch)
        if path is not None:
            masks.save(path)
        return masks

    def start(self, step: int) -> Masks:
        """As `Schedule.start`: at the first step of an epoch still the masks of the one before, since
        `before` changes them.
        """
        return self._turn(max(0, step - 1) // self._steps)

    def _turn(self, epoch: int) -> Masks:
        self._epoch, self._now = epoch, self._of(epoch)
        return self._now

    def in_files(self, step: int) -> bool:
        """As `Schedule.in_files`: the masks of a new epoch."""
        return step // self._steps != self._epoch

    def before(self, step: int, picks: Picks, handle: MaskedUpdates) -> None:
        """As `Schedule.before`: does something at the first step of an epoch only."""
        if step // self._steps == self._epoch:
            return
        with handle.paused():
            masks = self._turn(step // self._steps)
        handle.use(
            {
                dataset: {name: masks.mask(dataset, name) for name in masks.shapes}
                for dataset in masks.datasets
            },
            settle=True,
        )

    def masks(self) -> Masks:
        """As `Schedule.masks`."""
        assert self._now is not None, "start comes first"
        return self._now

    def tensors(self) -> dict[str, Tensor]:
        """Nothing: the masks are in files."""
        return {}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Nothing to restore."""


class Resampled:
    """Masks that each step draws anew from gates learned at theta_0 (`mask.gate: resampled`).

    Args:
        datasets: names of the source datasets, in the order of the windows' sets.
        learn: (dataset, its learned gates), one after the other, at the model's present weights.
        folder: where the gates are kept, so that a resume finds them; None: nowhere.
    """

    def __init__(
        self,
        model: nn.Module,
        datasets: Sequence[str],
        settings: MaskSettings,
        seed: int,
        learn: Callable[[], Iterable[tuple[str, LearnedGates]]],
        folder: Path | None,
    ) -> None:
        self._model, self._datasets, self._settings, self._seed = model, datasets, settings, seed
        self._learn, self._folder = learn, folder
        self._alpha: dict[str, dict[str, Tensor]] = {}
        self._at: dict[str, int] = {}  # the step of each dataset's last draw

    def start(self, step: int) -> Masks:
        """As `Schedule.start`."""
        parameters = dict(self._model.named_parameters())
        path = None if self._folder is None else self._folder / "gates.safetensors"
        if path is not None and path.is_file():
            for key, alpha in load_file(path).items():
                dataset, _, name = key.partition("/")
                self._alpha.setdefault(dataset, {})[name] = alpha.to(parameters[name].device)
        else:
            self._alpha = {dataset: gates.alpha for dataset, gates in self._learn()}
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
                flat = {
                    f"{dataset}/{name}": value
                    for dataset, alpha in self._alpha.items()
                    for name, value in alpha.items()
                }
                with write_aside(path) as aside:
                    save_file(flat, aside)
        self._shapes = {name: tuple(parameters[name].shape) for name in next(iter(self._alpha.values()))}
        self._at = dict.fromkeys(self._alpha, step)
        return self.masks()

    def _drawn(self, dataset: str) -> dict[str, Tensor]:
        law = HardConcrete(self._settings.gamma, self._settings.zeta, self._settings.beta)
        key = (self._seed, "mask", dataset, "at", self._at[dataset])
        drawn = gate_masks(law, self._alpha[dataset], self._settings.gate, self._settings.binarise, key)
        return {name: mask.expand(self._shapes[name]) for name, mask in drawn.items()}

    def in_files(self, step: int) -> bool:
        """As `Schedule.in_files`: the gates are learned before."""
        return False

    def before(self, step: int, picks: Picks, handle: MaskedUpdates) -> None:
        """As `Schedule.before`: new draws for the datasets of the batch."""
        in_batch = sorted({self._datasets[which] for which, _ in picks})
        for dataset in list(self._alpha) if GLOBAL in self._alpha else in_batch:
            self._at[dataset] = step
            handle.use({dataset: self._drawn(dataset)})

    def masks(self) -> Masks:
        """As `Schedule.masks`: every dataset's last draw."""
        parts = [Masks.of({dataset: self._drawn(dataset)}, self._model) for dataset in self._alpha]
        return Masks.joined(parts, {"kind": "learned", "seed": self._seed, **asdict(self._settings)})

    def tensors(self) -> dict[str, Tensor]:
        """The step of each dataset's last draw; the gates are in a file."""
        return {dataset: torch.tensor(step) for dataset, step in self._at.items()}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """As `Schedule.restore`."""
        self._at = {dataset: int(step) for dataset, step in tensors.items()}


class _OnBatches:
    """What the two schedules share that learn on the batches theta is tuned on."""

    def __init__(
        self,
        model: nn.Module,
        data: TrainingData,
        settings: MaskSettings,
        seed: int,
        loss: Callable[[nn.Module, Batch], Tensor],
    ) -> None:
        self.model, self.data, self.settings, self.seed, self._loss = model, data, settings, seed, loss
        self.names = target_names(model, settings.targets)
        self.device = next(model.parameters()).device

    def in_files(self, step: int) -> bool:
        """As `Schedule.in_files`: every rank learns on all of the batch, from the same numbers."""
        return False

    def loss(self, picks: Picks) -> Callable[[], Tensor]:
        """Loss of the model as it stands on these windows."""

        def measure() -> Tensor:
            return self._loss(
                self.model, collate(self.data.sets, picks, self.data.vocabulary).to(self.device)
            )

        return measure

    def drawn(self, learner: GateLearner, step: int) -> dict[str, Tensor]:
        """The mask that a learner's gates give at a step."""
        shapes = {name: tuple(value.shape) for name, value in learner.w.items()}
        gates = LearnedGates(
            learner.law, learner.alpha, shapes, learner.gate_sizes, (*learner.key, "at", step), []
        )
        return gates.mask(self.settings)

    def about(self) -> dict[str, Any]:
        """What the masks say of themselves."""
        return {"kind": "learned", "seed": self.seed, **asdict(self.settings)}


class Alternating(_OnBatches):
    """Gates that learn one step on each dataset's rows of a batch before theta does; one set of gates per
    dataset, or one for the mixture.
    """

    def start(self, step: int) -> Masks:
        """As `Schedule.start`."""
        owners = [GLOBAL] if self.settings.scope == "global" else list(self.data.datasets)
        self.learners = {
            name: GateLearner(self.model, self.names, self.settings, (self.seed, "mask", name))
            for name in owners
        }
        self._at = dict.fromkeys(owners, step)  # the step after which each dataset's mask was drawn last
        return self.masks()

    def before(self, step: int, picks: Picks, handle: MaskedUpdates) -> None:
        """As `Schedule.before`."""
        by_owner: dict[str, list[tuple[int, int]]] = {}
        for which, row in picks:
            owner = GLOBAL if self.settings.scope == "global" else self.data.datasets[which]
            by_owner.setdefault(owner, []).append((which, row))
        for name, its_picks in by_owner.items():
            with handle.paused():
                self.learners[name].step(self.loss(its_picks), count=False)
            self._at[name] = step + 1
            handle.use({name: self.drawn(self.learners[name], step + 1)})

    def masks(self) -> Masks:
        """As `Schedule.masks`."""
        parts = [
            Masks.of({name: self.drawn(learner, self._at[name])}, self.model)
            for name, learner in self.learners.items()
        ]
        return Masks.joined(parts, self.about())

    def tensors(self) -> dict[str, Tensor]:
        """Alpha, w and their moments of every dataset, and when its mask was drawn."""
        kept = {
            f"{name}/{key}": value
            for name, learner in self.learners.items()
            for key, value in learner.tensors().items()
        }
        return kept | {f"{name}/at": torch.tensor(step) for name, step in self._at.items()}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """As `Schedule.restore`; the masks at the time are drawn again from the gates."""
        for name, learner in self.learners.items():
            self._at[name] = int(tensors[f"{name}/at"])
            parts = {key: key.split("/", 1) for key in tensors}
            learner.restore({name_: tensors[key] for key, (owner, name_) in parts.items() if owner == name})


class PerBatch(_OnBatches):
    """Fresh gates for every batch."""

    def start(self, step: int) -> Masks:
        """As `Schedule.start`: the gates before any learning."""
        self._mask = self.drawn(
            GateLearner(self.model, self.names, self.settings, (self.seed, "mask", "batch", -1)), -1
        )
        return self.masks()

    def before(self, step: int, picks: Picks, handle: MaskedUpdates) -> None:
        """As `Schedule.before`."""
        learner = GateLearner(self.model, self.names, self.settings, (self.seed, "mask", "batch", step))
        with handle.paused():
            for _ in range(max(1, self.settings.steps)):
                learner.step(self.loss(picks), count=False)
        self._mask = self.drawn(learner, step)
        handle.use({GLOBAL: self._mask})

    def masks(self) -> Masks:
        """The mask of the last batch."""
        return Masks.of({GLOBAL: self._mask}, self.model, self.about())

    def tensors(self) -> dict[str, Tensor]:
        """The mask of the last batch: no gate outlives its batch, but a run may be resumed when there is none
        to come.
        """
        return dict(self._mask)

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """As `Schedule.restore`."""
        self._mask = {name: mask.to(self.device) for name, mask in tensors.items()}


def mask_schedule(
    model: nn.Module,
    data: TrainingData,
    mask: MaskSettings,
    plan: Plan,
    *,
    seed: int,
    control: RunControl | None = None,
) -> Schedule:
    """The masks that change while theta is tuned, as `mask.schedule`, `mask.scope` and `mask.gate` say.

    Args:
        control: in the folder of its checkpoints `refresh` keeps the masks of each epoch, and `resampled` the
            gates, for a resume, and both what they have learned of them; to be removed by the caller when the
            run is done. Else as of `bmt.training.source_masks.source_masks`.

    Raises:
        ConfigError: the two-phase schedule, whose masks `source_masks` gives.
    """
    control = control or RunControl()
    if mask.scope == "per_batch":
        return PerBatch(model, data, mask, seed, plan_loss(model, plan))
    if mask.schedule == "alternating":
        return Alternating(model, data, mask, seed, plan_loss(model, plan))
    if mask.gate == "resampled":
        return _resampled(model, data, mask, plan, seed, control)
    if mask.schedule != "refresh":
        raise ConfigError(f"mask.schedule: {mask.schedule!r} has fixed masks: source_masks makes them")
    kept = control.checkpoints

    def learning(epoch: int) -> Checkpoints | None:
        return None if kept is None else kept.within(f"learning-{epoch:04d}")

    def learn(epoch: int) -> Masks:
        key = seed if epoch == 0 else key_number((seed, "refresh", epoch))
        learned = source_masks(
            "learned",
            model,
            data,
            mask,
            plan,
            seed=key,
            control=replace(control, checkpoints=learning(epoch)),
        )
        if epoch > 0 and (before := learning(epoch - 1)) is not None:
            before.remove()  # its masks are in a file
        return learned

    steps = planned_steps(data.sets, data.rows, 1, plan.training)
    return Refresh(model, learn, steps, None if kept is None else kept.folder)


def _resampled(
    model: nn.Module, data: TrainingData, mask: MaskSettings, plan: Plan, seed: int, control: RunControl
) -> Resampled:
    """Gates that are learned once, when the schedule starts."""
    batches = source_batches(data, mask, seed, next(model.parameters()).device)
    kept = control.checkpoints

    learning = replace(
        control,
        progress=lambda steps, note: control.progress(steps * mask.batch, note),
        checkpoints=None if kept is None else kept.within("learning"),
    )

    def learn() -> Iterable[tuple[str, LearnedGates]]:
        loss = plan_loss(model, plan)
        return gates_by_dataset(model, batches, mask, seed=seed, loss=loss, control=learning)

    return Resampled(model, data.datasets, mask, seed, learn, None if kept is None else kept.folder)
