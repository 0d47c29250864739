"""Answers as text, by a sequence-to-sequence model as it was published: UnifiedQA's way of asking (Table 8's
first row).

    input    lower case of   question + " \\n " + context        a backslash and an n between spaces, not a
    line break
    output   the answer's words, greedy unless there are beams

What exceeds the model's length is cut at the end of the context. Nothing is trained here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.utils.rnn import pad_sequence

from bmt.errors import ModelError
from bmt.qa.generation_settings import GenerationSettings
from bmt.qa.model import open_tokenizer, quiet_transformers

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

SEPARATOR = " \\n "
Progress = Callable[[int, str], None]


@dataclass(frozen=True, slots=True)
class GeneratedAnswer:
    """The answer to one question.

    Attributes:
        text: as the model wrote it, without special tokens.
        tokens: of the input that was read.
        cut: whether the input was longer than that.
    """

    text: str
    tokens: int
    cut: bool


def input_text(question: str, context: str) -> str:
    """What the model reads."""
    return f"{question}{SEPARATOR}{context}".lower()


def open_generator(
    source: str | Path, *, revision: str | None = None
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A T5 with its decoder and its language-model head, in evaluation mode and fp32, and its tokenizer.

    Raises:
        ModelError: no such model, another architecture, or weights without the decoder.
    """
    from transformers import AutoConfig, T5ForConditionalGeneration

    options: dict[str, Any] = {} if revision is None else {"revision": revision}
    with quiet_transformers():
        try:
            config = AutoConfig.from_pretrained(str(source), **options)
            if config.model_type != "t5":
                raise ModelError(
                    f"{source}: a {config.model_type} writes no answer: a whole T5ForConditionalGeneration "
                    "is needed"
                )
            model, loading = T5ForConditionalGeneration.from_pretrained(
                str(source), dtype=torch.float32, output_loading_info=True, **options
            )
        except (OSError, ValueError) as error:
            raise ModelError(
                f"{source}: cannot be opened as a model: {str(error).strip().splitlines()[0]}"
            ) from error
        if loading["missing_keys"]:
            raise ModelError(
                f"{source}: its weights lack {sorted(loading['missing_keys'])[0]} and "
                f"{len(loading['missing_keys']) - 1} more: an encoder alone writes no answer; a whole "
                "T5ForConditionalGeneration is needed"
            )
        tokenizer = open_tokenizer(source, revision=revision)
    return model.eval(), tokenizer


@torch.inference_mode()
def write_answers(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    settings: GenerationSettings,
    batch: int = 32,
    progress: Progress | None = None,
) -> list[GeneratedAnswer]:
    """The answer to each of `texts` (`input_text`), in their order; batches are of like lengths.

    Args:
        batch: inputs per forward pass. progress: called with (texts done, note).
    """
    ids, cut = _encoded(tokenizer, texts, min(settings.input_tokens, tokenizer.model_max_length))
    written: dict[int, GeneratedAnswer] = {}
    # The longest first: what does not fit fails at once.
    order = sorted(range(len(texts)), key=lambda row: -len(ids[row]))
    pad, device = int(tokenizer.pad_token_id or 0), model.device
    for start in range(0, len(order), batch):
        rows = order[start : start + batch]
        read = [torch.tensor(ids[row]) for row in rows]
        inputs = pad_sequence(read, batch_first=True, padding_value=pad)
        attention = pad_sequence([torch.ones_like(one) for one in read], batch_first=True)
        with quiet_transformers():
            out = model.generate(
                input_ids=inputs.to(device),
                attention_mask=attention.to(device),
                num_beams=settings.beams,
                do_sample=False,
                max_new_tokens=settings.answer_tokens,
            )
        for row, text in zip(rows, tokenizer.batch_decode(out, skip_special_tokens=True), strict=True):
            written[row] = GeneratedAnswer(text.strip(), len(ids[row]), cut[row])
        if progress is not None:
            progress(len(rows), "")
    return [written[row] for row in range(len(texts))]


def _encoded(
    tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], limit: int
) -> tuple[list[list[int]], list[bool]]:
    """Token ids of each text, at most `limit` with the last one (</s>) kept, and whether a text was cut."""
    if not texts:
        return [], []
    with quiet_transformers():
        whole = tokenizer(list(texts))["input_ids"]
    cut = [len(ids) > limit for ids in whole]
    return [[*ids[: limit - 1], ids[-1]] if long else ids for ids, long in zip(whole, cut, strict=True)], cut
