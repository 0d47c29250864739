"""The journal of a run: everything a run records, kept in the run's own folder whether or not MLflow can be
reached.

    <run folder>/journal/<key>.jsonl        the entries, one JSON object per line, only ever appended
                         <key>/             the files that entries name (figures, texts), complete or absent
                         <key>.state.json   what has been delivered to which MLflow store

A key is `<UTC time>-<8 hex digits>`; a run begun anew has a new key, so two runs of one cell never mix. Every
entry has `seq` (1, 2, …), `time` (ms since 1970) and `kind`:

    run       key, name, experiment, params, tags, resume (MLflow id or key of the run it goes on with, or
    null), parent (likewise)
    resume    params, tags: the process that goes on with this journal
    metrics   values {name: number, or "nan", "inf", "-inf"}, step
    tag       name, value
    artifact  file (path under <key>/, and in MLflow)
    input     name, source, digest, context: a data set
    end       status FINISHED, FAILED or KILLED; failure (why) or null

The writer holds a lock (flock) on the entries' file as long as it lives: a journal that cannot be locked
belongs to a live run. Lines are handed to the operating system one by one, so a killed process loses none; a
torn last line (power cut, full disk) is dropped.
"""

from __future__ import annotations

import fcntl
import json
import math
import os
import posixpath
import re
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import IO, Any

from bmt.errors import DataError
from bmt.runtime.files import write_aside, write_json

FOLDER = "journal"


def milliseconds() -> int:
    """Now, in ms since 1970."""
    return time.time_ns() // 1_000_000


def new_key() -> str:
    """A new journal's key: keys sort by the time they were made."""
    return f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{uuid.uuid4().hex[:8]}"


def allowed_name(name: str) -> str:
    """`name` with what MLflow does not allow in a metric's or parameter's name replaced: letters, digits and
    `_ - . / : space` stay.
    """
    clean = posixpath.normpath(re.sub(r"[^\w\-./: ]", "_", name)).lstrip("/")
    return clean[:250] if clean.strip(".") else "_"


def text_of(value: Any, longest: int) -> str:
    """A parameter's or tag's value as text: JSON for what is no string, cut at `longest` characters."""
    text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= longest else text[: longest - 1] + "…"


def number_text(value: float) -> float | str:
    """A number as JSON allows it: NaN and infinities as text."""
    return value if math.isfinite(value) else repr(value)


def read_entries(path: Path, offset: int = 0) -> tuple[list[dict[str, Any]], int]:
    """The complete entries from byte `offset` on, and the byte after them; a torn last line is left out.

    Raises:
        DataError: a complete line is no JSON object: file, line, what to do.
    """
    with open(path, "rb") as stream:
        stream.seek(offset)
        data = stream.read()
    data = data[: data.rfind(b"\n") + 1]
    entries = []
    for index, line in enumerate(data.splitlines()):
        try:
            entry = json.loads(line)
            if not isinstance(entry, dict) or not isinstance(entry.get("seq"), int) or "kind" not in entry:
                raise ValueError
        except ValueError:
            with open(path, "rb") as stream:
                number = stream.read(offset).count(b"\n") + index + 1
            raise DataError(
                f"{path}, line {number}: not an entry of a journal: {line[:60]!r}; remove the line or the "
                "journal"
            ) from None
        entries.append(entry)
    return entries, offset + len(data)


def state_path(path: Path) -> Path:
    """The state file of the journal `path`."""
    return path.with_suffix(".state.json")


def read_state(path: Path, store: str) -> dict[str, Any]:
    """What `store` (its URI) has of the journal `path`: {run_id, delivered (seq), status, creating}; empty
    when nothing is known.
    """
    return _states(path).get(store, {})


def write_state(path: Path, store: str, state: Mapping[str, Any]) -> None:
    """Note what `store` has of the journal `path`, complete or not at all."""
    write_json(state_path(path), {"stores": {**_states(path), store: state}})


def run_ids(path: Path) -> set[str]:
    """Every MLflow run id the journal `path` was delivered to."""
    return {state["run_id"] for state in _states(path).values() if state.get("run_id")}


def _states(path: Path) -> dict[str, dict[str, Any]]:
    try:
        stores = json.loads(state_path(path).read_text(encoding="utf-8"))["stores"]
        return {store: dict(state) for store, state in stores.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}  # a lost state costs a look-up: the run's tags know how far it is


def journals(folders: Iterable[Path]) -> list[Path]:
    """Every journal below `folders` (a run's folder, or one that holds runs), oldest first: a parent comes
    before its children.
    """
    files = {file for folder in folders for file in Path(folder).rglob("*.jsonl")}
    return sorted((file for file in files if file.parent.name == FOLDER), key=lambda path: (path.name, path))


