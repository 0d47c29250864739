"""MRQA files looked at: their sizes, whatever is irregular in them, and one question with its windows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmark.acquisition.dataset_table import beside_the_paper, table_1
from benchmark.cli.advice import PREPARE, advice
from benchmark.cli.progress import progress
from benchmark.cli.text import short
from benchmark.config.folders import Folders
from benchmark.config.params import load, repository_root
from benchmark.paper import tables as papers
from benchmark.rendering.document import (
    Block,
    Column,
    Document,
    Inline,
    ListItem,
    Paragraph,
    Phrase,
    Remark,
    TextList,
    text_table,
    with_code,
)
from benchmark.rendering.phrases import counted
from bmt.errors import DataError
from bmt.qa.mrqa import Example, ReadingReport, passages, read_mrqa
from bmt.settings import IN_DOMAIN, OUT_OF_DOMAIN

PATTERNS = ("*.jsonl.gz", "*.jsonl")
SIZES = (
    Column("dataset", "left"),
    Column("split", "left"),
    *map(Column, ("contexts", "questions", "spans")),
    Column("Q words", least=5),
    Column("C words", least=5),
    Column("irregular"),
)


def inspected(folder: str | None, params: str | None) -> tuple[Path, Folders]:
    """The folder that a command looks at (None: the raw files of the profile in `params`, default: the root's
    params.yaml), and the folders of that profile; a folder that was named goes by its name.
    """
    if folder is None:
        folders = Folders.of(load(params))
        return folders.raw, folders
    return Path(folder), Folders(repository_root(), Path(folder).resolve().name)


def mrqa_files(folder: Path) -> list[Path]:
    """The MRQA files in `folder` and its folders, in order of their paths; a file is itself.

    Raises:
        DataError: nothing there.
    """
    if folder.is_file():
        return [folder]
    files = sorted(
        path for pattern in PATTERNS for path in folder.rglob(pattern) if not path.name.startswith(".")
    )
    if not files:
        raise DataError(
            f"{folder}: no {' or '.join(PATTERNS)} there: run `python -m benchmark.fetch`, or name another "
            "folder"
        )
    return files


def read_all(
    files: Sequence[Path], name: str, strict: bool = False
) -> Iterator[tuple[Path, ReadingReport, DataError | None]]:
    """Read every file, with progress; yields its report and, if it was not read to its end, the error."""
    with progress(name, total=sum(file.stat().st_size for file in files), unit="bytes") as bar:
        for file in files:
            report, error = ReadingReport(), None
            try:
                for _ in passages(file, report, strict):
                    pass
            except DataError as caught:
                error = caught
            bar.advance(file.stat().st_size, note=file.name)
            yield file, report, error


def split_of(file: Path, report: ReadingReport) -> str:
    """train or dev: what the file's name says, else its header."""
    parts = file.name.split(".")
    return next((part for part in ("train", "dev", "test") if part in parts), report.split or "?")


def size_document(folder: Path, profile: str) -> tuple[Document, dict[str, Any]]:
    """The sizes of every file and Table 1 beside the paper's; and Table 1 as results/<profile>/table_1.json
    has it.

    Raises:
        DataError: a file that cannot be read.
    """
    reports: list[tuple[str, ReadingReport]] = []
    for file, report, error in read_all(mrqa_files(folder), "read"):
        if error is not None:
            raise error
        reports.append((split_of(file, report), report))
    rank = {name: row for row, name in enumerate((*IN_DOMAIN, *OUT_OF_DOMAIN))}
    reports.sort(
        key=lambda pair: (rank.get(pair[1].dataset, len(rank)), pair[1].dataset, pair[0] != "train", pair[0])
    )
    rows = [
        (
            report.dataset,
            split,
            *map(str, (report.contexts, report.questions, report.spans)),
            f"{report.mean_question_tokens():.1f}",
            f"{report.mean_context_tokens():.1f}",
            str(sum(report.counts.values())),
        )
        for split, report in reports
    ]
    blocks: list[Block] = [text_table(SIZES, rows)]
    if absent := [name for name in rank if not any(report.dataset == name for _, report in reports)]:
        blocks.append(Paragraph(f"no file of {', '.join(absent)}"))
    table = table_1(reports, profile)
    if table["rows"]:
        blocks += beside_the_paper(table["rows"], papers.load().tables["1"])
    return Document(f"MRQA files in {short(folder)}", tuple(blocks)), table


