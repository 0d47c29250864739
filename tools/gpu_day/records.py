"""The records of a day, as its own process reads and ends them: without torch, and whatever state a part left
them in.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bmt.runtime.files import write_json

Record = dict[str, Any]
LAST_LINES = 12
"""Lines of a traceback, or of what a part's process has said last, that a record keeps."""
LOST = 75
"""Exit status of a part's process whose CUDA context is broken."""
LISTS = ("attempted", "measurements", "errors", "skipped")


def read_record(path: Path) -> Record | None:
    """What is in a record's file; None without one, a record that says so where it cannot be read."""
    try:
        record = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        return {"state": "unreadable", "errors": [{"title": path.name, "error": f"{error}", "lines": []}]}
    return record if isinstance(record, dict) else {"state": "unreadable"}


def read_records(folder: Path, names: Iterable[str]) -> dict[str, Record]:
    """The records that are there, by the part's name."""
    records = {name: read_record(folder / f"{name}.json") for name in names}
    return {name: record for name, record in records.items() if record is not None}


def end_record(path: Path, state: str, error: str, lines: Sequence[str], job: Mapping[str, Any]) -> Record:
    """Of a part whose process could not do it: end its record with that state and error, what it has measured
    kept; where it has not even begun one it has nothing else in it.

    Args:
        lines: what the process has said, of which the last are kept.
        job: the part's (`part_process.PartJob`), as a mapping.
    """
    record = read_record(path) or {"environment": {}}
    record |= {"part": job["part"], "rehearsal": job["rehearsal"], "state": state}
    record["seconds"] = time.monotonic() - job["began"]
    record.setdefault("began", time.time() - record["seconds"])
    for kind in LISTS:
        record.setdefault(kind, [])
    title = record.pop("current", None) or job["part"]
    record["errors"].append({"title": title, "error": error, "lines": list(lines[-LAST_LINES:])})
    write_json(path, record)
    return record
