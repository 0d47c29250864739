"""Exact match and F1 as the MRQA organisers' official evaluation computes them (mrqa_official_eval.py of the
2019 shared task).

An answer is lower-cased, stripped of ASCII punctuation, of the articles a, an and the, and of extra white
space. EM compares the results, F1 their bags of words; both take the best over the gold answers. The
organisers' quirk is kept: two strings that both normalise to nothing have EM 1 and F1 0, because F1 is 0
wherever no word is shared.
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
    """`text` in lower case, without ASCII punctuation, English articles and extra white space, in the
    organisers' order.
    """
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_DROP_PUNCTUATION)).split())


def exact_match(prediction: str, answers: Sequence[str]) -> float:
    """1.0 if `prediction` equals one of `answers` after normalisation, else 0.0."""
    normalised = normalise(prediction)
    return float(any(normalised == normalise(answer) for answer in answers))


def f1(prediction: str, answers: Sequence[str]) -> float:
    """The best F1 over `answers` of the words shared with `prediction`, 0..1; 0.0 if there are no answers."""
    bag = _bag(prediction)
    return max((_word_f1(bag, _bag(answer)) for answer in answers), default=0.0)


def score(predictions: Sequence[str], answers: Sequence[Sequence[str]]) -> tuple[np.ndarray, np.ndarray]:
    """EM and F1 of many predictions.

    Args:
        predictions: one text per question.
        answers: the gold answers of each question.

    Returns:
        Two float64 arrays of shape [len(predictions)], each in 0..1, equal to `exact_match` and `f1` of each
        question.

    Raises:
        ValueError: the two lengths differ.
    """
    if len(predictions) != len(answers):
        raise ValueError(
            f"{len(predictions)} predictions for {len(answers)} questions: one prediction per question is "
            "needed"
        )
    em = np.zeros(len(predictions))
    f1_scores = np.zeros(len(predictions))
    for row, (prediction, golds) in enumerate(zip(predictions, answers, strict=True)):
        bag = _made_bag(prediction)
        for gold in set(golds):
            gold_bag = _bag(gold)
            if bag[0] == gold_bag[0]:
                em[row] = 1.0
                f1_scores[row] = 1.0 if bag[0] else f1_scores[row]
            elif not bag[1].isdisjoint(gold_bag[1]):
                f1_scores[row] = max(f1_scores[row], _word_f1(bag, gold_bag))
    return em, f1_scores


Bag = tuple[str, frozenset[str], int]


def _made_bag(answer: str) -> Bag:
    """The normalised answer, its different words, and the number of its words."""
    normalised = normalise(answer)
    words = normalised.split()
    return normalised, frozenset(words), len(words)


_bag = lru_cache(maxsize=200_000)(_made_bag)


def _word_f1(bag: Bag, gold: Bag) -> float:
    same = len(bag[1] & gold[1])
    if same == 0:
        return 0.0
    # Only words that both repeat are shared more than once.
    if len(bag[1]) < bag[2] and len(gold[1]) < gold[2]:
        same = (Counter(bag[0].split()) & Counter(gold[0].split())).total()
    precision, recall = same / bag[2], same / gold[2]
    return 2 * precision * recall / (precision + recall)
