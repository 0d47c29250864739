"""The speed of training and evaluation on a CPU, against HF `Trainer` fed by the question-answering recipe
that comes with transformers.
"""

from __future__ import annotations

import copy
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmark.cli.progress import Bar
from bmt.errors import DataError
from bmt.qa.batches import Vocabulary, collate
from bmt.qa.model import span_model
from bmt.settings import LossSettings, SamplingSettings, TrainingSettings
from bmt.training.data import TrainingData
from bmt.training.microbatches import passes
from bmt.training.plan import Plan, pass_limits
from bmt.training.sampling import Sampler
from bmt.training.step import Stepper, adamw
from bmt.training.validation import Questions, evaluate
from tools.performance import answers, data, hf_trainer, recipe
from tools.performance.figures import MeasuredFigure, Measurement, ratio
from tools.performance.forward_counts import watched
from tools.performance.hf_trainer import SETTINGS, TO_THE_WINDOW, TimedRun
from tools.performance.paired_timing import take_turns, turns
from tools.performance.same_windows import (
    File,
    Pick,
    RoundWindows,
    literal,
    questions,
    recipe_rows,
    rounds_of,
    source_files,
)

TO_DEFAULT, TO_BEST = 1.3, 1.0
"""Real tokens per second: at least so many times Trainer's with its recipe's padding, and Trainer's in the
best setting found.
"""
MOST_ASIDE = 0.02
"""Share of a step or an evaluation up to which what could be done beside the computing is not worth a thread
of its own.
"""
OURS = "ours"
PRECISION = "fp32"


@dataclass(frozen=True, slots=True)
class TrainingSubject:
    """The files and the backbone, and how much is done in a round: training steps, and questions of each
    dataset that are evaluated.
    """

    source: data.DataSubject
    steps: int = 12
    questions: int = 12
    training: TrainingSettings = field(default_factory=lambda: TrainingSettings(precision=PRECISION))

    def model(self, dropout: float | None) -> nn.Module:
        """The backbone with a fresh head; dropout None: as its configuration has it."""
        source = self.source
        model, _ = span_model(
            source.source, revision=source.revision, markers=source.data.special_tokens, dropout=dropout
        )
        return model.train()

    def files(self, split: str, out: Path, limit: int | None = None) -> list[File]:
        """Features of the source datasets' files."""
        source, paths = self.source, source_files(self.source.files(split))
        train = split == "train"
        return [
            File.of(
                path, source.tokenizer, source.data, out / path.name.split(".")[0], train=train, limit=limit
            )
            for path in paths
        ]


def ours(
    model: nn.Module,
    files: Sequence[File],
    picks: Sequence[Sequence[Pick]],
    tokenizer: Any,
    training: TrainingSettings,
    loss: LossSettings | None = None,
) -> TimedRun:
    """Train on the windows `picks`, a list per step, as `bmt.training.loop.train` does between two
    evaluations, without masks.

    The sampler's draws are made, and timed, and not used: the windows of a comparison are given.
    """
    plan = Plan(training=training, loss=loss or LossSettings())
    source = TrainingData(
        [file.windows for file in files], _rows_by_dataset(files), [], Vocabulary.of(tokenizer)
    )
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


def trained(subject: TrainingSubject, rounds: int, bar: Bar) -> Measurement:
    """Steps with the backbone's own dropout, as both sides take it by default."""
    return _trained(subject, rounds, bar, None, "Training steps")


def undropped(subject: TrainingSubject, rounds: int, bar: Bar) -> Measurement:
    """Steps without dropout, as this project's profiles for a CPU train."""
    return _trained(subject, rounds, bar, 0.0, "Training steps without dropout")


