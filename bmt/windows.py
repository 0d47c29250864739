"""From questions and contexts to windows of token ids, by arrays: one call handles a chunk of contexts.

    [CLS] question [SEP] context tokens start … start + length [SEP]      what the tokenizer's own pair template puts around the two texts

A context is encoded once however many questions it has. With `room` tokens left for it, its windows start every `room - overlap` tokens, so
that neighbours share exactly `overlap` context tokens and the last window ends with the context. Needs numpy, pyarrow and tokenizers only:
worker processes import this module and no torch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa
from tokenizers import Encoding, Tokenizer

from bmt.errors import ConfigError
from bmt.mrqa import Passage

WINDOWS = pa.schema(
    [
        ("example", pa.int32()),
        ("input_ids", pa.list_(pa.int32())),
        ("context_start", pa.int32()),
        ("offsets", pa.list_(pa.int32())),
        ("spans", pa.list_(pa.int32())),
    ]
)
EXAMPLES = pa.schema(
    [
        ("id", pa.string()),
        ("context_id", pa.string()),
        ("question", pa.string()),
        ("context", pa.string()),
        ("answers", pa.list_(pa.string())),
    ]
)

_SPACE = np.array([chr(code).isspace() for code in range(0x3002)])  # U+3000 is the last space of str.isspace
_FAR = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True)
class Encoder:
    """A fast tokenizer reduced to what features need, small enough to send to a worker process.

    `backend` is the JSON of a tokenizer that takes every special token in a text as text, the markers excepted; `prefix`, `middle` and
    `suffix` are the special ids around a question and a context; `digest` identifies all of it.
    """

    backend: str
    prefix: tuple[int, ...]
    middle: tuple[int, ...]
    suffix: tuple[int, ...]
    digest: str

    def specials(self) -> int:
        """Special tokens in a window."""
        return len(self.prefix) + len(self.middle) + len(self.suffix)


@dataclass(frozen=True, slots=True)
class Cut:
    """How texts are cut: tokens in a window, context tokens shared by neighbours, tokens kept of a question."""

    window: int
    overlap: int
    question: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """The windows of some contexts. `example` of `windows` is a row of this chunk's `examples`."""

    windows: pa.RecordBatch
    examples: pa.RecordBatch
    questions: int
    truncated: int
    answered: int
    dropped: list[tuple[str, str]]  # question id, reason
    spans_lost: dict[str, int]  # by reason


def encoder(tokenizer: Any, markers: Sequence[str]) -> Encoder:
    """The `Encoder` of a transformers fast tokenizer (or a `tokenizers.Tokenizer`) to which the `markers` were added.

    Inside a text only the markers are special. `encode_special_tokens` alone does not give that: it keeps the added tokens from matching,
    but a Unigram model still finds "</s>" among its pieces, and a marker added as special would become text. So in a copy the special
    pieces get names that no text has, and the markers become plain added tokens.

    Raises:
        ConfigError: the tokenizer is not a fast one, or a marker is missing from it.
    """
    backend = getattr(tokenizer, "backend_tokenizer", tokenizer)
    if not isinstance(backend, Tokenizer):
        raise ConfigError(f"tokenizer: {type(tokenizer).__name__} is not a fast tokenizer: one with a tokenizer.json is needed")
    return _encoder(backend.to_str(), tuple(markers))


@lru_cache(maxsize=4)  # one tokenizer serves many files
def _encoder(backend: str, markers: tuple[str, ...]) -> Encoder:
    parts = json.loads(backend)
    parts["truncation"] = parts["padding"] = None
    ids = {token["content"]: token["id"] for token in parts["added_tokens"]}
    missing = [marker for marker in markers if marker not in ids]
    if missing:
        raise ConfigError(f"data.special_tokens: the tokenizer lacks {', '.join(missing)}: add them with tokenizer.add_tokens first")
    prefix, middle, suffix = _template(Tokenizer.from_str(json.dumps(parts)))

    parts["post_processor"] = None
    hidden = {token["content"] for token in parts["added_tokens"] if token["special"] and token["content"] not in markers}
    hidden &= _hide(parts["model"], hidden)
    parts["added_tokens"] = [token for token in parts["added_tokens"] if token["content"] not in hidden]
    for token in parts["added_tokens"]:
        if token["content"] in markers:
            token.update(special=False, normalized=False, lstrip=False, rstrip=False, single_word=False)
    text = json.dumps(parts, ensure_ascii=False)
    copy = Tokenizer.from_str(text)
    moved = [token["content"] for token in parts["added_tokens"] if copy.token_to_id(token["content"]) != token["id"]]
    if moved:
        raise ConfigError(f"tokenizer: the ids of the added tokens {', '.join(moved)} are not in order: save it with save_pretrained, load it again")
    digest = hashlib.sha256(f"{prefix} {middle} {suffix} {text}".encode()).hexdigest()
    return Encoder(text, prefix, middle, suffix, digest)


