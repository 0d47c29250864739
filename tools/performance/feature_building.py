"""The speed of making features, against the tokenizer alone and against the recipe."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import bmt.qa.mrqa
from bmt.qa.features import CHUNK_CHARACTERS, build
from bmt.qa.tokenizer import encoder, text_tokenizer
from tools.performance import recipe
from tools.performance.bench import Bench, Seconds, ratios
from tools.performance.figures import MeasuredFigure
from tools.performance.subject import Subject

FLOOR, PREPARE, RECIPE = "tokenizer alone", "prepare", "recipe"


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
    path: Path, subject: Subject, folder: Path, seen: set[str], windows: dict[str, dict[Path, int]]
) -> dict[str, Callable[[], None]]:
    """The floor, ours and the recipe on one file, in this process; what they write goes to new folders under
    `folder`.

    Args:
        seen: texts that the floor does not encode again; those of this file are added.
        windows: is told how many windows the last two made of the file.
    """
    tokenizer, data, train = subject.tokenizer, subject.data, ".train." in path.name
    backend = text_tokenizer(encoder(tokenizer, data.special_tokens))
    contexts, questions = (list(grouped(group)) for group in texts(path, seen))

    def floor() -> None:
        # as little as features can do with: offsets of the contexts, ids alone of the questions
        for group in contexts:
            backend.encode_batch(group, add_special_tokens=False)
        for group in questions:
            backend.encode_batch_fast(group, add_special_tokens=False)

    def prepare() -> None:
        out = Path(tempfile.mkdtemp(dir=folder)) / "features"
        made = build(path, tokenizer, data, out, train=train)
        windows[PREPARE][path] = made.meta["counts"]["windows"]

    def whole_recipe() -> None:
        out = Path(tempfile.mkdtemp(dir=folder)) / "recipe.arrow"
        windows[RECIPE][path] = len(recipe.features(path, tokenizer, data.window, data.overlap, out, train))

    return {FLOOR: floor, PREPARE: prepare, RECIPE: whole_recipe}


def timed(subject: Subject, paths: Sequence[Path], bench: Bench) -> tuple[Seconds, dict[str, int]]:
    """CPU seconds of the three variants over all files, and the windows that ours and the recipe made.

    The variants take turns file by file, the smallest first, which alone has a round that does not count.
    """
    total: Seconds = {name: [0.0] * bench.rounds for name in (FLOOR, PREPARE, RECIPE)}
    windows: dict[str, dict[Path, int]] = {PREPARE: {}, RECIPE: {}}
    seen: set[str] = set()
    for number, path in enumerate(sorted(paths, key=lambda path: path.stat().st_size)):
        with tempfile.TemporaryDirectory(dir=bench.folder) as folder:
            made = variants(path, subject, Path(folder), seen, windows)
            alone = replace(bench, seconds={})
            seconds = alone.take_turns(made, clock=time.process_time, warm=number == 0)
        for name, of_file in seconds.items():
            total[name] = [sum(pair) for pair in zip(total[name], of_file, strict=True)]
    return total, {name: sum(counts.values()) for name, counts in windows.items()}


def figures(seconds: Seconds, where: str, to_floor: float | None, to_recipe: float) -> list[MeasuredFigure]:
    """The ratios of one set of files."""
    return [
        MeasuredFigure(f"{where}: {name} to the {base}", ratios(seconds, name, base), target)
        for name, base, target in (
            (PREPARE, FLOOR, to_floor),
            (PREPARE, RECIPE, to_recipe),
            (FLOOR, RECIPE, None),
        )
    ]
