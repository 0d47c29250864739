"""The speed of answering: from every window's scores to answers, EM and F1, against the recipe's loops, on
the same synthetic scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import ne
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bmt.qa import metrics
from bmt.qa.batches import Vocabulary, collate, length_batches
from bmt.qa.decoding import best_predictions, best_spans
from bmt.settings import DecodeSettings
from bmt.training.validation import Questions
from tools.performance import recipe

# scores of a window's two likely answers over noise of standard deviation 1: far above it, as a trained
# model's are
PEAK = 8.0


@dataclass(frozen=True, slots=True)
class ScoredWindows:
    """Batches of window rows with the model's scores and the positions that a span may take: what a forward
    pass leaves.
    """

    questions: Questions
    batches: list[tuple[np.ndarray, Tensor, Tensor, Tensor]]
    starts: np.ndarray
    ends: np.ndarray


def scores(questions: Questions, vocabulary: Vocabulary, batch: int, seed: int) -> ScoredWindows:
    """Synthetic scores: noise, and two likely answers of up to ten tokens in every window."""
    windows = questions.windows
    count = len(windows)
    draw = np.random.default_rng(seed)
    starts, ends = draw.standard_normal((2, count, int(windows.lengths.max())), dtype=np.float32)
    sizes = windows.offsets.lengths // 2
    rows = np.arange(count)
    for _ in range(2):
        first = (draw.random(count) * sizes).astype(np.int64)
        last = np.minimum(first + draw.integers(0, 10, count), sizes - 1)
        for edges, token in ((starts, first), (ends, last)):
            edges[rows, windows.context_start + token] += PEAK * draw.random(count, dtype=np.float32) + PEAK
    batches = []
    for take in length_batches(windows.lengths, batch):
        allowed = collate([windows], [(0, int(row)) for row in take], vocabulary).allowed
        edges = (torch.from_numpy(edges[take, : allowed.shape[1]]) for edges in (starts, ends))
        batches.append((take, *edges, allowed))
    return ScoredWindows(questions, batches, starts, ends)


Scored = tuple[list[str], list[float], list[float]]
"""Answers by example row, and EM and F1 of the examples in their order."""


def ours(scored: ScoredWindows, decode: DecodeSettings) -> Scored:
    """Decoding as `bmt.qa.decoding.predict` does after the forward pass, and `bmt.qa.metrics.score`."""
    metrics._bag.cache_clear()  # no gold answer is known from a round before
    questions = scored.questions
    predictions = best_predictions(
        questions.windows, np.arange(len(questions.windows)), ours_spans(scored, decode), questions.contexts
    )
    texts = [prediction.text for prediction in predictions]
    em, f1 = metrics.score(texts, [questions.answers[prediction.example] for prediction in predictions])
    return texts, em.tolist(), f1.tolist()


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

    def best(self, decode: DecodeSettings) -> dict[str, dict[str, Any]]:
        """The recipe's answer to each example, by id."""
        return recipe.best_answers(
            self.examples, self.windows, self.starts, self.ends, decode.max_answer_tokens
        )


def recipe_input(scored: ScoredWindows, each_window: bool = False) -> RecipeInput:
    """With `each_window`, every window is an example of its own, so that its best span can be seen."""
    rows_of, questions = scored.questions.windows, scored.questions
    windows, of_id = [], {}
    for row, example in enumerate(rows_of.example.tolist()):
        pairs, start = rows_of.offsets[row].reshape(-1, 2).tolist(), int(rows_of.context_start[row])
        outside = len(rows_of.input_ids[row]) - start - len(pairs)
        offsets = [None] * start + [tuple(pair) for pair in pairs] + [None] * outside
        key = str(row if each_window else example)
        windows.append({"example_id": key, "offset_mapping": offsets})
        of_id[key] = example
    examples = [{"id": key, "context": questions.contexts[row]} for key, row in of_id.items()]
    gold = [questions.answers[row] for row in of_id.values()]
    return RecipeInput(examples, windows, gold, scored.starts, scored.ends)


def by_recipe(inputs: RecipeInput, decode: DecodeSettings) -> Scored:
    """The recipe's loops."""
    best = inputs.best(decode)
    texts = [best[example["id"]]["text"] for example in inputs.examples]
    return texts, *recipe.score(texts, inputs.answers)


def differences(scored: ScoredWindows, decode: DecodeSettings) -> dict[str, int]:
    """Where the two differ: windows whose best span has other tokens, examples with another answer, and other
    EM or F1.
    """
    best = recipe_input(scored, each_window=True).best(decode)
    spans = enumerate(ours_spans(scored, decode)[:, :2].astype(int).tolist())
    (texts, *ours_scores), (recipe_texts, *recipe_scores) = (
        ours(scored, decode),
        by_recipe(recipe_input(scored), decode),
    )
    em, f1 = (np.abs(np.subtract(ours_scores, recipe_scores)) > 1e-12).sum(1).tolist()
    return {
        "windows": sum(list(best[str(row)]["tokens"]) != span for row, span in spans),
        "answers": sum(map(ne, texts, recipe_texts)),
        "em": em,
        "f1": f1,
    }