def _trained(
    subject: TrainingSubject, rounds: int, bar: Bar, dropout: float | None, title: str
) -> Measurement:
    tokenizer, settings, first = subject.source.tokenizer, subject.source.data, subject.model(dropout)
    names = [OURS, *(setting.name for setting in SETTINGS)]
    ran: dict[str, list[TimedRun]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory(prefix="bmt-speed-") as folder:
        files = subject.files("train", Path(folder))
        sampler = Sampler(_rows_by_dataset(files), subject.training.batch, SamplingSettings(), 0)
        drawn = rounds_of(files, sampler, subject.training.batch, subject.steps, rounds)
        made = [
            recipe_rows(files, [pick for part in windows.mixed for pick in part], tokenizer, settings)
            for windows in drawn
        ]
        for number, name in turns(names, rounds):
            windows, rows, model = drawn[max(0, number)], made[max(0, number)], copy.deepcopy(first)
            if name == OURS:
                run = ours(model, files, windows.mixed, tokenizer, subject.training)
            else:
                setting = next(setting for setting in SETTINGS if setting.name == name)
                order = [
                    rows[pick] for part in (windows.like if setting.like else windows.mixed) for pick in part
                ]
                run = hf_trainer.train(
                    model,
                    order,
                    tokenizer,
                    setting,
                    subject.training,
                    settings.window,
                    Path(folder) / "trainer",
                )
            _check_same(run, windows, files, name)
            if number >= 0:
                ran[name].append(run)
            bar.advance(1, f"{name} {run.seconds:.1f} s")
    return Measurement(title, _figures(ran), _notes(subject, ran, first), _record(ran))


def _check_same(run: TimedRun, windows: RoundWindows, files: Sequence[File], name: str) -> None:
    """Raise where a side has not trained on the round's windows, each once."""
    want = sorted(
        tuple(files[which].windows.input_ids[row].tolist()) for part in windows.mixed for which, row in part
    )
    if run.passed.windows() != want:
        raise DataError(f"{name}: did not train on the windows of the round: the sides cannot be compared")


def _figures(ran: dict[str, list[TimedRun]]) -> tuple[MeasuredFigure, ...]:
    """Ours to each setting of Trainer, and to the one that is fastest in the median: tokens per second, round
    by round.
    """
    to = {
        name: [other.seconds / run.seconds for run, other in zip(ran[OURS], runs, strict=True)]
        for name, runs in ran.items()
    }
    best = min((setting.name for setting in SETTINGS), key=lambda name: median(to[name]))
    rows = [
        ratio(
            f"times as fast as {setting.name}",
            to[setting.name],
            TO_DEFAULT if setting.name == TO_THE_WINDOW else None,
            True,
        )
        for setting in SETTINGS
    ]
    return (*rows, ratio("times as fast as the best of these", to[best], TO_BEST, True))


def _notes(subject: TrainingSubject, ran: dict[str, list[TimedRun]], model: nn.Module) -> tuple[str, ...]:
    def told(name: str) -> str:
        runs = ran[name]
        speed = median(run.passed.tokens / run.seconds for run in runs)
        padding = 1 - sum(run.passed.tokens for run in runs) / sum(run.passed.positions for run in runs)
        return f"{name} {speed:,.0f} ({padding:.1%} padding)"

    per_step, dropout = (
        len(ran[OURS][0].passed.passes) / subject.steps,
        getattr(model.config, "hidden_dropout_prob", None),
    )
    return (
        f"{subject.steps} steps of {subject.training.batch} windows of at most {subject.source.data.window} "
        f"tokens per round, {PRECISION}, {torch.get_num_threads()} threads, dropout {dropout}; the same "
        f"windows for every variant, ours in {per_step:.2f} passes per step.",
        f"Real tokens per second: {'; '.join(told(name) for name in ran)}.",
    )


def _record(ran: dict[str, list[TimedRun]]) -> dict[str, Any]:
    return {
        "runs": {
            name: [
                {
                    "seconds": run.seconds,
                    "cpu": run.cpu,
                    "tokens": run.passed.tokens,
                    "positions": run.passed.positions,
                    "loss": run.loss,
                }
                for run in runs
            ]
            for name, runs in ran.items()
        }
    }


def _rows_by_dataset(files: Sequence[File]) -> dict[str, np.ndarray]:
    return {file.windows.dataset: file.rows for file in files}


PREDICT = {
    "max_length": "Trainer.predict, windows padded to the longest allowed",
    "longest": "Trainer.predict, padded to a batch's longest",
}


def evaluated(subject: TrainingSubject, rounds: int, bar: Bar) -> Measurement:
    """From dev windows to EM and F1: ours in order of length, the recipe in the file's order through
    `Trainer.predict` and its loops.
    """
    from datasets import Dataset

    source, model, training = subject.source, subject.model(0.0), subject.training
    plan = Plan(training=training)
    with tempfile.TemporaryDirectory(prefix="bmt-speed-") as folder:
        files = subject.files("dev", Path(folder), subject.questions)
        dev_sets = [as_questions(file) for file in files]
        examples = [
            # numbered: two files may share an id
            [
                {**row, "id": f"{number} {row['id']}"}
                for row in questions(file.path, file.made.examples["id"].to_pylist())
            ]
            for number, file in enumerate(files)
        ]
        function = recipe.dev_features(literal(source.tokenizer), source.data.window, source.data.overlap)
        plain = [
            dict(zip(columns, values, strict=True))
            for rows in examples
            for columns in [function({name: [row[name] for row in rows] for name in rows[0]})]
            for values in zip(*columns.values(), strict=True)
        ]
        sides = {
            "longest": Dataset.from_list(plain),
            "max_length": Dataset.from_list(hf_trainer.padded(plain, source.tokenizer, source.data.window)),
        }
        flat = [row for rows in examples for row in rows]
        scores: dict[str, tuple[float, float]] = {}
        vocabulary = Vocabulary.of(source.tokenizer)

        def by_ours() -> None:
            scored = evaluate(model, dev_sets, vocabulary, plan)
            sizes = [len(one.examples) for one in dev_sets]
            em, f1 = np.average(list(scored.values()), axis=0, weights=sizes)
            scores[OURS] = (float(em), float(f1))

        def by_trainer(padding: str) -> Callable[[], None]:
            def run() -> None:
                starts, ends = hf_trainer.predict(
                    model,
                    sides[padding],
                    source.tokenizer,
                    padding,
                    training.evaluation_batch,
                    Path(folder) / "trainer",
                )
                best = recipe.best_answers(flat, plain, starts, ends, plan.decode.max_answer_tokens)
                em, f1 = recipe.score(
                    [best[row["id"]]["text"] for row in flat], [row["answers"]["text"] for row in flat]
                )
                scores[PREDICT[padding]] = (100 * float(np.mean(em)), 100 * float(np.mean(f1)))

            return run

        variants = {OURS: by_ours} | {name: by_trainer(padding) for padding, name in PREDICT.items()}
        timings = take_turns(variants, OURS, rounds, bar=bar)
    windows = sum(len(one.rows) for one in dev_sets)
    figures = tuple(
        ratio(f"times as fast as {name}", timings[name].ratios, None) for name in PREDICT.values()
    )
    speeds = "; ".join(f"{name} {windows / median(timing.seconds):.1f}" for name, timing in timings.items())
    notes = (
        f"{windows:,} dev windows of {len(flat):,} questions, batches of {training.evaluation_batch}, "
        f"{PRECISION}, answers and scores included.",
        f"Windows per second: {speeds}.",
    )
    record = {
        "seconds": {name: timing.seconds for name, timing in timings.items()},
        "windows": windows,
        "scores": scores,
    }
    return Measurement("Evaluation", figures, notes, record)


def as_questions(file: File, limit: int | None = None) -> Questions:
    """The file's questions, or the first `limit` of them, with all their windows."""
    made, windows = file.made, file.windows
    examples = np.arange(len(made.examples))[:limit]
    rows = np.flatnonzero(windows.example < len(examples))
    return Questions(
        windows, rows, examples, made.examples["context"].to_pylist(), made.examples["answers"].to_pylist()
    )


def aside(subject: TrainingSubject, rounds: int, bar: Bar) -> Measurement:
    """What a second thread could take over: the shares of a training step that goes to preparing its batches,
    and of an evaluation that goes to finding and scoring the answers."""
    source, training = subject.source, subject.training
    plan, vocabulary, first = Plan(training=training), Vocabulary.of(source.tokenizer), subject.model(0.0)
    with tempfile.TemporaryDirectory(prefix="bmt-speed-") as folder:
        files, dev = (
            subject.files("train", Path(folder)),
            subject.files("dev", Path(folder) / "dev", subject.questions),
        )
        sampler = Sampler(_rows_by_dataset(files), training.batch, SamplingSettings(), 0)
        picks = [sampler.draw(step) for step in range(subject.steps)]
        dev_sets = [as_questions(file) for file in dev]
        scored = [
            answers.scores(
                answers.FileQuestions(one.windows, one.contexts, one.answers),
                vocabulary,
                training.evaluation_batch,
                number,
            )
            for number, one in enumerate(dev_sets)
        ]
        training_variants: dict[str, Callable[[], Any]] = {
            "steps": lambda: ours(copy.deepcopy(first), files, picks, source.tokenizer, training),
            "batches": lambda: prepared(files, picks, vocabulary, training),
        }
        steps = take_turns(training_variants, "steps", rounds, bar=bar)
        evaluation_variants: dict[str, Callable[[], Any]] = {
            "evaluation": lambda: evaluate(first, dev_sets, vocabulary, plan),
            "answers": lambda: [answers.ours(one, plan.decode) for one in scored],
        }
        whole = take_turns(evaluation_variants, "evaluation", rounds, bar=bar)
    shares = (
        ("a training step: drawing, cutting and padding its batches", steps["batches"]),
        ("an evaluation: answers and scores", whole["answers"]),
    )
    figures = tuple(
        MeasuredFigure(name, timing.ratio, timing.ratios, MOST_ASIDE, unit="%") for name, timing in shares
    )
    seconds = {name: timing.seconds for name, timing in (steps | whole).items()}
    notes = (
        f"Shares of the time without dropout, {torch.get_num_threads()} threads; up to {MOST_ASIDE:.0%} no "
        "thread is set aside for it.",
    )
    return Measurement("What could be done beside computing", figures, notes, {"seconds": seconds})


def prepared(
    files: Sequence[File], picks: Sequence[Sequence[Pick]], vocabulary: Vocabulary, training: TrainingSettings
) -> int:
    """All that a step does before its first forward pass, for each step: real tokens of the batches."""
    sets, rows = [file.windows for file in files], _rows_by_dataset(files)
    sampler, limits = Sampler(rows, training.batch, SamplingSettings(), 0), pass_limits(sets, rows, training)
    lengths = [one.lengths for one in sets]
    tokens = 0
    for step, step_picks in enumerate(picks):
        sampler.draw(step)
        for part in passes(np.array([lengths[which][row] for which, row in step_picks]), limits).parts:
            tokens += collate(sets, [step_picks[position] for position in part.tolist()], vocabulary).tokens
    return tokens


PARTS: dict[str, tuple[Callable[[TrainingSubject, int, Bar], Measurement], Callable[[int], int]]] = {
    "steps": (trained, lambda rounds: (rounds + 1) * (1 + len(SETTINGS))),
    "undropped": (undropped, lambda rounds: (rounds + 1) * (1 + len(SETTINGS))),
    "evaluation": (evaluated, lambda rounds: (rounds + 1) * 3),
    "aside": (aside, lambda rounds: (rounds + 1) * 4),
}
"""Each part's function and its number of steps for the progress bar."""
