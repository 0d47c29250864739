"""What the files of a paper's folder may hold: for each key what is allowed, and `checked`, which says so on
one line.

A schema maps keys to a check and its words; `key?` may be absent. docs/compare.md is the same for readers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from benchmark.config.cells import nearest
from bmt.errors import ConfigError

Check = tuple[Callable[[Any], bool], str]
DIRECTIONS = ("greater", "less", "comparable")


def is_number(value: Any) -> bool:
    """A finite int or float, no bool."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _whole(low: int, high: float = math.inf) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _mapping_of(inner: Callable[[Any], bool], *keys: str) -> Callable[[Any], bool]:
    def good(value: Any) -> bool:
        return isinstance(value, dict) and all(
            isinstance(k, str) and (not keys or k in keys) and inner(v) for k, v in value.items()
        )

    return good


def _or_null(check: Check) -> Check:
    return (lambda value: value is None or check[0](value), f"{check[1]}, or null")


def _one_of(*words: str) -> Check:
    return (lambda value: value in words, "one of " + ", ".join(words))


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _are_names(value: Any) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(map(_is_text, value))
        and len(set(value)) == len(value)
    )


def _places(value: Any) -> bool:
    return _whole(0, 6)(value) or _mapping_of(_whole(0, 6))(value)


_TEXT: Check = (_is_text, "a text")
_MAPPING: Check = (lambda value: isinstance(value, dict), "keys and values")
_TEXTS: Check = (_mapping_of(_is_text), "names and texts")
_LIST: Check = (lambda value: isinstance(value, list) and bool(value), "a list with at least one entry")
_COUNT: Check = _or_null((_whole(1), "a whole number of at least 1"))
_QUOTE = {"section": _TEXT, "quote": _TEXT}

PAPER: Mapping[str, Check] = {"paper": _TEXT, "url?": _TEXT, "seeds?": _TEXT, "requires?": _MAPPING}
REQUIRES: Mapping[str, Check] = {
    "profile?": _or_null(_TEXT),
    "evaluator?": _or_null(_TEXT),
    "backbones?": _TEXTS,
    "data_sha256?": _TEXTS,
    "epochs?": (
        _mapping_of(lambda value: is_number(value) and value > 0, "mt", "st"),
        "mt and st, each a number above 0",
    ),
    "examples?": (_mapping_of(_whole(1)), "datasets and their numbers of examples"),
}
TABLE: Mapping[str, Check] = {
    "table": _TEXT,
    "caption": _TEXT,
    "where": _TEXT,
    "notes?": _TEXT,
    "kind": _one_of("scores", "facts"),
    "metrics": (_are_names, "a list of names"),
    "unit?": _one_of("percent"),
    "decimals": (_places, "a whole number of 0 to 6, or one for each metric"),
    "columns?": _TEXTS,
    "average?": _TEXT,
    "published_runs?": _COUNT,
    "command?": _TEXT,
    "references?": _MAPPING,
    "rows": _LIST,
}
REFERENCES: Mapping[str, Check] = {"source": _TEXT, "metric": _TEXT, "columns": _TEXTS, "rows": _LIST}
REFERENCE: Mapping[str, Check] = {"system": _TEXT, "values": _MAPPING}
ROW: Mapping[str, Check] = {
    "row": _TEXT,
    "model": _TEXT,
    "arm?": _or_null(_TEXT),
    "note?": _TEXT,
    "K?": _COUNT,
    "p_F?": (lambda value: is_number(value) and 0 < value <= 1, "a number above 0 and at most 1"),
    "dataset?": _TEXT,
    "sources?": _MAPPING,
    "marks?": _MAPPING,
    "ours?": (
        lambda value: value == "literature" or isinstance(value, dict),
        "literature, or {backbone, regime, arm, adapter}",
    ),
    "second_reading?": _MAPPING,
    "values": _MAPPING,
    "printed_gain?": (is_number, "a number"),
}
OURS: Mapping[str, Check] = {
    "backbone": _TEXT,
    "regime": _one_of("mt", "st"),
    "arm": _TEXT,
    "adapter?": (lambda value: isinstance(value, bool), "true or false"),
}
SECOND_READING: Mapping[str, Check] = {"arm": _TEXT}
CLAIMS: Mapping[str, Check] = {
    "claims": (lambda value: isinstance(value, list), "a list of claims"),
    "untestable?": _LIST,
}
CLAIM: Mapping[str, Check] = {
    "id": _TEXT,
    "table": _TEXT,
    **_QUOTE,
    "reading?": _TEXT,
    "also?": _LIST,
    "a": _TEXT,
    "b": _TEXT,
    "than?": _MAPPING,
    "metric": _TEXT,
    "over?": (
        lambda value: _is_text(value) or _are_names(value),
        "average, each, a dataset or a list of datasets",
    ),
    "direction": _one_of(*DIRECTIONS),
    "size?": (lambda value: value is None or (is_number(value) and value > 0), "a number above 0, or null"),
}
ALSO: Mapping[str, Check] = _QUOTE
THAN: Mapping[str, Check] = {"a": _TEXT, "b": _TEXT}
UNTESTABLE: Mapping[str, Check] = {**_QUOTE, "why": _TEXT}


def checked(values: Any, where: str, schema: Mapping[str, Check]) -> dict[str, Any]:
    """`values`, when it has every key of `schema`, no other, and each value is allowed.

    Raises:
        ConfigError: `where` (file and key), what stands there, what is allowed.
    """
    if not isinstance(values, dict):
        raise ConfigError(f"{where}: {values!r:.60} is not allowed: keys and values (docs/compare.md)")
    known = {key.rstrip("?"): check for key, check in schema.items()}
    for key in values:
        if key not in known:
            raise ConfigError(
                f"{where}: {key}: unknown key{nearest(str(key), tuple(known))}: one of {', '.join(known)}"
            )
    for key, (good, wanted) in known.items():
        if key in values and not good(values[key]):
            raise ConfigError(f"{where}: {key}: {values[key]!r:.60} is not allowed: {wanted}")
        if key not in values and f"{key}?" not in schema:
            raise ConfigError(f"{where}: {key}: missing: {wanted}")
    return values


def same_keys(values: Any, wanted: tuple[str, ...], where: str, what: str) -> dict[str, Any]:
    """`values`, when its keys are exactly `wanted`; `what` names them in the error.

    Raises:
        ConfigError: `where`, the keys that are missing or too many, what is allowed.
    """
    if not isinstance(values, dict) or set(values) != set(wanted):
        differs = (
            ", ".join(sorted(map(str, set(values) ^ set(wanted))))
            if isinstance(values, dict)
            else f"{values!r:.60}"
        )
        raise ConfigError(
            f"{where}: {differs}: exactly the {what} {', '.join(wanted)} (null where nothing is printed)"
        )
    return values
