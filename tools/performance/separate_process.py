"""Work done in a process of its own, so that its memory and its workers' start are its own: `python -m
tools.performance.separate_process` with a job.

The job and its usage are JSON, on the command line and on the last line of the output.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import bmt.qa.mrqa
from bmt.errors import DataError
from bmt.qa.features import BuildOptions, build
from bmt.settings import DataSettings


@dataclass(frozen=True, slots=True)
class FileJob:
    """What the process does.

    Attributes:
        path: the MRQA file.
        out: where features go; None: the file is only read.
        source: folder or name of the backbone, for its tokenizer.
        workers: processes.
        questions: stop reading after this many; None: the whole file.
    """

    path: str
    out: str | None
    source: str
    revision: str | None
    window: int
    overlap: int
    question: int
    workers: int = 1
    questions: int | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """Wall seconds of the work without imports, CPU seconds of it and of its workers, peak memory of the
    process in bytes, questions.
    """

    seconds: float
    cpu: float
    peak: int
    questions: int


def do_job(job: FileJob) -> Usage:
    """Do it in this process."""
    if job.out is None:
        began, used, count = time.perf_counter(), cpu_seconds(), 0
        for _ in bmt.qa.mrqa.read_mrqa(job.path):
            count += 1
            if count == job.questions:
                break
        return Usage(time.perf_counter() - began, cpu_seconds() - used, peak_memory(), count)
    from bmt.qa.model import open_tokenizer  # as `benchmark.prepare` does, with all that it imports

    data = DataSettings(window=job.window, overlap=job.overlap, question=job.question)
    tokenizer = open_tokenizer(job.source, revision=job.revision, markers=data.special_tokens)
    began, used = time.perf_counter(), cpu_seconds()
    made = build(job.path, tokenizer, data, job.out, train=True, options=BuildOptions(job.workers))
    return Usage(
        time.perf_counter() - began, cpu_seconds() - used, peak_memory(), made.meta["counts"]["examples"]
    )


def in_new_process(job: FileJob) -> Usage:
    """Do it in a new process, its tokenizer on one thread. Raises DataError where that process fails."""
    environment = os.environ | {"TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tools.performance.separate_process", json.dumps(asdict(job))]
    done = subprocess.run(
        command, env=environment, cwd=Path(__file__).parents[2], capture_output=True, text=True
    )
    if done.returncode:
        raise DataError(
            f"{job.path}: the measuring process failed: "
            f"{(done.stderr.strip().splitlines() or ['no message'])[-1]}"
        )
    usage: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return Usage(**usage)


def cpu_seconds() -> float:
    """CPU seconds of this process and of its children that have ended."""
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def peak_memory() -> int:
    """Most memory that this process has had at once (resident, memory-mapped pages included), in bytes."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
        return next(int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith("VmHWM:"))
    except (
        OSError,
        StopIteration,
    ):  # not Linux; there ru_maxrss is a new process's own, on Linux it may be its parent's
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most << 10


if __name__ == "__main__":
    print(json.dumps(asdict(do_job(FileJob(**json.loads(sys.argv[1]))))))
