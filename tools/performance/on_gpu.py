"""The speed of training at the paper's scale on a GPU: tokens per second, share of the matrix peak, memory,
hours of one MT (w/ BMT) run.

    FLOPs of a step = 6 * encoder weights * tokens + 12 * layers * hidden size * sum of squared window lengths
    real tokens alone

The weights are random, of RoBERTa-base's shape; the windows are real ones, cut by MiniLM's tokenizer: their
lengths are what matters.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch import nn

from benchmark.cli.progress import Bar
from benchmark.config.params import Config, load
from bmt.gate_learner import GateLearner
from bmt.layers import in_encoder, kind_of, target_names
from bmt.masked_updates import mask_updates
from bmt.qa.batches import Vocabulary, collate
from bmt.qa.model import batch_loss
from bmt.settings import SamplingSettings, TrainingSettings
from bmt.training.data import TrainingData
from bmt.training.plan import Plan, autocast_for, step_size, total_steps
from bmt.training.sampling import Sampler
from bmt.training.step import Stepper, adamw
from bmt.training.validation import evaluate
from tools.performance.core import SHAPES, random_masks, random_model
from tools.performance.figures import MeasuredFigure, Measurement
from tools.performance.same_windows import File
from tools.performance.separate_process import peak_memory
from tools.performance.training import TrainingSubject, as_questions

VOCABULARY = Vocabulary(pad=1, token_types=False)  # RoBERTa's
MFU, HOURS = 0.45, 1.0
"""At least this share of the measured matrix peak at `BUDGET` tokens per step, without masks; at most so many
hours for a run.
"""
BUDGET = 16_384


@dataclass(frozen=True, slots=True)
class PaperScale:
    """What is run: a shape of `core.SHAPES`, the paper's params file, the device, and how large a matrix
    finds the peak.
    """

    shape: str
    params: Path
    device: torch.device
    matrix: int = 8192
    budget: int = BUDGET


def peak(device: torch.device, size: int, repeats: int = 10) -> float:
    """FLOPs per second of a bf16 product of two square matrices, the best of five tries."""
    left, right = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    best = 0.0
    for _ in range(5):
        _wait(device)
        began = time.perf_counter()
        for _ in range(repeats):
            left @ right
        _wait(device)
        best = max(best, repeats * 2 * size**3 / (time.perf_counter() - began))
    return best


def step_flops(model: nn.Module, shape: str, lengths: np.ndarray) -> float:
    """FLOPs that forward and backward on windows of these lengths need."""
    sizes = SHAPES[shape]
    weights = sum(
        value.numel()
        for name, value in model.named_parameters()
        if in_encoder(name) and kind_of(name) not in ("embedding", "position")
    )
    return float(
        6 * weights * lengths.sum()
        + 12 * sizes["num_hidden_layers"] * sizes["hidden_size"] * (lengths.astype(np.float64) ** 2).sum()
    )


def measured(subject: TrainingSubject, scale: PaperScale, rounds: int, bar: Bar) -> Measurement:
    """Steps of the paper's batch and of `BUDGET` tokens, with and without six masks; mask learning;
    evaluation; the hours of a run.
    """
    paper, precision = load(scale.params), "bf16"
    training = replace(paper.training, precision=precision)
    large = replace(training, batch_tokens=scale.budget)
    with tempfile.TemporaryDirectory(prefix="bmt-speed-") as folder:
        files = subject.files("train", Path(folder))
        highest = peak(scale.device, scale.matrix)
        speeds = {
            (batch, masked): _step_speed(files, scale, settings, masked, subject.steps, rounds, bar)
            for batch, settings in (("batch", training), ("budget", large))
            for masked in (False, True)
        }
        mask_step = _mask_step(files, scale, paper, training, subject.steps, rounds, bar)
        windows_per_second = _evaluation(files, scale, Plan(training=training), subject.questions, bar)
        per_question = float(np.mean([len(file.rows) / len(file.made.examples) for file in files]))
    hours = run_hours(paper, per_question, speeds["batch", True].seconds, mask_step, windows_per_second)
    label = {"batch": f"{training.batch} windows per step", "budget": f"{scale.budget:,} tokens per step"}
    figures = []
    for (batch, masked), speed in speeds.items():
        name, plain = f"{label[batch]}, {'six masks' if masked else 'no mask'}", not masked
        figures.append(
            MeasuredFigure(f"{name}: real tokens per second", speed.tokens_per_second, speed.each, unit="n")
        )
        target = MFU if batch == "budget" and plain else None
        figures.append(
            MeasuredFigure(
                f"{name}: share of the matrix peak",
                speed.flops / speed.seconds / highest,
                target=target,
                at_least=True,
                unit="%",
            )
        )
        figures.append(MeasuredFigure(f"{name}: peak memory", speed.memory / 1e6, unit="MB"))
    figures.append(
        MeasuredFigure(
            "hours of one MT (w/ BMT) run at the paper's scale, estimated", hours, target=HOURS, unit="h"
        )
    )
    notes = (
        f"{scale.shape}'s shape with dropout .1, {precision}; {subject.steps} steps per round; bf16 matrix "
        f"peak {highest / 1e12:,.0f} TFLOP/s, measured.",
        f"The run: {paper.data.train_cap:,} questions of each dataset, {per_question:.2f} windows per "
        f"question, {paper.training.epochs_mt:g} epochs, {training.batch} windows per step; "
        f"{paper.mask.steps:,} steps of mask learning per dataset at {mask_step * 1e3:.0f} ms; validation "
        f"at {windows_per_second:,.0f} windows per second. The authors needed 36 hours on a V100.",
    )
    record = {
        "peak": highest,
        "steps": {
            f"{batch}, {'six masks' if masked else 'no mask'}": speed.seconds
            for (batch, masked), speed in speeds.items()
        },
        "mask step": mask_step,
        "evaluation windows per second": windows_per_second,
        "windows per question": per_question,
    }
    return Measurement(f"Training, {scale.shape}'s shape", tuple(figures), notes, record)


@dataclass(frozen=True, slots=True)
class StepSpeed:
    """Steps of one kind: seconds and FLOPs of a step, real tokens per second (median, and of each round),
    most bytes allocated.
    """

    seconds: float
    flops: float
    tokens_per_second: float
    each: tuple[float, ...]
    memory: float


def _step_speed(
    files: Sequence[File],
    scale: PaperScale,
    training: TrainingSettings,
    masked: bool,
    steps: int,
    rounds: int,
    bar: Bar,
) -> StepSpeed:
    device, sets, rows = (
        scale.device,
        [file.windows for file in files],
        {file.windows.dataset: file.rows for file in files},
    )
    model = random_model(scale.shape, device, dropout=0.1)
    optimizer = adamw(model, training)
    sampler = Sampler(rows, step_size(sets, training), SamplingSettings(), 0)
    lengths = [one.lengths for one in sets]
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    seconds, tokens, flops = [], [], []
    with (
        mask_updates(optimizer, model, random_masks(model), compact=True)
        if masked
        else nullcontext() as handle
    ):
        source = TrainingData(sets, rows, [], VOCABULARY)
        stepper = Stepper(model, optimizer, source, Plan(training=training), 0, handle)
        for number in range(-1, rounds):
            _wait(device)
            began, drawn = time.perf_counter(), []
            for step in range(steps):
                drawn.append(sampler.draw((number + 1) * steps + step))
                stepper.take((number + 1) * steps + step, drawn[-1])
            _wait(device)
            if number >= 0:
                seconds.append(time.perf_counter() - began)
                window_lengths = np.array([lengths[which][row] for picks in drawn for which, row in picks])
                tokens.append(int(window_lengths.sum()))
                flops.append(step_flops(model, scale.shape, window_lengths))
            bar.advance(1, "six masks" if masked else "no mask")
    each = tuple(count / took for count, took in zip(tokens, seconds, strict=True))
    return StepSpeed(
        sum(seconds) / rounds / steps, sum(flops) / rounds / steps, median(each), each, _memory(device)
    )


def _mask_step(
    files: Sequence[File],
    scale: PaperScale,
    paper: Config,
    training: TrainingSettings,
    steps: int,
    rounds: int,
    bar: Bar,
) -> float:
    """Median seconds of a step of mask learning on the paper's batch of one dataset's windows."""
    sets, model = [file.windows for file in files], random_model(scale.shape, scale.device)
    learner, cast = (
        GateLearner(model, target_names(model), paper.mask, (0, "mask", "speed")),
        autocast_for(training.precision, scale.device),
    )
    seconds = []
    for number in range(-1, rounds):
        _wait(scale.device)
        began = time.perf_counter()
        for step in range(steps):
            at = (number + 1) * steps + step
            rows = np.resize(files[0].rows, (at + 1) * paper.mask.batch)[-paper.mask.batch :]

            def loss(rows: np.ndarray = rows) -> torch.Tensor:
                batch = collate(sets, [(0, int(row)) for row in rows], VOCABULARY).to(scale.device)
                with cast():
                    return batch_loss(model, batch)

            learner.step(loss, count=False)
        _wait(scale.device)
        if number >= 0:
            seconds.append((time.perf_counter() - began) / steps)
        bar.advance(1, "mask learning")
    return median(seconds)


def _evaluation(files: Sequence[File], scale: PaperScale, plan: Plan, questions: int, bar: Bar) -> float:
    """Windows per second of a second evaluation of `questions` questions per dataset."""
    model = random_model(scale.shape, scale.device)
    dev_sets = [as_questions(file, questions) for file in files]
    seconds = 0.0
    for _ in range(2):
        _wait(scale.device)
        began = time.perf_counter()
        evaluate(model, dev_sets, VOCABULARY, plan)
        _wait(scale.device)
        seconds = time.perf_counter() - began
        bar.advance(1, "evaluation")
    return sum(len(one.rows) for one in dev_sets) / seconds


def run_hours(
    paper: Config, windows_a_question: float, step: float, mask_step: float, evaluated: float
) -> float:
    """Hours of one MT (w/ BMT) run: masks, steps and validations.

    Args:
        step, mask_step: seconds of a step of tuning with six masks, and of mask learning.
        evaluated: windows per second of validation.
    """
    datasets, training = len(paper.data.train), paper.training
    steps = total_steps(
        round(datasets * (paper.data.train_cap or 0) * windows_a_question), training.epochs_mt, training.batch
    )
    validations = (
        steps
        / training.evaluate_every
        * datasets
        * paper.data.validation_cap
        * windows_a_question
        / evaluated
    )
    return (datasets * paper.mask.steps * mask_step + steps * step + validations) / 3600


def _memory(device: torch.device) -> float:
    """Most bytes allocated on a GPU since the last reset; on a CPU, that this process has had."""
    return float(torch.cuda.max_memory_allocated(device) if device.type == "cuda" else peak_memory())


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def count(rounds: int) -> int:
    """Steps of the progress bar."""
    return 5 * (rounds + 1) + 2
