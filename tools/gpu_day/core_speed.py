"""Part 3 of the day: masked steps and mask learning against the plain step, at RoBERTa-base's shape in
bf16.
"""

from __future__ import annotations

import gc
from collections.abc import Collection
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import gettempdir

import torch

from benchmark.cli.progress import progress
from tools.gpu_day.part_run import PartRun
from tools.performance.bench import Bench
from tools.performance.core import (
    GPU_STEPS,
    PLAIN,
    SLOW,
    TARGETS,
    TRIALS,
    CoreCourse,
    CoreSetting,
    measured_steps,
    profiled_steps,
)
from tools.performance.figures import Keep, Measurement

ROWS = (48, 8)
TOKENS = 384
ROUNDS, SLOW_ROUNDS = 7, 2
FAST = (PLAIN, *TARGETS)
TRIED = ("six masks", "mask learning", *TRIALS)
"""Trials, and what they would take the place of."""
NEEDS = 8.0
"""Seconds with fewer of which left nothing more begins."""


def settings(run: PartRun) -> list[CoreSetting]:
    """What is measured, the more important first; in a rehearsal a tiny shape."""
    if run.rehearsal:
        return [CoreSetting("rehearsal", rows, 24, run.device, "bf16") for rows in (12, 6)]
    return [CoreSetting("roberta-base", rows, TOKENS, run.device, "bf16") for rows in ROWS]


def silent_bench(rounds: int) -> Bench:
    """Rounds without a bar, of experiments that write nothing."""
    return Bench(rounds, progress("", shown=False), Path(gettempdir()))


def measure(run: PartRun) -> None:
    """Ratios at both sizes, then memory and kernels at both (a profiler can leave what comes after it
    slower), then the oracles, which are slow.

    What remains of the time when a line ends is shared out anew, so that each has its turn.
    """
    steps, rounds = (1, 1) if run.rehearsal else (GPU_STEPS, ROUNDS)
    needs = 0.0 if run.rehearsal else NEEDS
    both = settings(run)
    lines = [(setting, kind) for kind in ("ratios", "kernels") for setting in both]
    if run.rehearsal:
        lines = lines[:3]
    for number, (setting, kind) in enumerate(lines):
        share = 1 / (len(lines) - number) if number else 0.4
        names = FAST[:2] if run.rehearsal and kind == "kernels" else FAST
        course = _course(run, names, steps, run.left * (1 - share))
        if kind == "ratios":
            run.grow(setting.title, partial(_ratios, setting, rounds, course, setting.title), needs=needs)
        else:
            title = f"{setting.title}: memory and kernels"
            run.grow(title, partial(_kernels, setting, course), needs=needs)
    slow, last = both[0], (("trials", TRIED, rounds), ("the oracles", SLOW, min(rounds, SLOW_ROUNDS)))
    for what, names, turns in last:
        title = f"{slow.title}: {what}"
        course = _course(run, names, steps if names == TRIED else min(2, steps), 3.0)
        # a rehearsal builds what is compiled, and does not compile it
        with torch.compiler.set_stance("force_eager" if run.rehearsal else "default"):
            run.grow(title, partial(_ratios, slow, turns, course, title), needs=needs)


def _course(run: PartRun, names: Collection[str], steps: int, reserve: float) -> CoreCourse:
    """A course that ends where less than `reserve` seconds of the part's are left."""
    return CoreCourse(names, steps, lambda: run.left - reserve, fail=run.fail)


def _ratios(setting: CoreSetting, rounds: int, course: CoreCourse, title: str, keep: Keep) -> Measurement:
    gc.collect()  # what the line before held on the GPU
    return measured_steps(setting, silent_bench(rounds), replace(course, keep=keep), title)


def _kernels(setting: CoreSetting, course: CoreCourse, keep: Keep) -> Measurement:
    gc.collect()
    return profiled_steps(setting, silent_bench(1), replace(course, keep=keep))
