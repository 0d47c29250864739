"""Words, sentences and excerpts of MRQA contexts. Pure functions on texts; spans are half-open character
ranges.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache

Span = tuple[int, int]

STEM = 5
"""Letters by which words are compared: `founded` and `founder` are one word, `found` and `fond` are two."""
FUNCTION_WORDS = frozenset(
    """
    a about after all also an and any are as at be been before being between both but by can could did do does
    doing done during each for from had has have he her hers him his how i if in into is it its itself many
    may me might more most much my name named no not of on one or other our out over own same she should so
    some such than that the their them then there these they this those through to under until up us was we
    were what when where which while who whom whose why will with would you your
    """.split()  # noqa: SIM905
)
"""Words that say nothing of what a question is about; `name`, `one` and `many` among them, as questions use
them.
"""
_WORD = re.compile(r"\w+")
_BREAK = re.compile(
    r"""(?<=[.!?])["'”’)\]]*\s+(?=["'“‘(\[]?[^\Wa-z_])|\s*\[(?:PAR|TLE|DOC|SEP)\]\s*|\s*\n\s*"""
)


def words(text: str) -> list[str]:
    """The words of `text` in lower case, without punctuation."""
    return _WORD.findall(text.lower())


def content_words(text: str) -> frozenset[str]:
    """The words of `text` but function words: numbers whole, the others by their first STEM letters."""
    return frozenset(
        word if word.isdecimal() else word[:STEM] for word in words(text) if word not in FUNCTION_WORDS
    )


@lru_cache(maxsize=256)
def sentences(context: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Where the sentences of `context` begin, the first at 0, and where each ends.

    A sentence ends at `.`, `!` or `?` before white space and a capital, a digit or an opening quote or
    bracket, at a line's end and at MRQA's marks [PAR], [TLE], [DOC] and [SEP]. An abbreviation before a name
    ends one, too.
    """
    breaks = list(_BREAK.finditer(context))
    return (0, *(mark.end() for mark in breaks)), (*(mark.start() for mark in breaks), len(context))


def sentence(context: str, span: Span) -> Span:
    """The sentence, or sentences, of `context` that `span` lies in."""
    starts, ends = sentences(context)
    first, last = bisect_right(starts, span[0]) - 1, bisect_right(starts, max(span[0], span[1] - 1)) - 1
    return starts[first], max(ends[last], span[1])


def shared_words(question: str, context: str, span: Span) -> float:
    """The share, 0 to 1, of the question's content words that stand in the sentence of `span`; 1 for a
    question without such words.
    """
    question_words = content_words(question)
    left, right = sentence(context, span)
    return (
        len(question_words & content_words(context[left:right])) / len(question_words)
        if question_words
        else 1.0
    )


def best_span(question: str, context: str, spans: Sequence[Span]) -> tuple[Span, float] | None:
    """The span whose sentence shares most content words with the question, the first of equals, and that
    share; None without spans.
    """
    scored = [(span, shared_words(question, context, span)) for span in spans]
    return max(scored, key=lambda pair: pair[1], default=None)


def excerpt(context: str, span: Span, around: int) -> tuple[Span, bool, bool]:
    """About `around` characters on each side of `span`, cut between words; and whether text was left out
    before and after.
    """
    left, right = max(0, span[0] - around), min(len(context), span[1] + around)
    if left:
        space = re.search(r"\s", context[left : span[0]])
        left = left + space.end() if space else span[0]
    if right < len(context):
        gap = max((match.start() for match in re.finditer(r"\s", context[span[1] : right])), default=0)
        right = span[1] + gap
    return (left, right), left > 0, right < len(context)
