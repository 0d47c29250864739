"""What a run goes on from when it was cut off, and what it gives back: checkpoints, stops, best weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from bmt.errors import ModelError
from bmt.runtime.control import RunControl
from bmt.runtime.stopping import StoppedError
from bmt.training.applied_masks import AppliedMasks
from bmt.training.course import Course
from bmt.training.data import TrainingData
from bmt.training.losses import Losses
from bmt.training.procedure import Procedure


class TrainingState:
    """The state of one run: course, losses and best weights, beside the model, optimizer, draws and masks.

    The best weights are in memory, or, where every evaluation writes a checkpoint, in its file.

    Attributes:
        course: how far it has come.
        losses: that were not read yet.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        data: TrainingData,
        masks: AppliedMasks,
        procedure: Procedure,
        control: RunControl,
    ) -> None:
        self.course = Course()
        self.losses = Losses(data.sets, next(model.parameters()).device, procedure.advice)
        self._model, self._optimizer, self._masks = model, optimizer, masks
        self._procedure, self._ranks, self._checkpoints = procedure, control.ranks, control.checkpoints
        self._best_in_files = procedure.checkpoint_evaluations and control.checkpoints is not None
        self._best: dict[str, Tensor] = {}
        self._saved = 0  # the step of the newest checkpoint

    def resume(self) -> dict[str, Tensor] | None:
        """Go on from the newest checkpoint: the tensors of masks that change; None where there is none.

        Raises:
            ModelError: it is of another configuration, or not all ranks see it.
        """
        checkpoints, masks = self._checkpoints, None
        restored = None if checkpoints is None else checkpoints.restore(self._model, self._optimizer)
        if restored is not None:
            state, tensors = restored
            self.course.restore(state["course"])
            self._procedure.draws.restore(state["draws"])
            self.losses.restore(state["losses"])
            self._best, masks = _under("best", tensors), _under("masks", tensors)
        self._saved = self.course.step
        if len(set(steps := self._ranks.gathered(self._saved))) > 1:
            where = "" if checkpoints is None else f"{checkpoints.folder}: "
            raise ModelError(f"{where}the ranks resume at steps {steps}: let all of them share the folder")
        if checkpoints is not None and self._ranks.first:
            checkpoints.discard_after(self._saved)
        return masks

    def keep(self, gained: bool) -> None:
        """Keep what an evaluation has come to; `gained`: the present weights are the best so far."""
        if gained and not self._best_in_files:
            self._best = {name: value.detach().clone() for name, value in self._model.named_parameters()}
        self._masks.settle()  # what is broken is not kept
        if self._best_in_files:
            self._save(gained)

    @contextmanager
    def resumable(self, draws: Mapping[str, Any] | None = None) -> Iterator[None]:
        """A stop inside the block ends the run with a checkpoint of the present step (`stopped`)."""
        try:
            yield
        except StoppedError:
            raise self.stopped(draws) from None

    def stopped(self, draws: Mapping[str, Any] | None = None) -> StoppedError:
        """Write a checkpoint of the present step, if there is none yet: the error that says where it is.

        Args:
            draws: the state of the draws before this step's, where they were made already.
        """
        if len(self.losses):
            self.losses.look()  # what is broken is not kept
        if self._saved < self.course.step:
            self._masks.settle()
            self._save(False, draws)
        self._ranks.wait()  # a launcher takes a rank that is gone for the end
        return StoppedError(self._procedure.stop_message(self.course.step))

    def _save(self, gained: bool, draws: Mapping[str, Any] | None = None) -> None:
        if self._checkpoints is not None and self._ranks.first:
            state = {
                "course": self.course.state(),
                "draws": self._procedure.draws.state() if draws is None else draws,
                "losses": self.losses.state(),
            }
            tensors = {f"masks/{name}": value for name, value in self._masks.tensors().items()}
            tensors |= {f"best/{name}": value for name, value in self._best.items()}
            self._checkpoints.save(self.course.step, self._model, self._optimizer, state, gained, tensors)
        self._saved = self.course.step

    @torch.no_grad()
    def load_best(self) -> None:
        """Put the best weights into the model."""
        if self._best_in_files and self._checkpoints is not None:
            self._ranks.wait()  # until the last checkpoint is written
            self._checkpoints.load_best(self._model)
            self._ranks.wait()  # until all have read it, so that the first may remove it
            return
        for name, parameter in self._model.named_parameters():
            if name in self._best:
                parameter.copy_(self._best[name])


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Those of the tensors that are named `<prefix>/<name>`, by name."""
    return {
        key.removeprefix(f"{prefix}/"): value
        for key, value in tensors.items()
        if key.startswith(f"{prefix}/")
    }
