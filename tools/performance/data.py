"""The speed and memory of the data's way: features, padding, answers; and with `--long` a second process and
a large file.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from bmt.errors import DataError
from bmt.qa.batches import Vocabulary, Windows
from bmt.qa.features import build
from bmt.settings import DecodeSettings, SamplingSettings
from bmt.training.data import TrainingData
from bmt.training.microbatches import micro_batches
from bmt.training.plan import pass_limits
from bmt.training.sampling import Sampler
from bmt.training.validation import Questions
from tools.performance import answers
from tools.performance import feature_building as building
from tools.performance.bench import Bench, ratios, turns
from tools.performance.figures import MeasuredFigure, Measurement
from tools.performance.generated_files import large, squad_like
from tools.performance.same_windows import Pick, training_data
from tools.performance.separate_process import FileJob, Usage, in_new_process
from tools.performance.subject import Subject

TO_FLOOR, TO_RECIPE, TO_RECIPE_GENERATED = 1.35, 0.75, 0.35
"""Most that making features may take of the tokenizer's time alone, and of the recipe's on real and on
generated files."""
TWO_PROCESSES = 1.7
TO_RECIPE_ANSWERS = 10.0
MOST_PADDING = 0.08
LONG_ENOUGH = 60.0
"""Seconds of work in one process from which the start of two does not count."""
MOST_MEMORY, MOST_GROWTH = 1000.0, 50.0
"""Megabytes: building features of a large file; reading on from a tenth of its questions, whose ids are kept,
to its end.
"""


def features(subject: Subject, bench: Bench) -> Measurement:
    """Features of the real files and of a generated set: against the tokenizer alone and the recipe, CPU
    seconds of one process.
    """
    figures: list[MeasuredFigure] = []
    notes, real = [], subject.paths()
    bench.bar.resume_at(0, 3 * (len(real) * bench.rounds + 1) + 3 * (bench.rounds + 1))
    made = squad_like(bench.folder / "SQuAD.train.jsonl.gz", subject.sizes.contexts)
    for where, paths, *targets in (
        ("real files", real, TO_FLOOR, TO_RECIPE),
        ("generated, five questions per context", [made], None, TO_RECIPE_GENERATED),
    ):
        seconds, windows = building.timed(subject, paths, bench)
        bench.seconds.update({f"{where}: {name}": taken for name, taken in seconds.items()})
        figures += building.figures(seconds, where, *targets)
        told = (
            f"{name} {median(taken):.1f} s" + (f" ({windows[name]:,} windows)" if name in windows else "")
            for name, taken in seconds.items()
        )
        notes.append(f"{where.capitalize()}: {', '.join(told)}.")
    notes.append(
        f"Windows of {subject.data.window} tokens that share {subject.data.overlap}; CPU seconds of one "
        "process, one thread."
    )
    return Measurement("Features", figures, notes)


def processes(subject: Subject, bench: Bench) -> Measurement:
    """What a second process brings to enough work, wall seconds."""
    out, bar = bench.folder, bench.bar
    bar.resume_at(0, 1 + 2 * bench.rounds)
    path, contexts = out / "SQuAD.train.jsonl.gz", subject.sizes.contexts
    job = FileJob(path, subject.source, subject.revision, subject.data)
    squad_like(path, contexts)
    trial = in_new_process(replace(job, out=out / "trial"))
    bar.advance(1, f"one process, {trial.seconds:.1f} s")
    squad_like(path, max(contexts, int(contexts * subject.sizes.seconds / trial.seconds)))
    usages: dict[str, list[Usage]] = {"1": [], "2": []}
    for number, workers in turns(list(usages), bench.rounds, warm=False):
        usage = in_new_process(replace(job, out=out / f"{number}-{workers}", workers=int(workers)))
        usages[workers].append(usage)
        bar.advance(1, f"{workers} processes, {usage.seconds:.1f} s")
    one, two = (
        [(out / f"0-{workers}" / name).read_bytes() for name in ("windows.arrow", "examples.arrow")]
        for workers in usages
    )
    seconds, cpu = (
        {workers: [getattr(run, clock) for run in runs] for workers, runs in usages.items()}
        for clock in ("seconds", "cpu")
    )
    bench.seconds.update(seconds)
    least, same = min(seconds["1"]), one == two
    enough = "" if least >= LONG_ENOUGH else ": too little work to judge"
    notes = (
        f"Wall seconds of making features, workers' start included; {least:.0f} s and more in one process"
        f"{enough}; {'the same' if same else 'DIFFERENT'} bytes.",
    )
    figures = (
        MeasuredFigure("two processes: times as fast as one", ratios(seconds, "1", "2"), TWO_PROCESSES, True),
        MeasuredFigure("CPU seconds of all processes to those of one", ratios(cpu, "2", "1")),
    )
    return Measurement("A second process", figures, notes, {"same bytes": same})


def memory(subject: Subject, bench: Bench) -> Measurement:
    """Peak memory of reading a large file and of making its features, each in a process of its own. Rounds
    do not matter.
    """
    bar = bench.bar
    bar.resume_at(0, 3)
    path = large(bench.folder / "TriviaQA.train.jsonl.gz", subject.sizes.bytes)
    job = FileJob(path, subject.source, subject.revision, subject.data)
    size = path.stat().st_size
    bar.advance(1, f"file of {size / 1e6:.0f} MB")
    whole = in_new_process(job)
    tenth = in_new_process(replace(job, questions=max(1, whole.questions // 10)))
    bar.advance(1, f"reading, {whole.peak / 1e6:.0f} MB")
    built = in_new_process(replace(job, out=bench.folder / "features"))
    bar.advance(1, f"features, {built.peak / 1e6:.0f} MB")
    figures = tuple(
        MeasuredFigure(name, peak / 1e6, target, unit="MB")
        for name, peak, target in (
            ("peak memory of making features", built.peak, MOST_MEMORY),
            ("peak memory of reading alone", whole.peak, None),
            ("what reading the last nine tenths adds to it", whole.peak - tenth.peak, MOST_GROWTH),
        )
    )
    notes = (
        f"A generated gz file of {size / 1e6:.0f} MB, {whole.questions:,} questions on as many contexts; "
        "one process; imports of torch and transformers counted in the first figure. Reading keeps the ids "
        "seen, to find duplicates.",
    )
    return Measurement("Memory on a large file", figures, notes)


def waste(parts: Iterable[Sequence[int]]) -> float:
    """1 - real tokens / tokens of the padded parts, each the tokens of windows that are padded to the longest
    of them.
    """
    parts = list(parts)
    return 1 - sum(map(sum, parts)) / sum(len(lengths) * max(lengths) for lengths in parts)


def padding(
    source: TrainingData, split: Callable[[Sequence[Pick]], Sequence[Sequence[Pick]]], batch: int, steps: int
) -> tuple[float, float, float, float]:
    """Over `steps` steps as training draws them: the shares of padding of whole steps and of their parts, how
    many parts a step was split into, and a window's tokens, on average.

    Args:
        split: a step's windows as the parts that pass the model together.
    """
    sampler = Sampler(source.rows, batch, SamplingSettings(), 0)
    lengths = [windows.lengths for windows in source.sets]
    drawn = [sampler.draw(step) for step in range(steps)]
    whole, ours = (
        [[int(lengths[which][row]) for which, row in part] for part in parts]
        for parts in (drawn, [part for picks in drawn for part in split(picks)])
    )
    return waste(whole), waste(ours), len(ours) / steps, sum(map(sum, whole)) / (steps * batch)


def padded(subject: Subject, bench: Bench) -> Measurement:
    """Padding of the default mixed batches of the six source datasets. Rounds do not matter."""
    training, window, steps = subject.training, subject.data.window, subject.sizes.padded_steps
    files = subject.files("train", bench)
    source = training_data(files, Vocabulary.of(subject.tokenizer))
    limits = pass_limits(source.sets, source.rows, training)
    whole, ours, parts, tokens = padding(
        source, lambda picks: micro_batches(source.sets, picks, limits), training.batch, steps
    )
    figures = [
        MeasuredFigure("a step's windows padded to the longest of them", whole, unit="%"),
        MeasuredFigure("every window padded to the longest allowed", 1 - tokens / window, unit="%"),
        MeasuredFigure("ours", ours, MOST_PADDING, unit="%"),
    ]
    notes = (
        f"{steps:,} steps of {training.batch} windows of at most {window} "
        f"tokens, mixed as training mixes them; ours passes a step's windows in {parts:.2f} parts on "
        "average, its gradient that of the whole batch.",
    )
    return Measurement("Padding of mixed batches", figures, notes)


def decoded(subject: Subject, bench: Bench) -> Measurement:
    """Decoding and scoring against the recipe's loops on the dev files' windows, CPU seconds of one thread;
    the answers are compared.
    """
    decode, wanted, vocabulary = DecodeSettings(), subject.sizes.windows, Vocabulary.of(subject.tokenizer)
    left, scored = wanted, []
    # dev files first; where they have too few windows, train files too
    for number, path in enumerate([*subject.paths("dev"), *subject.paths("train")]):
        if left > 0:
            bench.bar.advance(0, f"features of {path.name}")
            questions = _first_windows(subject, path, bench.folder / str(number), left)
            batch = subject.training.evaluation_batch
            scored.append(answers.scores(questions, vocabulary, batch, number))
            left -= len(questions.windows)
    if left > 0:
        raise DataError(
            f"{subject.folder}: {wanted - left} windows, {wanted} are needed: put more files there"
        )
    inputs = [answers.recipe_input(one) for one in scored]
    variants: dict[str, Callable[[], Any]] = {
        "ours": lambda: [answers.ours(one, decode) for one in scored],
        "recipe": lambda: [answers.by_recipe(one, decode) for one in inputs],
    }
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        seconds = bench.take_turns(variants, clock=time.process_time)
    finally:
        torch.set_num_threads(threads)
    each = [answers.differences(one, decode) for one in scored]
    unequal = {key: sum(counts[key] for counts in each) for key in each[0]}
    if any(unequal.values()):
        said = ", ".join(f"{key} {count}" for key, count in unequal.items())
        raise DataError(
            f"{subject.folder}: ours and the recipe disagree ({said}): their speeds cannot be compared"
        )
    examples = sum(len(one.examples) for one in inputs)
    figure = MeasuredFigure(
        "decoding and scoring: times as fast as the recipe",
        ratios(seconds, "recipe", "ours"),
        TO_RECIPE_ANSWERS,
        True,
    )
    notes = (
        f"{wanted:,} windows of {examples:,} questions, synthetic scores, one thread: ours "
        f"{median(seconds['ours']):.2f} s, the recipe {median(seconds['recipe']):.2f} s. "
        "Every window's best span, every answer, EM and F1 are equal.",
    )
    return Measurement("Answers", (figure,), notes, {"differences": unequal})


def _first_windows(subject: Subject, path: Path, out: Path, count: int) -> Questions:
    """The first `count` windows of a file's features, with its examples."""
    made = build(path, subject.tokenizer, subject.data, out, train=False)
    windows = Windows.of(made.windows.slice(0, count), str(made.meta["dataset"]))
    contexts, gold = (made.examples[name].to_pylist() for name in ("context", "answers"))
    return Questions(windows, np.arange(len(windows)), np.arange(len(contexts)), contexts, gold)
