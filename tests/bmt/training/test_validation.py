"""Questions as the plan answers them: decoding, batch, precision, progress; and a rank's share of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import bmt.training.validation
from bmt.qa.batches import Windows
from bmt.qa.decoding import Prediction
from bmt.runtime.ranks import Ranks
from bmt.settings import DecodeSettings, TrainingSettings
from bmt.training import microbatches
from bmt.training.data import TrainingData
from bmt.training.plan import Plan
from bmt.training.validation import Questions, answers, evaluate
from tests.support import tiny


def questions() -> Questions:
    """Four questions of a file of five examples, the second with three windows."""
    one = tiny.windows("A", 7)
    example = np.array([0, 1, 1, 1, 2, 3, 4], dtype=np.int32)
    windows = Windows("A", example, one.input_ids, one.context_start, one.offsets, one.spans)
    return Questions(windows, np.arange(6), np.array([0, 1, 2, 3]), ["c"] * 5, [["mill"]] * 5)


def test_answers_are_decoded_batched_and_cast_as_the_plan_says(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def predict(model: Any, windows: Any, contexts: Any, vocabulary: Any, decode: Any, **more: Any) -> Any:
        asked.update(more, windows=windows, contexts=contexts, vocabulary=vocabulary, decode=decode)
        return [Prediction(3, "c", 0, 1, 0.0), Prediction(0, "c", 0, 1, 0.0)]

    def progress(count: int, note: str) -> None:
        return

    monkeypatch.setattr(bmt.training.validation, "predict", predict)
    monkeypatch.setattr(
        bmt.training.validation, "autocast_for", lambda precision, device: (precision, device.type)
    )
    plan = Plan(TrainingSettings(evaluation_batch=3, precision="bf16"), decode=DecodeSettings("greedy", 4))
    part = questions()
    given = answers(tiny.bert(), part, tiny.VOCAB, plan, progress)
    assert [prediction.example for prediction in given] == [0, 3]  # in the order of example rows
    assert asked["decode"] == DecodeSettings("greedy", 4) and asked["windows"] is part.windows
    assert (asked["contexts"], asked["vocabulary"]) == (part.contexts, tiny.VOCAB)
    assert asked["rows"].tolist() == [0, 1, 2, 3, 4, 5]
    passes = asked["passes"]
    assert (passes.batch, passes.autocast, passes.progress) == (3, ("bf16", "cpu"), progress)


def test_each_dataset_is_scored_in_percent_on_its_own_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    """EM and F1 of A: all of one question, half of the words of another, nothing of the two others."""
    one = questions()
    two = Questions(tiny.windows("B", 2), np.arange(2), np.array([1, 0]), ["c"] * 2, [["x"], ["old mill"]])
    texts = {"A": {0: "The mill!", 1: "mill river", 2: "", 4: "mill"}, "B": {0: "x", 1: "old mill"}}

    def given(model: Any, part: Questions, vocabulary: Any, plan: Any, *more: Any) -> list[Prediction]:
        assert more == ("progress", "ranks")
        return [Prediction(row, text, 0, 1, 0.0) for row, text in texts[part.windows.dataset].items()]

    monkeypatch.setattr(bmt.training.validation, "answers", given)
    handed_on: Any = ("progress", "ranks")
    scores = evaluate(tiny.bert(), [one, two], tiny.VOCAB, Plan(), *handed_on)
    assert list(scores) == ["A", "B"]
    assert scores["A"] == (pytest.approx(25.0), pytest.approx(100 * (1 + 2 / 3) / 4))
    assert scores["B"] == (100.0, 100.0)


@pytest.mark.parametrize("world", [1, 2, 3, 7])
def test_all_windows_of_a_question_are_on_one_rank_and_each_is_read_once(world: int) -> None:
    part = questions()
    shares = [part.shared(Ranks(rank, world)) for rank in range(world)]
    assert sorted(np.concatenate(shares).tolist()) == part.rows.tolist()
    examples = [set(part.windows.example[share].tolist()) for share in shares]
    assert sum(map(len, examples)) == 4 == len(set().union(*examples))
    tokens = [int(part.windows.lengths[part.windows.example == example].sum()) for example in range(4)]
    want = microbatches.shares(np.array(tokens), world)  # of like tokens, not of like numbers of windows
    assert examples == [set(positions.tolist()) for positions in want]


def test_the_data_of_one_dataset_are_its_windows_rows_and_questions() -> None:
    sets = [tiny.windows("A", 8), tiny.windows("B", 9, seed=1)]
    whole = tiny.training_data(sets, {"A": np.arange(3), "B": np.arange(1, 6)}, np.arange(6, 8))
    assert whole.datasets == ("A", "B")
    part = whole.alone(1)
    assert isinstance(part, TrainingData) and part.datasets == ("B",) and part.sets == [sets[1]]
    assert list(part.rows) == ["B"] and part.rows["B"].tolist() == [1, 2, 3, 4, 5]
    assert part.validation == [whole.validation[1]] and part.vocabulary is whole.vocabulary


def test_an_evaluation_leaves_a_training_model_as_it_was() -> None:
    model = tiny.bert(dropout=True).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    part = tiny.as_questions(tiny.windows("A", 6), np.arange(2, 6))
    first, again = (evaluate(model, [part], tiny.VOCAB, Plan()) for _ in range(2))
    assert first == again and model.training  # without dropout, whatever was drawn before
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
