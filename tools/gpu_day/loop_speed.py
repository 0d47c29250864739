"""Part 4 of the day: the loop at the paper's scale, HF Trainer beside it, and what would make it faster."""

from __future__ import annotations

import gc
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmark.cli.progress import progress
from tools.gpu_day.part_run import PartRun
from tools.performance.bench import Bench
from tools.performance.figures import Keep, Measurement
from tools.performance.on_gpu import Experiment, PaperSpeed
from tools.performance.paper_steps import PaperScale
from tools.performance.paper_windows import PaperWindows, generated_windows

ROUNDS = 3
LINES = {
    "training": ("steps", 0.35),
    "hours": ("hours", 0.25),
    "kernels": ("kernels", 0.25),
    "Trainer": ("trainer", 0.5),
    "graph": ("graph", 0.2),
}
"""What is measured in which order, by which function of `PaperSpeed`, and up to which share of the time
left.
"""
COMPILING = 20.0
"""Seconds that compiling a layer and some steps may take."""


def paper_windows(run: PartRun) -> PaperWindows:
    """The windows that the loop is measured on.

    The pack's are of 256 tokens, one per question; the paper's, of 512 that share 256, are made here with the
    lengths that the real files give.
    """
    return generated_windows(40, 3, shrunk=8) if run.rehearsal else generated_windows(2000, 100)


def scale_of(run: PartRun) -> PaperScale:
    """How much is measured; in a rehearsal next to nothing."""
    if run.rehearsal:
        return PaperScale(
            run.device, "rehearsal", matrix=64, budget=600, steps=1, backend=None, window=64, brief=True
        )
    return PaperScale(run.device, steps=16)


def measure(run: PartRun) -> None:
    """Steps, the hours of a run, kernels, Trainer, a graph; where launches are what is waited for, a
    compiler.
    """
    speed = PaperSpeed(paper_windows(run), scale_of(run))
    rounds, needs = (1, 0.0) if run.rehearsal else (ROUNDS, 5.0)
    with TemporaryDirectory(prefix="bmt-loop-") as folder:

        def line(title: str, experiment: Experiment, reserve: float, needs: float = needs) -> None:
            speed.scale = replace(speed.scale, left=lambda: run.left - reserve)
            bench = Bench(rounds, progress("", shown=False), Path(folder))
            run.grow(title, partial(_measured, experiment, bench), needs=needs)

        for title, (name, share) in LINES.items():
            line(title, getattr(speed, name), run.left * (1 - share))
        if speed.launches_wait:
            line("torch.compile", speed.compiled, 2.0, needs=0.0 if run.rehearsal else COMPILING)


def _measured(experiment: Experiment, bench: Bench, keep: Keep) -> Measurement:
    gc.collect()  # what the line before held on the GPU
    return experiment(bench, keep)
