"""Written answers: what is read of a text that is too long."""

from __future__ import annotations

import pytest
import torch
from transformers import T5Config, T5ForConditionalGeneration

from bmt.qa.generation import GenerationSettings, input_text, write_answers
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
