"""The training losses since the last look at them, and whose they are: the first that is not finite is named,
without a sync per step.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from bmt.errors import ModelError
from bmt.qa.batches import Windows

Picks = Sequence[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class StepBatch:
    """The windows that one step was trained on.

    Attributes:
        step: from 1 on.
        loss: mean over the windows.
        windows: rows of the windows, by dataset.
        examples: the example row of each of them in the dataset's file, by dataset.
    """

    step: int
    loss: float
    windows: dict[str, list[int]]
    examples: dict[str, list[int]]


class NonFiniteLossError(ModelError):
    """A training loss is NaN or infinite.

    Attributes:
        step: the first such step, from 1 on.
        loss: its loss.
        batches: every step since the last look, `step` among them.
    """

    def __init__(self, message: str, step: int, loss: float, batches: Sequence[StepBatch]) -> None:
        super().__init__(message)
        self.step, self.loss, self.batches = step, loss, tuple(batches)


class Losses:
    """Losses that stay on the device until `mean` looks at them.

    Args:
        sets: the datasets' windows that picks are of.
        device: where a restored loss goes.
        advice: what to do about a loss that is not finite.
    """

    def __init__(self, sets: Sequence[Windows], device: torch.device, advice: str) -> None:
        self._sets, self._device, self._advice = sets, device, advice
        self._losses: list[Tensor] = []
        self._steps: list[tuple[int, Picks]] = []

    def __len__(self) -> int:
        return len(self._losses)

    def add(self, step: int, picks: Picks, loss: Tensor) -> None:
        """Keep the loss (a scalar on the device) of a step, counted from 1, and its windows."""
        self._losses.append(loss)
        self._steps.append((step, picks))

    def look(self) -> float:
        """The mean of the losses that are kept, and they stay.

        Raises:
            NonFiniteLossError: one of them is not finite.
        """
        losses = torch.stack(self._losses)
        mean = float(losses.mean())
        if not math.isfinite(mean):
            values = losses.tolist()
            first = next((at for at, value in enumerate(values) if not math.isfinite(value)), len(values) - 1)
            step, picks = self._steps[first]
            names = ", ".join(sorted({self._sets[which].dataset for which, _ in picks}))
            raise NonFiniteLossError(
                f"the training loss is {values[first]} at step {step}, on {len(picks)} windows of {names}: "
                f"{self._advice}",
                step,
                values[first],
                [self._batch(at, value) for at, value in enumerate(values)],
            )
        return mean

    def mean(self) -> float:
        """As `look`; the next losses start anew."""
        mean = self.look()
        self._losses.clear()
        self._steps.clear()
        return mean

    def _batch(self, at: int, loss: float) -> StepBatch:
        step, picks = self._steps[at]
        windows: dict[str, list[int]] = {}
        examples: dict[str, list[int]] = {}
        for which, row in picks:
            dataset = self._sets[which]
            windows.setdefault(dataset.dataset, []).append(int(row))
            examples.setdefault(dataset.dataset, []).append(int(dataset.example[row]))
        return StepBatch(step, loss, windows, examples)

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps, as plain numbers; float32 losses come back from them bit for bit."""
        losses = torch.stack(self._losses).tolist() if self._losses else []
        steps = [[step, [[int(which), int(row)] for which, row in picks]] for step, picks in self._steps]
        return {"losses": losses, "steps": steps}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint's state."""
        self._losses = [
            torch.tensor(loss, dtype=torch.float32, device=self._device) for loss in state["losses"]
        ]
        self._steps = [(step, [(which, row) for which, row in picks]) for step, picks in state["steps"]]
