"""Asking long work to stop: it ends between two steps, when what a restart goes on from is written.

    train(model, ..., checkpoints=checkpoints, stop=asked.is_set)  # raises StoppedError once `asked` is set

It is no way to end early and be done: for that there are steps and patience.
"""

from __future__ import annotations

from collections.abc import Callable

Stop = Callable[[], bool]
"""Whether the work is to end; asked between two steps, and between two batches of an evaluation."""


class StoppedError(Exception):
    """The work ended because it was asked to: no failure, and nothing is lost.

    The message says where a restart goes on.
    """


def never() -> bool:
    """A `Stop` that does not ask."""
    return False


def until(
    stop: Stop, progress: Callable[[int, str], None] | None = None, what: str = "an evaluation"
) -> Callable[[int, str], None] | None:
    """`progress`, which also ends the work that reports to it when `stop` asks; what it has done of its own
    is then done again.

    Raises (when called):
        StoppedError: `stop` asks.
    """
    if stop is never:
        return progress

    def advance(count: int, note: str) -> None:
        if progress is not None:
            progress(count, note)
        if stop():
            raise StoppedError(f"stopped during {what}, which starts again")

    return advance
