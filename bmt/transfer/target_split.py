"""Which dev questions of a target dataset few-shot transfer trains on, validates on and is tested on."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from bmt.errors import ConfigError
from bmt.runtime.keyed_random import permutation
from bmt.training.validation import Questions


@dataclass(frozen=True, slots=True)
class Split:
    """Example rows of a target dataset's dev file: K/2 to train on, K/2 to validate on, and those that are
    scored.
    """

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def draw(target: Questions, k: int, seed: int, test: str = "minus_k") -> Split:
    """K examples with an answer in some window, drawn under (seed, dataset), and the split into halves.

    K is not part of the key: under one seed the first 16 of 64 are those of K = 16, on the same sides, so
        that a curve over K adds examples
    and exchanges none. Sides alternate along the draw.

    Args:
        target: the dev questions that may be drawn and are scored.
        test: "minus_k" or "entire_dev".

    Raises:
        ConfigError: K is odd or below 2, or more than the dataset has to give.
    """
    name = target.windows.dataset
    if k < 2 or k % 2:
        raise ConfigError(
            f"fewshot.sizes: {k!r} is not allowed: an even number from 2 on, half to train on and half to "
            "validate on"
        )
    answered = np.unique(target.windows.example[target.windows.spans.lengths > 0])
    pool = target.examples[np.isin(target.examples, answered)]
    most = min(len(pool), len(target.examples) - (test == "minus_k"))
    if k > most:
        raise ConfigError(
            f"fewshot.sizes: {k} examples of {name} are asked for, which has {most} to give ({len(pool)} of "
            f"its {len(target.examples)} questions have an answer in a window"
            f"{', and one at least is left to test on' if test == 'minus_k' else ''}): lower K, or "
            "leave the dataset out"
        )
    drawn = pool[permutation(len(pool), (seed, "few-shot", name))[:k]]
    scored = target.examples if test == "entire_dev" else target.examples[~np.isin(target.examples, drawn)]
    return Split(drawn[::2], drawn[1::2], scored)


def those_of(questions: Questions, examples: np.ndarray) -> Questions:
    """The questions of the same file with these example rows."""
    return replace(questions, rows=questions.windows.of_examples(examples), examples=examples)
