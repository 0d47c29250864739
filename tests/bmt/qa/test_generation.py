"""Written answers: what is read of a text that is too long."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import T5Config, T5EncoderModel, T5ForConditionalGeneration

from bmt.errors import ConfigError, ModelError
from bmt.qa.generation import input_text, open_generator, write_answers
from bmt.qa.generation_settings import GenerationSettings
from tests.support import tiny
from tests.support.tiny import T5_SIZE
from tests.support.tiny_tokenizers import fast


@pytest.mark.parametrize(("setting", "tokenizer_says", "read"), [(12, 1000, 12), (1000, 12, 12), (12, 9, 9)])
def test_the_smaller_of_two_limits_decides_what_is_read(setting: int, tokenizer_says: int, read: int) -> None:
    torch.manual_seed(0)
    tokenizer = fast("t5")
    config = T5Config(**T5_SIZE | {"vocab_size": len(tokenizer)}, decoder_start_token_id=0)
    model = T5ForConditionalGeneration(config).eval()
    before, tokenizer.model_max_length = tokenizer.model_max_length, tokenizer_says
    try:
        texts = [input_text("Where?", "the old mill by the river " * 9), "a"]
        settings = GenerationSettings(answer_tokens=2, input_tokens=setting)
        long, short = write_answers(model, tokenizer, texts, settings)
    finally:
        tokenizer.model_max_length = before
    assert (long.tokens, long.cut) == (read, True) and short.tokens < read and not short.cut


class Writer:
    """A model that writes the first token it reads, and notes how it was asked."""

    device = torch.device("cpu")

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    def generate(self, **given: Any) -> torch.Tensor:
        self.asked.append(given)
        return given["input_ids"][:, :1]


def test_what_is_cut_keeps_its_last_token_and_answers_come_in_the_order_of_the_texts() -> None:
    tokenizer, model = fast("t5"), Writer()
    texts = ["a river", "the old mill by the river", "Paris"]
    whole = [tokenizer(text)["input_ids"] for text in texts]
    assert len(whole[1]) > 8 > len(whole[0]) and all(ids[-1] == 1 for ids in whole)  # </s>
    counted: list[int] = []
    written = write_answers(
        model,  # type: ignore[arg-type]
        tokenizer,
        texts,
        GenerationSettings(beams=3, answer_tokens=7, input_tokens=8),
        batch=2,
        progress=lambda count, note: counted.append(count),
    )
    assert [one.text for one in written] == [tokenizer.decode(ids[:1]).strip() for ids in whole]
    assert [(one.tokens, one.cut) for one in written] == [(min(8, len(ids)), len(ids) > 8) for ids in whole]
    assert counted == [2, 1]
    read = {}
    for asked in model.asked:
        assert (asked["num_beams"], asked["max_new_tokens"], asked["do_sample"]) == (3, 7, False)
        for ids, attention in zip(asked["input_ids"], asked["attention_mask"], strict=True):
            kept = ids[attention.bool()].tolist()
            assert attention.tolist() == [1] * len(kept) + [0] * (len(ids) - len(kept))
            assert ids.tolist()[len(kept) :] == [0] * (len(ids) - len(kept))  # <pad>
            read[len(read)] = kept
    longest_first = sorted(whole, key=lambda ids: -min(8, len(ids)))
    assert list(read.values()) == [[*ids[:7], ids[-1]] if len(ids) > 8 else ids for ids in longest_first]


def test_an_input_of_just_the_length_that_is_read_is_not_cut() -> None:
    tokenizer = fast("t5")
    text = "the old mill by the river"
    whole = tokenizer(text)["input_ids"]
    for limit, cut in ((len(whole), False), (len(whole) - 1, True)):
        settings = GenerationSettings(input_tokens=limit)
        [one] = write_answers(Writer(), tokenizer, [text], settings)  # type: ignore[arg-type]
        assert (one.tokens, one.cut) == (limit, cut)
    assert write_answers(Writer(), tokenizer, [], GenerationSettings()) == []  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"beams": 0}, "beams: 0 is not allowed: at least 1"),
        ({"answer_tokens": 0}, "answer_tokens: 0 is not allowed: at least 1"),
        ({"input_tokens": 7}, "input_tokens: 7 is not allowed: at least 8"),
    ],
)
def test_settings_out_of_their_bounds_are_refused(changes: dict[str, int], said: str) -> None:
    with pytest.raises(ConfigError, match=rf"^generation\.{said}$"):
        GenerationSettings(**changes)


def test_a_model_without_a_decoder_writes_no_answer_and_is_refused(tmp_path: Path) -> None:
    tiny.bert().save_pretrained(tmp_path / "bert")
    encoder = T5EncoderModel(T5Config(**T5_SIZE | {"decoder_start_token_id": 0}))
    encoder.save_pretrained(tmp_path / "encoder")
    whole = T5ForConditionalGeneration(T5Config(**T5_SIZE, decoder_start_token_id=0))
    whole.save_pretrained(tmp_path / "whole")
    for name in ("bert", "encoder", "whole"):
        fast("t5").save_pretrained(tmp_path / name)
    with pytest.raises(
        ModelError, match=r"bert: a bert writes no answer: a whole T5ForConditionalGeneration"
    ):
        open_generator(tmp_path / "bert")
    with pytest.raises(ModelError, match=r"encoder: its weights lack decoder\.\S+ and \d+ more: an encoder"):
        open_generator(tmp_path / "encoder")
    with pytest.raises(ModelError, match="none: cannot be opened as a model"):
        open_generator(tmp_path / "none")
    model, tokenizer = open_generator(tmp_path / "whole")
    assert not model.training and model.dtype == torch.float32 and len(tokenizer) == len(fast("t5"))


def test_the_input_is_unified_qa_s() -> None:
    assert input_text("Where IS it?", "By the River.\nYes") == "where is it? \\n by the river.\nyes"
