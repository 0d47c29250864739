"""Fuzzing the reader: whatever a file holds, it is read, or refused with one line that names file and line;
nothing is lost in silence.
"""

from __future__ import annotations

import copy
import gzip
import itertools
import json
import random
import re

import pytest

from bmt.errors import DataError
from bmt.qa.irregularities import KINDS, ReadingReport
from bmt.qa.mrqa import passages
from bmt.qa.windows import Cut, cut_chunk
from tests.support.mrqa_files import as_bytes, corpus
from tests.support.tiny_tokenizers import prepared

QUESTION_DROPPED = {
    kind
    for kind, effect in KINDS.items()
    if effect.startswith("question dropped") and kind != "question without a usable span"
}
ODD = [
    None,
    True,
    0,
    -1,
    1,
    7,
    10**12,
    10**400,
    1.5,
    float("nan"),
    "",
    " ",
    "old",
    "\ud800",
    "\x00",
    [],
    {},
    [[]],
    [[0, 0]],
    [None],
    ["a"],
    {"text": "old"},
    {"header": {}},
]


def check(path, data, source):
    """Read the bytes; what the reader may do is checked here. Returns the report, or None if the file was
    refused.
    """
    path.write_bytes(data)
    report = ReadingReport()
    try:
        made = list(passages(path, report, strict=source.random() < 0.05))
    except DataError as error:
        message = str(error)
        assert re.match(re.escape(str(path)) + r", line [1-9]\d*: \S", message) and "\n" not in message, (
            message
        )
        return None
    assert list(passages(path, tokens=False)) == made  # as features read it
    examples = [example for passage in made for example in passage.examples]
    assert len({example.id for example in examples}) == len(examples) == report.questions
    for example in examples:
        assert (
            example.answers
            and example.question.strip()
            and example.context.strip()
            and example.id
            and example.context_id
        )
        for text in (
            example.id,
            example.dataset,
            example.question,
            example.context,
            example.context_id,
            *example.answers,
        ):
            text.encode()  # no lone surrogate is left
        assert all(
            0 <= start < end <= len(example.context) and example.context[start:end].strip()
            for start, end in example.spans
        )
        assert len(set(example.spans)) == len(example.spans)
    assert set(report.counts) <= set(KINDS) and sum(report.counts.values()) == len(report.places)
    assert all(1 <= place.line <= data.count(b"\n") + 1 or path.suffix == ".gz" for place in report.places)
    if examples:  # whatever is read can be cut into windows, and written
        chunk = cut_chunk(made, *prepared("bert"), Cut(64, 16, 16), train=False)
        assert chunk.examples["id"].to_pylist() == [example.id for example in examples]
        assert len(set(chunk.windows["example"].to_pylist())) == len(examples)
    return report


def broken_bytes(data, source):
    """Bytes changed, cut out, put in, repeated, or of another encoding."""
    data = bytearray(data)
    for _ in range(source.choice([1, 1, 1, 2, 8])):
        at = source.randrange(len(data) + 1)
        match source.randrange(7):
            case 0:
                data[at : at + 1] = bytes([source.randrange(256)])
            case 1:
                del data[at : at + source.choice([1, 2, 40, 400])]
            case 2:
                data[at:at] = source.choice(
                    [
                        b"\xff\xfe",
                        b"\xed\xa0\x80",
                        b"\xc3",
                        b"\x00",
                        b'"',
                        b"[",
                        b"}",
                        b"\n",
                        b"\\ud83d",
                        b"\\u00",
                        b"NaN,",
                        b"\xef\xbb\xbf",
                    ]
                )
            case 3:
                del data[at:]
            case 4:
                data[at:at] = data[at : at + source.choice([3, 60, 1000])]
            case 5:
                data[at:] = (
                    data[at:]
                    .decode("utf-8", "ignore")
                    .encode(source.choice(["latin-1", "utf-16", "cp1252", "utf-7"]), "ignore")
                )
            case _:
                data[at : at + 6] = bytes(source.randrange(256) for _ in range(6))
        data = data or bytearray(b"\n")
    return bytes(data)


