"""Features of an MRQA file: windows on disk as Arrow, made once and reused only while everything they depend
on is the same.

A folder holds `windows.arrow` and `examples.arrow` (Arrow IPC streams, opened memory-mapped; the columns are
in `bmt.qa.windows`) and `features.json`: the key, what it was made from, and counts. The bytes are the same
for any number of workers.
"""

from __future__ import annotations

import gc
import hashlib
import heapq
import json
import multiprocessing
import os
import signal
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import tokenizers

import bmt.qa.mrqa
from bmt.errors import DataError
from bmt.qa.mrqa import Passage, ReadingReport
from bmt.qa.tokenizer import Encoder, encoder, text_tokenizer
from bmt.qa.windows import EXAMPLES, WINDOWS, Chunk, Cut, check_cut, cut_chunk
from bmt.runtime.files import file_digest, json_digest, write_folder_aside, write_json
from bmt.runtime.source_code import source_digest
from bmt.settings import DataSettings

MAKERS = (
    "mrqa",
    "irregularities",
    "duplicate_ids",
    "tokenizer",
    "token_offsets",
    "windows",
    "features",
)  # the modules whose code decides
SCHEMAS = {"windows.arrow": WINDOWS, "examples.arrow": EXAMPLES}
CHUNK_CHARACTERS = 300_000  # of contexts in one record batch; about a tenth of a second of tokenising
Progress = Callable[[int, str], None]


@dataclass(frozen=True, slots=True)
class Features:
    """`windows` and `examples` are memory-mapped; `meta` is features.json.

    `windows["example"]` is a row of `examples`.
    """

    windows: pa.Table
    examples: pa.Table
    meta: dict[str, Any]


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """How features are made; nothing of it is in them.

    Attributes:
        workers: processes. With 1 all is done in this one, with the threads that TOKENIZERS_PARALLELISM
            allows; more are started with the "spawn" method, one thread each, so the calling script needs its
            `if __name__ == "__main__"`.
        strict: whether the first irregularity of the file raises.
        progress: called with (questions done since the last call, note).
    """

    workers: int = 1
    strict: bool = False
    progress: Progress | None = None


def build(
    path: str | Path,
    tokenizer: Any,
    data: DataSettings,
    out_dir: str | Path,
    *,
    train: bool,
    limit: int | None = None,
    options: BuildOptions | None = None,
) -> Features:
    """Make the features of an MRQA file in the folder `out_dir`, or reuse those there if their key is the
    same.

    Args:
        path: the MRQA file.
        tokenizer: a transformers fast tokenizer with `data.special_tokens` added.
        data: `window`, `overlap`, `question` and `special_tokens` are used.
        train: drop, and list, questions that no window answers; else they are kept, to be scored.
        limit: take this many questions at most, the first by a digest of context id and question id: a fixed,
            random-looking subset. With `train` it is taken from the questions with a usable span.
        options: how: processes, strictness, progress.

    Raises:
        DataError: the file cannot be read or holds no usable question.
        ConfigError: the tokenizer or the window, overlap and question lengths cannot be used.
    """
    options = options or BuildOptions()
    spec = encoder(tokenizer, data.special_tokens)
    cut = Cut(data.window, data.overlap, data.question)
    check_cut(cut, spec.specials())
    inputs = _inputs(path, spec, data, train, limit)
    key = json_digest(inputs)
    try:
        kept = load(out_dir, key)
        if not (options.strict and kept.meta["irregularities"]):
            return kept
    except DataError:
        pass  # absent, stale or damaged: made anew
    chosen = None if limit is None else _choose(path, limit, train)
    report = ReadingReport()
    with write_folder_aside(out_dir) as aside, _collector_paused():
        with closing(bmt.qa.mrqa.passages(path, report, options.strict, tokens=False)) as source:
            chunks = _chunks(source if chosen is None else _only(source, chosen))
            meta = _write(_work(chunks, spec, cut, train, options.workers), aside, options.progress)
        if not meta["counts"]["examples"]:
            raise DataError(f"{path}: no usable question in {report.contexts} contexts")
        meta |= {
            "schema": 1,
            "key": key,
            "inputs": inputs,
            "file": Path(path).name,
            "dataset": report.dataset,
            "split": report.split,
            "irregularities": dict(report.counts),
            "irregular_places": [astuple(place) for place in report.places],
            "files": {name: (aside / name).stat().st_size for name in SCHEMAS},
        }
        write_json(aside / "features.json", meta)
    return load(out_dir, key)