def find(folder: Path, reference: str) -> Path | None:
    """The journal in the run folder `folder` with the key or MLflow run id `reference`."""
    kept = journals([folder / FOLDER])
    return next((path for path in kept if reference in {path.stem, *run_ids(path)}), None)


def interrupted(folder: Path) -> str | None:
    """The key of the newest journal in the run folder `folder`, if its run was killed or failed: what a
    resume goes on with.
    """
    for path in reversed(journals([folder / FOLDER])):
        try:
            last = read_entries(path)[0][-1]
        except (DataError, IndexError):
            return None
        return None if last.get("status") == "FINISHED" else path.stem
    return None


def lock(stream: IO[Any]) -> bool:
    """Lock an open journal for this process, without waiting; False when another holds it."""
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except OSError:
        return False


@contextmanager
def locked(path: Path) -> Iterator[bool]:
    """Hold the journal `path` while its entries are delivered; yields False when a live run or another
    delivery holds it.
    """
    with open(path, "ab") as stream:
        yield lock(stream)


class Journal:
    """The writer of one journal. Methods may be called from several threads and never raise for the disk's
    sake.

    An entry that cannot be written (full disk) waits in memory and is written before the next one; `lost`
    counts those still waiting.
    """

    def __init__(self, path: Path, warn: Callable[[str], None] = lambda line: None) -> None:
        """Open `path` for appending, dropping a torn last line.

        Raises:
            DataError: a line is no entry.
            BlockingIOError: another process holds the journal.
            OSError: the folder cannot be written.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path, self.key, self.files = path, path.stem, path.with_suffix("")
        self._warn, self._mutex = warn, threading.Lock()
        self._waiting: list[bytes] = []
        self._stream = open(path, "ab", buffering=0)  # noqa: SIM115 (closed by close)
        try:
            if not lock(self._stream):
                raise BlockingIOError(f"{path}: another process writes or delivers this journal")
            entries, self._end = read_entries(path)
            self._stream.truncate(self._end)
        except BaseException:
            self._stream.close()
            raise
        self.seq = entries[-1]["seq"] if entries else 0
        self._known = {
            (name, entry["step"]): value
            for entry in entries
            if entry["kind"] == "metrics"
            for name, value in entry["values"].items()
        }
        self.started = entries[0]["time"] if entries else milliseconds()

    @property
    def lost(self) -> int:
        """Entries that the disk has refused so far."""
        return len(self._waiting)

    def append(self, kind: str, **fields: Any) -> None:
        """Append one entry."""
        with self._mutex:
            self.seq += 1
            entry = {"seq": self.seq, "time": milliseconds(), "kind": kind, **fields}
            self._waiting.append(json.dumps(entry, allow_nan=False).encode() + b"\n")
            self._write()

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """Append metrics, but not those that the journal already has with this step and value (a step
        repeated after a crash).
        """
        stored = {name: number_text(value) for name, value in values.items()}
        new = {name: value for name, value in stored.items() if self._known.get((name, step)) != value}
        if new:
            self.append("metrics", values=new, step=step)

    def keep(self, name: str, write: Callable[[Path], object]) -> None:
        """Keep a file under the relative path `name` (`write` gets the path to write to) and append its
        entry.
        """
        file = PurePosixPath(*[part for part in PurePosixPath(name).parts if part not in ("/", "..", ".")])
        if not file.name:
            self._warn(f"{name!r} names no file: not kept")
            return
        try:
            with write_aside(self.files / file) as aside:
                # savefig and the like choose the format by the ending, which the name aside has lost
                named = aside.with_name(f"{aside.name}{file.suffix}")
                try:
                    write(named)
                    os.replace(named, aside)
                finally:
                    named.unlink(missing_ok=True)
        except OSError as error:
            self._warn(f"{self.files / file}: {error.strerror or error}: not kept")
            return
        self.append("artifact", file=str(file))

    def keep_copy(self, source: Path, folder: str = "") -> None:
        """Keep a copy of the file `source` under `folder`."""
        self.keep(
            f"{folder}/{source.name}" if folder else source.name, lambda path: shutil.copyfile(source, path)
        )

    def close(self) -> None:
        """Try once more to write what waits, then let go of the lock."""
        with self._mutex:
            self._write()
            self._stream.close()

    def _write(self) -> None:
        try:
            while self._waiting:
                line = self._waiting[0]
                if self._stream.write(line) != len(line):
                    raise OSError(28, "No space left on device")
                self._end += len(line)
                self._waiting.pop(0)
        except (OSError, ValueError) as error:
            if len(self._waiting) == 1:
                self._warn(
                    f"{self.path}: {getattr(error, 'strerror', None) or error}: entries wait in memory"
                )
            with suppress(OSError, ValueError):
                self._stream.truncate(self._end)
