"""What `python -m tools.performance` measures of core, data and train, by its options."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterable, Mapping
from functools import partial

import torch

from benchmark.config.params import repository_root
from bmt.errors import ConfigError
from tools.performance import core, data, on_gpu, subject, training
from tools.performance.bench import Bench
from tools.performance.figures import Measurement
from tools.performance.paper_steps import PaperScale
from tools.performance.paper_windows import subject_windows

ROWS = {"cpu": (8,), "cuda": (48, 8)}
"""Windows per step of `core`, by device."""
GPU = "gpu"
"""The part of `train` that is measured on a GPU, alone."""
ON_GPU = ("steps", "hours", "kernels", "trainer", "graph")
"""Its measurements, functions of `on_gpu.PaperSpeed`, in this order: an earlier one's figures go into a later
one.
"""

Experiment = Callable[[Bench], Measurement]
OfSubject = Callable[[subject.Subject, Bench], Measurement]
Experiments = tuple[str, Iterable[str], Mapping[str, Experiment]]
"""The part of the page that they renew, the names that it holds, and those that are measured now."""
DATA: dict[str, OfSubject] = {
    "features": data.features,
    "padding": data.padded,
    "answers": data.decoded,
    "processes": data.processes,
    "memory": data.memory,
}
LONG = ("processes", "memory")
"""What `--long` is needed for."""
TRAIN: dict[str, OfSubject] = {
    "steps": training.trained,
    "undropped": partial(training.trained, title="Training steps without dropout", dropout=0.0),
    "evaluation": training.evaluated,
    "aside": training.aside,
}


def core_experiments(options: argparse.Namespace) -> Experiments:
    """Masked steps and mask learning, and the sizes of masks and optimizer state."""
    device = torch.device("cuda" if torch.cuda.is_available() and not options.cpu else "cpu")
    on_cuda = device.type == "cuda"
    shape, precision = ("roberta-base", "bf16") if on_cuda else ("minilm", "fp32")
    shape = options.shape or shape
    chosen: dict[str, Experiment] = {}
    steps = core.GPU_STEPS if on_cuda else 1
    rows_of = [options.rows] if options.rows else ROWS[device.type]
    for rows in rows_of:
        setting = core.CoreSetting(shape, rows, options.tokens, device, precision)
        chosen[f"{rows} windows"] = partial(core.measured_steps, setting, course=core.CoreCourse(steps=steps))
    if on_cuda:  # last: a profiler can leave what comes after it slower
        for rows in rows_of:
            setting = core.CoreSetting(shape, rows, options.tokens, device, precision)
            chosen[f"{rows} windows, kernels"] = partial(
                core.profiled_steps, setting, course=core.CoreCourse(steps=steps)
            )
    chosen["sizes"] = partial(core.measured_sizes, shape, device)
    return f"core {device.type}", chosen, chosen


def data_experiments(options: argparse.Namespace) -> Experiments:
    """Features, padding, answers; with --long processes and memory."""
    wanted = options.only or [name for name in DATA if options.long or name not in LONG]
    measured = _subject(options)
    chosen = {name: partial(measure, measured) for name, measure in DATA.items() if name in wanted}
    return "data cpu", DATA, chosen


def train_experiments(options: argparse.Namespace) -> Experiments:
    """Training and evaluation against HF Trainer; on a GPU the paper's scale."""
    there = torch.cuda.is_available()
    wanted = options.only or ([GPU] if there else list(TRAIN))
    if GPU in wanted and (not there or len(wanted) > 1):
        why = (
            "not allowed beside other parts: run it alone" if there else "no GPU is there that torch can use"
        )
        raise ConfigError(f"--only {GPU}: {why}")
    measured = _subject(options, steps=options.steps)
    if GPU in wanted:
        return "train cuda", ON_GPU, _on_gpu(measured)
    chosen = {name: partial(measure, measured) for name, measure in TRAIN.items() if name in wanted}
    return "train cpu", TRAIN, chosen


def _on_gpu(measured: subject.Subject) -> dict[str, Experiment]:
    """The measurements at the paper's scale, on one set of windows, which the first makes."""

    made: list[on_gpu.PaperSpeed] = []

    def experiment(name: str) -> Experiment:
        def measure(bench: Bench) -> Measurement:
            if not made:
                scale = PaperScale(torch.device("cuda"), steps=measured.sizes.steps)
                made.append(on_gpu.PaperSpeed(subject_windows(measured, bench), scale))
            chosen: on_gpu.Experiment = getattr(made[0], name)
            return chosen(bench, lambda _: None)

        return measure

    return {name: experiment(name) for name in ON_GPU}


def _subject(options: argparse.Namespace, **sizes: int) -> subject.Subject:
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # before the worker that loads batches is forked
    root = repository_root()
    folder = options.data or root / "data" / "raw" / "mini"
    return subject.minilm_subject(folder, root / "profiles" / "mini.yaml", **sizes)


VERBS = {"core": core_experiments, "data": data_experiments, "train": train_experiments}