def load(folder: str | Path, key: str | None = None) -> Features:
    """Open the features in `folder`, memory-mapped.

    Args:
        folder: what `build` wrote.
        key: if given, the features must have it: `meta["key"]`, a digest of `meta["inputs"]`.

    Raises:
        DataError: absent, damaged, or made from something else.
    """
    folder = Path(folder)
    try:
        meta = json.loads((folder / "features.json").read_text(encoding="utf-8"))
        its_key, sizes = str(meta["key"]), dict(meta["files"])
        rows = {name: meta["counts"][Path(name).stem] for name in SCHEMAS}
    except OSError as error:
        raise DataError(f"{folder / 'features.json'}: {error.strerror}: make the features") from None
    except (ValueError, KeyError, TypeError):
        raise DataError(f"{folder / 'features.json'}: damaged: make the features again") from None
    if key is not None and its_key != key:
        raise DataError(
            f"{folder}: features of another file, tokenizer, window, overlap or code (key {its_key[:12]}, "
            f"not {key[:12]}): make them again"
        )
    tables = []
    for name, schema in SCHEMAS.items():
        try:
            size = (folder / name).stat().st_size
            with pa.memory_map(str(folder / name)) as source:
                table = pa.ipc.open_stream(source).read_all()
        except (OSError, pa.ArrowException) as error:
            raise DataError(
                f"{folder / name}: cannot be opened ({' '.join(str(error).split())}): make the features again"
            ) from None
        if size != sizes.get(name) or len(table) != rows[name] or table.schema != schema:
            raise DataError(
                f"{folder / name}: {size} bytes, {len(table)} rows; features.json has {sizes.get(name)} and "
                f"{rows[name]}: make the features again"
            )
        tables.append(table)
    return Features(tables[0], tables[1], meta)


def outdated(meta: dict[str, Any], data: DataSettings) -> list[str]:
    """The settings and the code of features whose `meta` this is that are no longer what `build` would use
    now, by their names in `meta["inputs"]`. Empty: nothing changed.
    """
    used = meta.get("inputs", {})
    return [name for name, value in _settings_and_code(data).items() if used.get(name) != value]


def carve(
    context_ids: Sequence[str], validation: int, train: int | None, salt: str
) -> tuple[np.ndarray, np.ndarray]:
    """Split questions into train and validation by context: no context is on both sides.

    Contexts are ordered by sha256(salt + context id). Validation takes whole contexts until it has
    `validation` questions and is then trimmed to exactly that many (what is trimmed is in neither); train
    takes up to `train` questions of the contexts that remain.

    Args:
        context_ids: the context id of each question.
        validation: questions for validation.
        train: questions for training at most; None: all that remain.
        salt: chooses the split.

    Returns:
        (train rows, validation rows): indices into `context_ids`, int64, in the order of the contexts'
        digests.
    """
    rows_of: dict[str, list[int]] = {}
    for row, context_id in enumerate(context_ids):
        rows_of.setdefault(context_id, []).append(row)
    held: list[int] = []
    rest: list[int] = []
    for context_id in sorted(rows_of, key=lambda name: hashlib.sha256((salt + name).encode()).digest()):
        (held if len(held) < validation else rest).extend(rows_of[context_id])
    return np.array(rest[:train], dtype=np.int64), np.array(held[:validation], dtype=np.int64)


