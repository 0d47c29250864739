"""What differs between one training and another beside data and settings: the loop asks a `Procedure`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from bmt.runtime.control import RunControl
from bmt.runtime.stopping import Stop, never
from bmt.training.course import Course, Timetable


class Draws(Protocol):
    """Which windows each step trains on."""

    def draw(self, step: int) -> Sequence[tuple[int, int]]:
        """(position of the dataset, window row) of each window of a step; steps are asked for in order."""

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps, as plain numbers: nothing where a step's number decides its windows."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint's state."""
        return


@dataclass(frozen=True, slots=True)
class Procedure:
    """How a run goes about its steps.

    Training on the source datasets draws by eq. 15 and chooses by macro F1; tuning on a few examples of a
    target takes whole epochs and chooses by F1, of equals by the loss.

    Attributes:
        timetable: when it evaluates and ends.
        draws: which windows a step trains on.
        evaluate: scores the present weights, notes it in the course and reports it; whether they are the best
            so far. It raises StoppedError where it is to end and has noted nothing.
        checkpoint_evaluations: whether each evaluation writes a checkpoint, if there is a place for it; else
            a stop alone does.
        advice: what to do about a loss that is not finite.
        stop_message: says, of a step, that the run stopped there.
    """

    timetable: Timetable
    draws: Draws
    evaluate: Callable[[Course], bool]
    checkpoint_evaluations: bool
    advice: str
    stop_message: Callable[[int], str]


def stop_alone(control: RunControl) -> Stop:
    """The stop of a process alone; `never` for several ranks, of which one may be asked before another."""
    return control.stop if control.ranks.world == 1 else never
