"""Reading MRQA 2019 files (JSON lines, gzip or plain) without trusting them.

The first line is `{"header": {"dataset": …, "split": …}}`; every other line is one context with its
questions:

    {"context": str, "context_tokens": [[token, offset], …], "id": str,
     "qas": [{"qid": str, "question": str, "question_tokens": …, "answers": [str, …],
              "detected_answers": [{"text": str, "char_spans": [[start, end inclusive], …], "token_spans": …},
              …]}, …]}

What makes a file unreadable (gzip, UTF-8, JSON, the structure of a line) raises a `DataError` that names file
and line. What can be skipped or mended is an irregularity: counted by kind in a `ReadingReport`, with its
line, and the first one raises if `strict`. Reading is streaming: one line, eight bytes for each question and
context before it (a context's own id is kept whole) and the report are all that is in memory.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from isal import igzip, isal_zlib

from bmt.errors import DataError
from bmt.qa.duplicate_ids import KeySet, key
from bmt.qa.irregularities import KINDS, MOST_PLACES, Irregularity, ReadingReport, shown

# The official headers name some datasets by the variant that the organisers took.
DATASET_NAMES = {
    "TriviaQA-web": "TriviaQA",
    "NaturalQuestionsShort": "NaturalQuestions",
    "DuoRC.ParaphraseRC": "DuoRC",
}

_DAMAGED = (isal_zlib.error, gzip.BadGzipFile)

LONGEST_LINE = 64 << 20  # bytes; the longest official line has about 3 MB


class _Line(msgspec.Struct, gc=False):
    """The fields of a line that are read; whatever else it holds (MRQA's token lists, most of its bytes) is
    skipped, not built.
    """

    header: Any = msgspec.UNSET
    context: Any = msgspec.UNSET
    id: Any = msgspec.UNSET
    qas: Any = msgspec.UNSET


_decode_all, _decode_line = msgspec.json.Decoder().decode, msgspec.json.Decoder(_Line).decode

_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Example:
    """One question.

    `spans`: half-open character spans of `context` that hold an answer, deduplicated, in the file's order.
    """

    id: str
    dataset: str
    question: str
    context: str
    context_id: str
    answers: tuple[str, ...]
    spans: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Passage:
    """One context with its questions, as a line of the file holds them."""

    context: str
    context_id: str
    examples: tuple[Example, ...]


def read_mrqa(
    path: str | Path, report: ReadingReport | None = None, strict: bool = False
) -> Iterator[Example]:
    """The questions of an MRQA file in file order, in constant memory.

    A question whose spans are all unusable is yielded with `spans=()`: it can be scored, not trained on.

    Args:
        path: the file, gzip or plain.
        report: filled with counts and irregularities while reading.
        strict: the first irregularity raises.

    Raises:
        DataError: naming file and line, if the file cannot be read or, with `strict`, at the first
            irregularity.
    """
    for passage in passages(path, report, strict):
        yield from passage.examples


def validate_mrqa(path: str | Path, strict: bool = False) -> ReadingReport:
    """Read the whole file and return what was found. Raises as `read_mrqa` does."""
    report = ReadingReport()
    for _ in passages(path, report, strict):
        pass
    return report


def passages(
    path: str | Path, report: ReadingReport | None = None, strict: bool = False, tokens: bool = True
) -> Generator[Passage, None, None]:
    """The contexts of an MRQA file with their questions, as `read_mrqa` gives them one by one.

    Without `tokens`, MRQA's own token lists are skipped unread and the report's sums of tokens stay 0: a
    third of the time.
    """
    report = ReadingReport() if report is None else report
    report.path = str(path)
    reader = _Reader(report, strict, tokens)
    for number, line in _lines(path):
        passage = reader.line(number, line)
        if passage is not None:
            yield passage
    if not report.contexts:
        reader.note("no contexts", f"{reader.number} lines, no question")


def _lines(path: str | Path) -> Iterator[tuple[int, bytes]]:
    """The lines of a gzip or plain file with their numbers from 1; what the file system and gzip can raise
    becomes a DataError.
    """
    number = 1
    try:
        with open(path, "rb") as raw:
            start = raw.read(2)
            raw.seek(0)
            if not start:
                raise DataError(f"{path}, line 1: the file is empty: fetch it again")
            zipped = start == b"\x1f\x8b"
            if not zipped and os.fspath(path).endswith(".gz") and start[:1] != b"{":
                raise DataError(
                    f"{path}, line 1: neither gzip data nor JSON lines (first bytes {start!r}): fetch it "
                    "again"
                )
            stream = io.BufferedReader(igzip.GzipFile(fileobj=raw, mode="rb"), 1 << 18) if zipped else raw
            while line := stream.readline(LONGEST_LINE + 1):
                if len(line) > LONGEST_LINE:
                    raise DataError(
                        f"{path}, line {number}: longer than {LONGEST_LINE >> 20} MiB: not an MRQA file"
                    )
                yield number, line
                number += 1
    except EOFError:
        raise DataError(
            f"{path}, line {number}: the gzip data end too early, the file is truncated: fetch it again"
        ) from None
    except _DAMAGED as error:  # type: ignore[misc]  # isal's stub declares its error as an instance
        raise DataError(f"{path}, line {number}: damaged gzip data ({error}): fetch it again") from None
    except OSError as error:
        raise DataError(f"{path}, line {number}: cannot be read: {error.strerror or error}") from None


class _Reader:
    """The state of reading one file: its name, the ids and contexts seen, the line at hand."""

    def __init__(self, report: ReadingReport, strict: bool, tokens: bool) -> None:
        self.report, self.strict, self.tokens = report, strict, tokens
        self.number = 0
        self.headed = False
        self.ids = KeySet()
        self.contexts = KeySet()
        self.given_ids: dict[str, str] = {}  # by the context's digest, where the line had an id

    def note(self, kind: str, detail: str, question: str | None = None) -> None:
        """Count an irregularity of the line at hand; raise it if strict."""
        if self.strict:
            about = f" question {shown(question)}:" if question is not None else ""
            raise DataError(
                f"{self.report.path}, line {self.number}:{about} {kind}: {detail} (strict; otherwise: "
                f"{KINDS[kind]})"
            )
        self.report.counts[kind] += 1
        if len(self.report.places) < MOST_PLACES:
            self.report.places.append(Irregularity(self.number, kind, question, detail))

    def unreadable(self, why: str) -> DataError:
        return DataError(f"{self.report.path}, line {self.number}: {why}")

    def line(self, number: int, line: bytes) -> Passage | None:
        self.number = number
        record = self.parse(line)
        if record is None:
            return None
        if ("header" in record or not self.headed) and self.header(record):
            return None
        context, qas = self.text(record.get("context")), record.get("qas")
        if not isinstance(context, str):
            raise self.unreadable(f'"context" is {shown(context)}, a string is needed')
        if not isinstance(qas, list):
            raise self.unreadable(f'"qas" is {shown(qas)}, a list of questions is needed')
        if not context.strip():
            self.note("empty context", f"{len(qas)} questions")
            return None
        if not qas:
            self.note("context without questions", shown(context))
            return None
        context_id = self.context_id(record.get("id"), context)
        context_tokens = _token_count(record.get("context_tokens"), context) if self.tokens else 0
        examples = []
        for qa in qas:
            example = self.question(qa, context, context_id)
            if example is not None:
                examples.append(example)
                if self.tokens:
                    self.report.question_tokens += _token_count(qa.get("question_tokens"), example.question)
        if not examples:
            return None
        self.report.contexts += 1
        self.report.questions += len(examples)
        self.report.context_tokens += context_tokens * len(examples)
        return Passage(context, context_id, tuple(examples))

    def parse(self, line: bytes) -> dict[str, Any] | None:
        """The line's JSON object; None for a blank line."""
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError as error:
            raise self.unreadable(
                f"not UTF-8 at byte {error.start} of the line ({line[error.start]:#04x})"
            ) from None
        if self.number == 1 and text.startswith("\ufeff"):
            text = text[1:]
            self.note("byte-order mark", "U+FEFF")
        if not text or text.isspace():
            self.note("blank line", f"{len(line)} bytes")
            return None
        try:
            record = _parsed(text, self.tokens)
        except json.JSONDecodeError as error:
            raise self.unreadable(f"not JSON: {error.msg} at character {error.pos + 1} of the line") from None
        except (
            ValueError,
            RecursionError,
        ) as error:  # an integer of more than 4300 digits; nesting without end
            raise self.unreadable(f"not usable JSON: {str(error).splitlines()[0][:100]}") from None
        if not isinstance(record, dict):
            raise self.unreadable(f"{shown(record)} found, a JSON object is needed")
        return record

    def text(self, value: Any) -> Any:
        """`value`, without halves of surrogate pairs if it is a string: valid JSON, but in no encoding that
        Arrow takes.
        """
        if isinstance(value, str) and not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError as error:
                self.note(
                    "lone surrogate", f"{value[error.start]!r} at character {error.start} of {shown(value)}"
                )
                return _SURROGATE.sub("\ufffd", value)
        return value

    def header(self, record: dict[str, Any]) -> bool:
        """Take the dataset's name from the header, or from the file's name if there is none; True if the line
        was a header.
        """
        headed, self.headed = self.headed, True
        if "header" not in record:
            self.report.dataset = Path(self.report.path).name.split(".")[0]
            self.note("no header", f"dataset {shown(self.report.dataset)}")
            return False
        if headed:
            self.note("second header", shown(record["header"]))
            return True
        header = record["header"]
        name = self.text(header.get("dataset")) if isinstance(header, dict) else None
        if not isinstance(header, dict) or not isinstance(name, str) or not name:
            raise self.unreadable(f'the header is {shown(header)}, {{"dataset": name, "split": …}} is needed')
        self.report.dataset = DATASET_NAMES.get(name, name)
        self.report.split = str(self.text(header.get("split", "")))
        return True

    def context_id(self, its_id: Any, context: str) -> str:
        """The line's id, else a digest of the context.

        A text read before keeps its first id, so that a split by context id never leaks.
        """
        digest = hashlib.sha256(context.encode()).hexdigest()[:16]
        if (number := int(digest, 16)) in self.contexts:
            self.report.repeated_contexts += 1
            return self.given_ids.get(digest, digest)
        self.contexts.add(number)
        its_id = self.text(its_id)
        if isinstance(its_id, str) and its_id:
            self.given_ids[digest] = its_id
            return its_id
        return digest

    def question(self, qa: Any, context: str, context_id: str) -> Example | None:
        named = isinstance(qa, dict)
        qid = self.text(qa.get("qid", qa.get("id"))) if named else None
        question = self.text(qa.get("question")) if named else None
        if not isinstance(qid, str) or not qid:
            self.note(
                "question of a wrong type", f'{shown(qa)} found, an object with a string "qid" is needed'
            )
            return None
        if not isinstance(question, str):
            self.note("question of a wrong type", f'"question" is {shown(question)}, a string is needed', qid)
            return None
        if not question.strip():
            self.note("empty question", shown(question), qid)
            return None
        if (number := key(qid)) in self.ids:
            self.note("duplicate question id", shown(question), qid)
            return None
        answers, spans = self.answers(qa, qid), self.spans(qa, context, qid)
        if not answers and spans:
            answers = list(dict.fromkeys(context[start:end] for start, end in spans))
            self.note("no answers", f"{shown(answers)} taken", qid)
        if not answers:
            self.note("question without answers", f'"answers" is {shown(qa.get("answers"))}', qid)
            return None
        if not spans:
            self.note("question without a usable span", f"answers {shown(answers)}", qid)
        self.ids.add(number)
        self.report.spans += len(spans)
        return Example(qid, self.report.dataset, question, context, context_id, tuple(answers), tuple(spans))

    def answers(self, qa: dict[str, Any], qid: str) -> list[str]:
        texts = qa.get("answers")
        if not isinstance(texts, list):
            if texts is not None:
                self.note(
                    "answer of a wrong type", f'"answers" is {shown(texts)}, a list of strings is needed', qid
                )
            return []
        answers = []
        for answer in map(self.text, texts):
            if isinstance(answer, str):
                answers.append(answer)
            else:
                self.note("answer of a wrong type", f"{shown(answer)} found, a string is needed", qid)
        return answers

    def spans(self, qa: dict[str, Any], context: str, qid: str) -> list[tuple[int, int]]:
        """The usable spans of a question, half-open, deduplicated, in order."""
        detected = qa.get("detected_answers", [])
        if not isinstance(detected, list):
            self.note(
                "span of a wrong type", f'"detected_answers" is {shown(detected)}, a list is needed', qid
            )
            return []
        spans: dict[tuple[int, int], None] = {}
        for answer in detected:
            text = self.text(answer.get("text")) if isinstance(answer, dict) else None
            pairs = answer.get("char_spans") if isinstance(answer, dict) else None
            if not isinstance(text, str) or not isinstance(pairs, list):
                self.note(
                    "span of a wrong type",
                    f'{shown(answer)} found, {{"text": …, "char_spans": [[start, end], …]}} is needed',
                    qid,
                )
                continue
            for pair in pairs:
                span = self.span(pair, text, context, qid)
                if span is not None:
                    self.report.duplicate_spans += span in spans
                    spans[span] = None
        return list(spans)

    def span(self, pair: Any, text: str, context: str, qid: str) -> tuple[int, int] | None:
        """A pair as a half-open span; None where it cannot be used."""
        if not isinstance(pair, list) or [type(place) for place in pair] != [int, int]:
            self.note("span of a wrong type", f"{shown(pair)} found, [start, end] is needed", qid)
            return None
        start, end = pair[0], pair[1] + 1
        if not 0 <= start < end <= len(context):
            self.note("span out of range", f"{shown(pair)} in a context of {len(context)} characters", qid)
            return None
        text_there = context[start:end]
        if not text_there.strip():
            self.note("blank span", f"{shown(pair)} is {shown(text_there)}", qid)
            return None
        if text_there == text:
            return start, end
        alike = " ".join(text_there.split()).casefold() == " ".join(text.split()).casefold()
        kind = "span text differs in case or space" if alike else "span does not slice to its text"
        self.note(kind, f"{shown(pair)} is {shown(text_there)}, not {shown(text)}", qid)
        return (start, end) if alike else None


def _parsed(text: str, whole: bool) -> Any:
    """What `json.loads` gives, or of an object only the fields of `_Line`.

    What msgspec refuses (NaN, half a surrogate pair) json decides.

    Fields that are skipped are not read at all, so that what is no JSON within them is seen by a `whole`
    reading alone.
    """
    try:
        if whole:
            return _decode_all(text)
        line = _decode_line(text)
    except (msgspec.DecodeError, RecursionError):
        return json.loads(text)
    return {
        name: value for name in _Line.__struct_fields__ if (value := getattr(line, name)) is not msgspec.UNSET
    }


def _token_count(tokens: Any, text: str) -> int:
    """MRQA's own tokens, or words where the list is absent."""
    return len(tokens) if isinstance(tokens, list) else len(text.split())
