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

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote

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
from bmt.qa.batches import collate
from bmt.runtime.checkpoints import Checkpoints
from bmt.runtime.control import RunControl
from bmt.runtime.files import file_name, write_aside
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
        return False

    def before(self, step: int, picks: Picks, handle: MaskedUpdates) -> None:
        """Bring the handle's masks up to date for the step that trains on `picks`."""

    def masks(self) -> Masks:
        """The masks as they are now."""

    def tensors(self) -> dict[str, Tensor]:
        """What a checkpoint keeps."""
        return {}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from a checkpoint's tensors."""
        return


class Refresh(Schedule):
    """The two-phase masks, learned anew each epoch; they are in files.

    Args:
        learn: epoch -> masks at the model's present weights.
        steps: optimizer steps per epoch.
        folder: where each epoch's masks are kept, so that a resume finds them; None: nowhere.
    """

    def __init__(
        self, model: nn.Module, learn: Callable[[int], Masks], steps: int, folder: Path | None
    ) -> None:
        self._model, self._learn, self._steps, self._folder = model, learn, max(1, steps), folder

    def start(self, step: int) -> Masks:
        """As `Schedule.start`: at the first step of an epoch still the masks of the one before, since
        `before` changes them.
        """
        return self._turn(max(0, step - 1) // self._steps)

    def _turn(self, epoch: int) -> Masks:
        path = None if self._folder is None else self._folder / f"masks-{epoch:04d}.safetensors"
        if path is not None and path.is_file():
            self._now = Masks.load(path, self._model)
        else:
            self._now = self._learn(epoch)
            if path is not None:
                self._now.save(path)
        self._epoch = epoch
        return self._now

    def in_files(self, step: int) -> bool:
        """As `Schedule.in_files`: the masks of a new epoch."""
        return step // self._steps != self._epoch

    def before(self, step: int, picks: Picks, handle: MaskedUpdates) -> None:
        """As `Schedule.before`: does something at the first step of an epoch only."""
        if not self.in_files(step):
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
        return self._now


class _DrawnMasks(Schedule):
    """What the schedules share that draw masks from gates, each when a batch has rows that are under it."""

    def __init__(self, model: nn.Module, data: TrainingData, settings: MaskSettings, seed: int) -> None:
        self.model, self.data, self.settings, self.seed = model, data, settings, seed
        self.at: dict[str, int] = {}  # the step of each mask's last draw, by its dataset

    @abstractmethod
    def drawn(self, dataset: str) -> dict[str, Tensor]:
        """A dataset's mask, as drawn last."""

    def by_dataset(self, picks: Picks) -> dict[str, list[tuple[int, int]]]:
        """A batch's windows by the dataset whose mask they are under: GLOBAL where one mask is for all."""
        parts: dict[str, list[tuple[int, int]]] = {}
        for which, row in picks:
            name = self.data.datasets[which] if self.settings.scope == "per_dataset" else GLOBAL
            parts.setdefault(name, []).append((which, row))
        return parts

    def masks(self) -> Masks:
        """As `Schedule.masks`: every dataset's last draw."""
        parts = [Masks.of({dataset: self.drawn(dataset)}, self.model) for dataset in self.at]
        return Masks.joined(parts, {"kind": "learned", "seed": self.seed, **asdict(self.settings)})


class Resampled(_DrawnMasks):
    """Masks that each step draws anew from gates learned at theta_0 (`mask.gate: resampled`).

    Args:
        learn: (dataset, its learned gates), one after the other, at the model's present weights.
        folder: where the gates are kept, so that a resume finds them; None: nowhere.
    """

    def __init__(
        self,
        model: nn.Module,
        data: TrainingData,
        settings: MaskSettings,
        seed: int,
        learn: Callable[[], Iterable[tuple[str, LearnedGates]]],
        folder: Path | None,
    ) -> None:
        super().__init__(model, data, settings, seed)
        self._learn, self._folder = learn, folder
        self._alpha: dict[str, dict[str, Tensor]] = {}

    def start(self, step: int) -> Masks:
        """As `Schedule.start`."""
        self._parameters = dict(self.model.named_parameters())
        path = None if self._folder is None else self._folder / "gates.safetensors"
        if path is not None and path.is_file():
            for key, alpha in load_file(path).items():
                dataset, _, name = key.partition("/")
                its_alpha = self._alpha.setdefault(unquote(dataset), {})
                its_alpha[name] = alpha.to(self._parameters[name].device)
        else:
            self._alpha = {dataset: gates.alpha for dataset, gates in self._learn()}
            if path is not None:
                with write_aside(path) as aside:
                    save_file(
                        {
                            f"{file_name(dataset)}/{name}": value
                            for dataset, alpha in self._alpha.items()
                            for name, value in alpha.items()
                        },
                        aside,
                    )
        self.at = dict.fromkeys(self._alpha, step)
        return self.masks()

    def drawn(self, dataset: str) -> dict[str, Tensor]:
        """A dataset's mask, as drawn at its last step."""
        settings, key = self.settings, (self.seed, "mask", dataset, "at", self.at[dataset])
        law, alpha = HardConcrete.of(settings), self._alpha[dataset]
        masks = gate_masks(law, alpha, settings.gate, settings.binarise, key)
        return {name: mask.expand(self._parameters[name].shape) for name, mask in masks.items()}

    def before(self, step: int, picks: Picks, handle: MaskedUpdates) -> None:
        """As `Schedule.before`: new draws for the datasets of the batch."""
        for dataset in self.by_dataset(picks):
            self.at[dataset] = step
            handle.use({dataset: self.drawn(dataset)})

    def tensors(self) -> dict[str, Tensor]:
        """The step of each dataset's last draw; the gates are in a file."""
        return {dataset: torch.tensor(step) for dataset, step in self.at.items()}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """As `Schedule.restore`."""
        self.at = {dataset: int(step) for dataset, step in tensors.items()}


class _LearnedOnBatches(_DrawnMasks):
    """What the two schedules share that learn on the batches theta is tuned on. Every rank learns on all of
    the batch, from the same numbers.
    """

    def __init__(
        self, model: nn.Module, data: TrainingData, settings: MaskSettings, seed: int, plan: Plan
    ) -> None:
        super().__init__(model, data, settings, seed)
        self._loss, self._device = plan_loss(model, plan), next(model.parameters()).device

    def learner(self, *key: int | str) -> GateLearner:
        """Fresh gates with draws of their own."""
        names = target_names(self.model, self.settings.targets)
        return GateLearner(self.model, names, self.settings, (self.seed, "mask", *key))

    def learn(self, learner: GateLearner, steps: int, picks: Picks, handle: MaskedUpdates) -> None:
        """Some steps of eq. 12 on the windows `picks`."""
        batch = collate(self.data.sets, picks, self.data.vocabulary).to(self._device)
        with handle.paused():
            for _ in range(steps):
                learner.step(lambda: self._loss(self.model, batch), count=False)


def _mask_of(learner: GateLearner, step: int) -> dict[str, Tensor]:
    """The mask that a learner's gates give at a step."""
    gates = LearnedGates(learner.law, learner.alpha, learner.w, (*learner.key, "at", step))
    return gates.mask(learner.settings)


class Alternating(_LearnedOnBatches):
    """Gates that learn one step on each dataset's rows of a batch before theta does; one set of gates per
    dataset, or one for the mixture.
    """

    def start(self, step: int) -> Masks:
        """As `Schedule.start`."""
        datasets = self.data.datasets if self.settings.scope == "per_dataset" else (GLOBAL,)
        self.learners = {name: self.learner(name) for name in datasets}
        self.at = dict.fromkeys(datasets, step)
        return self.masks()

    def drawn(self, dataset: str) -> dict[str, Tensor]:
        """A dataset's mask, as drawn after its last step."""
        return _mask_of(self.learners[dataset], self.at[dataset])

    def before(self, step: int, picks: Picks, handle: MaskedUpdates) -> None:
        """As `Schedule.before`."""
        for name, its_picks in self.by_dataset(picks).items():
            self.learn(self.learners[name], 1, its_picks, handle)
            self.at[name] = step + 1
            handle.use({name: self.drawn(name)})

    def tensors(self) -> dict[str, Tensor]:
        """Alpha, w and their moments of every dataset, and when its mask was drawn."""
        return {
            f"{file_name(name)}/{key}": value
            for name, learner in self.learners.items()
            for key, value in (learner.tensors() | {"at": torch.tensor(self.at[name])}).items()
        }

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """As `Schedule.restore`; the masks at the time are drawn again from the gates."""
        parts: dict[str, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            name, _, of_learner = key.partition("/")
            parts.setdefault(unquote(name), {})[of_learner] = value
        for name, learner in self.learners.items():
            self.at[name] = int(parts[name].pop("at"))
            learner.restore(parts[name])


class PerBatch(_LearnedOnBatches):
    """Fresh gates for every batch."""

    def start(self, step: int) -> Masks:
        """As `Schedule.start`: the gates before any learning."""
        self.at, self._mask = {GLOBAL: step}, _mask_of(self.learner("batch", -1), -1)
        return self.masks()

    def drawn(self, dataset: str) -> dict[str, Tensor]:
        """The mask of the last batch."""
        return self._mask

    def before(self, step: int, picks: Picks, handle: MaskedUpdates) -> None:
        """As `Schedule.before`."""
        learner = self.learner("batch", step)
        self.learn(learner, max(1, self.settings.steps), picks, handle)
        self._mask = _mask_of(learner, step)
        handle.use({GLOBAL: self._mask})

    def tensors(self) -> dict[str, Tensor]:
        """The mask of the last batch: no gate outlives its batch, but a run may be resumed when there is none
        to come.
        """
        return dict(self._mask)

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """As `Schedule.restore`."""
        self._mask = {name: mask.to(self._device) for name, mask in tensors.items()}


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
        return PerBatch(model, data, mask, seed, plan)
    if mask.schedule == "alternating":
        return Alternating(model, data, mask, seed, plan)
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

    return Resampled(model, data, mask, seed, learn, None if kept is None else kept.folder)
