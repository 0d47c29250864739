"""The same windows for both sides: ours as `bmt.qa.features` makes them, the Trainer's as the recipe makes
them from the same questions.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bmt.errors import DataError
from bmt.qa.batches import Vocabulary, Windows
from bmt.qa.features import Features, build
from bmt.settings import DataSettings, SamplingSettings
from bmt.training.data import TrainingData
from bmt.training.sampling import Sampler
from bmt.training.validation import Questions
from tools.performance import recipe

Pick = tuple[int, int]


@dataclass(frozen=True, slots=True)
class File:
    """A source dataset's file with our features of it, and the rows of the windows whose question is whole:
    the recipe cuts none.
    """

    path: Path
    made: Features
    windows: Windows
    rows: np.ndarray

    @staticmethod
    def of(
        path: Path, tokenizer: Any, data: DataSettings, out: Path, *, train: bool, limit: int | None = None
    ) -> File:
        """Make the features; of `limit` questions at most."""
        made = build(path, tokenizer, data, out, train=train, limit=limit)
        windows = Windows.of(made.windows, str(made.meta["dataset"]))
        examples = np.arange(len(made.examples))
        rows = windows.of_examples(examples, negatives=data.negatives, windows=data.windows)
        # tokens before the context of a question of that many
        before = data.question + tokenizer.num_special_tokens_to_add(pair=True) - 1
        return File(path, made, windows, rows[windows.context_start[rows] < before])

    def tokens(self, row: int) -> tuple[int, ...]:
        """Those of a window."""
        return tuple(self.windows.input_ids[row].tolist())

    def questions(self, limit: int | None = None) -> Questions:
        """Its questions, or the first `limit` of them, with all their windows."""
        windows, examples = self.windows, self.made.examples
        wanted = np.arange(len(examples))[:limit]
        rows = np.flatnonzero(windows.example < len(wanted))
        return Questions(
            windows, rows, wanted, examples["context"].to_pylist(), examples["answers"].to_pylist()
        )


def training_data(files: Sequence[File], vocabulary: Vocabulary) -> TrainingData:
    """What a run on these files trains on."""
    rows = {file.windows.dataset: file.rows for file in files}
    return TrainingData([file.windows for file in files], rows, [], vocabulary)


def recipe_rows(
    files: Sequence[File], picks: Sequence[Pick], tokenizer: Any, data: DataSettings
) -> dict[Pick, dict[str, Any]]:
    """What the recipe makes of the windows `picks`, (position in `files`, row) each, by window; not padded.

    Raises:
        DataError: it makes no such window: the two sides would not train on the same.
    """
    function = recipe.train_features(literal(tokenizer), data.window, data.overlap)
    made: dict[Pick, dict[str, Any]] = {}
    for which, file in enumerate(files):
        wanted = {row for other, row in picks if other == which}
        if not wanted:
            continue
        ids = file.made.examples["id"].take(np.unique(file.windows.example[list(wanted)])).to_pylist()
        by_tokens = {
            tuple(window["input_ids"]): window for window in windows_of(function, questions(file.path, ids))
        }
        for row in wanted:
            if file.tokens(row) not in by_tokens:
                raise DataError(
                    f"{file.path}: the recipe makes no window {row} of {file.windows.dataset}: ours has "
                    "other tokens there"
                )
            made[which, row] = by_tokens[file.tokens(row)]
    return made


def windows_of(function: Callable[[Any], Any], rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """What a function of the recipe, which takes and gives columns, makes of these questions."""
    columns = function({name: [row[name] for row in rows] for name in rows[0]})
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def literal(tokenizer: Any) -> Any:
    """A copy that takes "[SEP]" in a text for the characters that it is, as ours does: HotpotQA's contexts
    have it after each title.
    """
    made = copy.deepcopy(tokenizer)
    made.split_special_tokens = True
    return made


def questions(path: Path, ids: Sequence[str]) -> list[dict[str, Any]]:
    """The recipe's rows of these questions of a file, in the file's order."""
    wanted = set(ids)
    return [row for row in recipe.questions(path) if row["id"] in wanted]


@dataclass(frozen=True, slots=True)
class RoundWindows:
    """What a round trains on: the same windows, in mixed batches and in batches of like length."""

    mixed: list[list[Pick]]
    like: list[list[Pick]]


def rounds_of(source: TrainingData, batch: int, steps: int, rounds: int) -> list[RoundWindows]:
    """The windows of each round: `steps` batches of those that Trainer would group by length, and the same
    windows in mixed batches.

    Trainer sorts up to 50 batches together, and as many only where its dataset has 200: so 200 steps of
    windows are drawn as training draws them and grouped by Trainer's own sampler. Each round takes some of
    these batches at random, short and long ones in proportion.
    """
    import torch
    from transformers.trainer_pt_utils import LengthGroupedSampler

    sampler = Sampler(source.rows, batch, SamplingSettings(), 0)
    pool = [pick for step in range(max(4 * 50, steps * rounds)) for pick in sampler.draw(step)]
    lengths = np.array([source.sets[which].lengths[row] for which, row in pool])
    generator = torch.Generator().manual_seed(0)
    grouped = list(LengthGroupedSampler(batch, lengths=lengths.tolist(), generator=generator))
    batches = [grouped[at : at + batch] for at in range(0, len(grouped), batch)]
    by_length = sorted(range(len(batches)), key=lambda at: lengths[batches[at]].sum())
    draw, drawn = np.random.default_rng(0), []
    # a round has one of each: all lengths in proportion
    strata = [draw.permutation(part) for part in np.array_split(by_length, steps)]
    for number in range(rounds):
        like = [[pool[index] for index in batches[order[number]]] for order in strata]
        every = [pick for part in like for pick in part]
        mixed = [every[index] for index in draw.permutation(len(every))]
        drawn.append(RoundWindows([mixed[at : at + batch] for at in range(0, len(mixed), batch)], like))
    return drawn
