"""`--run`: the missing runs as processes, told line by line on stderr; models removed where none is to be
kept.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType

from benchmark.cli.progress import duration
from benchmark.planning.processes import Processes, children_environment
from benchmark.planning.schedule import DONE, Job, JobOutcome, Worker, makespan, run_all
from bmt.runtime.files import file_digest, write_aside


class Announcer:
    """Tells what happens, with the time left, and removes the models that are not kept.

    Args:
        slots: jobs at a time. stretch: how many times its estimate a job takes beside others.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        slots: int,
        stretch: float,
        keep: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._jobs, self._slots, self._stretch, self._keep, self._clock = (
            tuple(jobs),
            slots,
            stretch,
            keep,
            clock,
        )
        self._began: dict[str, float] = {}
        self._over: dict[str, JobOutcome] = {}

    def started(self, job: Job, slot: str | None) -> None:
        """One line."""
        self._began[job.name] = self._clock()
        self._tell(f"start {job.name}" + (f" on GPU {slot}" if slot is not None else ""))

    def ended(self, job: Job, outcome: JobOutcome) -> None:
        """One line, and a failed job's log's tail."""
        self._began.pop(job.name, None)
        self._over[job.name] = outcome
        state, _, more = (
            f"{outcome.state}: {outcome.text}".partition("\n") if outcome.text else (outcome.state, "", "")
        )
        took = f" in {duration(outcome.seconds)}" if outcome.seconds else ""
        self._tell(
            f"[{len(self._over)} of {len(self._jobs)}] {job.name}{took} {state}{self._left()}"
            + (f"\n{more}" if more else "")
        )
        if self._keep == "none":
            self._remove_models()

    def waiting(self, running: Mapping[str, float]) -> None:
        """A sign of life."""
        self._tell(
            "running "
            + ", ".join(f"{name} for {duration(seconds)}" for name, seconds in running.items())
            + self._left()
        )

    def seconds_left(self) -> float:
        """By the estimates of what is not over, corrected by how the estimates of what is over were."""
        done = [
            job
            for job in self._jobs
            if not job.guessed and self._over.get(job.name, JobOutcome("")).state == DONE
        ]
        expected = sum(job.seconds for job in done)
        ratio = sum(self._over[job.name].seconds for job in done) / expected if expected else self._stretch
        open_jobs = [job for job in self._jobs if job.name not in self._over]
        now = self._clock()
        left = [
            replace(job, seconds=max(0.0, ratio * job.seconds - (now - self._began.get(job.name, now))))
            for job in open_jobs
        ]
        return makespan(sorted(left, key=lambda job: job.name not in self._began), self._slots)

    def _left(self) -> str:
        return f"; about {duration(self.seconds_left())} left" if len(self._over) < len(self._jobs) else ""

    def _remove_models(self) -> None:
        """Models of done jobs that no job will need any more; a job that failed may be run again, and needs
        its source.
        """
        done = {name for name, outcome in self._over.items() if outcome.state == DONE}
        for job in self._jobs:
            if (
                job.model
                and job.name in done
                and all(other.name in done for other in self._jobs if job.name in other.needs)
            ):
                shutil.rmtree(job.model, ignore_errors=True)

    def _tell(self, line: str) -> None:
        print(line, file=sys.stderr, flush=True)


def run_jobs(
    jobs: Sequence[Job], gpus: Sequence[str], slots: int, keep: str, logs: Path, work: Worker | None = None
) -> dict[str, JobOutcome]:
    """Run the jobs, on the GPUs or `slots` at a time, and say how each ended; the tracker's store is opened
    once before several start.

    Args:
        work: what does a job; processes unless a test says otherwise.
    """
    if slots > 1 and work is None:
        _open_store()
    work = work or Processes(logs, children_environment(slots))
    print(f"{len(jobs)} to run, {slots} at a time; logs: {logs}", file=sys.stderr, flush=True)
    told = Announcer(jobs, slots, 1.0 if gpus else float(slots), keep)
    with _signals():
        return run_all(jobs, tuple(gpus) or (None,) * slots, work, told)


def frozen_params(path: Path, logs: Path) -> Path:
    """A copy of the params file under its digest: what is switched or edited while a plan runs does not
    change the rest of it.
    """
    copy = logs / f"params-{file_digest(path)[:12]}.yaml"
    with write_aside(copy) as aside:
        shutil.copyfile(path, aside)
    return copy


def _open_store() -> None:
    """Make MLflow's database before several processes would at once. Where that fails, they record to their
    journals.
    """
    if os.environ.get("BMT_TRACKING") == "journal":
        return
    from benchmark.tracking import mlflow_store as tracking
    from benchmark.tracking.journal_upload import RejectedError, UnreachableError

    try:
        tracking.connect()
    except (RejectedError, UnreachableError) as error:
        print(
            f"tracking: {error}: the runs go on, `python -m benchmark.track sync` delivers them later",
            file=sys.stderr,
            flush=True,
        )


@contextmanager
def _signals() -> Iterator[None]:
    """SIGTERM and a closed terminal end the block as Ctrl-C does, with 128 + the signal as exit status."""

    def leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    for number, handler in before.items():
        if handler is signal.SIG_DFL:
            signal.signal(number, leave)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
