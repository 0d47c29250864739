"""`--run`: the missing runs as processes, told line by line on stderr; models removed where none is to be
kept.
"""

from __future__ import annotations

import os
import queue
import shutil
import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmark.cli.messages import tell
from benchmark.cli.progress import duration
from benchmark.cli.signals import ended
from benchmark.planning.processes import Processes, children_environment
from benchmark.planning.schedule import DONE, FAILED, NOT_RUN, Job, JobOutcome, Worker, makespan
from bmt.runtime.files import file_digest, write_aside

TICK = 60.0  # seconds between signs of life


@dataclass(slots=True)
class Announcer:
    """Tells what happens, with the time left, and removes the models that are not kept.

    slots: jobs at a time. stretch: how many times its estimate a job takes beside others. keep: as `--keep`.
    """

    jobs: Sequence[Job]
    slots: int
    stretch: float
    keep: str
    clock: Callable[[], float] = time.monotonic
    _began: dict[str, float] = field(default_factory=dict)
    over: dict[str, JobOutcome] = field(default_factory=dict)

    def started(self, job: Job, slot: str | None) -> None:
        """One line."""
        self._began[job.name] = self.clock()
        tell(f"start {job.name}" + (f" on GPU {slot}" if slot is not None else ""))

    def ended(self, job: Job, outcome: JobOutcome) -> None:
        """One line, and a failed job's log's tail."""
        self._began.pop(job.name, None)
        self.over[job.name] = outcome
        state, *tail = f"{outcome.state}: {outcome.text}".removesuffix(": ").split("\n")
        took = f" in {duration(outcome.seconds)}" if outcome.seconds else ""
        tell(f"[{len(self.over)} of {len(self.jobs)}] {job.name}{took} {state}{self._left()}", *tail)
        if self.keep == "none":
            self._remove_models()

    def waiting(self) -> None:
        """A sign of life."""
        now = self.clock()
        running = [f"{name} for {duration(now - began)}" for name, began in self._began.items()]
        tell(f"running {', '.join(running)}{self._left()}")

    def seconds_left(self) -> float:
        """By the estimates of what is not over, corrected by how the estimates of what is over were."""
        done = [
            job
            for job in self.jobs
            if not job.guessed and self.over.get(job.name, JobOutcome("")).state == DONE
        ]
        expected = sum(job.seconds for job in done)
        ratio = sum(self.over[job.name].seconds for job in done) / expected if expected else self.stretch
        open_jobs = [job for job in self.jobs if job.name not in self.over]
        now = self.clock()
        left = [
            replace(job, seconds=max(0.0, ratio * job.seconds - (now - self._began.get(job.name, now))))
            for job in open_jobs
        ]
        return makespan(sorted(left, key=lambda job: job.name not in self._began), self.slots)

    def _left(self) -> str:
        return f"; about {duration(self.seconds_left())} left" if len(self.over) < len(self.jobs) else ""

    def _remove_models(self) -> None:
        """Models of done jobs that no job will need any more; a job that failed may be run again, and needs
        its source.
        """
        done = {name for name, outcome in self.over.items() if outcome.state == DONE}
        for job in self.jobs:
            if (
                job.model
                and job.name in done
                and all(other.name in done for other in self.jobs if job.name in other.needs)
            ):
                shutil.rmtree(job.model, ignore_errors=True)


def run_all(
    jobs: Sequence[Job], slots: Sequence[str | None], work: Worker, announcer: Announcer
) -> dict[str, JobOutcome]:
    """Run the jobs, each in a thread of its own on one of `slots` (a GPU's number, or None); how each ended.

    A job that fails stops only those that need it. KeyboardInterrupt and SystemExit (a signal) stop what
    runs, wait for its end, and are raised again; a second one kills.
    """
    waiting, free = list(jobs), list(slots)
    over = announcer.over
    running: dict[str, threading.Thread] = {}
    outcomes: queue.SimpleQueue[tuple[Job, str | None, JobOutcome]] = queue.SimpleQueue()
    names = {job.name for job in jobs}

    def do(job: Job, slot: str | None) -> None:
        try:
            outcome = work(job, slot)
        except Exception as error:  # whatever one job comes to, the others go on
            outcome = JobOutcome(FAILED, f"{type(error).__name__}: {error}")
        outcomes.put((job, slot, outcome))

    def lost(job: Job) -> list[str]:
        return [name for name in sorted(job.needs & over.keys()) if over[name].state != DONE]

    try:
        while waiting or running:
            for job in list(waiting):
                if free and not ((job.needs | job.after) & names) - over.keys():
                    waiting.remove(job)
                    slot = free.pop(0)
                    # kept before it starts: an interrupt in between finds a thread that is not alive
                    running[job.name] = threading.Thread(target=do, args=(job, slot), daemon=True)
                    running[job.name].start()
                    announcer.started(job, slot)
            try:
                job, slot, outcome = outcomes.get(timeout=TICK)
            except queue.Empty:
                announcer.waiting()
                continue
            del running[job.name]
            free.append(slot)
            announcer.ended(job, outcome)
            while blocked := next(filter(lost, waiting), None):
                waiting.remove(blocked)
                announcer.ended(blocked, JobOutcome(NOT_RUN, f"it needs {', '.join(lost(blocked))}"))
    except BaseException:
        work.stop()
        for thread in running.values():
            while thread.is_alive():
                try:
                    thread.join()
                except (KeyboardInterrupt, SystemExit):
                    work.kill()
        raise
    return over


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
    tell(f"{len(jobs)} to run, {slots} at a time; logs: {logs}")
    announcer = Announcer(jobs, slots, 1.0 if gpus else float(slots), keep)
    with ended(signal.SIGHUP):  # SIGTERM and a closed terminal, as Ctrl-C does
        return run_all(jobs, tuple(gpus) or (None,) * slots, work, announcer)


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
        tell(f"tracking: {error}: the runs go on, `python -m benchmark.track sync` delivers them later")
