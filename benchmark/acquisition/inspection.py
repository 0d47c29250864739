"""`python -m benchmark.data`: look at MRQA files: their sizes, one example with its windows, and whatever is
irregular in them.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.acquisition.dataset_table import beside_the_paper, table_1
from benchmark.cli.advice import PREPARE, advice
from benchmark.cli.text import printable
from benchmark.paper import tables as papers
from bmt.errors import DataError
from bmt.qa.mrqa import Example, ReadingReport, passages, read_mrqa
from bmt.runtime.files import write_json
from bmt.settings import IN_DOMAIN, OUT_OF_DOMAIN

PATTERNS = ("*.jsonl.gz", "*.jsonl")
STYLE = re.compile("\x1b\\[[0-9;]*m")


@dataclass(frozen=True, slots=True)
class Place:
    """The folder that a command looks at, and the profile whose it is; a folder of one's own goes by its
    name.
    """

    folder: Path
    profile: str
    results: Path
    features: Path

    @staticmethod
    def of(folder: str | None, params: str | None) -> Place:
        """`folder`, or the raw files of the profile in `params` (default: the root's params.yaml)."""
        from benchmark.config.folders import Places
        from benchmark.config.params import load, repository_root

        if folder is None:
            places = Places.of(load(params))
        else:
            places = Places(repository_root(), Path(folder).resolve().name)
        return Place(
            places.raw if folder is None else Path(folder),
            places.profile,
            places.results,
            places.features("any").parent,
        )


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
            f"{folder}: no {' or '.join(PATTERNS)} there: run `python -m benchmark.fetch`, or name another folder"
        )
    return files


def read_all(
    files: Sequence[Path], name: str, strict: bool = False
) -> Iterator[tuple[Path, ReadingReport, DataError | None]]:
    """Read every file, with progress; yields its report and, if it could not be read to its end, the error."""
    from benchmark.cli.progress import progress

    with progress(name, total=sum(file.stat().st_size for file in files), unit="bytes") as bar:
        for file in files:
            report, error = ReadingReport(), None
            try:
                for _ in passages(file, report, strict):
                    pass
            except DataError as found:
                error = found
            bar.advance(file.stat().st_size, note=file.name)
            yield file, report, error


def split_of(file: Path, report: ReadingReport) -> str:
    """train or dev: what the file's name says, else its header."""
    parts = file.name.split(".")
    return next((part for part in ("train", "dev", "test") if part in parts), report.split or "?")


def stats(place: Place, write: bool) -> int:
    """Print the sizes of every file and Table 1 beside the paper's; with `write` put it into the profile's
    results folder.
    """
    reports: list[tuple[str, ReadingReport]] = []
    for file, report, error in read_all(mrqa_files(place.folder), "read"):
        if error is not None:
            raise error
        reports.append((split_of(file, report), report))
    rank = {name: row for row, name in enumerate((*IN_DOMAIN, *OUT_OF_DOMAIN))}
    reports.sort(
        key=lambda pair: (rank.get(pair[1].dataset, len(rank)), pair[1].dataset, pair[0] != "train", pair[0])
    )
    print(
        f"{'dataset':<20}{'split':<7}{'contexts':>9}{'questions':>11}{'spans':>9}{'Q words':>9}{'C words':>9}{'irregular':>11}"
    )
    for split, report in reports:
        print(
            f"{report.dataset:<20}{split:<7}{report.contexts:>9}{report.questions:>11}{report.spans:>9}{report.mean_question_tokens():>9.1f}"
            f"{report.mean_context_tokens():>9.1f}{sum(report.counts.values()):>11}"
        )
    absent = [name for name in rank if not any(report.dataset == name for _, report in reports)]
    if absent:
        print(f"no file of {', '.join(absent)}")
    table = table_1(reports, place.profile)
    if table["rows"]:
        print("\n" + "\n".join(beside_the_paper(table["rows"], papers.load().tables["1"])))
    if write:
        path = place.results / "table_1.json"
        write_json(path, table)
        print(f"wrote {path}")
    return 0


def check(place: Place, strict: bool, listed: int) -> int:
    """Print every file's irregularities; 1 if a file cannot be read or, with `strict`, is irregular."""
    files = mrqa_files(place.folder)
    irregular = unreadable = questions = 0
    for file, report, error in read_all(files, "check", strict):
        for line in report.lines(listed):
            print(line)
        if error is not None:
            unreadable += 1
            print(f"error: {error}")
        else:
            notes = [f"{report.contexts} contexts, {report.questions} questions, {report.spans} spans"]
            notes += [f"{report.duplicate_spans} duplicate spans"] if report.duplicate_spans else []
            notes += [f"{report.repeated_contexts} repeated contexts"] if report.repeated_contexts else []
            print(f"{file}: {', '.join(notes)}; {sum(report.counts.values()) or 'nothing'} irregular")
        irregular += bool(report.counts)
        questions += report.questions
    print(
        f"{len(files)} files, {questions} questions: {irregular} files with irregularities, {unreadable} not read to their end"
    )
    return 1 if unreadable else 0


