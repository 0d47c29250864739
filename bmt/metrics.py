"""Exact match and F1 as the MRQA organisers' official evaluation computes them (mrqa_official_eval.py of the 2019 shared task).

An answer is lower-cased, stripped of ASCII punctuation, of the articles a, an and the, and of extra white space. EM compares the results,
F1 their bags of words; both take the best over the gold answers. The organisers' quirk is kept: two strings that both normalise to nothing
have EM 1 and F1 0, because F1 is 0 wherever no word is shared.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

EVALUATOR_VERSION = "mrqa-2019/1"

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_DROP_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalise(text: str) -> str:
    """`text` in lower case, without ASCII punctuation, English articles and extra white space, in the organisers' order."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_DROP_PUNCTUATION)).split())


def exact_match(prediction: str, answers: Sequence[str]) -> float:
    """1.0 if `prediction` equals one of `answers` after normalisation, else 0.0; 0.0 if there are no answers."""
    normalised = normalise(prediction)
    return float(any(normalised == normalise(answer) for answer in answers))


def f1(prediction: str, answers: Sequence[str]) -> float:
    """The best F1 over `answers` of the words shared with `prediction`, 0..1; 0.0 if there are no answers."""
    words = normalise(prediction).split()
    bag = Counter(words)
    return max((_word_f1(bag, len(words), answer) for answer in map(_bag, answers)), default=0.0)


def score(predictions: Sequence[str], answers: Sequence[Sequence[str]]) -> tuple[np.ndarray, np.ndarray]:
    """EM and F1 of many predictions.

    Args:
        predictions: one text a question.
        answers: the gold answers of each question.

    Returns:
        Two float64 arrays of shape [len(predictions)], each in 0..1, equal to `exact_match` and `f1` of each question.

    Raises:
        ValueError: the two lengths differ.
    """
    if len(predictions) != len(answers):
        raise ValueError(f"{len(predictions)} predictions for {len(answers)} questions: one prediction a question is needed")
    em = np.zeros(len(predictions))
    f1_scores = np.zeros(len(predictions))
    for row, (prediction, golds) in enumerate(zip(predictions, answers, strict=True)):
        normalised = normalise(prediction)
        words = normalised.split()
        bag = Counter(words)
        for gold in set(golds):
            gold_bag = _bag(gold)
            if normalised == gold_bag[0]:
                em[row] = 1.0
                f1_scores[row] = max(f1_scores[row], 1.0 if words else 0.0)
            elif not bag.keys().isdisjoint(gold_bag[1]):
                f1_scores[row] = max(f1_scores[row], _word_f1(bag, len(words), gold_bag))
    return em, f1_scores


@lru_cache(maxsize=200_000)
def _bag(answer: str) -> tuple[str, Counter[str], int]:
    """The normalised answer, its words with their counts (not to be changed: it is cached), and the number of words."""
    normalised = normalise(answer)
    words = normalised.split()
    return normalised, Counter(words), len(words)


def _word_f1(bag: Counter[str], size: int, gold: tuple[str, Counter[str], int]) -> float:
    _, gold_bag, gold_size = gold
    same = sum(min(count, gold_bag[word]) for word, count in bag.items() if word in gold_bag)
    if same == 0:
        return 0.0
    precision, recall = same / size, same / gold_size
    return 2 * precision * recall / (precision + recall)
