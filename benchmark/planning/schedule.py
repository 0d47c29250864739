"""Jobs in an order that respects what they need, several at a time; and how long that takes if each takes its
estimate.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from benchmark.planning.commands import Command

DONE, FAILED, NOT_RUN = "done", "failed", "not run"


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
