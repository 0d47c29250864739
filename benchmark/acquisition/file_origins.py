"""Where the data files came from, as `python -m benchmark.fetch` recorded it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

Record = dict[str, Any]


def records(raw: Path) -> dict[str, Record]:
    """What fetch.json says of each file of the folder `raw`, by its name; nothing where there is no readable
    one: the files are then as if put there by hand.
    """
    try:
        files = json.loads((raw / "fetch.json").read_text(encoding="utf-8"))["files"]
        return {
            name: dict(record) for name, record in files.items() if {"sha256", "source", "url"} <= set(record)
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def origins(raw: Path) -> dict[str, str]:
    """Where each file came from, by the file's sha256: http, file, sample, hub or "by hand"."""
    return {record["sha256"]: str(record["source"]) for record in records(raw).values()}
