"""Results and journals of finished cells in one file, which is whole at any moment."""

from __future__ import annotations

import gzip
import tarfile
from collections.abc import Iterable
from pathlib import Path

from bmt.runtime.files import remove_half_written, write_aside

ARCHIVE = "runs.tar.gz"
LARGEST = 16 << 20
"""Bytes of a file that comes back from the GPU's machine."""
OF_A_RUN = ("training.json", "curve.csv", "metrics.json")


def members(root: Path, profile: str, cells: Iterable[str]) -> list[str]:
    """What is kept of cells, by its path in the project `root`: scores, predictions, training, course,
    journals; no weights and no masks.
    """
    names = []
    for cell in cells:
        run, results = root / "runs" / profile / cell, root / "results" / profile
        wanted = [results / f"{cell}.json", results / f"{cell}.parquet", *(run / name for name in OF_A_RUN)]
        wanted += sorted((run / "journal").rglob("*"))
        names += [
            path.relative_to(root).as_posix()
            for path in wanted
            if path.is_file() and not path.name.startswith(".")
        ]
    return names


def write_archive(path: Path, root: Path, profile: str, cells: Iterable[str]) -> int:
    """Renew the archive: its bytes."""
    remove_half_written(path.parent, path.name)
    with (
        write_aside(path) as aside,
        gzip.GzipFile(aside, "wb", compresslevel=6) as stream,
        tarfile.TarFile(fileobj=stream, mode="w") as archive,
    ):
        for name in members(root, profile, cells):
            archive.add(root / name, name, recursive=False)
    return path.stat().st_size
