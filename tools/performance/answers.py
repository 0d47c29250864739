"""The speed of answering: from every window's scores to answers, EM and F1, against the recipe's loops, on
the same synthetic scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bmt.qa import metrics
from bmt.qa.batches import Vocabulary, Windows, collate, length_batches
from bmt.qa.decoding import best_predictions, best_spans
from bmt.settings import DecodeSettings
from tools.performance import recipe

# scores of a window's two likely answers over noise of standard deviation 1: far above it, as a trained
# model's are
PEAK = 8.0


@dataclass(frozen=True, slots=True)
class FileQuestions:
    """Windows of one dataset's file, in the order of their examples, with contexts and gold answers of each
    example row.
    """

    windows: Windows
    contexts: Sequence[str]
    answers: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class ScoredWindows:
    """Batches of window rows with the model's scores and the positions that a span may take: what a forward
    pass leaves.
    """

    questions: FileQuestions
    batches: list[tuple[np.ndarray, Tensor, Tensor, Tensor]]
    starts: np.ndarray
    ends: np.ndarray


def scores(questions: FileQuestions, vocabulary: Vocabulary, batch: int, seed: int) -> ScoredWindows:
    """Synthetic scores: noise, and two likely answers of up to ten tokens in every window."""
    windows = questions.windows
    longest = int(windows.lengths.max())
    draw = np.random.default_rng(seed)
    starts, ends = draw.standard_normal((2, len(windows), longest), dtype=np.float32)
    sizes = windows.offsets.lengths // 2
    rows = np.arange(len(windows))
    for _ in range(2):
        first = (draw.random(len(windows)) * sizes).astype(np.int64)
        last = np.minimum(first + draw.integers(0, 10, len(windows)), sizes - 1)
        starts[rows, windows.context_start + first] += (
            PEAK * draw.random(len(windows), dtype=np.float32) + PEAK
        )
        ends[rows, windows.context_start + last] += PEAK * draw.random(len(windows), dtype=np.float32) + PEAK
    batches = []
    for take in length_batches(windows.lengths, batch):
        made = collate([windows], [(0, int(row)) for row in take], vocabulary)
        width = made.allowed.shape[1]
        batches.append(
            (take, torch.from_numpy(starts[take, :width]), torch.from_numpy(ends[take, :width]), made.allowed)
        )
    return ScoredWindows(questions, batches, starts, ends)


@dataclass(frozen=True, slots=True)
class ScoredAnswers:
    """Answers by example row, and EM and F1 of the examples in their order."""

    texts: list[str]
    em: list[float]
    f1: list[float]


def ours(scored: ScoredWindows, decode: DecodeSettings) -> ScoredAnswers:
    """Decoding as `bmt.qa.decoding.predict` does after the forward pass, and `bmt.qa.metrics.score`."""
    metrics._bag.cache_clear()  # no gold answer is known from a round before
    questions = scored.questions
    predictions = best_predictions(
        questions.windows, np.arange(len(questions.windows)), ours_spans(scored, decode), questions.contexts
    )
    texts = [prediction.text for prediction in predictions]
    em, f1 = metrics.score(texts, [questions.answers[prediction.example] for prediction in predictions])
    return ScoredAnswers(texts, em.tolist(), f1.tolist())


def ours_spans(scored: ScoredWindows, decode: DecodeSettings) -> np.ndarray:
    """First token, last token and score of every window's best span (windows, 3)."""
    best = np.empty((len(scored.questions.windows), 3))
    for take, start, end, allowed in scored.batches:
        best[take] = torch.stack(
            [part.double() for part in best_spans(start, end, allowed, decode)], 1
        ).numpy()
    return best


@dataclass(frozen=True, slots=True)
class RecipeInput:
    """The same as the recipe takes it: examples and windows as dicts, scores as padded arrays."""

    examples: list[dict[str, Any]]
    windows: list[dict[str, Any]]
    answers: list[Sequence[str]]
    starts: np.ndarray
    ends: np.ndarray


def recipe_input(scored: ScoredWindows, each_window: bool = False) -> RecipeInput:
    """With `each_window`, every window is an example of its own, so that its best span can be seen."""
    rows_of, questions = scored.questions.windows, scored.questions
    windows = []
    for row in range(len(rows_of)):
        pairs, start = rows_of.offsets[row].reshape(-1, 2).tolist(), int(rows_of.context_start[row])
        outside = len(rows_of.input_ids[row]) - start - len(pairs)
        example = row if each_window else int(rows_of.example[row])
        windows.append(
            {
                "example_id": str(example),
                "offset_mapping": [None] * start + [tuple(pair) for pair in pairs] + [None] * outside,
            }
        )
    of_id = {window["example_id"]: int(rows_of.example[row]) for row, window in enumerate(windows)}
    examples = [{"id": key, "context": questions.contexts[row]} for key, row in of_id.items()]
    return RecipeInput(
        examples, windows, [questions.answers[row] for row in of_id.values()], scored.starts, scored.ends
    )


def by_recipe(inputs: RecipeInput, decode: DecodeSettings) -> ScoredAnswers:
    """The recipe's loops."""
    best = recipe.best_answers(
        inputs.examples, inputs.windows, inputs.starts, inputs.ends, decode.max_answer_tokens
    )
    texts = [best[example["id"]]["text"] for example in inputs.examples]
    return ScoredAnswers(texts, *recipe.score(texts, inputs.answers))


def differences(scored: ScoredWindows, decode: DecodeSettings) -> dict[str, int]:
    """Where the two differ: windows whose best span has other tokens, examples with another answer, and other
    EM or F1.
    """
    inputs = recipe_input(scored, each_window=True)
    best = recipe.best_answers(
        inputs.examples, inputs.windows, inputs.starts, inputs.ends, decode.max_answer_tokens
    )
    spans = ours_spans(scored, decode)
    windows = sum(
        best[inputs.windows[row]["example_id"]]["tokens"] != (int(i), int(j))
        for row, (i, j) in enumerate(spans[:, :2])
    )
    left, right = ours(scored, decode), by_recipe(recipe_input(scored), decode)
    return {
        "windows": windows,
        "answers": sum(a != b for a, b in zip(left.texts, right.texts, strict=True)),
        "em": sum(a != b for a, b in zip(left.em, right.em, strict=True)),
        "f1": sum(abs(a - b) > 1e-12 for a, b in zip(left.f1, right.f1, strict=True)),
    }
