"""The speed and memory of the data's way: features, padding, answers; and with `--long` a second process and
a large file.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from benchmark.cli.progress import Bar
from benchmark.config.backbones import locate
from benchmark.config.params import load
from bmt.errors import DataError
from bmt.qa.batches import Vocabulary, Windows
from bmt.qa.features import Features, build
from bmt.settings import IN_DOMAIN, DataSettings, DecodeSettings, TrainingSettings
from bmt.training.microbatches import Limits, micro_batches
from tools.performance import answers, padding
from tools.performance import feature_building as building
from tools.performance.figures import MeasuredFigure, Measurement, ratio
from tools.performance.generated_files import large, squad_like
from tools.performance.paired_timing import take_turns
from tools.performance.separate_process import FileJob, Usage, in_new_process

TO_RECIPE_ANSWERS = 10.0
MOST_MEMORY, MOST_GROWTH = 1000.0, 50.0
"""Megabytes: building features of a large file; reading on from a tenth of its questions, whose ids are kept,
to its end.
"""


@dataclass(frozen=True, slots=True)
class SubjectSizes:
    """How much is measured. The defaults are what the targets are stated for; tests take less."""

    contexts: int = 2000  # of the generated set, five questions each
    steps: int = 1000  # whose padding is counted
    windows: int = 10_000  # that are decoded
    seconds: float = (
        1.5 * building.LONG_ENOUGH
    )  # of work in one process, judged by a trial whose start counts too
    bytes: int = 300_000_000  # of the large file


@dataclass(frozen=True, slots=True)
class DataSubject:
    """What it is measured on: a folder of MRQA files, the backbone's tokenizer and where it lies, the
    settings.
    """

    folder: Path
    tokenizer: Any
    source: str
    revision: str | None
    data: DataSettings
    sizes: SubjectSizes = SubjectSizes()

    def files(self, split: str | None = None) -> list[tuple[Path, bool]]:
        """The MRQA files and whether each is for training; of one split or of both. Raises DataError where
        there is none.
        """
        paths = sorted(self.folder.glob(f"*_domain/*.{split or '*'}.jsonl.gz"))
        if not paths:
            raise DataError(
                f"{self.folder}: no {split or 'MRQA'} files (<domain>/<Dataset>.<split>.jsonl.gz) there: "
                "fetch them with `python -m benchmark.fetch --manifest real --out data/raw/mini`, or name "
                "their folder with --data"
            )
        return [(path, ".train." in path.name) for path in paths]

    def job(self, path: Path, out: Path | None, **more: Any) -> FileJob:
        """Work on a file in a process of its own."""
        data = self.data
        return FileJob(
            str(path),
            None if out is None else str(out),
            self.source,
            self.revision,
            data.window,
            data.overlap,
            data.question,
            **more,
        )


def data_subject(folder: Path, params: Path) -> DataSubject:
    """The MRQA files of a folder, with MiniLM's tokenizer as the params file names it and the project's
    default windows.
    """
    from bmt.qa.model import open_tokenizer

    backbone = load(params).backbones["minilm"]
    place, data = locate("minilm", backbone), DataSettings()
    tokenizer = open_tokenizer(place.source, revision=place.revision, markers=data.special_tokens)
    return DataSubject(folder, tokenizer, str(place.source), place.revision, data)


def features(subject: DataSubject, rounds: int, bar: Bar) -> Measurement:
    """Features of the real files and of a generated set: against the tokenizer alone and the recipe, CPU
    seconds of one process.
    """
    figures: list[MeasuredFigure] = []
    notes, record = [], {}
    with tempfile.TemporaryDirectory(prefix="bmt-speed-") as folder:
        made = squad_like(Path(folder) / "SQuAD.train.jsonl.gz", subject.sizes.contexts)
        for where, files, *targets in (
            ("real files", subject.files(), building.TO_FLOOR, building.TO_RECIPE),
            ("generated, five questions a context", [(made, True)], None, building.TO_RECIPE_GENERATED),
        ):
            work = building.FeatureWork(tuple(files), subject.tokenizer, subject.data)
            timings, windows = building.timed(work, rounds, bar)
            figures += building.figures(timings, where, *targets)
            told = (
                f"{name} {median(timing.seconds):.1f} s"
                + (f" ({windows[name]:,} windows)" if name in windows else "")
                for name, timing in timings.items()
            )
            notes.append(f"{where.capitalize()}: {', '.join(told)}.")
            record[where] = {
                "seconds": {name: timing.seconds for name, timing in timings.items()},
                "windows": windows,
            }
    notes.append(
        f"Windows of {subject.data.window} tokens that share {subject.data.overlap}; CPU seconds of one "
        "process, one thread."
    )
    return Measurement("Features", tuple(figures), tuple(notes), record)


def processes(subject: DataSubject, rounds: int, bar: Bar) -> Measurement:
    """What a second process brings to enough work, wall seconds."""
    with tempfile.TemporaryDirectory(prefix="bmt-speed-") as folder:
        path, contexts = Path(folder) / "SQuAD.train.jsonl.gz", subject.sizes.contexts
        trial = in_new_process(subject.job(squad_like(path, contexts), Path(folder) / "trial"))
        bar.advance(1, f"one process, {trial.seconds:.1f} s")
        path = squad_like(path, max(contexts, int(contexts * subject.sizes.seconds / trial.seconds)))
        usages: dict[int, list[Usage]] = {1: [], 2: []}
        for number in range(rounds):
            for workers in (1, 2) if number % 2 == 0 else (2, 1):
                usages[workers].append(
                    in_new_process(subject.job(path, Path(folder) / f"{number}-{workers}", workers=workers))
                )
                bar.advance(1, f"{workers} processes, {usages[workers][-1].seconds:.1f} s")
        same = _bytes(Path(folder) / "0-1") == _bytes(Path(folder) / "0-2")
    one, two = ([run.seconds for run in usages[workers]] for workers in (1, 2))
    cpu_one, cpu_two = ([run.cpu for run in usages[workers]] for workers in (1, 2))
    enough = f"{min(one):.0f} s and more in one process" + (
        "" if min(one) >= building.LONG_ENOUGH else ": too little work to judge"
    )
    notes = (
        f"Wall seconds of making features, workers' start included; {enough}; "
        f"{'the same' if same else 'DIFFERENT'} bytes.",
    )
    figures = (
        ratio(
            "two processes: times as fast as one",
            [a / b for a, b in zip(one, two, strict=True)],
            building.TWO_PROCESSES,
            True,
        ),
        ratio(
            "CPU seconds of all processes to those of one",
            [b / a for a, b in zip(cpu_one, cpu_two, strict=True)],
            None,
        ),
    )
    record = {"seconds": {"1": one, "2": two}, "cpu": {"1": cpu_one, "2": cpu_two}, "same bytes": same}
    return Measurement("A second process", figures, notes, record)


def memory(subject: DataSubject, rounds: int, bar: Bar) -> Measurement:
    """Peak memory of reading a large file and of making its features, each in a process of its own. `rounds`
    does not matter.
    """
    with tempfile.TemporaryDirectory(prefix="bmt-speed-") as folder:
        path = large(Path(folder) / "TriviaQA.train.jsonl.gz", subject.sizes.bytes)
        size = path.stat().st_size
        bar.advance(1, f"file of {size / 1e6:.0f} MB")
        whole = in_new_process(subject.job(path, None))
        tenth = in_new_process(subject.job(path, None, questions=max(1, whole.questions // 10)))
        bar.advance(1, f"reading, {whole.peak / 1e6:.0f} MB")
        built = in_new_process(subject.job(path, Path(folder) / "features"))
        bar.advance(1, f"features, {built.peak / 1e6:.0f} MB")
    figures = (
        MeasuredFigure("peak memory of making features", built.peak / 1e6, target=MOST_MEMORY, unit="MB"),
        MeasuredFigure("peak memory of reading alone", whole.peak / 1e6, unit="MB"),
        MeasuredFigure(
            "what reading the last nine tenths adds to it",
            (whole.peak - tenth.peak) / 1e6,
            target=MOST_GROWTH,
            unit="MB",
        ),
    )
    notes = (
        f"A generated gz file of {size / 1e6:.0f} MB, {whole.questions:,} questions on as many contexts; "
        "one process; imports of torch and transformers counted in the first figure. Reading keeps the ids "
        "seen, to find duplicates.",
    )
    record = {
        "bytes": size,
        "questions": whole.questions,
        "peaks": {"features": built.peak, "read": whole.peak, "a tenth": tenth.peak},
    }
    return Measurement("Memory on a large file", figures, notes, record)


def padded(subject: DataSubject, rounds: int, bar: Bar) -> Measurement:
    """Padding of the default mixed batches of the six source datasets. `rounds` does not matter."""
    training = TrainingSettings()
    sets, rows = [], {}
    with tempfile.TemporaryDirectory(prefix="bmt-speed-") as folder:
        for path, _ in subject.files("train"):
            name = path.name.split(".")[0]
            if name in IN_DOMAIN:
                made = build(path, subject.tokenizer, subject.data, Path(folder) / name, train=True)
                sets.append(Windows.of(made.windows, name))
                rows[name] = sets[-1].of_examples(
                    np.arange(len(made.examples)),
                    negatives=subject.data.negatives,
                    windows=subject.data.windows,
                )
            bar.advance(1, name)
        shares, parts = padding.padding(
            sets,
            rows,
            lambda windows, picks: micro_batches(
                windows, picks, Limits(training.padding, training.micro_batch, training.micro_tokens)
            ),
            window=subject.data.window,
            batch=training.batch,
            steps=subject.sizes.steps,
        )
    figures = tuple(
        MeasuredFigure(name, share, target=padding.AT_MOST if name == padding.OURS else None, unit="%")
        for name, share in shares.items()
    )
    notes = (
        f"{subject.sizes.steps:,} steps of {training.batch} windows of at most {subject.data.window} "
        f"tokens, mixed as training mixes them; ours passes a step's windows in {parts:.2f} parts on "
        "average, its gradient that of the whole batch.",
    )
    return Measurement("Padding of mixed batches", figures, notes, {"shares": shares, "parts": parts})


def decoded(subject: DataSubject, rounds: int, bar: Bar) -> Measurement:
    """Decoding and scoring against the recipe's loops on the dev files' windows, CPU seconds of one thread;
    the answers are compared.
    """
    decode, left = DecodeSettings(), subject.sizes.windows
    vocabulary = Vocabulary.of(subject.tokenizer)
    scored: list[answers.ScoredWindows] = []
    with tempfile.TemporaryDirectory(prefix="bmt-speed-") as folder:
        # dev files first; where they have too few windows, train files too
        for number, (path, _) in enumerate([*subject.files("dev"), *subject.files("train")]):
            if left > 0:
                made = build(path, subject.tokenizer, subject.data, Path(folder) / str(number), train=False)
                batch = _questions(made, left)
                scored.append(answers.scores(batch, vocabulary, TrainingSettings().evaluation_batch, number))
                left -= len(batch.windows)
    if left > 0:
        raise DataError(
            f"{subject.folder}: {subject.sizes.windows - left} windows, {subject.sizes.windows} are needed: "
            "put more files there"
        )
    inputs = [answers.recipe_input(one) for one in scored]
    variants: dict[str, Callable[[], Any]] = {
        "ours": lambda: [answers.ours(one, decode) for one in scored],
        "recipe": lambda: [answers.by_recipe(one, decode) for one in inputs],
    }
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        timings = take_turns(variants, "ours", rounds, bar=bar, clock=time.process_time)
    finally:
        torch.set_num_threads(threads)
    unequal = {
        key: sum(answers.differences(one, decode)[key] for one in scored)
        for key in ("windows", "answers", "em", "f1")
    }
    examples = sum(len(one.examples) for one in inputs)
    figure = ratio(
        "decoding and scoring: times as fast as the recipe", timings["recipe"].ratios, TO_RECIPE_ANSWERS, True
    )
    if any(unequal.values()):
        said = ", ".join(f"{key} {count}" for key, count in unequal.items())
        raise DataError(
            f"{subject.folder}: ours and the recipe disagree ({said}): their speeds cannot be compared"
        )
    notes = (
        f"{subject.sizes.windows:,} windows of {examples:,} questions, synthetic scores, one thread: ours "
        f"{median(timings['ours'].seconds):.2f} s, the recipe {median(timings['recipe'].seconds):.2f} s. "
        "Every window's best span, every answer, EM and F1 are equal.",
    )
    record = {
        "seconds": {name: timing.seconds for name, timing in timings.items()},
        "differences": unequal,
        "examples": examples,
    }
    return Measurement("Answers", (figure,), notes, record)


def _questions(made: Features, windows: int) -> answers.FileQuestions:
    """The first `windows` windows of a file's features, with its examples."""
    table = made.windows.slice(0, windows)
    return answers.FileQuestions(
        Windows.of(table, str(made.meta["dataset"])),
        made.examples["context"].to_pylist(),
        made.examples["answers"].to_pylist(),
    )


def _bytes(folder: Path) -> list[bytes]:
    return [(folder / name).read_bytes() for name in ("windows.arrow", "examples.arrow")]


PARTS: dict[
    str, tuple[Callable[[DataSubject, int, Bar], Measurement], Callable[[DataSubject, int], int], bool]
] = {
    "features": (
        features,
        lambda subject, rounds: building.turns(len(subject.files()), rounds) + building.turns(1, rounds),
        False,
    ),
    "padding": (padded, lambda subject, rounds: len(subject.files("train")), False),
    "answers": (decoded, lambda subject, rounds: 2 * (rounds + 1), False),
    "processes": (processes, lambda subject, rounds: 1 + 2 * rounds, True),
    "memory": (memory, lambda subject, rounds: 3, True),
}
"""Each part's function, its number of steps for the progress bar, and whether `--long` is needed for it."""


def wanted(only: Sequence[str], long: bool) -> list[str]:
    """The parts to measure, in order: those named, else the short ones, and with `long` all."""
    return [name for name, (_, _, slow) in PARTS.items() if (name in only if only else long or not slow)]
