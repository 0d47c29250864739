"""Faults that a rehearsal is given, to see what becomes of a part that has one (`--inject PART:FAULT`)."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

from tools.gpu_day.part_run import PartRun
from tools.performance.figures import Measurement


class InjectedError(Exception):
    """What `error` raises."""


class FaultyRun(PartRun):
    """A part that meets a fault once it has kept its first measurement: within its next attempt it is killed,
    else before that, or at its end.
    """

    fault = "error"

    def attempt(
        self, title: str, measure: Callable[[], Measurement | None], **options: Any
    ) -> Measurement | None:
        """As of any part, where the fault is not due yet."""
        if self.fault == "kill" and self._record["measurements"]:
            return super().attempt(title, self._meet, **options)
        self._meet()
        return super().attempt(title, measure, **options)

    def end(self) -> None:
        """As of any part, where the fault is not due yet."""
        self._meet()
        super().end()

    def _meet(self) -> None:
        if not self._record["measurements"]:
            return
        if self.fault == "error":
            raise InjectedError("injected, outside of every attempt")
        if self.fault == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # hang: not even SIGTERM ends it
        while True:
            signal.pause()
