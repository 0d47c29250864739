"""Predictions as rows and the scores of a run: by dataset, by domain, as metrics and as lines."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from benchmark.runs.dataset_scores import COLUMNS, DatasetScores, WrittenAnswer, predictions_table
from bmt.qa.decoding import Prediction
from tests.support.dataset_scores import scores

SOURCE = pa.table(
    {
        "id": ["q0", "q1", "q2", "q3"],
        "context_id": ["c0", "c0", "c1", "c2"],
        "answers": [["red"], ["green", "a green apple"], ["blue"], ["grey"]],
    }
)


def test_a_row_is_an_example_with_its_own_answer_whatever_the_order_of_the_answers() -> None:
    answers = [
        Prediction(3, "grey", 0, 4, -0.25),
        Prediction(0, "rot", 0, 3, -1.0),
        Prediction(1, "green pear", 0, 10, -2.0),
    ]
    table = predictions_table("DROP", np.array([3, 1, 2]), answers, SOURCE)
    assert table.schema == COLUMNS
    assert table.to_pylist() == [
        {
            "dataset": "DROP",
            "example_id": "q3",
            "context_id": "c2",
            "prediction": "grey",
            "score": -0.25,
            "em": 1.0,
            "f1": 1.0,
            "answers": ["grey"],
        },
        {
            "dataset": "DROP",
            "example_id": "q1",
            "context_id": "c0",
            "prediction": "green pear",
            "score": -2.0,
            "em": 0.0,
            "f1": pytest.approx(2 / 3),  # against "green"; against "a green apple", 0.5
            "answers": ["green", "a green apple"],
        },
        {  # no window of it, and so no answer
            "dataset": "DROP",
            "example_id": "q2",
            "context_id": "c1",
            "prediction": "",
            "score": None,
            "em": 0.0,
            "f1": 0.0,
            "answers": ["blue"],
        },
    ]
    (written,) = predictions_table("DROP", np.array([0]), [WrittenAnswer(0, "red")], SOURCE).to_pylist()
    assert (written["prediction"], written["score"], written["em"]) == ("red", None, 1.0)


def test_a_dataset_s_scores_are_percent_means_with_its_counts_and_its_own_digest() -> None:
    got = scores()
    assert got.datasets == {
        "DROP": {
            "domain": "out_of_domain",
            "em": 100.0,
            "f1": 100.0,
            "examples": 1,
            "contexts": 1,
            "data_sha256": "sha DROP",
        },
        "NewsQA": {
            "domain": "in_domain",
            "em": 0.0,
            "f1": 25.0,
            "examples": 2,
            "contexts": 2,
            "data_sha256": "sha NewsQA",
        },
        "SQuAD": {
            "domain": "in_domain",
            "em": 50.0,
            "f1": 62.5,
            "examples": 4,
            "contexts": 2,
            "data_sha256": "sha SQuAD",
        },
    }
    assert got.missing == ["TextbookQA", "BioASQ"]  # as the profile has them
    assert got.predictions["dataset"].to_pylist() == ["DROP", *["NewsQA"] * 2, *["SQuAD"] * 4]


def test_averages_are_of_datasets_by_domain_however_many_questions_each_has() -> None:
    got = scores()
    assert got.averages == {
        "in_domain": {"em": 25.0, "f1": 43.75, "datasets": ["SQuAD", "NewsQA"]},
        "out_of_domain": {"em": 100.0, "f1": 100.0, "datasets": ["DROP"]},
    }
    only = DatasetScores(got.predictions, {"DROP": got.datasets["DROP"]}, [])
    assert list(only.averages) == ["out_of_domain"]


def test_metrics_of_a_run() -> None:
    got = scores()
    assert got.metrics() == {
        "em/DROP": 100.0,
        "f1/DROP": 100.0,
        "em/NewsQA": 0.0,
        "f1/NewsQA": 25.0,
        "em/SQuAD": 50.0,
        "f1/SQuAD": 62.5,
        "em/avg_id": 25.0,
        "f1/avg_id": 43.75,
        "em/avg_ood": 100.0,
        "f1/avg_ood": 100.0,
    }
