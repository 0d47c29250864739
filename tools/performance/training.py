"""The speed of training and evaluation on a CPU, against HF `Trainer` fed by the question-answering recipe
that comes with transformers.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import nn

from bmt.errors import DataError
from bmt.qa.batches import Vocabulary, collate
from bmt.settings import LossSettings, SamplingSettings, TrainingSettings
from bmt.training.data import TrainingData
from bmt.training.microbatches import micro_batches
from bmt.training.plan import Plan, pass_limits
from bmt.training.sampling import Sampler
from bmt.training.step import Stepper, adamw
from bmt.training.validation import evaluate
from tools.performance import answers, hf_trainer, recipe
from tools.performance.bench import Bench, Seconds, ratios, turns
from tools.performance.figures import MeasuredFigure, Measurement
from tools.performance.forward_counts import watched
from tools.performance.hf_trainer import SETTINGS, TO_THE_WINDOW, TimedRun
from tools.performance.same_windows import (
    File,
    Pick,
    RoundWindows,
    literal,
    questions,
    recipe_rows,
    rounds_of,
    training_data,
    windows_of,
)
from tools.performance.subject import PRECISION, Subject

TO_DEFAULT, TO_BEST = 1.3, 1.0
"""Real tokens per second: at least so many times Trainer's with its recipe's padding, and Trainer's in the
best setting found.
"""
MOST_ASIDE = 0.02
"""Share of a step or an evaluation up to which what could be done beside the computing is not worth a thread
of its own.
"""
OURS = "ours"


def ours(
    model: nn.Module,
    source: TrainingData,
    picks: Sequence[Sequence[Pick]],
    training: TrainingSettings,
    loss: LossSettings | None = None,
) -> TimedRun:
    """Train on the windows `picks`, a list per step, as `bmt.training.loop.train` does between two
    evaluations, without masks.

    The sampler's draws are made, and timed, and not used: the windows of a comparison are given.
    """
    plan = Plan(training=training, loss=loss or LossSettings())
    sampler = Sampler(source.rows, training.batch, SamplingSettings(), 0)
    stepper = Stepper(model, adamw(model, training), source, plan, 0)
    model.train()
    with watched(model) as passed:
        began, used = time.perf_counter(), time.process_time()
        losses = []
        for step, step_picks in enumerate(picks):
            sampler.draw(step)
            losses.append(stepper.take(step, step_picks).loss)
        mean_loss = float(torch.stack(losses).mean())
        seconds, cpu = time.perf_counter() - began, time.process_time() - used
    return TimedRun(seconds, cpu, mean_loss, passed)


def trained(
    subject: Subject, bench: Bench, title: str = "Training steps", dropout: float | None = None
) -> Measurement:
    """Steps of both sides; dropout None: the backbone's own, as both take it by default."""
    tokenizer, training, first = subject.tokenizer, subject.training, subject.model(dropout)
    settings = {setting.name: setting for setting in SETTINGS}
    ran: dict[str, list[TimedRun]] = {name: [] for name in (OURS, *settings)}
    bench.bar.resume_at(0, (bench.rounds + 1) * len(ran))
    files = subject.files("train", bench)
    source = training_data(files, Vocabulary.of(tokenizer))
    drawn = rounds_of(source, training.batch, subject.sizes.steps, bench.rounds)
    made = [
        recipe_rows(files, [pick for part in windows.mixed for pick in part], tokenizer, subject.data)
        for windows in drawn
    ]
    for number, name in turns(list(ran), bench.rounds):
        windows, rows, model = drawn[max(0, number)], made[max(0, number)], copy.deepcopy(first)
        if name == OURS:
            run = ours(model, source, windows.mixed, training)
        else:
            picks = windows.like if settings[name].like else windows.mixed
            order = [rows[pick] for part in picks for pick in part]
            out, window = bench.folder / "trainer", subject.data.window
            run = hf_trainer.train(model, order, tokenizer, settings[name], training, window, out)
        check_same(run, windows, files, name)
        if number >= 0:
            ran[name].append(run)
        bench.bar.advance(1, f"{name} {run.seconds:.1f} s")
    bench.seconds.update({name: [run.seconds for run in runs] for name, runs in ran.items()})
    record = {name: [run.record() for run in runs] for name, runs in ran.items()}
    return Measurement(title, _figures(bench.seconds), _notes(subject, ran, first), {"runs": record})


def check_same(run: TimedRun, windows: RoundWindows, files: Sequence[File], name: str) -> None:
    """Raise where a side has not trained on the round's windows, each once."""
    wanted = sorted(files[which].tokens(row) for part in windows.mixed for which, row in part)
    if run.passed.windows() != wanted:
        raise DataError(f"{name}: did not train on the windows of the round: the sides cannot be compared")


def _figures(seconds: Seconds) -> list[MeasuredFigure]:
    """Ours to each setting of Trainer, and to the one that is fastest in the median: tokens per second, round
    by round.
    """
    times = {name: ratios(seconds, name, OURS) for name in seconds if name != OURS}
    targets = {TO_THE_WINDOW: TO_DEFAULT}
    return [
        *(
            MeasuredFigure(f"times as fast as {name}", each, targets.get(name), True)
            for name, each in times.items()
        ),
        MeasuredFigure("times as fast as the best of these", min(times.values(), key=median), TO_BEST, True),
    ]