@contextmanager
def _ctrl_c_held_back() -> Iterator[None]:
    """Processes that are started in the block never see Ctrl-C, which a terminal sends to all of them: this
    process, which sees it after the block, ends them.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Without Python's cyclic collector: JSON and offsets are millions of small objects, none in a cycle,
    that it would look through.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _inputs(
    path: str | Path, spec: Encoder, data: DataSettings, train: bool, limit: int | None
) -> dict[str, Any]:
    """Everything that the features depend on.

    The code is in it by its own text: no version number to forget.
    """
    try:
        digest = file_digest(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}: fetch it first") from None
    return {
        "file_sha256": digest,
        "tokenizer_sha256": spec.digest,
        "tokenizers": tokenizers.__version__,
        "train": train,
        "limit": limit,
        **_settings_and_code(data),
    }


def _settings_and_code(data: DataSettings) -> dict[str, Any]:
    """The settings that are used, and the digest of the modules that make features, as far as they do
    something: a comment makes no feature stale.
    """
    folder = Path(__file__).parent
    return {
        "window": data.window,
        "overlap": data.overlap,
        "question": data.question,
        "special_tokens": list(data.special_tokens),
        "code_sha256": json_digest([source_digest(folder / f"{module}.py") for module in MAKERS]),
    }


def _choose(path: str | Path, limit: int, train: bool) -> set[str]:
    """The ids of the `limit` questions whose digests come first."""
    usable = (example for example in bmt.qa.mrqa.read_mrqa(path) if example.spans or not train)
    ranked = (
        (hashlib.sha256(f"{example.context_id}\0{example.id}".encode()).digest(), example.id)
        for example in usable
    )
    return {question for _, question in heapq.nsmallest(limit, ranked)}


def _only(source: Iterable[Passage], chosen: set[str]) -> Iterator[Passage]:
    for passage in source:
        kept = tuple(example for example in passage.examples if example.id in chosen)
        if kept:
            yield replace(passage, examples=kept)


def _chunks(source: Iterable[Passage]) -> Iterator[list[Passage]]:
    """Contexts in groups of `CHUNK_CHARACTERS`: the same groups whoever works on them."""
    chunk: list[Passage] = []
    size = 0
    for passage in source:
        chunk.append(passage)
        size += len(passage.context)
        if size >= CHUNK_CHARACTERS:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _work(
    chunks: Iterator[list[Passage]], spec: Encoder, cut: Cut, train: bool, workers: int
) -> Iterator[Chunk]:
    """The chunks cut into windows, in order, by this process or by `workers` others; at most three chunks a
    worker are in flight.
    """
    if workers <= 1:
        tokenizer = text_tokenizer(spec)
        for chunk in chunks:
            yield cut_chunk(chunk, spec, tokenizer, cut, train)
        return
    waiting: deque[Future[Chunk]] = deque()
    pool = ProcessPoolExecutor(
        workers, multiprocessing.get_context("spawn"), _start_worker, (spec, cut, train)
    )
    try:
        for chunk in chunks:
            with _ctrl_c_held_back():
                waiting.append(pool.submit(_cut_in_worker, chunk))
            if len(waiting) >= 3 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool:
        raise DataError(
            "a worker process was killed, or could not start: fewer workers need less memory"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


_worker: dict[str, Any] = {}


def _start_worker(spec: Encoder, cut: Cut, train: bool) -> None:
    gc.disable()  # as in `_collector_paused`
    # One thread per process: the processes are the parallelism.
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    _worker.update(spec=spec, tokenizer=text_tokenizer(spec), cut=cut, train=train)


def _cut_in_worker(chunk: list[Passage]) -> Chunk:
    return cut_chunk(chunk, **_worker)


def _write(chunks: Iterator[Chunk], folder: Path, progress: Progress | None) -> dict[str, Any]:
    """Write the two Arrow streams; returns the counts and the dropped questions for features.json."""
    counts = dict.fromkeys(("examples", "windows", "windows_with_answer", "truncated_questions", "tokens"), 0)
    lost: Counter[str] = Counter()
    dropped: list[tuple[str, str]] = []
    with (
        pa.OSFile(str(folder / "windows.arrow"), "wb") as windows_file,
        pa.OSFile(str(folder / "examples.arrow"), "wb") as examples_file,
        pa.ipc.new_stream(windows_file, WINDOWS) as windows,
        pa.ipc.new_stream(examples_file, EXAMPLES) as examples,
    ):
        for chunk in chunks:
            if len(chunk.examples):
                rows = chunk.windows["example"].to_numpy() + np.int32(counts["examples"])
                windows.write_batch(
                    chunk.windows.set_column(0, WINDOWS.field("example"), pa.array(rows, pa.int32()))
                )
                examples.write_batch(chunk.examples)
            counts["examples"] += len(chunk.examples)
            counts["windows"] += len(chunk.windows)
            counts["windows_with_answer"] += chunk.answered
            counts["truncated_questions"] += chunk.truncated
            counts["tokens"] += len(chunk.windows["input_ids"].values)
            lost.update(chunk.spans_lost)
            dropped.extend(chunk.dropped)
            if progress is not None:
                progress(chunk.questions, f"{counts['windows']} windows")
    return {
        "counts": counts,
        "spans_lost": dict(lost),
        "dropped": dict(Counter(reason for _, reason in dropped)),
        "dropped_questions": dropped,
    }
