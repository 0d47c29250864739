"""A document's structure as JSON: for what has no schema of its own."""

from __future__ import annotations

import json
from dataclasses import asdict, fields, is_dataclass
from typing import Any

from benchmark.rendering.document import Document, Inline, Phrase, phrases


def to_json(document: Document) -> str:
    """One object: kind and fields of the document and of every block; texts as plain strings where no part
    looks different.
    """
    return json.dumps(_value(document), indent=1, ensure_ascii=False) + "\n"


def _value(value: Any) -> Any:
    if isinstance(value, str | Phrase):
        return _text(value)
    if isinstance(value, tuple):
        mixed = any(isinstance(part, Phrase) for part in value)
        return _text(value) if mixed else [_value(part) for part in value]
    if is_dataclass(value):
        named = {field.name: _value(getattr(value, field.name)) for field in fields(value)}
        filled = {name: part for name, part in named.items() if part not in ("", [], None)}
        return {"kind": type(value).__name__, **filled}
    return value


def _text(text: Inline) -> Any:
    parts = [{key: entry for key, entry in asdict(part).items() if entry} for part in phrases(text)]
    return parts if any(part.keys() - {"text"} for part in parts) else "".join(part["text"] for part in parts)
