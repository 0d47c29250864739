"""JSON files that the project writes for itself, read again: each fault is one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmark.config.schema import SchemaFault, read, shown
from bmt.errors import DataError


def read_record(path: Path, kind: type[Any], remedy: str) -> dict[str, Any]:
    """The values of a JSON file, of which the dataclass `kind` says what must stand there; more may.

    Raises:
        DataError: absent, no JSON, or not so: the file, the key, its value, what is allowed, and `remedy`.
    """
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read ({type(error).__name__}): {remedy}") from None
    read(kind, values, lambda fault: DataError(f"{path}: {refusal(fault)}: {remedy}"), foreign=True)
    return values


def refusal(fault: SchemaFault) -> str:
    """A fault in words: key, value, what is allowed."""
    key = fault.key or "the whole file"
    if fault.problem == "missing":
        return f"{key}: missing: {fault.wanted}"
    return f"{key}: {shown(fault.value)} is not allowed: {fault.wanted or 'a text'}"
