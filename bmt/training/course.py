"""How far a run has come, and when it evaluates, reads its losses and ends."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from typing import Any


@dataclass(slots=True)
class Course:
    """What a run has done so far: the part of a checkpoint that is plain numbers.

    Attributes:
        step: optimizer steps taken.
        windows: trained on.
        tokens, padded: of them, without and with padding.
        seconds: of the steps, evaluations not counted.
        loss: mean training loss between the last two readings of it.
        best_step, best_f1, best_loss: of the best evaluation; the validation loss only where it decides.
        without_gain: evaluations since F1 rose last.
        curve: one row per evaluation; its `step` is the number of steps before it. In training on the source
            datasets: step, loss, macro_f1, f1/<dataset>, em/<dataset>, weight/<dataset>, deviation.
    """

    step: int = 0
    windows: int = 0
    tokens: int = 0
    padded: int = 0
    seconds: float = 0.0
    loss: float = 0.0
    best_step: int = 0
    best_f1: float = -1.0
    best_loss: float | None = None
    without_gain: int = 0
    curve: list[dict[str, float]] = field(default_factory=list)

    def count(self, windows: int, tokens: int, padded: int) -> None:
        """One more step, on so many windows."""
        self.step += 1
        self.windows += windows
        self.tokens += tokens
        self.padded += padded

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Count the seconds of the block, unless it raises."""
        began = time.perf_counter()
        yield
        self.seconds += time.perf_counter() - began

    @property
    def padding_waste(self) -> float:
        """Share of the positions trained on that were padding; 0 where nothing was."""
        return 1 - self.tokens / self.padded if self.padded else 0.0

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return asdict(self)

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint's state."""
        for entry in fields(self):
            setattr(self, entry.name, state[entry.name])


@dataclass(frozen=True, slots=True)
class Timetable:
    """When a run evaluates, reads its losses and ends.

    Attributes:
        steps: at most.
        evaluate_every: steps between two evaluations; the last step is followed by one in any case.
        loss_every: steps between two readings of the losses, which wait for the device; an evaluation is
            preceded by one in any case.
        patience: evaluations in a row without a higher F1 that end the run.
        from_start: whether the weights that it starts from are evaluated too, and may be the best.
    """

    steps: int
    evaluate_every: int
    loss_every: int
    patience: int
    from_start: bool = False

    def evaluation_due(self, course: Course) -> bool:
        """Whether the present weights are to be evaluated and were not yet."""
        evaluated = course.curve[-1]["step"] if course.curve else -1 if self.from_start else 0
        at = course.step % self.evaluate_every == 0 or course.step == self.steps
        return at and course.step > evaluated

    def loss_due(self, course: Course) -> bool:
        """Whether the losses since the last reading are to be read."""
        return course.step % self.loss_every == 0 or self.evaluation_due(course)

    def ended(self, course: Course) -> bool:
        """Whether no further step is to be taken."""
        return course.step >= self.steps or course.without_gain >= self.patience
