"""How a question is cut for the model that answers it."""

from __future__ import annotations

from typing import Any

import pytest

import bmt.qa.answering
from bmt.errors import DataError
from bmt.qa.answering import answer, readable_length
from bmt.qa.decoding import Prediction
from bmt.qa.windows import Cut
from bmt.settings import DataSettings, DecodeSettings
from tests.support import tiny
from tests.support.tiny_tokenizers import fast


def test_a_model_reads_as_many_tokens_as_it_has_positions_for() -> None:
    assert readable_length(tiny.bert()) == 512
    assert readable_length(tiny.roberta()) == 68  # its table begins after the padding's position
    assert readable_length(tiny.t5()) == DataSettings().window


@pytest.mark.parametrize(
    ("trained_with", "cut", "decode"),
    [
        ({}, Cut(68, 34, 17), DecodeSettings()),
        ({"window": 48, "overlap": 8, "question": 20}, Cut(48, 8, 20), DecodeSettings()),
        ({"window": 512, "overlap": 8, "question": 20}, Cut(68, 8, 20), DecodeSettings()),
        (
            {"decode": {"mode": "greedy", "max_answer_tokens": 3}},
            Cut(68, 34, 17),
            DecodeSettings("greedy", 3),
        ),
    ],
)
def test_windows_and_decoding_are_those_of_the_training(
    trained_with: dict[str, Any], cut: Cut, decode: DecodeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny.roberta()
    model.config.bmt = trained_with
    used: list[Any] = []
    whole = bmt.qa.answering.cut_chunk

    def cut_chunk(passages: Any, spec: Any, tokenizer: Any, cut: Cut, train: bool) -> Any:
        used.append((cut, train))
        return whole(passages, spec, tokenizer, cut, train)

    def predict(model: Any, windows: Any, contexts: Any, vocabulary: Any, decode: DecodeSettings) -> Any:
        used.append(decode)
        return [Prediction(0, "mill", 8, 12, -0.5)]

    monkeypatch.setattr(bmt.qa.answering, "cut_chunk", cut_chunk)
    monkeypatch.setattr(bmt.qa.answering, "predict", predict)
    best = answer(model, fast("roberta"), "What was built?", "The old mill by the river was built in 1804.")
    assert used == [(cut, False), decode]
    assert (best.text, best.start, best.end, best.score) == ("mill", 8, 12, -0.5)


@pytest.mark.parametrize(
    ("question", "context", "what"), [(" \n", "The mill.", "question"), ("What?", "\t ", "context")]
)
def test_an_empty_question_or_context_is_refused(question: str, context: str, what: str) -> None:
    with pytest.raises(DataError, match=f"^the {what} is empty: give some text$"):
        answer(tiny.roberta(), fast("roberta"), question, context)
