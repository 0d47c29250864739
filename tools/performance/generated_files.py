"""MRQA files made up for measuring: English-looking words in any order, the official form, the same bytes for
the same arguments.
"""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from itertools import accumulate
from pathlib import Path
from typing import IO, Any

from benchmark.acquisition.sample_corpus.scenes import STYLES
from benchmark.acquisition.sample_corpus.writing import passages
from bmt.runtime.files import write_aside

POOL = 1000
"""Contexts that a large file takes turns with: together far longer than the 32 kB in which gzip finds a text
again.
"""
NUMBER = "#" * 8
"""Stands in a text of the pool where its number goes."""


@cache
def words() -> tuple[str, ...]:
    """The words of the embedded sample corpus, as often as they stand there; markers and what looks like a
    special token are left out.
    """
    styles = (style for styles in STYLES.values() for style in styles)
    texts = (made.context for style in styles for made in passages(style, "train"))
    return tuple(word for text in texts for word in text.split() if word[0] not in "[<")


def squad_like(path: Path, contexts: int, questions: int = 5, seed: int = 0) -> Path:
    """A file as SQuAD's: contexts of 140 words on average, each with `questions` questions of 11 words on
    average. Returns `path`.
    """
    draw = random.Random(seed)
    with _written(path, 6) as (_, stream):
        for number in range(contexts):
            stream.write(_line(passage(draw, f"{number:08d}", draw.randint(100, 180), questions)))
    return path


def large(path: Path, size: int) -> Path:
    """A gzip file of at least `size` bytes, of contexts as long as TriviaQA's (about 750 words) with one
    question each. Returns `path`.

    No two contexts are the same: each of `POOL` texts comes again with another number at its end.
    """
    draw = random.Random(0)
    pool = [_line(passage(draw, NUMBER, draw.randint(500, 1000), 1, NUMBER)) for _ in range(POOL)]
    with _written(path, 1) as (raw, stream):
        number = 0
        while raw.tell() < size:
            stream.write(pool[number % POOL].replace(NUMBER.encode(), b"%08d" % number))
            number += 1
    return path


def passage(draw: random.Random, name: str, length: int, questions: int, *last: str) -> dict[str, Any]:
    """A line of an MRQA file: `length` random words, and `last`; each question asks for one to four of the
    random ones, at one place.
    """
    chosen = draw.choices(words(), k=length)
    context, tokens = _joined([*chosen, *last])
    qas = []
    for number in range(questions):
        first = draw.randrange(length - 3)
        final = first + draw.randrange(4)
        begin, end = tokens[first][1], tokens[final][1] + len(chosen[final])
        question, question_tokens = _joined([*draw.choices(words(), k=draw.randint(6, 14)), "?"])
        answer = {
            "text": context[begin:end],
            "char_spans": [[begin, end - 1]],
            "token_spans": [[first, final]],
        }
        qas.append(
            {
                "qid": f"{name}-{number}",
                "question": question,
                "question_tokens": question_tokens,
                "answers": [answer["text"]],
                "detected_answers": [answer],
            }
        )
    return {"id": name, "context": context, "context_tokens": tokens, "qas": qas}


def _joined(chosen: list[str]) -> tuple[str, list[list[Any]]]:
    """The words with a space between them, and each with the place where it begins."""
    begins = accumulate((len(word) + 1 for word in chosen), initial=0)
    return " ".join(chosen), [[word, at] for word, at in zip(chosen, begins, strict=False)]


def _line(record: dict[str, Any]) -> bytes:
    return json.dumps(record, ensure_ascii=False).encode() + b"\n"


@contextmanager
def _written(path: Path, level: int) -> Iterator[tuple[IO[bytes], gzip.GzipFile]]:
    """The file and the gzip stream into it, begun with its header. What is written decides the bytes alone:
    no name, no time.
    """
    with (
        write_aside(path) as aside,
        open(aside, "wb") as raw,
        gzip.GzipFile(filename="", fileobj=raw, mode="wb", compresslevel=level, mtime=0) as stream,
    ):
        stream.write(_line({"header": {"dataset": path.name.split(".")[0], "split": "train"}}))
        yield raw, stream
