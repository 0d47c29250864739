"""Questions and contexts of scored examples, from the raw MRQA files that they were scored on."""

from __future__ import annotations

from collections.abc import Sequence, Set
from pathlib import Path

from benchmark.acquisition.inspection import PATTERNS
from benchmark.runs.results import Run
from bmt.errors import DataError
from bmt.qa.mrqa import Example, read_mrqa
from bmt.runtime.files import file_digest

MAKE = "`python -m benchmark.fetch` makes the profile's files, --data names another folder"


def dev_file(folder: Path, dataset: str, shown: str) -> Path:
    """The dev file `<dataset>.dev.jsonl.gz` in `folder` or a folder of it.

    Raises:
        DataError: there is none, or more than one.
    """
    files = sorted(
        path
        for pattern in PATTERNS
        for path in folder.rglob(pattern)
        if path.name.split(".")[:2] == [dataset, "dev"]
    )
    if len(files) != 1:
        names = ", ".join(path.relative_to(folder).as_posix() for path in files)
        what = (
            f"{len(files)} dev files of {dataset} ({names}), one is needed"
            if files
            else f"no {dataset}.dev.jsonl.gz there"
        )
        raise DataError(f"{shown}: {what}: {MAKE}")
    return files[0]


def read_examples(
    folder: Path, dataset: str, ids: Set[str], runs: Sequence[Run], shown: str
) -> dict[str, Example]:
    """The examples `ids` of a dataset's dev file.

    Raises:
        DataError: no file, a file other than the one that a run says it was scored on, or a file without one
            of the examples.
    """
    path = dev_file(folder, dataset, shown)
    name = f"{shown}/{path.relative_to(folder).as_posix()}"
    digest = file_digest(path)
    for run in runs:
        stated = run.datasets[dataset].sha256
        if stated is not None and stated != digest:
            raise DataError(
                f"{name}: not the file that {run.cell} was scored on (sha256 {digest[:12]}…, not "
                f"{stated[:12]}…): {MAKE}"
            )
    examples = {example.id: example for example in read_mrqa(path) if example.id in ids}
    if lacking := sorted(ids - examples.keys()):
        raise DataError(
            f"{name}: {len(lacking)} of the {len(ids)} scored examples are not in it, {lacking[0]} for "
            f"one: {MAKE}"
        )
    return examples
