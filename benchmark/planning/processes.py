"""One job as child processes: its commands one after the other, what they print in a log, the log locked for
as long as they live.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import benchmark
from benchmark.planning.commands import shown
from benchmark.planning.schedule import DONE, FAILED, NOT_RUN, Job, JobOutcome
from benchmark.tracking.environment import cpu_count

TAIL = 12  # lines of a failed job's log that are shown
GRACE = 120.0  # seconds that a child has to write its checkpoint after SIGTERM
LOCK_TRIES = 20  # a look at the lock (`states.being_made`) holds it for an instant


class Processes:
    """Runs jobs as children, each in a session of its own: Ctrl-C reaches them through `stop` alone.

    Args:
        logs: folder of `<job>.log`.
        environment: what the children get on top of this process's.
    """

    def __init__(self, logs: Path, environment: Mapping[str, str]) -> None:
        self._logs, self._environment = logs, dict(environment)
        self._lock, self._stopping = threading.Lock(), False
        self._children: set[subprocess.Popen[bytes]] = set()

    def __call__(self, job: Job, slot: str | None) -> JobOutcome:
        """Run a job's commands until one fails; `slot` is the GPU that they see, None: as this process."""
        began = time.monotonic()
        path = self._logs / f"{job.name}.log"
        path.parent.mkdir(parents=True, exist_ok=True)

        def ended(state: str, text: str = "") -> JobOutcome:
            tail = f"\n{_tail(path, start)}" if state == FAILED else ""
            return JobOutcome(state, text + tail, time.monotonic() - began)

        with open(path, "ab") as log:
            if not _locked(log):
                return JobOutcome(NOT_RUN, f"another process makes it now ({path} is locked)")
            start = log.tell()
            for command in job.commands:
                log.write(f"$ {shown([command])}\n".encode())
                log.flush()
                status = self._run((sys.executable, *command[1:]), slot, log)
                if status is None:
                    return ended(NOT_RUN, "stopped before it began")
                if status:
                    name = (
                        f"exit status {status}" if status > 0 else f"killed by {signal.Signals(-status).name}"
                    )
                    return ended(FAILED, f"{name}: {shown([command])}")
        absent = [str(file) for file in job.expects if not file.exists()]
        return ended(FAILED, f"it ended well and left no {', '.join(absent)}") if absent else ended(DONE)

    def _run(self, command: tuple[str, ...], slot: str | None, log: BinaryIO) -> int | None:
        """The exit status of a command; None: not started, for all is being stopped."""
        environment = (
            os.environ | self._environment | ({} if slot is None else {"CUDA_VISIBLE_DEVICES": slot})
        )
        with self._lock:
            if self._stopping:
                return None
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )
            self._children.add(child)
        status = child.wait()
        with self._lock:
            self._children.discard(child)
        return status

    def stop(self) -> None:
        """SIGTERM: training writes a checkpoint and ends. Those that have not ended after GRACE seconds are
        killed.
        """
        self._signal(signal.SIGTERM)
        timer = threading.Timer(GRACE, self.kill)
        timer.daemon = True
        timer.start()

    def kill(self) -> None:
        """SIGKILL."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        with self._lock:
            self._stopping = True
            for child in self._children:
                if child.poll() is None:
                    os.killpg(child.pid, number)


def children_environment(jobs: int) -> dict[str, str]:
    """Threads of each of `jobs` children: their share of OMP_NUM_THREADS, or of the CPUs; and the checkout's
    own packages.
    """
    threads = {}
    if jobs > 1:
        limit = os.environ.get("OMP_NUM_THREADS", "")
        cores = int(limit) if limit.isdecimal() and int(limit) else cpu_count()
        threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(max(1, cores // jobs)))
    home = str(Path(benchmark.__file__).resolve().parent.parent)
    paths = [home, *filter(None, [os.environ.get("PYTHONPATH")])]
    return threads | {"PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}


def _locked(log: BinaryIO) -> bool:
    """Take the lock of a log; the children inherit it with their output."""
    for _ in range(LOCK_TRIES):
        try:
            fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            time.sleep(0.01)
    return False


def _tail(path: Path, start: int) -> str:
    """The last lines of a log from byte `start`, indented."""
    with open(path, "rb") as stream:
        stream.seek(start)
        lines = stream.read().decode("utf-8", "replace").replace("\r", "\n").splitlines()
    return "\n".join(f"    {line}" for line in [*lines[-TAIL:], f"(all of it: {path})"])
