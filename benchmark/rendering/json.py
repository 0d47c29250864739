"""A document's structure as JSON: for what has no schema of its own."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from typing import Any

from benchmark.rendering.document import Document, Phrase, phrases


def to_json(document: Document) -> str:
    """One object: kind and fields of the document and of every block; texts as plain strings where no part
    looks different.
    """
    return json.dumps(_value(document), indent=1, ensure_ascii=False) + "\n"


def _value(value: Any) -> Any:
    if isinstance(value, str | Phrase) or (
        isinstance(value, tuple) and any(isinstance(part, Phrase) for part in value)
    ):
        return _text(value)
    if isinstance(value, tuple):
        return [_value(part) for part in value]
    if is_dataclass(value):
        named = {field.name: _value(getattr(value, field.name)) for field in fields(value)}
        return {
            "kind": type(value).__name__,
            **{name: part for name, part in named.items() if part not in ("", [], None)},
        }
    return value


def _text(text: Any) -> Any:
    parts = phrases(text)
    if not any(part.look or part.tone or part.link for part in parts):
        return "".join(part.text for part in parts)
    return [
        {key: entry for key in ("text", "look", "tone", "link") if (entry := getattr(part, key))}
        for part in parts
    ]