@lru_cache(maxsize=4)
def text_tokenizer(spec: Encoder) -> Tokenizer:
    """The tokenizer that `spec.backend` describes; it adds no special tokens and finds none in a text."""
    tokenizer = Tokenizer.from_str(spec.backend)
    tokenizer.encode_special_tokens = True
    return tokenizer


def check_cut(cut: Cut, specials: int) -> None:
    """Raise a ConfigError, naming the settings, if a window with the longest question has no room for more context than the overlap."""
    room = cut.window - specials - cut.question
    if room <= cut.overlap:
        raise ConfigError(
            f"data.window {cut.window} leaves room for {room} context tokens beside data.question {cut.question} and {specials} special "
            f"tokens, and data.overlap is {cut.overlap}: the room must be larger than the overlap"
        )


def cut_chunk(passages: Sequence[Passage], spec: Encoder, tokenizer: Tokenizer, cut: Cut, train: bool) -> Chunk:
    """The windows of `passages`.

    With `train`, a question without a span that a window holds is dropped and listed; else every question is kept.
    """
    contexts = [passage.context for passage in passages]
    examples = [example for passage in passages for example in passage.examples]
    context_of = np.repeat(np.arange(len(passages)), [len(passage.examples) for passage in passages])
    distinct = {text: row for row, text in enumerate(dict.fromkeys(example.question.strip() for example in examples))}
    question_of = np.array([distinct[example.question.strip()] for example in examples], dtype=np.int64)

    question_ids, question_sizes = _ids(tokenizer.encode_batch_fast(list(distinct), add_special_tokens=False))
    encodings = tokenizer.encode_batch(contexts, add_special_tokens=False)
    context_ids, context_sizes = _ids(encodings)
    flat = chain.from_iterable(chain.from_iterable(encoding.offsets for encoding in encodings))
    offsets = np.fromiter(flat, dtype=np.int64, count=2 * len(context_ids)).reshape(-1, 2)
    del encodings
    bases = _starts(np.array([len(context) + 1 for context in contexts], dtype=np.int64))
    offsets = clean_offsets(offsets, contexts, context_sizes)
    first_token = _starts(context_sizes)

    # Windows: of each question, and within its context.
    kept_question = np.minimum(question_sizes[question_of], cut.question)
    room = cut.window - spec.specials() - kept_question
    tokens = context_sizes[context_of]
    number = 1 + np.maximum(0, -((room - tokens) // (room - cut.overlap)))
    window_question = np.repeat(np.arange(len(examples)), number)
    start = _within(number) * (room - cut.overlap)[window_question]
    length = np.minimum(room[window_question], tokens[window_question] - start)
    context_start = len(spec.prefix) + kept_question[window_question] + len(spec.middle)

    # Spans: to tokens of the context, then into the windows that hold them whole.
    span_question = np.repeat(np.arange(len(examples)), [len(example.spans) for example in examples])
    characters = np.array([pair for example in examples for pair in example.spans], dtype=np.int64).reshape(-1, 2)
    first, last = align(characters + bases[context_of[span_question], None], offsets)
    first, last = first - first_token[context_of[span_question]], last - first_token[context_of[span_question]]
    lost = int((first > last).sum())
    order = np.lexsort((last, first, span_question))
    order = order[(first <= last)[order]]
    spans = np.unique(np.stack([span_question, first, last], 1)[order], axis=0) if len(order) else np.empty((0, 3), np.int64)
    per_question = np.bincount(spans[:, 0], minlength=len(examples))
    pairs = per_question[window_question]
    pair_window = np.repeat(np.arange(len(window_question)), pairs)
    pair_span = np.repeat(_starts(per_question)[window_question], pairs) + _within(pairs)
    inside = (spans[pair_span, 1] >= start[pair_window]) & (spans[pair_span, 2] < (start + length)[pair_window])
    pair_window, pair_span = pair_window[inside], pair_span[inside]
    answers = np.bincount(pair_window, minlength=len(window_question))
    span_rows = np.unique(pair_span)

    answered = np.zeros(len(examples), dtype=bool)
    answered[spans[span_rows, 0]] = True
    keep = answered if train else np.ones(len(examples), dtype=bool)
    dropped = [(examples[row].id, _reason(examples[row].spans, per_question[row])) for row in np.flatnonzero(~keep)]
    kept_window = keep[window_question]
    span_tokens = spans[pair_span, 1:] + (context_start - start)[pair_window, None]
    if not keep.all():
        span_tokens = span_tokens[kept_window[pair_window]]
        window_question, start, length = window_question[kept_window], start[kept_window], length[kept_window]
        context_start, answers = context_start[kept_window], answers[kept_window]

    # One pool of ids, from which every window takes five pieces.
    fixed = np.array(spec.prefix + spec.middle + spec.suffix, dtype=np.int32)
    pool = np.concatenate([fixed, question_ids, context_ids])
    first_id = first_token[context_of[window_question]] + start
    begin, take = np.empty((2, len(window_question), 5), dtype=np.int64)
    begin[:, 0], take[:, 0] = 0, len(spec.prefix)
    begin[:, 1], take[:, 1] = len(fixed) + _starts(question_sizes)[question_of[window_question]], kept_question[window_question]
    begin[:, 2], take[:, 2] = len(spec.prefix), len(spec.middle)
    begin[:, 3], take[:, 3] = len(fixed) + len(question_ids) + first_id, length
    begin[:, 4], take[:, 4] = len(spec.prefix) + len(spec.middle), len(spec.suffix)
    relative = (offsets - np.repeat(bases, context_sizes)[:, None]).astype(np.int32)
    rows = np.cumsum(keep) - 1
    windows = pa.RecordBatch.from_arrays(
        [
            pa.array(rows[window_question].astype(np.int32)),
            _lists(pieces(pool, begin.ravel(), take.ravel()), take.sum(1)),
            pa.array(context_start.astype(np.int32)),
            _lists(pieces(relative, first_id, length).ravel(), 2 * length),
            _lists(span_tokens.astype(np.int32).ravel(), 2 * answers),
        ],
        schema=WINDOWS,
    )
    kept = np.flatnonzero(keep)
    return Chunk(
        windows=windows,
        examples=_example_batch([examples[row] for row in kept], contexts, context_of[kept]),
        questions=len(examples),
        truncated=int((question_sizes[question_of] > cut.question)[keep].sum()),
        answered=int((answers > 0).sum()),
        dropped=dropped,
        spans_lost={"no token": lost, "in no window": len(spans) - len(span_rows)},
    )


def clean_offsets(offsets: np.ndarray, contexts: Sequence[str], sizes: np.ndarray) -> np.ndarray:
    """Offsets that decode to the contexts' own characters, in the coordinates of "\\n".join(contexts).

    White space at a token's edges is taken off (RoBERTa's " Paris"). Characters that the tokenizer drops (combining marks, zero-width and
    control characters) are given to the token of their word, else to the one before, so that every character that is not white space
    belongs to a token. A token of nothing but white space becomes empty, at the end of the token before it.

    Args:
        offsets: [tokens, 2] half-open character offsets within each context.
        contexts: the texts.
        sizes: tokens of each context.
    """
    joined = "".join(f"{context}\n" for context in contexts)
    codes = np.frombuffer(joined.encode("utf-32-le"), dtype=np.uint32)
    space = _SPACE[np.minimum(codes, len(_SPACE) - 1)]
    inked, spaces = np.flatnonzero(~space), np.flatnonzero(space)
    before = np.zeros(len(codes) + 1, dtype=np.int32)
    np.cumsum(~space, out=before[1:])  # characters before that are not white space

    def ink_end(place: np.ndarray) -> np.ndarray:
        """The end of the last character before `place` that is not white space (0 if there is none)."""
        return np.where(before[place] > 0, inked[before[place] - 1] + 1, 0)

    ends = np.cumsum([len(context) + 1 for context in contexts]) - 1
    bases = np.append(0, ends[:-1] + 1)
    owner = np.repeat(np.arange(len(contexts)), sizes)
    if not len(inked) or not len(owner):
        return np.repeat(bases[owner], 2).reshape(-1, 2)
    inked = np.append(inked, len(codes))
    starts, stops = (offsets + bases[owner, None]).T
    starts, stops = inked[before[starts]], ink_end(stops)
    real = np.flatnonzero(starts < stops)
    begin, end, owner_real = starts[real], stops[real], owner[real]
    opens = np.append(True, owner_real[1:] != owner_real[:-1])[: len(real)]  # first token of its context
    closes = np.append(opens[1:], True)[: len(real)]
    # Characters that no token has, between two tokens of a context: up to the last white space to the left one, the rest to the right one.
    right = np.flatnonzero(~opens[1:] & (before[begin[1:]] > before[end[:-1]])) + 1
    left_end, right_begin = end[right - 1], begin[right]
    word_start = spaces[right_begin - before[right_begin] - 1] + 1  # after the last white space before the right token; joined[0] may be none
    spaced = (right_begin > before[right_begin]) & (word_start > left_end)
    end[right - 1] = np.where(spaced, ink_end(word_start), right_begin)
    begin[right] = np.where(spaced, word_start, right_begin)
    begin[opens] = inked[before[bases[owner_real[opens]]]]
    end[closes] = np.maximum(end[closes], ink_end(ends[owner_real[closes]]))

    cleaned = np.empty((len(offsets), 2), dtype=np.int64)
    cleaned[real, 0], cleaned[real, 1] = begin, end
    empty = np.flatnonzero(starts >= stops)
    at = np.searchsorted(real, empty) - 1  # the token before that is not empty, if it is of the same context
    if len(real):
        same = (at >= 0) & (owner_real[at] == owner[empty])
        cleaned[empty] = np.where(same, end[at], bases[owner[empty]])[:, None]
    else:
        cleaned[empty] = bases[owner[empty]][:, None]
    return cleaned


def align(spans: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Tokens of character spans: from the first whose end is after the span's start to the last whose start is before the span's end.

    Empty tokens are passed over. A span without a token of its own gets first > last.

    Args:
        spans: [n, 2], half-open, in the coordinates of `offsets`.
        offsets: [tokens, 2].

    Returns:
        first and last (inclusive), each [n].
    """
    empty = offsets[:, 0] >= offsets[:, 1]
    ends = np.maximum.accumulate(np.where(empty, -1, offsets[:, 1]))
    starts = np.minimum.accumulate(np.where(empty, _FAR, offsets[:, 0])[::-1])[::-1]
    return np.searchsorted(ends, spans[:, 0], side="right"), np.searchsorted(starts, spans[:, 1], side="left") - 1


def pieces(values: np.ndarray, begin: np.ndarray, length: np.ndarray) -> np.ndarray:
    """The concatenation of values[begin[k] : begin[k] + length[k]] over k."""
    return values[np.repeat(begin - _starts(length), length) + np.arange(length.sum())]


def _template(backend: Tokenizer) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """The special ids before, between and after the two texts of a pair."""
    encoding = backend.encode("a", "a")
    sides = encoding.sequence_ids
    question = [row for row, side in enumerate(sides) if side == 0]
    context = [row for row, side in enumerate(sides) if side == 1]
    if not question or not context or question[-1] > context[0]:
        raise ConfigError("tokenizer: it does not put a question before a context: a pair template of both texts in order is needed")
    ids = tuple(encoding.ids)
    return ids[: question[0]], ids[question[-1] + 1 : context[0]], ids[context[-1] + 1 :]


def _hide(model: dict[str, Any], tokens: set[str]) -> set[str]:
    """Rename those of `tokens` that are pieces of the model's vocabulary, so that no text finds them; return them."""
    vocabulary = model["vocab"]
    if isinstance(vocabulary, dict):
        found = tokens & vocabulary.keys()
        model["vocab"] = {_hidden(token) if token in found else token: row for token, row in vocabulary.items()}
        if model.get("unk_token") in found:
            model["unk_token"] = _hidden(model["unk_token"])
    else:
        found = tokens & {token for token, _ in vocabulary}
        model["vocab"] = [[_hidden(token) if token in found else token, score] for token, score in vocabulary]
    return found


def _hidden(token: str) -> str:
    return f"\ufdd0{token}\ufdd1"  # noncharacters, which no text has


def _ids(encodings: list[Encoding]) -> tuple[np.ndarray, np.ndarray]:
    """The ids of all encodings in one array, and the number of each."""
    sizes = np.array([len(encoding) for encoding in encodings], dtype=np.int64)
    flat = chain.from_iterable(encoding.ids for encoding in encodings)
    return np.fromiter(flat, dtype=np.int32, count=int(sizes.sum())), sizes


def _starts(sizes: np.ndarray) -> np.ndarray:
    """Where each of consecutive pieces of these sizes begins."""
    return np.cumsum(sizes) - sizes


def _within(sizes: np.ndarray) -> np.ndarray:
    """0 … size - 1 for each size, one after the other."""
    return np.arange(sizes.sum()) - np.repeat(_starts(sizes), sizes)


def _lists(values: np.ndarray, sizes: np.ndarray) -> pa.Array:
    bounds = np.zeros(len(sizes) + 1, dtype=np.int32)
    np.cumsum(sizes, out=bounds[1:])
    return pa.ListArray.from_arrays(bounds, values)


def _reason(spans: tuple[tuple[int, int], ...], aligned: int) -> str:
    if not spans:
        return "no usable span"
    return "span in no window" if aligned else "span without a token"


def _example_batch(examples: list[Any], contexts: list[str], context_of: np.ndarray) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays(
        [
            pa.array([example.id for example in examples], pa.string()),
            pa.array([example.context_id for example in examples], pa.string()),
            pa.array([example.question for example in examples], pa.string()),
            pa.array(contexts, pa.string()).take(pa.array(context_of)),
            pa.array([example.answers for example in examples], pa.list_(pa.string())),
        ],
        schema=EXAMPLES,
    )
