"""The speed of training at the paper's scale on a GPU: tokens per second, share of the matrix peak, memory,
hours of one MT (w/ BMT) run.

    FLOPs of a step = 6 * encoder weights * tokens + 12 * layers * hidden size * sum of squared window lengths
    real tokens alone

The weights are random, of RoBERTa-base's shape; the windows are real ones, cut by MiniLM's tokenizer: their
lengths are what matters.
"""

from __future__ import annotations

import time
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from statistics import median

import numpy as np
import torch
from torch import nn

from benchmark.config.params import Config, load, repository_root
from benchmark.tracking.environment import gpu_peak_memory_mb, peak_memory_mb
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
from tools.performance.bench import Bench
from tools.performance.core import SHAPES, random_masks, random_model, wait_for
from tools.performance.figures import MeasuredFigure, Measurement
from tools.performance.same_windows import Pick, training_data
from tools.performance.subject import Subject

VOCABULARY = Vocabulary(pad=1, token_types=False)  # RoBERTa's
MFU, HOURS = 0.45, 1.0
"""At least this share of the measured matrix peak at `BUDGET` tokens per step, without masks; at most so many
hours for a run.
"""
BUDGET = 16_384
SHAPE = "roberta-base"
NO_MASK, SIX_MASKS = "no mask", "six masks"


@dataclass(frozen=True, slots=True)
class PaperScale:
    """Where it is run, how large a matrix finds the peak, and the tokens of a large step."""

    device: torch.device
    matrix: int = 8192
    budget: int = BUDGET


def peak(device: torch.device, size: int) -> float:
    """FLOPs per second of a bf16 product of two square matrices, the best of five tries of ten."""
    left, right = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    best = 0.0
    for _ in range(5):
        wait_for(device)
        began = time.perf_counter()
        for _ in range(10):
            left @ right
        wait_for(device)
        best = max(best, 10 * 2 * size**3 / (time.perf_counter() - began))
    return best


def step_flops(model: nn.Module, lengths: np.ndarray) -> float:
    """FLOPs that forward and backward on windows of these lengths need."""
    sizes = SHAPES[SHAPE]
    weights = sum(
        value.numel()
        for name, value in model.named_parameters()
        if in_encoder(name) and kind_of(name) not in ("embedding", "position")
    )
    return float(
        6 * weights * lengths.sum()
        + 12 * sizes["num_hidden_layers"] * sizes["hidden_size"] * (lengths.astype(np.float64) ** 2).sum()
    )


def measured(subject: Subject, scale: PaperScale, bench: Bench) -> Measurement:
    """Steps of the paper's batch and of `BUDGET` tokens, with and without six masks; mask learning;
    evaluation; the hours of a run.
    """
    paper, steps = load(repository_root() / "profiles" / "paper.yaml"), subject.sizes.steps
    training = replace(paper.training, precision="bf16")
    bench.bar.resume_at(0, 5 * (bench.rounds + 1) + 2)
    files = subject.files("train", bench)
    source = training_data(files, VOCABULARY)
    highest = peak(scale.device, scale.matrix)
    usual, large = f"{training.batch} windows per step", f"{scale.budget:,} tokens per step"
    settings = {usual: training, large: replace(training, batch_tokens=scale.budget)}
    speeds = {
        f"{batch}, {masks}": step_speed(
            source, scale, settings[batch], f"{batch}, {masks}", masks == SIX_MASKS, steps, bench
        )
        for batch in settings
        for masks in (NO_MASK, SIX_MASKS)
    }
    mask_step = mask_step_seconds(source, scale, paper, steps, bench)
    dev_sets = [file.questions(subject.sizes.questions) for file in files]
    model = random_model(SHAPE, scale.device)
    taken = replace(bench, rounds=1).take_turns(
        {"evaluation": lambda: evaluate(model, dev_sets, VOCABULARY, Plan(training=training))},
        wait=partial(wait_for, scale.device),
    )
    windows_per_second = sum(len(one.rows) for one in dev_sets) / taken["evaluation"][0]
    per_question = float(np.mean([len(file.rows) / len(file.made.examples) for file in files]))
    tuning = speeds[f"{usual}, {SIX_MASKS}"].seconds
    hours = run_hours(paper, per_question, tuning, mask_step, windows_per_second)
    figures = []
    for name, speed in speeds.items():
        share = speed.flops / speed.seconds / highest
        target = MFU if name == f"{large}, {NO_MASK}" else None
        figures += [
            MeasuredFigure(f"{name}: real tokens per second", speed.tokens_per_second, unit="n"),
            MeasuredFigure(f"{name}: share of the matrix peak", share, target, True, "%"),
            MeasuredFigure(f"{name}: peak memory", speed.megabytes, unit="MB"),
        ]
    run = "hours of one MT (w/ BMT) run at the paper's scale, estimated"
    figures.append(MeasuredFigure(run, hours, HOURS, unit="h"))
    notes = (
        f"{SHAPE}'s shape with dropout .1, {training.precision}; {steps} steps per round; bf16 matrix "
        f"peak {highest / 1e12:,.0f} TFLOP/s, measured.",
        f"The run: {paper.data.train_cap:,} questions of each dataset, {per_question:.2f} windows per "
        f"question, {paper.training.epochs_mt:g} epochs, {training.batch} windows per step; "
        f"{paper.mask.steps:,} steps of mask learning per dataset at {mask_step * 1e3:.0f} ms; validation "
        f"at {windows_per_second:,.0f} windows per second. The authors needed 36 hours on a V100.",
    )
    return Measurement(f"Training, {SHAPE}'s shape", figures, notes)


