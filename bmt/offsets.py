"""Character offsets of tokens: made to decode to the context's own characters, and spans aligned to them, by arrays.

Tokenizers disagree about offsets. RoBERTa's and T5's pieces take the space before a word with them, or are nothing but that space; BERT
drops combining marks, zero-width and control characters, which then belong to no token; byte-level pieces of one emoji all have its one
character.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_INK = np.array([not chr(code).isspace() for code in range(0x3002)])  # U+3000 is the last character of str.isspace
_FAR = np.iinfo(np.int64).max


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
    ink = codes != 32
    odd = np.flatnonzero(ink & (codes - np.uint32(33) > 94))  # neither a space nor printable ASCII
    ink[odd] = _INK.take(codes[odd], mode="clip")
    inked = np.empty(np.count_nonzero(ink) + 1, dtype=np.int64)
    inked[:-1], inked[-1] = np.flatnonzero(ink), len(codes)
    before = np.zeros(len(codes) + 1, dtype=np.int32)
    np.cumsum(ink.astype(np.int32), out=before[1:])  # characters before that are not white space

    def ink_end(place: np.ndarray) -> np.ndarray:
        """The end of the last character before `place` that is not white space (0 if there is none)."""
        return np.where(before[place] > 0, inked[before[place] - 1] + 1, 0)

    ends = np.cumsum([len(context) + 1 for context in contexts]) - 1
    bases = np.append(0, ends[:-1] + 1)
    owner = np.repeat(np.arange(len(contexts)), sizes)
    if len(inked) == 1 or not len(owner):
        return np.repeat(bases[owner], 2).reshape(-1, 2)
    starts, stops = (offsets + bases[owner, None]).T
    starts, stops = inked[before[starts]], ink_end(stops)
    real = np.flatnonzero(starts < stops)
    begin, end, owner_real = starts[real], stops[real], owner[real]
    opens = np.append(True, owner_real[1:] != owner_real[:-1])[: len(real)]  # first token of its context
    closes = np.append(opens[1:], True)[: len(real)]
    # Characters that no token has, between two tokens of a context: up to the last white space to the left one, the rest to the right one.
    right = np.flatnonzero(~opens[1:] & (before[begin[1:]] > before[end[:-1]])) + 1
    left_end, right_begin = end[right - 1], begin[right]
    # After the last white space before the right token; where the text has none before it, anything: `spaced` is false.
    spaces = np.flatnonzero(~ink) if len(right) else inked
    word_start = spaces[right_begin - before[right_begin] - 1] + 1
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
