"""A fast tokenizer as features need it: text is text, whatever special tokens stand in it.

Passages of MRQA hold "[SEP]" (HotpotQA) and whatever else people write. A tokenizer left to itself makes
special tokens of them, and a context ends where nobody meant it to. Only the markers that the project adds
([TLE], [DOC], [PAR]) are to be tokens of their own.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from tokenizers import Tokenizer

from bmt.errors import ConfigError

Ids = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Encoder:
    """A fast tokenizer reduced to what features need, small enough to send to a worker process.

    `backend` is the JSON of a tokenizer that takes every special token in a text as text, the markers
    excepted; `prefix`, `middle` and `suffix` are the special ids around a question and a context; `digest`
    identifies all of it.
    """

    backend: str
    prefix: Ids
    middle: Ids
    suffix: Ids
    digest: str

    def specials(self) -> int:
        """Special tokens in a window."""
        return len(self.prefix) + len(self.middle) + len(self.suffix)


def encoder(tokenizer: Any, markers: Sequence[str]) -> Encoder:
    """The `Encoder` of a transformers fast tokenizer (or a `tokenizers.Tokenizer`) with the `markers` added;
    an `Encoder` is itself.

    Inside a text only the markers are special. `encode_special_tokens` alone does not give that: it keeps the
    added tokens from matching, but a Unigram model still finds "</s>" among its pieces, and a marker added as
    special would become text. So in a copy the special pieces get names that no text has, and the markers
    become plain added tokens.

    Raises:
        ConfigError: the tokenizer is not a fast one, or a marker is missing from it.
    """
    if isinstance(tokenizer, Encoder):
        return tokenizer
    backend = getattr(tokenizer, "backend_tokenizer", tokenizer)
    if not isinstance(backend, Tokenizer):
        raise ConfigError(
            f"tokenizer: {type(tokenizer).__name__} is not a fast tokenizer: one with a tokenizer.json is "
            "needed"
        )
    known = {token.content for token in backend.get_added_tokens_decoder().values()}
    missing = [marker for marker in markers if marker not in known]
    if missing:
        raise ConfigError(
            f"data.special_tokens: the tokenizer lacks {', '.join(missing)}: add them with "
            "tokenizer.add_tokens first"
        )
    return _encoder(backend.to_str(), tuple(markers), *_template(backend))


@lru_cache(maxsize=4)  # one tokenizer serves many files
def _encoder(backend: str, markers: tuple[str, ...], prefix: Ids, middle: Ids, suffix: Ids) -> Encoder:
    parts = json.loads(backend)
    parts["truncation"] = parts["padding"] = parts["post_processor"] = None
    hidden = {
        token["content"]
        for token in parts["added_tokens"]
        if token["special"] and token["content"] not in markers
    }
    hidden &= _hide(parts["model"], hidden)
    parts["added_tokens"] = [token for token in parts["added_tokens"] if token["content"] not in hidden]
    for token in parts["added_tokens"]:
        if token["content"] in markers:
            token.update(special=False, normalized=False, lstrip=False, rstrip=False, single_word=False)
    text = json.dumps(parts, ensure_ascii=False)
    copy = _parsed(text)
    moved = [
        token["content"]
        for token in parts["added_tokens"]
        if copy.token_to_id(token["content"]) != token["id"]
    ]
    if moved:
        raise ConfigError(
            f"tokenizer: the ids of the added tokens {', '.join(moved)} are not in order: save it with "
            "save_pretrained, load it again"
        )
    digest = hashlib.sha256(f"{prefix} {middle} {suffix} {text}".encode()).hexdigest()
    return Encoder(text, prefix, middle, suffix, digest)


def text_tokenizer(spec: Encoder) -> Tokenizer:
    """The tokenizer that `spec.backend` describes; it adds no special tokens and finds none in a text.

    Shared: not to be changed.
    """
    return _parsed(spec.backend)


@lru_cache(maxsize=4)
def _parsed(backend: str) -> Tokenizer:
    tokenizer = Tokenizer.from_str(backend)
    tokenizer.encode_special_tokens = True
    return tokenizer


def _template(backend: Tokenizer) -> tuple[Ids, Ids, Ids]:
    """The special ids before, between and after the two texts of a pair."""
    encoding = backend.encode("a", "a")
    real_tokens = [
        (number, side)
        for number, side, real in zip(
            encoding.ids, encoding.sequence_ids, encoding.attention_mask, strict=True
        )
        if real
    ]
    ids, sides = tuple(number for number, _ in real_tokens), [side for _, side in real_tokens]
    question = [row for row, side in enumerate(sides) if side == 0]
    context = [row for row, side in enumerate(sides) if side == 1]
    if not question or not context or question[-1] > context[0]:
        raise ConfigError(
            "tokenizer: it does not put a question before a context: a pair template of both texts in "
            "order is needed"
        )
    return ids[: question[0]], ids[question[-1] + 1 : context[0]], ids[context[-1] + 1 :]


def _hide(model: dict[str, Any], tokens: set[str]) -> set[str]:
    """Rename those of `tokens` that are pieces of the model's vocabulary, so that no text finds them; return
    them.
    """
    vocabulary = model["vocab"]
    if isinstance(vocabulary, dict):
        pieces = tokens & vocabulary.keys()
        model["vocab"] = {
            _hidden(token) if token in pieces else token: row for token, row in vocabulary.items()
        }
        if model.get("unk_token") in pieces:
            model["unk_token"] = _hidden(model["unk_token"])
    else:
        pieces = tokens & {token for token, _ in vocabulary}
        model["vocab"] = [
            [_hidden(token) if token in pieces else token, score] for token, score in vocabulary
        ]
    return pieces


def _hidden(token: str) -> str:
    return f"\ufdd0{token}\ufdd1"  # noncharacters, which no text has
