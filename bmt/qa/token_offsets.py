"""Character offsets of tokens: made to decode to the context's own characters, and spans aligned to them, by
arrays.

Tokenizers disagree about offsets. RoBERTa's and T5's pieces take the space before a word with them, or are
nothing but that space; BERT drops combining marks, zero-width and control characters, which then belong to no
token; byte-level pieces of one emoji all have its one character.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# U+3000 is the last character of str.isspace.
_INK = np.array([not chr(code).isspace() for code in range(0x3002)])
_FAR = np.iinfo(np.int64).max


def clean_offsets(offsets: np.ndarray, contexts: Sequence[str], sizes: np.ndarray) -> np.ndarray:
    """Offsets that decode to the contexts' own characters, in the coordinates of "\\n".join(contexts).

    White space at a token's edges is taken off (RoBERTa's " Paris"). Characters that the tokenizer drops
    (combining marks, zero-width and control characters) are given to the token of their word, else to the one
    before, so that every character that is not white space belongs to a token. A token of nothing but white
    space becomes empty, at the end of the token before it.

    Args:
        offsets: [tokens, 2] half-open character offsets within each context.
        contexts: the texts.
        sizes: tokens of each context.
    """
    codes = np.frombuffer("\n".join([*contexts, ""]).encode("utf-32-le"), dtype=np.uint32)
    # Not white space; one place before the text and one after it count as ink.
    ink = np.ones(len(codes) + 2, dtype=bool)
    inner = ink[1:-1]
    odd = np.flatnonzero(codes - np.uint32(33) > 94)  # no printable ASCII
    inner[odd] = _INK.take(codes[odd], mode="clip")
    inked = np.flatnonzero(ink)  # 1 + the place of every character that is not white space, with the two ends
    lengths = np.array([len(context) + 1 for context in contexts], dtype=np.int64)
    bases = np.cumsum(lengths) - lengths
    base_of = np.repeat(bases, sizes)
    before = np.zeros(len(codes) + 1, dtype=np.int32)
    np.cumsum(inner.astype(np.int32), out=before[1:])  # characters before that are not white space

    def ink_start(place: np.ndarray) -> np.ndarray:
        """The first character from `place` on that is not white space (the text's end if there is none)."""
        return inked.take(before.take(place) + 1) - 1

    def ink_end(place: np.ndarray) -> np.ndarray:
        """The end of the last character before `place` that is not white space (0 if there is none)."""
        return inked.take(before.take(place))

    ends = bases + lengths - 1
    starts, stops = ink_start(offsets[:, 0] + base_of), ink_end(offsets[:, 1] + base_of)
    full = starts < stops
    whole = bool(full.all())
    real = slice(None) if whole else np.flatnonzero(full)
    owner = np.repeat(np.arange(len(contexts)), sizes)
    begin, end, owner_real = starts[real], stops[real], owner[real]
    # Whether a token is the first, or the last, of its context.
    opens = np.append(True, owner_real[1:] != owner_real[:-1])[: len(owner_real)]
    closes = np.append(opens[1:], True)[: len(owner_real)]
    # Characters that no token has, between two tokens of a context: up to the last white space to the left
    # one, the rest to the right one.
    right = np.flatnonzero(before.take(begin[1:]) > before.take(end[:-1])) + 1
    right = right[~opens[right]]
    left_end, right_begin = end[right - 1], begin[right]
    # After the last white space before the right token; where the text has none before it, anything: `spaced`
    # is false.
    spaces = np.flatnonzero(~inner) if len(right) else inked
    word_start = spaces[right_begin - before[right_begin] - 1] + 1
    spaced = (right_begin > before[right_begin]) & (word_start > left_end)
    end[right - 1] = np.where(spaced, ink_end(word_start), right_begin)
    begin[right] = np.where(spaced, word_start, right_begin)
    begin[opens] = ink_start(bases[owner_real[opens]])
    end[closes] = np.maximum(end[closes], ink_end(ends[owner_real[closes]]))

    cleaned = np.empty((len(offsets), 2), dtype=np.int64)
    cleaned[real, 0], cleaned[real, 1] = begin, end
    if not whole:  # a token of nothing but white space: at the end of the one before it, in its context
        empty = np.flatnonzero(~full)
        before_it = np.searchsorted(np.flatnonzero(full), empty) - 1
        cleaned[empty] = base_of[empty, None]
        empty, before_it = empty[before_it >= 0], before_it[before_it >= 0]
        same = owner_real[before_it] == owner[empty]
        cleaned[empty[same]] = end[before_it[same], None]
    return cleaned


def align(spans: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Tokens of character spans: from the first whose end is after the span's start to the last whose start
    is before the span's end.

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
    return np.searchsorted(ends, spans[:, 0], side="right"), np.searchsorted(
        starts, spans[:, 1], side="left"
    ) - 1
