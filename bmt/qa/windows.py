"""From questions and contexts to windows of token ids, by arrays: one call handles a chunk of contexts.

    [CLS] question [SEP] context tokens start … start + length [SEP]      what the tokenizer's own pair
    template puts around the two texts

A context is encoded once however many questions it has. With `room` tokens left for it, its windows start
every `room - overlap` tokens, so that neighbours share exactly `overlap` context tokens and the last window
ends with the context. Needs numpy, pyarrow and tokenizers only: worker processes import this module and no
torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import pyarrow as pa
from tokenizers import Encoding, Tokenizer

from bmt.errors import ConfigError
from bmt.qa.mrqa import Example, Passage
from bmt.qa.token_offsets import align, clean_offsets
from bmt.qa.tokenizer import Encoder

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


@dataclass(frozen=True, slots=True)
class Cut:
    """How texts are cut: tokens per window, context tokens that neighbours share, tokens of a question."""

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


def check_cut(cut: Cut, specials: int) -> None:
    """Raise a ConfigError, naming the settings, if a window with the longest question has no room for more
    context than the overlap.
    """
    room = cut.window - specials - cut.question
    if room <= cut.overlap:
        raise ConfigError(
            f"data.window {cut.window} leaves room for {room} context tokens beside data.question "
            f"{cut.question} and {specials} special tokens, and data.overlap is {cut.overlap}: the room "
            "must be larger than the overlap"
        )


def cut_chunk(
    passages: Sequence[Passage], spec: Encoder, tokenizer: Tokenizer, cut: Cut, train: bool
) -> Chunk:
    """The windows of `passages`.

    With `train`, a question without a span that a window holds is dropped and listed; else every question is
    kept.
    """
    contexts = [passage.context for passage in passages]
    examples = [example for passage in passages for example in passage.examples]
    context_of = np.repeat(np.arange(len(passages)), [len(passage.examples) for passage in passages])
    encodings = tokenizer.encode_batch(contexts, add_special_tokens=False)
    context_ids, context_sizes = _ids(encodings)
    offsets, bases = _offsets(encodings, contexts, context_sizes)
    del encodings
    first_token = _starts(context_sizes)
    texts = [example.question.strip() for example in examples]
    place_of = {text: place for place, text in enumerate(dict.fromkeys(texts))}
    question_of = np.array([place_of[text] for text in texts], dtype=np.int64)
    question_ids, sizes = _ids(tokenizer.encode_batch_fast(list(place_of), add_special_tokens=False))
    question_first, question_sizes = _starts(sizes)[question_of], sizes[question_of]

    # Windows: whose each is, and which part of its context it holds.
    question_length = np.minimum(question_sizes, cut.question)
    room = cut.window - spec.specials() - question_length
    tokens = context_sizes[context_of]
    number = 1 + np.maximum(0, -((room - tokens) // (room - cut.overlap)))
    owner = np.repeat(np.arange(len(examples)), number)
    start = _within(number) * (room - cut.overlap)[owner]
    length = np.minimum(room[owner], tokens[owner] - start)

    # Gold spans that they hold; in training a question without any goes.
    spans, lost = _gold_spans(examples, context_of, bases, first_token, offsets)
    per_question = np.bincount(spans[:, 0], minlength=len(examples))
    window, span = _held(spans, per_question, owner, start, length)
    held = np.unique(span)
    keep = np.full(len(examples), not train)
    keep[spans[held, 0]] = True
    dropped = [
        (examples[row].id, _reason(examples[row].spans, per_question[row])) for row in np.flatnonzero(~keep)
    ]
    # Where a question's windows have their context.
    lead = len(spec.prefix) + question_length + len(spec.middle)
    answers = np.bincount(window, minlength=len(owner))
    span_tokens = spans[span, 1:] + (lead[owner] - start)[window, None]
    if not keep.all():
        kept_windows = keep[owner]
        span_tokens = span_tokens[kept_windows[window]]
        owner, start, length, answers = (part[kept_windows] for part in (owner, start, length, answers))

    # One pool of ids, from which every window takes five pieces.
    fixed = [*spec.prefix, *spec.middle, *spec.suffix]
    pool = np.concatenate([np.array(fixed, dtype=np.int32), question_ids, context_ids])
    first = first_token[context_of[owner]] + start
    middle, suffix = len(spec.prefix), len(spec.prefix + spec.middle)
    question_at, context_at = (
        len(fixed) + question_first[owner],
        len(fixed) + len(question_ids) + first,
    )
    begin = _columns(0, question_at, middle, context_at, suffix)
    take = _columns(middle, question_length[owner], len(spec.middle), length, len(spec.suffix))
    relative = (offsets - np.repeat(bases, context_sizes)[:, None]).astype(np.int32)
    windows = pa.RecordBatch.from_arrays(
        [
            pa.array((np.cumsum(keep) - 1)[owner].astype(np.int32)),
            _lists(pieces(pool, begin.ravel(), take.ravel()), take.sum(1)),
            pa.array(lead[owner].astype(np.int32)),
            # a pair of int32 at a time, as one int64
            _lists(pieces(relative.view(np.int64)[:, 0], first, length).view(np.int32), 2 * length),
            _lists(span_tokens.astype(np.int32).ravel(), 2 * answers),
        ],
        schema=WINDOWS,
    )
    kept = np.flatnonzero(keep)
    return Chunk(
        windows=windows,
        examples=_example_batch([examples[row] for row in kept], contexts, context_of[kept]),
        questions=len(examples),
        truncated=int((question_sizes > cut.question)[keep].sum()),
        answered=int((answers > 0).sum()),
        dropped=dropped,
        spans_lost={"no token": lost, "in no window": len(spans) - len(held)},
    )


def _offsets(
    encodings: list[Encoding], contexts: Sequence[str], sizes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Where the tokens of all contexts are, [tokens, 2], in the coordinates of the contexts joined by line
    ends, and where in these each context begins.
    """
    flat = chain.from_iterable(chain.from_iterable(encoding.offsets for encoding in encodings))
    offsets = np.fromiter(flat, dtype=np.int64, count=2 * int(sizes.sum())).reshape(-1, 2)
    bases = _starts(np.array([len(context) + 1 for context in contexts], dtype=np.int64))
    return clean_offsets(offsets, contexts, sizes), bases


