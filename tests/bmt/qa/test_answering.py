"""How a question is cut for the model that answers it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import bmt.qa.answering
import bmt.qa.tokenizer
from bmt.errors import ConfigError, DataError, ModelError
from bmt.qa.adapters import add_adapters, datasets_of
from bmt.qa.answering import answer, load, readable_length
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


def test_a_tokenizer_without_the_markers_answers_too_and_a_marker_is_then_text(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[Any] = []

    def encoder(tokenizer: Any, markers: Any) -> Any:
        asked.append(markers)
        return bmt.qa.tokenizer.encoder(tokenizer, markers)

    def predict(*_: Any) -> list[Prediction]:
        return [Prediction(0, "mill", 0, 4, -0.5)]

    monkeypatch.setattr(bmt.qa.answering, "encoder", encoder)
    monkeypatch.setattr(bmt.qa.answering, "predict", predict)
    for markers in ([], ["[PAR]"], ["[TLE]", "[DOC]", "[PAR]"]):
        best = answer(tiny.roberta(), fast("roberta", markers), "What [PAR]?", "The [DOC] mill.")
        assert best.text == "mill" and asked.pop() == markers


def test_a_context_of_which_the_model_knows_no_token_is_refused() -> None:
    model = tiny.bert()
    model.resize_token_embeddings(300)
    with pytest.raises(DataError, match=r"^the context holds no token that the model knows: give some text$"):
        answer(model.eval(), fast("bert"), "What?", "\u200b\u200b")


def test_a_question_too_long_for_the_model_s_window_is_cut_and_a_long_context_read_to_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The best of several windows answers, at its place in the whole context."""
    model, tokenizer = tiny.roberta(), fast("roberta")
    model.resize_token_embeddings(len(tokenizer))
    model.config.bmt = {"window": 24, "overlap": 4, "question": 6}
    context = "the old mill by the river " * 6 + "1804"
    read: list[Any] = []
    whole = bmt.qa.answering.predict

    def predict(model: Any, windows: Any, contexts: Any, *more: Any) -> Any:
        read.append((windows, contexts))
        return whole(model, windows, contexts, *more)

    monkeypatch.setattr(bmt.qa.answering, "predict", predict)
    best = answer(model.eval(), tokenizer, "Where is the old mill by the river in spring?", context)
    [(windows, contexts)] = read
    assert contexts == [context] and len(windows) > 3 and set(windows.context_start.tolist()) == {1 + 6 + 2}
    assert int(windows.lengths.max()) == 24 and windows.offsets.values[-1] == len(context)
    assert best.text == context[best.start : best.end] and best.text and best.score <= 0


def test_the_model_in_a_run_s_folder_is_opened_and_a_folder_without_one_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        ModelError, match=r"run: no trained model there \(no config\.json, nor model/config\.json\)$"
    ):
        load(tmp_path / "run")
    for seed, folder in ((1, tmp_path / "run"), (2, tmp_path / "run" / "model")):
        tiny.bert(seed).save_pretrained(folder)
        fast("bert").save_pretrained(folder)
        model, tokenizer = load(str(tmp_path / "run"))  # a path or its text; the inner folder wins
        assert torch.equal(model.qa_outputs.weight, tiny.bert(seed).qa_outputs.weight)
        assert not model.training and "[PAR]" in tokenizer.get_vocab()


@pytest.mark.parametrize("adapter", [None, "B", "average"])
def test_the_adapter_that_is_named_is_opened(adapter: str | None, tmp_path: Path) -> None:
    """One dataset's alone or the mean of all; without a name there are all of them."""
    model = tiny.bert()
    add_adapters(model, ("A", "B"))
    with torch.no_grad():
        model.qa_outputs.bias.copy_(torch.tensor([[1.0, 2.0], [3.0, 8.0]]))
    model.save_pretrained(tmp_path)
    fast("bert").save_pretrained(tmp_path)
    opened, _ = load(tmp_path, adapter=adapter)
    names = ("A", "B") if adapter is None else (adapter,)
    bias = {None: [[1.0, 2.0], [3.0, 8.0]], "B": [[3.0, 8.0]], "average": [[2.0, 5.0]]}[adapter]
    assert datasets_of(opened) == names and opened.qa_outputs.bias.tolist() == bias


def test_an_overlap_that_a_model_s_window_has_no_room_for_is_refused() -> None:
    model = tiny.roberta()
    model.config.bmt = {"window": 24, "overlap": 14, "question": 6}
    said = r"^data\.window 24 leaves room for 14 context tokens beside data\.question 6 and 4 special tokens"
    with pytest.raises(ConfigError, match=said):
        answer(model, fast("roberta"), "What was built?", "The old mill by the river.")
