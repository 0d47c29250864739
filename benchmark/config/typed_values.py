"""Plain values of a YAML file into frozen dataclasses: exactly their keys, each of its type and within the
bounds of its metadata.
"""

from __future__ import annotations

import math
import re
import types
import typing
from dataclasses import fields
from typing import Any, TypeVar

from benchmark.config.cells import is_word, nearest
from bmt.errors import ConfigError
from bmt.settings import allowed, check_settings

T = TypeVar("T")


def build(kind: type[T], values: Any, where: str) -> T:
    """A dataclass `kind` from the mapping at key `where`: exactly its keys, each of its type and within its
    bounds.
    """
    if not isinstance(values, dict):
        raise ConfigError(
            f"{where or 'the whole file'}: expected keys and values, found {shown(values)}; profiles/sample.yaml shows the form"
        )
    prefix = f"{where}." if where else ""
    known = tuple(entry.name for entry in fields(kind))  # type: ignore[arg-type]
    for key in values:
        if key not in known:
            raise ConfigError(
                f"{prefix}{key}: unknown key{nearest(str(key), known)}: one of {', '.join(known)}"
            )
    hints, built = typing.get_type_hints(kind), {}
    for entry in fields(kind):  # type: ignore[arg-type]
        key = f"{prefix}{entry.name}"
        if entry.name not in values:
            raise ConfigError(
                f"{key}: missing: every key stands in a params file; profiles/sample.yaml has them all"
            )
        built[entry.name] = _value(
            hints[entry.name], values[entry.name], key, allowed(entry.metadata) if entry.metadata else ""
        )
    settings = kind(**built)
    if where:
        check_settings(settings, where)
    return settings


def _value(kind: Any, value: Any, key: str, bounds: str) -> Any:
    """`value` as the type `kind`: a dataclass, a dict of them, a list of names, a scalar, or one of these or
    null.
    """
    optional = isinstance(kind, types.UnionType)
    if optional:
        if value is None:
            return None
        kind = next(inner for inner in typing.get_args(kind) if inner is not type(None))
    if isinstance(kind, type) and hasattr(kind, "__dataclass_fields__"):
        return build(kind, value, key)
    if typing.get_origin(kind) is dict:
        inner = typing.get_args(kind)[1]
        if not isinstance(value, dict) or not value:
            words = "numbers" if inner is float else "settings"
            raise ConfigError(
                f"{key}: expected names and their {words}, found {shown(value)}; profiles/sample.yaml shows the form"
            )
        for name in value:
            if not isinstance(name, str) or not is_word(name):
                raise ConfigError(
                    f"{key}: the name {shown(name)} is not allowed: letters, digits, - and _ only, as text"
                )
        return {name: _value(inner, entry, f"{key}.{name}", "") for name, entry in value.items()}
    if typing.get_origin(kind) is list:
        inner, words = (int, "whole numbers") if typing.get_args(kind)[0] is int else (str, "names")
        if not isinstance(value, list) or not all(
            isinstance(item, inner) and not isinstance(item, bool) for item in value
        ):
            quotes = (
                ' (numbers in quotes, as "3")'
                if inner is str and isinstance(value, list) and any(map(_is_number, value))
                else ""
            )
            raise ConfigError(f"{key}: {shown(value)} is not allowed: a list of {words}{quotes}")
        return list(value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    good = (
        isinstance(value, kind)
        and (kind is bool or not isinstance(value, bool))
        and (kind is not float or math.isfinite(value))
    )
    if not good:
        words = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}[kind] + (
            " or null" if optional else ""
        )
        words = bounds if kind is str and bounds else f"{words}, {bounds}" if bounds else words
        raise ConfigError(
            f"{key}: {shown(value)} is not allowed: {words}{_yaml_number(value) if kind in (int, float) else ''}"
        )
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _yaml_number(value: Any) -> str:
    """What to write for a text that is meant as a number: YAML 1.1 wants a point and a signed exponent,
    1.0e-5.
    """
    match = (
        re.fullmatch(r"([+-]?\d+)(\.\d*)?(?:[eE]([+-]?)(\d+))?", value) if isinstance(value, str) else None
    )
    if not match:
        return ""
    whole, point, sign, exponent = match.groups()
    number = whole + (f"{point or '.0'}e{sign or '+'}{exponent}" if exponent else point or "")
    return f"; this is text to YAML: write {number}{'' if number != value else ' without quotes'}"


def shown(value: Any) -> str:
    """A value as the file has it, cut to a readable length."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
