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
    distinct = {
        text: row for row, text in enumerate(dict.fromkeys(example.question.strip() for example in examples))
    }
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
    characters = np.array([pair for example in examples for pair in example.spans], dtype=np.int64).reshape(
        -1, 2
    )
    first, last = align(characters + bases[context_of[span_question], None], offsets)
    first, last = (
        first - first_token[context_of[span_question]],
        last - first_token[context_of[span_question]],
    )
    lost = int((first > last).sum())
    order = np.lexsort((last, first, span_question))
    order = order[(first <= last)[order]]
    spans = (
        np.unique(np.stack([span_question, first, last], 1)[order], axis=0)
        if len(order)
        else np.empty((0, 3), np.int64)
    )
    per_question = np.bincount(spans[:, 0], minlength=len(examples))
    pairs = per_question[window_question]
    pair_window = np.repeat(np.arange(len(window_question)), pairs)
    pair_span = np.repeat(_starts(per_question)[window_question], pairs) + _within(pairs)
    inside = (spans[pair_span, 1] >= start[pair_window]) & (
        spans[pair_span, 2] < (start + length)[pair_window]
    )
    pair_window, pair_span = pair_window[inside], pair_span[inside]
    answers = np.bincount(pair_window, minlength=len(window_question))
    span_rows = np.unique(pair_span)

    answered = np.zeros(len(examples), dtype=bool)
    answered[spans[span_rows, 0]] = True
    keep = answered if train else np.ones(len(examples), dtype=bool)
    dropped = [
        (examples[row].id, _reason(examples[row].spans, per_question[row])) for row in np.flatnonzero(~keep)
    ]
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
    begin[:, 1], take[:, 1] = (
        len(fixed) + _starts(question_sizes)[question_of[window_question]],
        kept_question[window_question],
    )
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
            # a pair of int32 at a time, as one int64
            _lists(pieces(relative.view(np.int64)[:, 0], first_id, length).view(np.int32), 2 * length),
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


def _lists(values: np.ndarray, sizes: np.ndarray) -> pa.Array:
    bounds = np.zeros(len(sizes) + 1, dtype=np.int32)
    np.cumsum(sizes, out=bounds[1:])
    return pa.ListArray.from_arrays(bounds, values)


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
