"""Jobs in an order that respects what they need, several at a time; and how long that takes if each takes its
estimate.

`run_all` knows nothing of processes: it is given a function that does one job, and calls it from one thread
per slot.
"""

from __future__ import annotations

import heapq
import queue
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from benchmark.planning.commands import Command

DONE, FAILED, NOT_RUN = "done", "failed", "not run"
TICK = 60.0  # seconds between signs of life


@dataclass(frozen=True, slots=True)
class Job:
    """One thing to run.

    seconds: estimate, or with `guessed` a number that says nothing of how good the others' are. needs: jobs
        that must have succeeded
    before. after: jobs that must be over before, in whatever way: two that would learn the same masks.
    expects: files that it must leave. model: a folder that may go once the job and those that need it are
    done.
    """

    name: str
    commands: tuple[Command, ...]
    seconds: float = 0.0
    needs: frozenset[str] = frozenset()
    after: frozenset[str] = frozenset()
    expects: tuple[Path, ...] = ()
    model: Path | None = None
    guessed: bool = False


@dataclass(frozen=True, slots=True)
class JobOutcome:
    """How a job ended: `state` is one of the words above, `text` says why, with its log's tail."""

    state: str
    text: str = ""
    seconds: float = 0.0


class Watcher(Protocol):
    """Who is told what happens, in the main thread."""

    def started(self, job: Job, slot: str | None) -> None:
        """A job has begun."""

    def ended(self, job: Job, outcome: JobOutcome) -> None:
        """A job is over, or will not be run."""

    def waiting(self, running: Mapping[str, float]) -> None:
        """A while has passed; `running`: seconds of each job that runs."""


class Worker(Protocol):
    """Does the jobs."""

    def __call__(self, job: Job, slot: str | None) -> JobOutcome:
        """Do a job and wait for its end."""

    def stop(self) -> None:
        """Ask the jobs that run to end; none starts any more."""

    def kill(self) -> None:
        """End them at once."""


def makespan(jobs: Sequence[Job], slots: int) -> float:
    """Seconds that the jobs take on `slots` slots, each started as early as the order of `jobs` and what it
    waits for allow.
    """
    waiting, over, running, now = list(jobs), set[str](), list[tuple[float, str]](), 0.0
    names = {job.name for job in jobs}
    while waiting or running:
        for job in list(waiting):
            if len(running) < slots and not ((job.needs | job.after) & names) - over:
                heapq.heappush(running, (now + job.seconds, job.name))
                waiting.remove(job)
        if not running:
            raise ValueError(f"jobs that wait for each other: {', '.join(job.name for job in waiting)}")
        now, name = heapq.heappop(running)
        over.add(name)
    return now


def run_all(
    jobs: Sequence[Job], slots: Sequence[str | None], work: Worker, watcher: Watcher
) -> dict[str, JobOutcome]:
    """Run the jobs, each on one of `slots` (a GPU's number, or None); how each ended.

    A job that fails stops only those that need it. KeyboardInterrupt and SystemExit (a signal) stop what
    runs, wait for its end, and are raised again; a second one kills.
    """
    waiting, free = list(jobs), list(slots)
    over: dict[str, JobOutcome] = {}
    running: dict[str, float] = {}
    ended: queue.SimpleQueue[tuple[Job, str | None, JobOutcome]] = queue.SimpleQueue()
    names = {job.name for job in jobs}

    def do(job: Job, slot: str | None) -> None:
        try:
            outcome = work(job, slot)
        except Exception as error:  # whatever one job comes to, the others go on
            outcome = JobOutcome(FAILED, f"{type(error).__name__}: {error}")
        ended.put((job, slot, outcome))

    def drop_blocked() -> None:
        for job in list(waiting):
            lost = [name for name in sorted(job.needs & over.keys()) if over[name].state != DONE]
            if lost:
                waiting.remove(job)
                over[job.name] = JobOutcome(NOT_RUN, f"it needs {', '.join(lost)}")
                watcher.ended(job, over[job.name])
                drop_blocked()
                return

    try:
        while waiting or running:
            for job in list(waiting):
                if free and not ((job.needs | job.after) & names) - over.keys():
                    waiting.remove(job)
                    slot = free.pop(0)
                    threading.Thread(target=do, args=(job, slot), name=job.name, daemon=True).start()
                    running[job.name] = time.monotonic()
                    watcher.started(job, slot)
            try:
                job, slot, outcome = ended.get(timeout=TICK)
            except queue.Empty:
                watcher.waiting({name: time.monotonic() - began for name, began in running.items()})
                continue
            del running[job.name]
            free.append(slot)
            over[job.name] = outcome
            watcher.ended(job, outcome)
            drop_blocked()
    except BaseException:
        work.stop()
        while running:
            try:
                del running[ended.get()[0].name]
            except (KeyboardInterrupt, SystemExit):
                work.kill()
        raise
    return over
