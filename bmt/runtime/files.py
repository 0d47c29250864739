"""Files that are complete or absent: write aside, then rename."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote


def file_name(name: str) -> str:
    """A name of any characters (a dataset's) as that of one file, neither hidden nor outside its folder.

    `urllib.parse.unquote` gives it back; letters, digits, `-`, `_`, `~` and later dots stay as they are.
    """
    quoted = quote(name, safe="")
    return f"%2E{quoted[1:]}" if quoted.startswith(".") else quoted


@contextmanager
def write_aside(path: str | Path) -> Iterator[Path]:
    """Yield a path beside `path` to write a file to; it takes `path`'s name when the block ends without an
    error.

    On an error the partial file is removed and `path` is as it was.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield aside
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


@contextmanager
def write_folder_aside(path: str | Path) -> Iterator[Path]:
    """As `write_aside`, for a folder: yields a new empty folder that replaces `path` when the block ends
    without an error.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    try:
        yield aside
        old = path.with_name(f".{path.name}.{os.getpid()}.old")
        if path.exists():
            os.replace(path, old)
        os.replace(aside, path)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def remove_half_written(folder: Path, *names: str, seconds: float = 0.0) -> None:
    """Remove half-written files and folders of these names that are older than `seconds`; 0: where no other
    process writes them.
    """
    for name in names:
        for path in [*folder.glob(f".{name}.*.part"), *folder.glob(f".{name}.*.old")]:
            with suppress(FileNotFoundError):  # another process has put it in its place by now
                if seconds and time.time() - path.stat().st_mtime < seconds:
                    continue
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Write `text` (UTF-8) to `path`, complete or not at all."""
    with write_aside(path) as aside:
        aside.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value: Any) -> None:
    """Write `value` as indented JSON with sorted keys and a final newline.

    NaN and infinities are refused (ValueError).
    """
    write_text(path, json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n")


def file_digest(path: str | Path, algorithm: str = "sha256") -> str:
    """Hexadecimal digest of a file's bytes, read in blocks."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, algorithm).hexdigest()


def json_digest(value: Any) -> str:
    """sha256 of `value` as canonical JSON: sorted keys, no spaces."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