def irregularity_document(folder: Path, strict: bool, places: int) -> tuple[Document, int]:
    """Every file's irregularities, at most `places` of them with their lines, and 1 if a file cannot be read
    or, with `strict`, is irregular; else 0.
    """
    files = mrqa_files(folder)
    blocks: list[Block] = []
    irregular = unreadable = questions = 0
    for file, report, error in read_all(files, "check", strict):
        blocks += map(Paragraph, report.lines(places))
        if error is not None:
            unreadable += 1
            blocks.append(Remark(str(error), "error", "bad"))
        else:
            notes = [f"{report.contexts} contexts, {report.questions} questions, {report.spans} spans"]
            notes += [f"{report.duplicate_spans} duplicate spans"] if report.duplicate_spans else []
            notes += [f"{report.repeated_contexts} repeated contexts"] if report.repeated_contexts else []
            total = sum(report.counts.values()) or "nothing"
            blocks.append(Paragraph(f"{file}: {', '.join(notes)}; {total} irregular"))
        irregular += bool(report.counts)
        questions += report.questions
    total = f"{len(files)} files, {questions} questions: {irregular} files with irregularities"
    blocks.append(Paragraph(f"{total}, {unreadable} not read to their end", "bad" if unreadable else ""))
    title = f"MRQA files in {short(folder)}"
    return Document(title, tuple(blocks), wrapped=False), int(unreadable > 0)


def question_document(question: str, folder: Path, features: Path, backbone: str | None) -> Document:
    """The question with this id: its context with the spans marked, and its windows if they were prepared.

    Raises:
        DataError: no file and no features have such a question.
    """
    windows = prepared(question, features, backbone)
    files = mrqa_files(folder) if folder.exists() else []
    if windows is not None:  # its file is known
        files = [file for file in files if file.name == windows[0]["file"]]
    title, items = question, []
    for file in files:
        example = next((example for example in read_mrqa(file) if example.id == question), None)
        if example is not None:
            title = f"{example.dataset}  {example.id}  ({short(file)}, context {example.context_id})"
            items = _example_items(example)
            break
    if windows is None and not items:
        raise DataError(
            f"{question}: no question with this id in {folder} or {features}: "
            "`python -m benchmark.data stats` lists the files"
        )
    if windows is None:
        todo = with_code(f"none under {features}: run `python -m benchmark.prepare`")
        return Document(title, (TextList((*items, ListItem(todo, label="windows"))),), wrapped=False)
    about, entries = _windows(*windows)
    blocks = (TextList((*items, ListItem(about, label="windows"))), TextList(entries, numbered=True))
    return Document(title, blocks, wrapped=False)


def prepared(
    question: str, features: Path, backbone: str | None
) -> tuple[dict[str, Any], Path, dict[str, Any], list[dict[str, Any]]] | None:
    """The features that hold a question: their meta, folder, the example's row and its windows; None if there
    are none.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    from bmt.qa.features import load

    for path in sorted(features.rglob("windows.arrow")):
        if backbone not in (None, path.parent.parent.name):
            continue
        with advice(PREPARE):
            made = load(path.parent)
        row = pc.index(made.examples["id"], pa.scalar(question)).as_py()
        if row >= 0:
            windows = made.windows.filter(pc.equal(made.windows["example"], row))
            return made.meta, path.parent, made.examples.slice(row, 1).to_pylist()[0], windows.to_pylist()
    return None


def _example_items(example: Example) -> list[ListItem]:
    """An example, the spans of its context marked."""
    places = ", ".join(f"{start}–{end}" for start, end in example.spans)
    context = marked(example.context, 0, len(example.context), example.spans)
    return [
        ListItem(example.question, label="question"),
        ListItem(" | ".join(example.answers), label="answers"),
        ListItem(f"characters {places}" if places else "none that is usable", label="spans"),
        ListItem(context, label="context"),
    ]


def _windows(
    meta: dict[str, Any], folder: Path, example: dict[str, Any], windows: list[dict[str, Any]]
) -> tuple[str, tuple[ListItem, ...]]:
    """What the windows of an example are, and each of them, its spans marked."""
    inputs, context = meta["inputs"], example["context"]
    about = (
        f"{len(windows)} of at most {inputs['window']} tokens, overlap {inputs['overlap']} "
        f"({short(folder)}), question: {example['question']}"
    )
    items = []
    for window in windows:
        first, offsets = window["context_start"], window["offsets"]
        spans, texts = [], []
        for i, j in zip(window["spans"][::2], window["spans"][1::2]):
            span = offsets[2 * (i - first)], offsets[2 * (j - first) + 1]
            spans.append(span)
            texts.append(f"tokens {i}–{j} {' '.join(context[slice(*span)].split())!r}")
        start, end = (offsets[0], offsets[-1]) if offsets else (0, 0)
        sizes = f"{counted(len(window['input_ids']), 'token')}, {len(offsets) // 2} of the context"
        said = f"{sizes} (characters {start}–{end}); {', '.join(texts) or 'no answer'}"
        items.append(ListItem(said, items=(ListItem(marked(context, start, end, spans), label="text"),)))
    return about, tuple(items)


def marked(text: str, start: int, end: int, spans: Sequence[tuple[int, int]]) -> Inline:
    """text[start:end], each of `spans` between «»; overlapping spans are marked as one."""
    merged: list[tuple[int, int]] = []
    for left, right in sorted(spans):
        if merged and left < merged[-1][1]:
            merged[-1] = merged[-1][0], max(right, merged[-1][1])
        else:
            merged.append((left, right))
    parts: list[str | Phrase] = []
    at = start
    for left, right in merged:
        parts += [text[at:left], Phrase(f"«{text[left:right]}»", "strong", "good")]
        at = right
    return (*parts, text[at:end])