def show(question: str, place: Place, features: Path, backbone: str | None) -> int:
    """Print the question with this id: its context with the spans marked, and its windows if they were
    prepared.
    """
    windows = prepared(question, features, backbone)
    example = None
    files = mrqa_files(place.folder) if place.folder.exists() else []
    if windows is not None:  # its file is known
        files = [file for file in files if file.name == windows[0]["file"]]
    for file in files:
        example = next((found for found in read_mrqa(file) if found.id == question), None)
        if example is not None:
            print("\n".join(example_lines(example, file)))
            break
    if windows is None and example is None:
        raise DataError(
            f"{question}: no question with this id in {place.folder} or {features}: `python -m benchmark.data stats` lists the files"
        )
    if windows is None:
        print(f"windows:  none under {features}: run `python -m benchmark.prepare`")
    else:
        print("\n".join(window_lines(*windows)))
    return 0


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
            found = load(path.parent)
        row = pc.index(found.examples["id"], pa.scalar(question)).as_py()
        if row >= 0:
            own = found.windows.filter(pc.equal(found.windows["example"], row))
            return found.meta, path.parent, found.examples.slice(row, 1).to_pylist()[0], own.to_pylist()
    return None


def example_lines(example: Example, file: Path) -> list[str]:
    """An example as text, the spans of its context marked."""
    spans = ", ".join(f"{start}–{end}" for start, end in example.spans) or "none that is usable"
    return [
        f"{example.dataset}  {example.id}  ({short(file)}, context {example.context_id})",
        f"question: {printable(example.question)}",
        f"answers:  {' | '.join(printable(answer) for answer in example.answers)}",
        f"spans:    characters {spans}",
        f"context:  {wrapped(marked(example.context, 0, len(example.context), example.spans), 10)}",
    ]


def window_lines(
    meta: dict[str, Any], folder: Path, example: dict[str, Any], windows: list[dict[str, Any]]
) -> list[str]:
    """The windows of an example as text, their spans marked."""
    inputs, context = meta["inputs"], example["context"]
    lines = [
        f"windows:  {len(windows)} of at most {inputs['window']} tokens, overlap {inputs['overlap']} ({short(folder)}), "
        f"question: {printable(example['question'])}"
    ]
    for number, window in enumerate(windows, 1):
        first, offsets = window["context_start"], window["offsets"]
        tokens, answers, places = len(offsets) // 2, [], []
        for i, j in zip(window["spans"][::2], window["spans"][1::2]):
            start, end = offsets[2 * (i - first)], offsets[2 * (j - first) + 1]
            answers.append((start, end))
            places.append(f"tokens {i}–{j} {printable(context[start:end])!r}")
        start, end = (offsets[0], offsets[-1]) if offsets else (0, 0)
        lines.append(
            f"  {number}: {len(window['input_ids'])} tokens, {tokens} of the context (characters {start}–{end}); "
            f"{', '.join(places) or 'no answer'}"
        )
        lines.append(f"     {wrapped(marked(context, start, end, answers), 5)}")
    return lines


def short(path: Path) -> str:
    """A path as seen from the working directory, where that is shorter."""
    return min(os.path.relpath(path), str(path), key=len)


def marked(text: str, start: int, end: int, spans: Sequence[tuple[int, int]]) -> str:
    """text[start:end] for a terminal, each of `spans` between «»; overlapping spans are marked as one."""
    bold, plain = (
        ("\x1b[1;32m", "\x1b[0m") if sys.stdout.isatty() and "NO_COLOR" not in os.environ else ("", "")
    )
    merged: list[tuple[int, int]] = []
    for left, right in sorted(spans):
        if merged and left < merged[-1][1]:
            merged[-1] = merged[-1][0], max(right, merged[-1][1])
        else:
            merged.append((left, right))
    parts, at = [], start
    for left, right in merged:
        parts += [printable(text[at:left]), bold, "«", printable(text[left:right]), "»", plain]
        at = right
    return "".join([*parts, printable(text[at:end])])


def wrapped(text: str, indent: int) -> str:
    """`text` broken between words to the terminal's width, all lines but the first indented; one line where
    stdout is no terminal.
    """
    if not sys.stdout.isatty():
        return text
    width = max(40, shutil.get_terminal_size().columns)
    lines, used = [""], indent
    for word in text.split(" "):
        length = len(STYLE.sub("", word))
        if lines[-1] and used + 1 + length > width:
            lines.append("")
            used = indent
        lines[-1] += f" {word}" if lines[-1] else word
        used += length + (used > indent)
    return f"\n{' ' * indent}".join(lines)
