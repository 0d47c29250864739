"""The second source of MRQA: its copy on the Hugging Face hub, Parquet with one row per question, turned back
into MRQA's JSONL.gz.

The copy's texts are stripped of surrounding white space and its rows do not say which line of the official
file they came from, so its MD5 cannot be the official one. What can be checked is: the number of questions,
and that every question has an id of its own.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, cast

from benchmark.acquisition.manifest import Entry, Hub
from benchmark.cli.progress import Bar
from bmt.errors import DataError

ROWS = 512  # a batch: contexts run to 800 tokens, so a few MB


def parquet_url(hub: Hub, file: str) -> str:
    """Where a Parquet file is; HF_ENDPOINT names a mirror of the hub."""
    endpoint = (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")
    return f"{endpoint}/datasets/{hub.repo}/resolve/{hub.revision}/{file}"


def convert(parquet: list[Path], wanted: dict[Entry, Path], bar: Bar) -> dict[Entry, Converted]:
    """Write the rows of `wanted`'s subsets to their files, in the order of the rows; consecutive rows of one
    context make one line.

    `bar` counts rows. The bytes written depend on the rows alone.

    Raises:
        DataError: a file is no Parquet, or lacks a column. OSError: a file cannot be written.
    """
    seen: set[str] = set()
    with contextlib.ExitStack() as stack:
        files = {entry: Converted(stack.enter_context(_gzip(path)), entry) for entry, path in wanted.items()}
        by_subset = {subset: files[entry] for entry in wanted if entry.hub for subset in entry.hub.subset}
        for subset, row in _stored_rows(parquet, bar):
            seen.add(subset)
            if subset in by_subset:
                by_subset[subset].add(row)
        for file in files.values():
            file.flush()
    for entry, file in files.items():
        if not file.questions and entry.hub:
            subsets, there = " or ".join(entry.hub.subset), ", ".join(sorted(seen)) or "nothing"
            raise DataError(
                f"{entry.dataset}: the hub's split {entry.hub.split!r} has no rows of subset {subsets}; it "
                f"has {there}"
            )
    return files


def conversion_fault(entry: Entry, converted: Converted) -> str | None:
    """What contradicts the manifest or MRQA's rules; None when nothing does."""
    if entry.questions is not None and converted.questions != entry.questions:
        return f"the hub's copy holds {converted.questions} questions, the manifest says {entry.questions}"
    if len(converted.ids) != converted.questions or "" in converted.ids:
        return f"the hub's copy holds {converted.questions} questions but {len(converted.ids - {''})} ids"
    return None


class Converted:
    """A file of MRQA lines: a header, then one line per context with its questions. What it holds is counted.

    `ids_sha256`: of the sorted question ids, a line each; any container of the same questions has it.
    """

    def __init__(self, stream: BinaryIO, entry: Entry) -> None:
        self.contexts = self.questions = 0
        self.ids: set[str] = set()
        self._stream = stream
        self._line: dict[str, Any] = {}
        self._write({"header": {"dataset": entry.dataset, "split": entry.split}})

    @property
    def ids_sha256(self) -> str:
        """Digest of the ids, to hold against those of the official file."""
        return hashlib.sha256("".join(f"{qid}\n" for qid in sorted(self.ids)).encode()).hexdigest()

    def add(self, value: Callable[[str], Any]) -> None:
        """Add a row, given as the values of its columns."""
        context = value("context")
        if not self._line or self._line["context"] != context:
            self.flush()
            tokens = _pairs(value("context_tokens"), "tokens", "offsets")
            self._line = {"context": context, "context_tokens": tokens, "qas": []}
        qid = value("qid") or ""
        self.ids.add(qid)
        self.questions += 1
        answers = [
            {
                "text": text,
                "char_spans": _pairs(chars, "start", "end"),
                "token_spans": _pairs(tokens, "start", "end"),
            }
            for text, chars, tokens in _records(
                value("detected_answers"), "text", "char_spans", "token_spans"
            )
        ]
        tokens = _pairs(value("question_tokens"), "tokens", "offsets")
        question = {"qid": qid, "question": value("question"), "question_tokens": tokens}
        self._line["qas"].append({**question, "detected_answers": answers, "answers": value("answers")})

    def flush(self) -> None:
        """Write the line of the last context."""
        if self._line:
            self.contexts += 1
            self._write(self._line)
            self._line = {}

    def _write(self, value: dict[str, Any]) -> None:
        self._stream.write(json.dumps(value, ensure_ascii=False).encode() + b"\n")


COLUMNS = (
    "subset",
    "context",
    "context_tokens",
    "qid",
    "question",
    "question_tokens",
    "detected_answers",
    "answers",
)


def _stored_rows(parquet: list[Path], bar: Bar) -> Iterator[tuple[str, Callable[[str], Any]]]:
    """The subset of each row, and the row; a column becomes Python values only when it is asked for."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    for path in parquet:
        try:
            file = pq.ParquetFile(path)
            if missing := set(COLUMNS) - set(file.schema_arrow.names):
                raise DataError(
                    f"{path.name}: no column {', '.join(sorted(missing))}: it is another data set"
                )
            for batch in file.iter_batches(batch_size=ROWS, columns=list(COLUMNS)):
                for index, subset in enumerate(batch.column("subset").to_pylist()):
                    yield subset, partial(_value, batch, index)
                bar.advance(batch.num_rows)
        except pa.ArrowInvalid as error:
            raise DataError(f"{path.name}: no Parquet file: {' '.join(str(error).split())}") from None


def _value(batch: Any, index: int, column: str) -> Any:
    return batch.column(column)[index].as_py()


def _records(value: Any, *names: str) -> Iterator[tuple[Any, ...]]:
    """Rows of a sequence of structs, stored as a list of structs or (as `datasets` did until version 3) as a
    struct of lists.
    """
    if isinstance(value, dict):
        return zip(*(value[name] or [] for name in names), strict=True)
    return (tuple(item[name] for name in names) for item in value or [])


def _pairs(value: Any, first: str, second: str) -> list[list[Any]]:
    return [list(pair) for pair in _records(value, first, second)]


@contextlib.contextmanager
def _gzip(path: Path) -> Iterator[BinaryIO]:
    """A gzip file without name and time in it."""
    with path.open("wb") as raw, gzip.GzipFile("", "wb", compresslevel=6, fileobj=raw, mtime=0) as stream:
        yield cast(BinaryIO, stream)
