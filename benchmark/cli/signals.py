"""Ctrl-C as one line from the first moment on, and SIGTERM as a request: the work ends at its next step with
a checkpoint, and the process with status 143. A second SIGTERM ends it at once.

with tracking.start(...) as run, stoppable() as stop:  # inside the run, so that it ends KILLED
    train(model, ..., checkpoints=checkpoints, stop=stop)
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

from benchmark.cli.messages import tell

if TYPE_CHECKING:
    from bmt.runtime.stopping import Stop

STATUS = 128 + signal.SIGTERM
FIRST = b"SIGTERM: ending at the next step, with a checkpoint; a second SIGTERM ends at once\n"

_open_runs = 0  # runs whose end is to be recorded


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Ctrl-C raises KeyboardInterrupt in the block; yields whether it was pressed.

    While a module is imported it ends the process at once, with the same line and status: what
    KeyboardInterrupt comes to inside a library's import, nobody knows, and nothing is lost (files are whole
    or absent). Not so inside `ended`, where a run's end is to be recorded. Outside the main thread, and where
    Ctrl-C is ignored (nohup), nothing changes.
    """
    pressed = False

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal pressed
        if not _open_runs and _importing(frame):
            os.write(2, b"interrupted\n")
            os._exit(130)
        pressed = True
        raise KeyboardInterrupt

    main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGINT)
    ours = main and before is not signal.SIG_IGN
    if ours:
        signal.signal(signal.SIGINT, interrupt)
    try:
        yield lambda: pressed
    finally:
        if ours:
            signal.signal(signal.SIGINT, before)


def _importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


@contextmanager
def ended(*others: signal.Signals) -> Iterator[None]:
    """A block whose end is recorded: SIGTERM and `others` raise SystemExit(128 + the signal) where nothing
    else handles them, and Ctrl-C raises KeyboardInterrupt even while a module is imported.
    """
    global _open_runs

    def leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    main = threading.current_thread() is threading.main_thread()
    numbers = (signal.SIGTERM, *others) if main else ()
    ours = [number for number in numbers if signal.getsignal(number) is signal.SIG_DFL]
    for number in ours:
        signal.signal(number, leave)
    _open_runs += main
    try:
        yield
    finally:
        _open_runs -= main
        for number in ours:
            if signal.getsignal(number) is leave:
                signal.signal(number, signal.SIG_DFL)


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
    from bmt.runtime.stopping import StoppedError, never

    if threading.current_thread() is not threading.main_thread():
        yield never
        return
    requested = threading.Event()

    def ask(number: int, frame: FrameType | None) -> None:
        if requested.is_set():
            raise SystemExit(STATUS)
        requested.set()
        os.write(2, FIRST)  # print may be what the signal has interrupted

    before = signal.signal(signal.SIGTERM, ask)
    try:
        yield requested.is_set
    except StoppedError as stopped:
        tell(f"{stopped}; the same command goes on from there")
        raise SystemExit(STATUS) from None
    except RuntimeError as error:
        if alone or not requested.is_set():
            raise
        tell(f"SIGTERM: another rank has ended ({type(error).__name__})")
        raise SystemExit(STATUS) from None
    finally:
        signal.signal(signal.SIGTERM, before if before is not None else signal.SIG_DFL)
