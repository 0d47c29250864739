"""Progress of long work: a bar with rate and time left in a terminal, a few plain lines anywhere else.

    with progress("train", total=900, unit="windows") as bar:
        for batch in batches:
            ...
            bar.advance(len(batch), note="loss 2.31")

`bar.advance` is the `Callable[[int, str], None]` that functions of `bmt` take. It may be called from several
threads.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TextIO

from benchmark.cli.text import printable

if TYPE_CHECKING:
    from rich.progress import Progress

Clock = Callable[[], float]
EVERY = 30.0  # seconds between two lines


class _Display:
    """Where bars are shown; this one shows nothing."""

    def start(self, bar: Bar) -> None: ...
    def update(self, bar: Bar) -> None: ...
    def end(self, bar: Bar, completed: bool) -> None: ...


class Bar:
    """One counted piece of work: `count` of `total` units, and a short note. It is shown as long as its block
    lasts.
    """

    def __init__(
        self, display: _Display, clock: Clock, name: str, total: int | None, unit: str, level: int = 0
    ) -> None:
        self.name, self.total, self.unit, self.level = printable(name), total, unit, level
        self.first, self.count, self.note = 0, 0, ""
        self._display, self._clock, self._lock = display, clock, threading.Lock()
        self._began = clock()

    def advance(self, n: int = 1, note: str = "") -> None:
        """Count `n` more units; a non-empty `note` replaces the one that is shown."""
        with self._lock:
            self.count += n
            self.note = printable(note) or self.note
            self._display.update(self)

    def resume_at(self, done: int, total: int | None) -> None:
        """The work stands at `done` of `total` (None: unknown): what changes by this call does not count into
        the rate.
        """
        with self._lock:
            self.first += done - self.count
            self.count, self.total = done, total
            self._display.update(self)

    def task(self, name: str, total: int | None = None, unit: str | None = None) -> Bar:
        """A bar under this one, for a nested or parallel part of the work. Its units do not count into this
        bar.
        """
        return Bar(self._display, self._clock, name, total, unit or self.unit, self.level + 1)

    def __enter__(self) -> Bar:
        self._display.start(self)
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        self._display.end(self, completed=error is None)

    def seconds(self) -> float:
        """Seconds since the bar started."""
        return self._clock() - self._began

    def rate(self) -> float | None:
        """Units per second since the bar started, without those done before it; None when nothing can be said
        yet.
        """
        seconds = self.seconds()
        return (self.count - self.first) / seconds if seconds > 0 and self.count > self.first else None

    def seconds_left(self) -> float | None:
        """Seconds left at this rate; None when the total or the rate is unknown."""
        rate = self.rate()
        return max(0, self.total - self.count) / rate if self.total is not None and rate else None

    @property
    def counted(self) -> str:
        """`300 of 900 windows`."""
        if self.total is None:
            return _amount(self.count, self.unit)
        return f"{_number(self.count, self.unit)} of {_amount(self.total, self.unit)}"

    @property
    def speed(self) -> str:
        """`10 windows/s`, or nothing."""
        rate = self.rate()
        return f"{_amount(rate, self.unit)}/s" if rate else ""


def progress(
    name: str,
    total: int | None = None,
    unit: str = "steps",
    *,
    shown: bool = True,
    stream: TextIO | None = None,
    clock: Clock = time.monotonic,
) -> Bar:
    """Show the progress of the block: `total` units of `unit` (None: unknown); not `shown`: only count.

    In a terminal: a bar with count, rate, time left and note. Elsewhere: a line at the start, at most one
    every EVERY seconds, and one at the end with count, seconds and rate. The unit "bytes" is shown in kB, MB
    or GB. `stream` is stderr unless given.
    """
    stream = sys.stderr if stream is None else stream
    live = stream.isatty() and os.environ.get("TERM") != "dumb"
    kind = _Live if live else _Lines
    return Bar(kind(stream, clock) if shown else _Display(), clock, name, total, unit)


class _Lines(_Display):
    """Plain lines: the start, a sign of life, the end; of a nested bar the end alone, and only when it took a
    second.
    """

    def __init__(self, stream: TextIO, clock: Clock) -> None:
        self._stream, self._clock, self._lock = stream, clock, threading.Lock()
        self._last = clock()

    def start(self, bar: Bar) -> None:
        if bar.level == 0:
            self._write(bar, bar.counted)

    def update(self, bar: Bar) -> None:
        now = self._clock()
        if now - self._last >= EVERY:
            left = bar.seconds_left()
            time_left = f"{duration(left)} left" if left is not None else ""
            self._write(bar, bar.counted, bar.speed, time_left, bar.note)
            self._last = now

    def end(self, bar: Bar, completed: bool) -> None:
        took = duration(bar.seconds())
        if bar.level and bar.seconds() < 1:
            return
        if completed:
            self._write(bar, f"{_amount(bar.count - bar.first, bar.unit)} in {took}", bar.speed, bar.note)
        else:
            self._write(bar, f"stopped at {bar.counted} after {took}")

    def _write(self, bar: Bar, *parts: str) -> None:
        with self._lock:
            self._stream.write(f"{bar.name}: {', '.join(filter(None, parts))}\n")
            self._stream.flush()


class _Live(_Display):
    """Bars of rich; a nested bar goes away when it is done."""

    def __init__(self, stream: TextIO, clock: Clock) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        name, counted, speed, note = (
            TextColumn(f"{{task.{text}}}", markup=False)
            for text in ("description", "fields[bar].counted", "fields[bar].speed", "fields[bar].note")
        )
        left = TimeRemainingColumn(compact=True, elapsed_when_finished=True)
        columns = (name, BarColumn(bar_width=24), counted, speed, left, note)
        self._progress: Progress = Progress(*columns, console=Console(file=stream), get_time=clock)
        self._tasks: dict[int, Any] = {}

    def start(self, bar: Bar) -> None:
        name = "  " * bar.level + bar.name
        self._tasks[id(bar)] = self._progress.add_task(name, total=bar.total, bar=bar)
        if bar.level == 0:
            self._progress.start()

    def update(self, bar: Bar) -> None:
        self._progress.update(self._tasks[id(bar)], completed=bar.count, total=bar.total)

    def end(self, bar: Bar, completed: bool) -> None:
        task = self._tasks.pop(id(bar))
        if bar.level == 0:
            self._progress.stop()
        else:
            self._progress.remove_task(task)


def duration(seconds: float) -> str:
    """`4.2 s`, `3 min 05 s` or `2 h 07 min`."""
    if seconds < 99.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def _number(value: float, unit: str) -> str:
    if unit != "bytes":
        return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"
    for name, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= size:
            return f"{value / size:.1f} {name}"
    return f"{value:.0f} bytes"


def _amount(value: float, unit: str) -> str:
    return _number(value, unit) + ("" if unit == "bytes" else f" {unit}")
