"""SIGTERM as a request: the work ends at its next step with a checkpoint, and the process with status 143. A
second one ends it at once.

with tracking.start(...) as run, stoppable() as stop:  # inside the run, so that it ends KILLED
    train(model, ..., checkpoints=checkpoints, stop=stop)
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from bmt.errors import BMTError
from bmt.runtime.stopping import Stop, StoppedError, never

STATUS = 128 + signal.SIGTERM
FIRST = b"SIGTERM: ending at the next step, with a checkpoint; a second SIGTERM ends at once\n"


@contextmanager
def stoppable(alone: bool = True) -> Iterator[Stop]:
    """Yield what long work asks whether it is to stop; its `StoppedError` leaves the block as
    SystemExit(143), told in one line.

    Outside the main thread, where no signal arrives, nothing ever asks. After the block SIGTERM is handled as
    before it.

    Args:
        alone: of several ranks (False) the first to end breaks the others' connections: what they raise then
            is no failure either.
    """
    if threading.current_thread() is not threading.main_thread():
        yield never
        return
    asked = threading.Event()

    def ask(number: int, frame: FrameType | None) -> None:
        if asked.is_set():
            raise SystemExit(STATUS)
        asked.set()
        os.write(2, FIRST)  # print may be what the signal has interrupted

    before = signal.signal(signal.SIGTERM, ask)
    try:
        yield asked.is_set
    except StoppedError as stopped:
        print(f"{stopped}; the same command goes on from there", file=sys.stderr)
        raise SystemExit(STATUS) from None
    except RuntimeError as error:
        if alone or not asked.is_set() or isinstance(error, BMTError):
            raise
        print(f"SIGTERM: another rank has ended ({type(error).__name__})", file=sys.stderr)
        raise SystemExit(STATUS) from None
    finally:
        signal.signal(signal.SIGTERM, before if before is not None else signal.SIG_DFL)