def _notes(subject: Subject, ran: dict[str, list[TimedRun]], model: nn.Module) -> tuple[str, ...]:
    steps = subject.sizes.steps
    told = []
    for name, runs in ran.items():
        speed = median(run.passed.tokens / run.seconds for run in runs)
        padding = 1 - sum(run.passed.tokens for run in runs) / sum(run.passed.positions for run in runs)
        told.append(f"{name} {speed:,.0f} ({padding:.1%} padding)")
    return (
        f"{steps} steps of {subject.training.batch} windows of at most {subject.data.window} "
        f"tokens per round, {PRECISION}, {torch.get_num_threads()} threads, dropout "
        f"{getattr(model.config, 'hidden_dropout_prob', None)}; the same windows for every variant, ours in "
        f"{len(ran[OURS][0].passed.passes) / steps:.2f} passes per step.",
        f"Real tokens per second: {'; '.join(told)}.",
    )


PREDICT = {
    "Trainer.predict, windows padded to the longest allowed": True,
    "Trainer.predict, padded to a batch's longest": False,
}
"""Whether the recipe's evaluation windows are padded to the longest allowed."""


def evaluated(subject: Subject, bench: Bench) -> Measurement:
    """From dev windows to EM and F1: ours in order of length, the recipe in the file's order through
    `Trainer.predict` and its loops.
    """
    tokenizer, data, model, training = subject.tokenizer, subject.data, subject.model(0.0), subject.training
    plan, vocabulary = Plan(training=training), Vocabulary.of(tokenizer)
    function = recipe.dev_features(literal(tokenizer), data.window, data.overlap)
    scores: dict[str, tuple[float, float]] = {}
    files = subject.files("dev", bench, subject.sizes.questions)
    dev_sets = [file.questions() for file in files]
    examples = [
        {**row, "id": f"{number} {row['id']}"}  # numbered: two files may share an id
        for number, file in enumerate(files)
        for row in questions(file.path, file.made.examples["id"].to_pylist())
    ]
    plain = windows_of(function, examples)

    def by_ours() -> None:
        sizes = [len(one.examples) for one in dev_sets]
        scored = list(evaluate(model, dev_sets, vocabulary, plan).values())
        em, f1 = np.average(scored, axis=0, weights=sizes).tolist()
        scores[OURS] = (em, f1)

    def by_trainer(name: str, whole: bool) -> Callable[[], None]:
        windows = hf_trainer.dataset(plain, tokenizer, data.window if whole else None)
        out = bench.folder / "trainer"

        def run() -> None:
            edges = hf_trainer.predict(model, windows, tokenizer, whole, training.evaluation_batch, out)
            best = recipe.best_answers(examples, plain, *edges, plan.decode.max_answer_tokens)
            em, f1 = recipe.score(
                [best[row["id"]]["text"] for row in examples],
                [row["answers"]["text"] for row in examples],
            )
            scores[name] = (100 * float(np.mean(em)), 100 * float(np.mean(f1)))

        return run

    variants = {OURS: by_ours} | {name: by_trainer(name, whole) for name, whole in PREDICT.items()}
    seconds = bench.take_turns(variants)
    windows = sum(len(one.rows) for one in dev_sets)
    figures = [MeasuredFigure(f"times as fast as {name}", ratios(seconds, name, OURS)) for name in PREDICT]
    speeds = "; ".join(f"{name} {windows / median(taken):.1f}" for name, taken in seconds.items())
    notes = (
        f"{windows:,} dev windows of {len(examples):,} questions, batches of {training.evaluation_batch}, "
        f"{PRECISION}, answers and scores included.",
        f"Windows per second: {speeds}.",
    )
    return Measurement("Evaluation", figures, notes, {"windows": windows, "scores": scores})


def aside(subject: Subject, bench: Bench) -> Measurement:
    """What a second thread could take over: the shares of a training step that goes to preparing its batches,
    and of an evaluation that goes to finding and scoring the answers."""
    training, first = subject.training, subject.model(0.0)
    plan, vocabulary = Plan(training=training), Vocabulary.of(subject.tokenizer)
    bench.bar.resume_at(0, 4 * (bench.rounds + 1))
    source = training_data(subject.files("train", bench), vocabulary)
    sampler = Sampler(source.rows, training.batch, SamplingSettings(), 0)
    picks = [sampler.draw(step) for step in range(subject.sizes.steps)]
    dev_sets = [file.questions() for file in subject.files("dev", bench, subject.sizes.questions)]
    scored = [
        answers.scores(one, vocabulary, training.evaluation_batch, number)
        for number, one in enumerate(dev_sets)
    ]
    steps: dict[str, Callable[[], Any]] = {
        "steps": lambda: ours(copy.deepcopy(first), source, picks, training),
        "batches": lambda: prepared(source, picks, training),
    }
    evaluation: dict[str, Callable[[], Any]] = {
        "evaluation": lambda: evaluate(first, dev_sets, vocabulary, plan),
        "answers": lambda: [answers.ours(one, plan.decode) for one in scored],
    }
    seconds = bench.take_turns(steps) | bench.take_turns(evaluation)
    figures = [
        MeasuredFigure(name, ratios(seconds, part, whole), MOST_ASIDE, unit="%")
        for name, part, whole in (
            ("a training step: drawing, cutting and padding its batches", "batches", "steps"),
            ("an evaluation: answers and scores", "answers", "evaluation"),
        )
    ]
    notes = (
        f"Shares of the time without dropout, {torch.get_num_threads()} threads; up to {MOST_ASIDE:.0%} no "
        "thread is set aside for it.",
    )
    return Measurement("What could be done beside computing", figures, notes)


def prepared(source: TrainingData, picks: Sequence[Sequence[Pick]], training: TrainingSettings) -> int:
    """All that a step does before its first forward pass, for each step: real tokens of the batches."""
    sampler = Sampler(source.rows, training.batch, SamplingSettings(), 0)
    limits = pass_limits(source.sets, source.rows, training)
    tokens = 0
    for step, step_picks in enumerate(picks):
        sampler.draw(step)
        for part in micro_batches(source.sets, step_picks, limits):
            tokens += collate(source.sets, part, source.vocabulary).tokens
    return tokens
