"""Where the data files came from, as `python -m benchmark.fetch` recorded it."""

from __future__ import annotations

import json
from pathlib import Path


def origins(raw: Path) -> dict[str, str]:
    """Where each file came from, by the file's sha256: http, file, sample, hub or "by hand"."""
    try:
        files = json.loads((raw / "fetch.json").read_text(encoding="utf-8"))["files"]
        return {record["sha256"]: str(record["source"]) for record in files.values()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}  # files that fetch did not bring
