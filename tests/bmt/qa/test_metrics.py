"""EM and F1: the organisers' cases, closed forms, and an oracle written as their script is."""

from __future__ import annotations

import json
import re
import string
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmt.qa.metrics import EVALUATOR_VERSION, exact_match, f1, normalise, score

words = st.lists(
    st.sampled_from(
        [
            "the",
            "a",
            "an",
            "The",
            "Paris",
            "paris",
            "1804",
            "d'Arc",
            "--",
            "é",
            "e\u0301",
            "ß",
            "日本",
            "",
            "a.n",
        ]
    ),
    max_size=6,
)
texts = words.map(" ".join) | st.text(max_size=20)


def oracle_normalise(text: str) -> str:
    lowered = "".join(character for character in text.lower() if character not in set(string.punctuation))
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", lowered).split())


def oracle_f1(prediction: str, answer: str) -> float:
    prediction_tokens, answer_tokens = oracle_normalise(prediction).split(), oracle_normalise(answer).split()
    same = sum((Counter(prediction_tokens) & Counter(answer_tokens)).values())
    if same == 0:
        return 0.0
    precision, recall = same / len(prediction_tokens), same / len(answer_tokens)
    return (2 * precision * recall) / (precision + recall)


def test_agrees_with_the_organisers_on_all_reference_cases(shared):
    cases = [
        json.loads(line)
        for line in (shared / "reference" / "metric_cases.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    assert len(cases) == 4000
    em, f1_scores = score([case["prediction"] for case in cases], [case["answers"] for case in cases])
    for case, one_em, one_f1 in zip(cases, em, f1_scores, strict=True):
        assert exact_match(case["prediction"], case["answers"]) == one_em == case["em"]
        assert f1(case["prediction"], case["answers"]) == pytest.approx(case["f1"], abs=1e-12)
        assert one_f1 == pytest.approx(case["f1"], abs=1e-12)


@pytest.mark.parametrize(
    ("prediction", "answers", "em", "expected"),
    [
        ("The Eiffel Tower!", ["eiffel tower"], 1.0, 1.0),
        ("Eiffel Tower in Paris", ["Eiffel Tower"], 0.0, 2 * (2 / 4) * 1 / (2 / 4 + 1)),
        ("in the in", ["in in in"], 0.0, 0.8),  # bags, not sets: 2 of 2 and 2 of 3
        ("Paris", ["London", "in Paris", "Paris"], 1.0, 1.0),  # the best answer counts, for each metric
        ("in Paris", ["Paris in spring", "Paris"], 0.0, 0.8),
        ("the", ["a"], 1.0, 0.0),  # the quirk: nothing equals nothing, and shares no word
        ("", [""], 1.0, 0.0),
        ("", ["Paris"], 0.0, 0.0),
        ("U.S.", ["us"], 1.0, 1.0),
        ("twenty–one", ["twenty one"], 0.0, 0.0),  # an en dash is not ASCII punctuation
        ("Paris", [], 0.0, 0.0),
    ],
)
def test_closed_forms(prediction, answers, em, expected):
    assert exact_match(prediction, answers) == em
    assert f1(prediction, answers) == pytest.approx(expected, abs=1e-15)


def test_articles_go_after_punctuation():
    assert normalise("a-n example: The 'a' THE") == "example"  # "a-n" becomes the article "an"
    assert normalise("theory ana") == "theory ana"


@given(texts, texts)
def test_one_answer_equals_the_oracle(prediction, answer):
    assert normalise(prediction) == oracle_normalise(prediction)
    assert exact_match(prediction, [answer]) == float(
        oracle_normalise(prediction) == oracle_normalise(answer)
    )
    assert f1(prediction, [answer]) == pytest.approx(oracle_f1(prediction, answer), abs=1e-15)


@given(st.lists(st.tuples(texts, st.lists(texts, max_size=4)), max_size=5))
def test_score_is_the_single_functions_over_many(pairs):
    em, f1_scores = score([prediction for prediction, _ in pairs], [answers for _, answers in pairs])
    assert em.dtype == f1_scores.dtype == np.float64
    assert em.tolist() == [exact_match(prediction, answers) for prediction, answers in pairs]
    assert f1_scores == pytest.approx([f1(prediction, answers) for prediction, answers in pairs], abs=1e-15)


@given(texts, st.lists(texts, min_size=1, max_size=4))
def test_more_answers_never_lower_a_score_and_a_word_of_gold_is_found(prediction, answers):
    assert f1(prediction, answers) >= f1(prediction, answers[:1])
    assert exact_match(answers[-1], answers) == 1.0
    assert f1(answers[-1], answers) == (1.0 if normalise(answers[-1]) else 0.0)


def test_unequal_lengths_are_refused():
    with pytest.raises(ValueError, match="2 predictions for 1 questions"):
        score(["a", "b"], [["a"]])


def test_the_version_of_the_evaluator_is_part_of_every_result():
    assert EVALUATOR_VERSION == "mrqa-2019/1"


def test_predictions_and_questions_must_be_as_many() -> None:
    with pytest.raises(ValueError, match="1 predictions for 2 questions: one prediction per question"):
        score(["a"], [["a"], ["b"]])
    with pytest.raises(ValueError, match="2 predictions for 1 questions"):
        score(["a", "b"], [["a"]])