@dataclass(frozen=True, slots=True)
class StepSpeed:
    """Steps of one kind: mean seconds and FLOPs of a step, real tokens per second of each round, most
    megabytes allocated on the GPU (on a CPU, that this process has had).
    """

    seconds: float
    flops: float
    tokens_per_second: list[float]
    megabytes: float


def step_speed(
    source: TrainingData,
    scale: PaperScale,
    training: TrainingSettings,
    name: str,
    masked: bool,
    steps: int,
    bench: Bench,
) -> StepSpeed:
    """Rounds of `steps` training steps, with six masks where `masked`."""
    model = random_model(SHAPE, scale.device, dropout=0.1)
    optimizer = adamw(model, training)
    sampler = Sampler(source.rows, step_size(source.sets, training), SamplingSettings(), 0)
    if scale.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(scale.device)
    masks = mask_updates(optimizer, model, random_masks(model), compact=True) if masked else nullcontext()
    drawn: list[list[Pick]] = []
    with masks as handle:
        stepper = Stepper(model, optimizer, source, Plan(training=training), 0, handle)

        def one_round() -> None:
            for step in range(len(drawn), len(drawn) + steps):
                drawn.append(sampler.draw(step))
                stepper.take(step, drawn[step])

        seconds = bench.take_turns({name: one_round}, wait=partial(wait_for, scale.device))[name]
    lengths = [[source.sets[which].lengths[row] for which, row in picks] for picks in drawn[steps:]]
    tokens = [sum(map(sum, lengths[at : at + steps])) for at in range(0, len(lengths), steps)]
    return StepSpeed(
        sum(seconds) / len(lengths),
        step_flops(model, np.concatenate(lengths)) / len(lengths),
        [count / took for count, took in zip(tokens, seconds, strict=True)],
        (gpu_peak_memory_mb() or peak_memory_mb()) * (1 << 20) / 1e6,
    )


def mask_step_seconds(
    source: TrainingData, scale: PaperScale, paper: Config, steps: int, bench: Bench
) -> float:
    """Median seconds of a step of mask learning in bf16 on the paper's batch of one dataset's windows."""
    model, size = random_model(SHAPE, scale.device), paper.mask.batch
    learner = GateLearner(model, target_names(model), paper.mask, (0, "mask", "speed"))
    cast, numbers = autocast_for("bf16", scale.device), count(1)
    windows = source.rows[source.datasets[0]]

    def one_round() -> None:
        for _ in range(steps):
            rows = np.resize(windows, next(numbers) * size)[-size:]

            def loss(rows: np.ndarray = rows) -> torch.Tensor:
                batch = collate(source.sets, [(0, int(row)) for row in rows], VOCABULARY)
                with cast():
                    return batch_loss(model, batch.to(scale.device))

            learner.step(loss, count=False)

    seconds = bench.take_turns({"mask learning": one_round}, wait=partial(wait_for, scale.device))
    return median(seconds["mask learning"]) / steps


def run_hours(
    paper: Config, windows_per_question: float, step: float, mask_step: float, evaluated: float
) -> float:
    """Hours of one MT (w/ BMT) run: masks, steps and validations.

    Args:
        step, mask_step: seconds of a step of tuning with six masks, and of mask learning.
        evaluated: windows per second of validation.
    """
    datasets, training, data = len(paper.data.train), paper.training, paper.data
    windows = datasets * windows_per_question
    steps = total_steps(round((data.train_cap or 0) * windows), training.epochs_mt, training.batch)
    validations = steps / training.evaluate_every * data.validation_cap * windows / evaluated
    return (datasets * paper.mask.steps * mask_step + steps * step + validations) / 3600
