"""Small MRQA files for tests: made up, of the official form."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path
from typing import Any

HEADER = {"header": {"dataset": "SQuAD", "split": "train"}}
WORDS = [
    "the",
    "old",
    "mill",
    "by",
    "river",
    "was",
    "built",
    "in",
    "1804",
    "Paris",
    "café",
    "naïve",
    "(",
    "both",
    ")",
    ",",
    ".",
    "40",
    "km",
    "hills",
    "nobody",
    "knows",
    "日本",
    "😀",
    "[SEP]",
    "</s>",
    "rain",
]


def question(context: str, text: str, qid: str = "q1", **changes: Any) -> dict[str, Any]:
    """A question whose answer is every occurrence of `text` in `context`."""
    spans = [[at, at + len(text) - 1] for at in range(len(context)) if text and context.startswith(text, at)]
    qa = {
        "qid": qid,
        "question": f"Where is {text}?",
        "question_tokens": [["Where", 0], ["is", 6], [text, 9], ["?", 9 + len(text)]],
        "answers": [text],
        "detected_answers": [{"text": text, "char_spans": spans, "token_spans": [[0, 0] for _ in spans]}],
    }
    return qa | changes


def passage(context: str, *qas: Any, **changes: Any) -> dict[str, Any]:
    """A line: a context with its questions."""
    tokens, at = [], 0
    for word in context.split():
        at = context.index(word, at)
        tokens.append([word, at])
    return {"id": "", "context": context, "context_tokens": tokens, "qas": list(qas)} | changes


def corpus(contexts: int = 12, seed: int = 0, words: int = 60) -> list[dict[str, Any]]:
    """A header and `contexts` random contexts of about `words` words with one to three questions each."""
    source = random.Random(seed)
    lines: list[dict[str, Any]] = [HEADER]
    for number in range(contexts):
        chosen = [source.choice(WORDS) for _ in range(source.randint(words // 2, words * 3 // 2))]
        context = " ".join(chosen)
        qas = [
            question(context, source.choice(chosen), f"q{number}-{row}")
            for row in range(source.randint(1, 3))
        ]
        lines.append(passage(context, *qas, id=f"c{number}"))
    return lines


def as_bytes(lines: list[Any]) -> bytes:
    """JSON lines; what is bytes already stays."""
    return b"".join(line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n" for line in lines)


def write(path: Path, lines: list[Any] | bytes) -> Path:
    """Write lines to `path`, gzipped (without a time stamp) if it is called so."""
    data = lines if isinstance(lines, bytes) else as_bytes(lines)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)
    return path
