"""How the paragraphs of a passage become a context in each dataset's form, with its markers; and how
questions are rewritten.
"""

from __future__ import annotations

import re

from benchmark.acquisition.sample_corpus.words import Draw

Parts = list[tuple[str, str]]


def plain(parts: Parts, draw: Draw) -> str:
    """Sentences, one after the other."""
    return " ".join(text for _, text in parts)


def report(parts: Parts, draw: Draw) -> str:
    """A news report with its dateline, punctuation set apart as in NewsQA."""
    text = " ".join(f"{title} ( Sample Wire ) -- {text}" if title else text for title, text in parts)
    return re.sub(r"(?<=\w)('s\b|[.,;:?](?!\d))", r" \1", text)


def trivia(parts: Parts, draw: Draw) -> str:
    """One web document: its title, then paragraphs."""
    return " ".join(
        f"[DOC] [TLE] {title} - Sample Trivia [PAR] {text}" if title else f"[PAR] {text}"
        for title, text in parts
    )


def snippets(parts: Parts, draw: Draw) -> str:
    """Search results in any order."""
    return " ".join(f"[DOC] [TLE] {title} [PAR] {text} ..." for title, text in draw.shuffled(parts))


def hops(parts: Parts, draw: Draw) -> str:
    """Titled paragraphs in any order, with HotpotQA's literal [SEP] after a title."""
    return " ".join(f"[PAR] [TLE] {title} [SEP] {text}" for title, text in draw.shuffled(parts))


def page(parts: Parts, draw: Draw) -> str:
    """A paragraph of a web page between NaturalQuestions' markers."""
    return f"<P> {plain(parts, draw)} </P>"


def query(question: str) -> str:
    """A question as one types it into a search box."""
    return question.rstrip("?").lower()
