"""MRQA files made up for measuring: English-looking words in any order, the official form, the same bytes for
the same arguments.
"""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import IO, Any

from benchmark.acquisition.sample_corpus.scenes import STYLES
from benchmark.acquisition.sample_corpus.writing import passages
from bmt.runtime.files import write_aside

POOL = 1000
"""Contexts that a large file takes turns with: together far longer than the 32 kB in which gzip finds a text
again.
"""


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
    with write_aside(path) as aside, open(aside, "wb") as raw, _zipped(raw, 6) as stream:
        stream.write(_header(path))
        for number in range(contexts):
            record = passage(draw, f"{number:08d}", draw.randint(100, 180), questions)
            stream.write(json.dumps(record, ensure_ascii=False).encode() + b"\n")
    return path


def large(path: Path, size: int, seed: int = 0) -> Path:
    """A gzip file of at least `size` bytes, of contexts as long as TriviaQA's (about 750 words) with one
    question each. Returns `path`.

    No two contexts are the same: each of `POOL` texts comes again with another number at its end.
    """
    draw = random.Random(seed)
    pool = [passage(draw, "", draw.randint(500, 1000), 1) for _ in range(POOL)]
    rendered = [tuple(_rendered(record)) for record in pool]
    with write_aside(path) as aside, open(aside, "wb") as raw, _zipped(raw, 1) as stream:
        stream.write(_header(path))
        number = 0
        while raw.tell() < size:
            stream.write((b"%08d" % number).join(rendered[number % POOL]))
            number += 1
    return path


def passage(draw: random.Random, name: str, length: int, questions: int) -> dict[str, Any]:
    """A line of an MRQA file: `length` random words; each question asks for one to four of them, at one
    place.
    """
    chosen = draw.choices(words(), k=length)
    context, tokens = _joined(chosen)
    qas = []
    for number in range(questions):
        first = draw.randrange(length - 3)
        last = first + draw.randrange(4)
        begin, end = tokens[first][1], tokens[last][1] + len(chosen[last])
        question, question_tokens = _joined([*draw.choices(words(), k=draw.randint(6, 14)), "?"])
        answer = {
            "text": context[begin:end],
            "char_spans": [[begin, end - 1]],
            "token_spans": [[first, last]],
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
    tokens, at = [], 0
    for word in chosen:
        tokens.append([word, at])
        at += len(word) + 1
    return " ".join(chosen), tokens


def _rendered(record: dict[str, Any]) -> Iterator[bytes]:
    """The line in pieces that a number of eight digits joins: the line's id, the context's end and last
    token, part of a question id.
    """
    length = len(record["context"])
    context = record["context"] + " \0"
    tokens = [*record["context_tokens"], ["\0", length + 1]]
    qas = [{**qa, "qid": f"\0{qa['qid']}"} for qa in record["qas"]]
    line = json.dumps(
        record | {"id": "\0", "context": context, "context_tokens": tokens, "qas": qas}, ensure_ascii=False
    )
    yield from (line + "\n").encode().split(b"\\u0000")


def _zipped(raw: IO[bytes], level: int) -> gzip.GzipFile:
    """A gzip stream whose bytes depend on what is written alone: no name, no time."""
    return gzip.GzipFile(filename="", fileobj=raw, mode="wb", compresslevel=level, mtime=0)


def _header(path: Path) -> bytes:
    return json.dumps({"header": {"dataset": path.name.split(".")[0], "split": "train"}}).encode() + b"\n"
