"""Work done in a process of its own, so that its memory and its workers' start are its own: `python -m
tools.performance.separate_process` with a job.

The job and its usage are JSON, on the command line and on the last line of the output.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import msgspec

import bmt.qa.mrqa
from benchmark.tracking.environment import peak_memory_mb
from bmt.errors import DataError
from bmt.qa.features import BuildOptions, build
from bmt.settings import DataSettings


@dataclass(frozen=True, slots=True)
class FileJob:
    """What the process does.

    Attributes:
        path: the MRQA file.
        source: folder or name of the backbone, for its tokenizer.
        out: where features go; None: the file is only read.
        workers: processes.
        questions: stop reading after this many; None: the whole file.
    """

    path: Path
    source: str
    revision: str | None
    data: DataSettings
    out: Path | None = None
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
    tokenizer = None
    if job.out is not None:
        from bmt.qa.model import open_tokenizer  # as `benchmark.prepare` does, with all that it imports

        tokenizer = open_tokenizer(job.source, revision=job.revision, markers=job.data.special_tokens)
    began, used = time.perf_counter(), sum(os.times()[:4])
    if job.out is None:
        count = sum(1 for _ in islice(bmt.qa.mrqa.read_mrqa(job.path), job.questions))
    else:
        options = BuildOptions(job.workers)
        made = build(job.path, tokenizer, job.data, job.out, train=True, options=options)
        count = made.meta["counts"]["examples"]
    return Usage(
        time.perf_counter() - began, sum(os.times()[:4]) - used, round(peak_memory_mb() * (1 << 20)), count
    )


def in_new_process(job: FileJob) -> Usage:
    """Do it in a new process, its tokenizer on one thread. Raises DataError where that process fails."""
    environment = os.environ | {"TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1"}
    task = msgspec.json.encode(job, enc_hook=str).decode()
    command = [sys.executable, "-m", "tools.performance.separate_process", task]
    done = subprocess.run(
        command, env=environment, cwd=Path(__file__).parents[2], capture_output=True, text=True
    )
    if done.returncode:
        message = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise DataError(f"{job.path}: the measuring process failed: {message}")
    return msgspec.json.decode(done.stdout.splitlines()[-1], type=Usage)


if __name__ == "__main__":
    job = msgspec.json.decode(sys.argv[1], type=FileJob, dec_hook=lambda kind, text: kind(text))
    print(msgspec.json.encode(do_job(job)).decode())