def places(value, found):
    """Every (container, key) in a tree of JSON."""
    for key in value if isinstance(value, dict) else range(len(value)):
        found.append((value, key))
        if isinstance(value[key], dict | list):
            places(value[key], found)
    return found


def broken_tree(lines, source):
    """JSON of the right syntax with values of wrong types, missing keys, moved spans, lines twice or in
    another order.
    """
    lines = copy.deepcopy(lines)
    for _ in range(source.choice([1, 1, 2, 5])):
        match source.randrange(6):
            case 0 | 1:
                container, key = source.choice(places(lines, []))
                container[key] = copy.deepcopy(source.choice(ODD))
            case 2:
                container, key = source.choice(
                    [place for place in places(lines, []) if isinstance(place[0], dict)] or [({"x": 0}, "x")]
                )
                del container[key]
            case 3:
                spans = [
                    container
                    for container, _ in places(lines, [])
                    if isinstance(container, list) and all(type(end) is int for end in container)
                ]
                for span in source.sample(spans, min(2, len(spans))):
                    span[source.randrange(len(span))] += source.choice([-(10**9), -7, -1, 1, 2, 50, 10**6])
            case 4:
                lines.insert(source.randrange(len(lines) + 1), copy.deepcopy(source.choice(lines)))
            case _:
                source.shuffle(lines)
    return lines


def unexplained(lines, report):
    """Questions of the lines that were neither read nor counted as dropped."""
    given = sum(
        len(line["qas"])
        for line in lines
        if isinstance(line, dict) and "header" not in line and line["context"].strip()
    )
    return given - report.questions - sum(report.counts[kind] for kind in QUESTION_DROPPED)


def fuzz(path, lines, mutants, seed):
    """Returns how many mutants were read and how many refused."""
    source = random.Random(seed)
    whole = as_bytes(lines)
    packed = gzip.compress(whole, mtime=0)
    read_count = 0
    for _ in range(mutants):
        match source.randrange(5):
            case 0:
                report = check(path.with_suffix(".gz"), broken_bytes(packed, source), source)
            case 1:
                report = check(path, broken_bytes(whole, source), source)
            case _:
                tree = broken_tree(lines, source)
                report = check(path, as_bytes(tree), source)
                if report is not None:
                    assert unexplained(tree, report) == 0
        read_count += report is not None
    return read_count, mutants - read_count


@pytest.mark.parametrize("seed", range(5))
def test_2500_mutants_of_generated_files(tmp_path, seed):
    lines = corpus(3, seed, words=15)
    assert check(tmp_path / "x.jsonl", as_bytes(lines), random.Random(1)) is not None
    was_read, refused = fuzz(tmp_path / "x.jsonl", lines, 500, seed)
    assert was_read > 50 and refused > 50, "the mutants are too tame or too wild to show anything"


def test_2040_mutants_of_all_real_files(tmp_path, real_data):
    """120 mutants of each file: its header and two of its first forty contexts."""
    files = sorted(real_data.glob("*/*.jsonl.gz"))
    assert len(files) == 17
    totals = [0, 0]
    for seed, file in enumerate(files):
        with gzip.open(file, "rb") as stream:
            head = [json.loads(line) for line in itertools.islice(stream, 41)]
        lines = [head[0], *random.Random(seed).sample(head[1:], min(2, len(head) - 1))]
        for line in lines[1:]:  # long token lists and many questions would only make this slow
            line["context_tokens"], line["qas"] = line["context_tokens"][:20], line["qas"][:4]
        assert check(tmp_path / "x.jsonl", as_bytes(lines), random.Random(1)) is not None
        totals = [
            total + more
            for total, more in zip(totals, fuzz(tmp_path / "x.jsonl", lines, 120, seed), strict=True)
        ]
    assert sum(totals) == 2040 and min(totals) > 300, "the mutants are too tame or too wild to show anything"
