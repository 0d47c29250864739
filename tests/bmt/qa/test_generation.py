"""Written answers: what is read of a text that is too long."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import T5Config, T5ForConditionalGeneration

from bmt.qa.generation import input_text, write_answers
from bmt.qa.generation_settings import GenerationSettings
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


def test_the_input_is_unified_qa_s() -> None:
    assert input_text("Where IS it?", "By the River.\nYes") == "where is it? \\n by the river.\nyes"