def _gold_spans(
    examples: Sequence[Example],
    context_of: np.ndarray,
    bases: np.ndarray,
    first_token: np.ndarray,
    offsets: np.ndarray,
) -> tuple[np.ndarray, int]:
    """Gold spans as tokens of their context, and how many have no token of their own.

    Args:
        context_of: the context of each example.
        bases: where each context begins in the coordinates of `offsets`.
        first_token: where each context begins among the rows of `offsets`.

    Returns:
        (question, first token, last token) of each, inclusive, in that order and each once; and the number.
    """
    question = np.repeat(np.arange(len(examples)), [len(example.spans) for example in examples])
    pairs = [pair for example in examples for pair in example.spans]
    characters = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    tokens = np.stack(align(characters + bases[context_of[question], None], offsets))
    first, last = tokens - first_token[context_of[question]]
    aligned = first <= last
    spans = np.stack([question, first, last], 1)[aligned]
    return (np.unique(spans, axis=0) if len(spans) else spans), int((~aligned).sum())


def _held(
    spans: np.ndarray,
    per_question: np.ndarray,
    window_question: np.ndarray,
    start: np.ndarray,
    length: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Which windows hold which of their question's spans whole: rows of windows and of spans, (pairs,) each.

    Args:
        spans: sorted by question; per_question: how many each has.
        window_question: question of each window; start, length: its context tokens.
    """
    pairs = per_question[window_question]
    window = np.repeat(np.arange(len(window_question)), pairs)
    span = np.repeat(_starts(per_question)[window_question], pairs) + _within(pairs)
    inside = (spans[span, 1] >= start[window]) & (spans[span, 2] < (start + length)[window])
    return window[inside], span[inside]


def pieces(values: np.ndarray, begin: np.ndarray, length: np.ndarray) -> np.ndarray:
    """The concatenation of values[begin[k] : begin[k] + length[k]] over k."""
    index = np.repeat(begin - _starts(length), length)
    index += np.arange(len(index))
    return values.take(index)


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


def _columns(*columns: np.ndarray | int) -> np.ndarray:
    return np.stack(np.broadcast_arrays(*columns), 1)


def _lists(values: np.ndarray, sizes: np.ndarray) -> pa.Array:
    return pa.ListArray.from_arrays(np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32), values)


def _reason(spans: tuple[tuple[int, int], ...], aligned: int) -> str:
    if not spans:
        return "no usable span"
    return "span in no window" if aligned else "span without a token"


def _example_batch(examples: list[Example], contexts: list[str], context_of: np.ndarray) -> pa.RecordBatch:
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
