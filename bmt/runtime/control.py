"""How a run is controlled: whom it tells what it measures, where it is kept, and when it ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from bmt.runtime.checkpoints import Checkpoints
from bmt.runtime.ranks import Ranks
from bmt.runtime.stopping import Stop, never

Progress = Callable[[int, str], None]


def unheard(*_: Any) -> None:
    """A report, or a progress, that nobody listens to."""


@dataclass(frozen=True, slots=True)
class RunControl:
    """What steers a run and is no part of its result: by default nobody listens, nothing is kept, nothing
    stops it.

    Attributes:
        report: called with what was measured, now and then; the function that takes the control says with
            what.
        progress: called with (work done since the last call, note).
        checkpoints: where to save, and to resume from; None: nowhere.
        ranks: of the processes that all run this with the same arguments; a process alone by default.
        stop: asked before every step whether the run is to end.
    """

    report: Callable[..., None] = unheard
    progress: Progress = unheard
    checkpoints: Checkpoints | None = None
    ranks: Ranks = field(default_factory=Ranks)
    stop: Stop = never
