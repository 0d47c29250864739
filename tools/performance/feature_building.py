"""The speed of making features, against the tokenizer alone and against the recipe."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bmt.qa.mrqa
from benchmark.cli.progress import Bar
from bmt.qa.features import CHUNK_CHARACTERS, build
from bmt.qa.tokenizer import encoder, text_tokenizer
from bmt.settings import DataSettings
from tools.performance import recipe
from tools.performance.figures import MeasuredFigure, against, ratio
from tools.performance.paired_timing import Timing, take_turns

FLOOR, PREPARE, RECIPE = "tokenizer alone", "prepare", "recipe"
TO_FLOOR, TO_RECIPE, TO_RECIPE_GENERATED, TWO_PROCESSES = 1.35, 0.75, 0.35, 1.7
LONG_ENOUGH = 60.0
"""Seconds of work in one process from which the start of two does not count."""


@dataclass(frozen=True, slots=True)
class FeatureWork:
    """What is made into features: MRQA files and whether each is for training, a transformers tokenizer,
    window and overlap.
    """

    files: tuple[tuple[Path, bool], ...]
    tokenizer: Any
    data: DataSettings


def texts(path: Path, seen: set[str]) -> tuple[list[str], list[str]]:
    """The contexts and the questions of a file that are not in `seen`, which takes them up."""
    contexts: list[str] = []
    questions: list[str] = []
    for passage in bmt.qa.mrqa.passages(path):
        for text, kind in (
            (passage.context, contexts),
            *((example.question.strip(), questions) for example in passage.examples),
        ):
            if text not in seen:
                seen.add(text)
                kind.append(text)
    return contexts, questions


def grouped(all_texts: Sequence[str], characters: int = CHUNK_CHARACTERS) -> Iterator[list[str]]:
    """The texts in groups of at least `characters` characters."""
    group: list[str] = []
    size = 0
    for text in all_texts:
        group.append(text)
        size += len(text)
        if size >= characters:
            yield group
            group, size = [], 0
    if group:
        yield group


def variants(
    path: Path, train: bool, work: FeatureWork, folder: Path, seen: set[str], windows: dict[str, int]
) -> dict[str, Callable[[], None]]:
    """The floor, ours and the recipe on one file, in this process; what they write goes to new folders under
    `folder`.

    Args:
        seen: texts that the floor does not encode again; those of this file are added.
        windows: is told how many windows the last two made.
    """
    backend = text_tokenizer(encoder(work.tokenizer, work.data.special_tokens))
    contexts, questions = (list(grouped(group)) for group in texts(path, seen))

    def floor() -> None:
        # as little as features can do with: offsets of the contexts, ids alone of the questions
        for group in contexts:
            backend.encode_batch(group, add_special_tokens=False)
        for group in questions:
            backend.encode_batch_fast(group, add_special_tokens=False)

    def prepare() -> None:
        out = Path(tempfile.mkdtemp(dir=folder)) / "features"
        windows[PREPARE] = build(path, work.tokenizer, work.data, out, train=train).meta["counts"]["windows"]

    def whole_recipe() -> None:
        out = Path(tempfile.mkdtemp(dir=folder)) / "recipe.arrow"
        windows[RECIPE] = len(
            recipe.features(path, work.tokenizer, work.data.window, work.data.overlap, out, train)
        )

    return {FLOOR: floor, PREPARE: prepare, RECIPE: whole_recipe}


def timed(work: FeatureWork, rounds: int, bar: Bar) -> tuple[dict[str, Timing], dict[str, int]]:
    """CPU seconds of the three variants over all files, and the windows that ours and the recipe made.

    The variants take turns file by file, the smallest first, which alone has a round that does not count.
    """
    seconds: dict[str, list[float]] = {name: [0.0] * rounds for name in (FLOOR, PREPARE, RECIPE)}
    counts = {PREPARE: 0, RECIPE: 0}
    seen: set[str] = set()
    for number, (path, train) in enumerate(sorted(work.files, key=lambda file: file[0].stat().st_size)):
        windows: dict[str, int] = {}
        with tempfile.TemporaryDirectory(prefix="bmt-speed-") as folder:
            made = variants(path, train, work, Path(folder), seen, windows)
            timings = take_turns(made, FLOOR, rounds, bar=bar, clock=time.process_time, warm=number == 0)
        for name, timing in timings.items():
            seconds[name] = [whole + more for whole, more in zip(seconds[name], timing.seconds, strict=True)]
        counts = {name: count + windows[name] for name, count in counts.items()}
    base = seconds[FLOOR]
    return {
        name: Timing(tuple(taken), tuple(a / b for a, b in zip(taken, base, strict=True)))
        for name, taken in seconds.items()
    }, counts


def turns(files: int, rounds: int) -> int:
    """Steps of the progress bar."""
    return 3 * (files * rounds + 1)


def figures(
    timings: dict[str, Timing], where: str, to_floor: float | None, to_recipe: float
) -> tuple[MeasuredFigure, ...]:
    """The ratios of one set of files."""
    return (
        ratio(f"{where}: prepare to the tokenizer alone", timings[PREPARE].ratios, to_floor),
        ratio(f"{where}: prepare to the recipe", against(timings, PREPARE, RECIPE), to_recipe),
        ratio(f"{where}: tokenizer alone to the recipe", against(timings, FLOOR, RECIPE), None),
    )
