"""A run's system metrics while it lives, whether or not a tracking store is there."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

PAUSES = (5.0, 30.0)
"""Seconds between two samples, the shortest and the longest."""


def next_pause(elapsed: float) -> float:
    """Seconds to the next sample of a run that is `elapsed` seconds old: as old again, within `PAUSES`.

    So a run of half a minute has a few, and one of days no more than two a minute.
    """
    shortest, longest = PAUSES
    return min(longest, max(shortest, elapsed))


@contextmanager
def sampled(sample: Callable[[], None]) -> Iterator[None]:
    """Call `sample` at the block's start, now and then during it, and at its end, whatever ends it."""
    ended = threading.Event()
    began = time.monotonic()

    def work() -> None:
        while not ended.wait(next_pause(time.monotonic() - began)):
            sample()

    sample()
    thread = threading.Thread(target=work, name="samples", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        sample()
