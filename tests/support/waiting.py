"""Waiting for what another thread or process does: as long as it takes, and no longer than it lives."""

from __future__ import annotations

import time
from collections.abc import Callable


def wait_until(happened: Callable[[], bool], alive: Callable[[], bool]) -> None:
    """Return once `happened`; fail where what should make it happen is no longer `alive`.

    There is no limit of seconds: a busy machine is no failure, and pytest's own timeout ends what hangs.
    """
    while not happened():
        assert alive() or happened(), "it ended before what was waited for"
        time.sleep(0.01)
