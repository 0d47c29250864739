"""What reading a data file found: sizes, and every irregularity by kind and place."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

# Every kind of irregularity, with what becomes of it. The last three groups drop a context, a question, a
# span.
KINDS = {
    "no header": "the dataset's name is taken from the file's name",
    "second header": "line skipped",
    "byte-order mark": "removed",
    "blank line": "skipped",
    "lone surrogate": "replaced by U+FFFD",
    "answer of a wrong type": "answer dropped",
    "no answers": "the detected texts are taken",
    "span text differs in case or space": "span kept",
    "no contexts": "the file holds nothing to read",
    "context without questions": "context skipped",
    "empty context": "context and its questions dropped",
    "question of a wrong type": "question dropped",
    "empty question": "question dropped",
    "duplicate question id": "question dropped, the first is kept",
    "question without answers": "question dropped",
    "question without a usable span": "question dropped from training, scored in a dev file",
    "span of a wrong type": "span dropped",
    "span out of range": "span dropped",
    "span does not slice to its text": "span dropped",
    "blank span": "span dropped",
}

MOST_PLACES = 10_000  # irregularities kept with their place; all are counted


@dataclass(frozen=True, slots=True)
class Irregularity:
    """One irregular place.

    Attributes:
        line: its number, from 1.
        kind: a key of `KINDS`.
        question: the question's id, if it is about a question.
        detail: what was found there.
    """

    line: int
    kind: str
    question: str | None
    detail: str


@dataclass(slots=True)
class ReadingReport:
    """What reading one file found: sizes, and every irregularity by kind.

    `read` and `passages` fill it as they go.
    """

    path: str = ""
    dataset: str = ""
    split: str = ""
    contexts: int = 0  # with at least one question that is read
    questions: int = 0
    spans: int = 0
    duplicate_spans: int = 0  # of one question; usual where several detected answers overlap
    repeated_contexts: int = 0  # the same text on an earlier line; both get the first line's context id
    # sums over questions, of MRQA's token lists or, where these are absent, of words
    question_tokens: int = 0
    context_tokens: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    places: list[Irregularity] = field(default_factory=list)  # the first `MOST_PLACES`

    def mean_question_tokens(self) -> float:
        """Tokens of a question."""
        return self.question_tokens / self.questions if self.questions else 0.0

    def mean_context_tokens(self) -> float:
        """Tokens of the context, averaged over questions: a context counts once for each of its questions."""
        return self.context_tokens / self.questions if self.questions else 0.0

    def lines(self, listed: int = MOST_PLACES) -> list[str]:
        """The irregularities as text: a line per kind with its count and what became of it, then up to
        `listed` places.
        """
        text = [
            f"{self.path}: {kind}: {count} ({KINDS[kind]})" for kind, count in sorted(self.counts.items())
        ]
        for place in self.places[:listed]:
            about = f" question {shown(place.question)}:" if place.question is not None else ""
            text.append(f"{self.path}, line {place.line}:{about} {place.kind}: {place.detail}")
        more = sum(self.counts.values()) - min(listed, len(self.places))
        return [*text, f"{self.path}: and {more} more places"] if more > 0 and listed > 0 else text


def shown(value: Any, length: int = 60) -> str:
    """`value` in one short line of an error message."""
    text = repr(value)
    return text if len(text) <= length else text[: length - 1] + "…"
