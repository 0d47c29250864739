"""The one check of YAML and JSON files: plain values held against a schema, each fault with its whole path.

A schema is a frozen dataclass. The type of a field says what is allowed, a default that its key may be
absent:

    share: Annotated[float, Meta(ge=0, le=1, description="a number of 0 to 1")] | None = None

`description` is what a message says is allowed; without one the type is put in words. msgspec tests and
converts single values, strictly: no text for a number, no 3.0 for a whole number, no true for 1. Its errors
do not name the keys of a dict and end at the first, so dataclasses and dicts are walked here; one with a
description is tested as a whole, and a fault shows all of it. (A text with `pattern` in one union with a list
or a dict corrupts memory in msgspec 0.22: give it `min_length` instead.)
"""

from __future__ import annotations

import math
import sys
import types
import typing
from collections.abc import Callable
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from functools import cache
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta

from bmt.settings import allowed

T = TypeVar("T")
Keys = tuple[str, ...]

Text = Annotated[str, Meta(min_length=1, description="a text")]
Flag = Annotated[bool, Meta(description="true or false")]
Count = Annotated[int, Meta(ge=0, description="a whole number, at least 0")]
Number = Annotated[int | float, Meta(description="a number")]
Mapping = Annotated[dict[Any, Any], Meta(description="keys and values")]

_UNFIT = object()
COMPUTED = {"computed": True}
"""Metadata of a field that no file has."""
SCALARS: dict[Any, str] = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}


@dataclass(frozen=True, slots=True)
class SchemaFault:
    """What does not fit at `path`: `value` stands there, `wanted` is allowed.

    problem: "unknown" (a key; `known` are the schema's), "missing", "object" (no keys and values, or none
    where some are needed), "name" (of a dict; the path's last) or "value". optional: the path of what can be
    left out to be rid of the fault, None where it is required.
    """

    path: Keys
    problem: Literal["unknown", "missing", "object", "name", "value"]
    value: Any
    wanted: str
    known: Keys = ()
    optional: Keys | None = None

    @property
    def key(self) -> str:
        """The path with points between."""
        return ".".join(self.path)


def read(
    kind: type[T],
    values: Any,
    error: Callable[[SchemaFault], Exception],
    *,
    complete: bool = False,
    foreign: bool = False,
    as_text: bool = False,
) -> T:
    """`values` as the dataclass `kind`; the first fault is raised as `error` makes it. See `convert`."""
    built, faults = convert(kind, values, complete=complete, foreign=foreign, as_text=as_text)
    if faults:
        raise error(faults[0])
    return built


def convert(
    kind: type[T], values: Any, *, complete: bool = False, foreign: bool = False, as_text: bool = False
) -> tuple[T, list[SchemaFault]]:
    """`values` as the dataclass `kind`, and every fault; where there is one, what was converted is of no use.

    Args:
        complete: every key must be there, whatever its default.
        foreign: keys that the schema does not have are left alone.
        as_text: the file's values are all texts: numbers are read from them.
    """
    walk = _Walk(complete, foreign, as_text)
    return walk.value(kind, values, ()), walk.faults


def is_number(value: Any) -> bool:
    """A finite int or float, no bool."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def shown(value: Any) -> str:
    """A value as the file has it, cut to a readable length."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


@dataclass(slots=True)
class _Walk:
    """One walk through a file's values."""

    complete: bool
    foreign: bool
    as_text: bool
    faults: list[SchemaFault] = field(default_factory=list)

    def value(self, kind: Any, value: Any, path: Keys, bounds: str = "", optional: Keys | None = None) -> Any:
        """`value` as the type `kind`."""
        plain = _plain(kind)
        if value is None and plain.null:
            return None
        if not plain.description and is_dataclass(plain.kind):
            return self._object(plain.kind, value, path, optional)
        if not plain.description and typing.get_origin(plain.kind) is dict:
            return self._names(plain, value, path, optional)
        converted = value if kind is Any else _converted(kind, value, self.as_text)
        if converted is not _UNFIT:
            return converted
        self.faults.append(SchemaFault(path, "value", value, _in_words(plain, bounds), optional=optional))
        return None

    def _object(self, kind: Any, values: Any, path: Keys, optional: Keys | None) -> Any:
        if not isinstance(values, dict):
            self.faults.append(SchemaFault(path, "object", values, "keys and values", optional=optional))
            return None
        keys = _keys(kind)
        known = tuple(key.name for key in keys)
        if not self.foreign:
            self.faults += [
                SchemaFault((*path, str(name)), "unknown", value, "", known)
                for name, value in values.items()
                if name not in known
            ]
        built = {}
        for key in keys:
            here = (*path, key.name)
            without = optional if key.required or optional not in (None, path) else here
            if key.name in values:
                built[key.name] = self.value(key.kind, values[key.name], here, key.bounds, without)
            elif key.required or self.complete:
                wanted = _in_words(_plain(key.kind), key.bounds)
                self.faults.append(SchemaFault(here, "missing", None, wanted, optional=without))
        return None if self.faults else kind(**built)

    def _names(self, plain: _Plain, values: Any, path: Keys, optional: Keys | None) -> Any:
        if not isinstance(values, dict) or len(values) < plain.least:
            self.faults.append(SchemaFault(path, "object", values, _in_words(plain, ""), optional=optional))
            return None
        name_kind, kind = typing.get_args(plain.kind)
        built = {}
        for name, value in values.items():
            here = (*path, str(name))
            if _converted(name_kind, name) is _UNFIT:
                self.faults.append(SchemaFault(here, "name", name, "", optional=optional))
            else:
                built[name] = self.value(kind, value, here, optional=optional)
        return built


@dataclass(frozen=True, slots=True)
class _Key:
    """A field of a schema; bounds: those of a `bmt.settings.knob`, in words."""

    name: str
    kind: Any
    required: bool
    bounds: str


@cache
def _keys(kind: type[Any]) -> tuple[_Key, ...]:
    hints = typing.get_type_hints(kind, include_extras=True)
    return tuple(
        _Key(
            entry.name,
            hints[entry.name],
            entry.default is MISSING and entry.default_factory is MISSING,
            allowed(entry.metadata) if entry.metadata else "",
        )
        for entry in fields(kind)
        if not entry.metadata.get("computed")
    )


@dataclass(frozen=True, slots=True)
class _Plain:
    """A type without its `Annotated` and its null. least: of entries that a dict must have."""

    kind: Any
    null: bool
    description: str
    least: int


@cache
def _plain(kind: Any) -> _Plain:
    null, description, least = False, "", 0
    while True:
        inner = typing.get_args(kind)
        if typing.get_origin(kind) is Annotated:
            kind, *notes = inner
            for note in notes:
                description, least = description or note.description or "", note.min_length or least
        elif (
            typing.get_origin(kind) in (types.UnionType, typing.Union)
            and len(inner) == 2
            and inner[1] is type(None)
        ):
            kind, null = inner[0], True
        else:
            return _Plain(kind, null, description, least)


def _in_words(plain: _Plain, bounds: str) -> str:
    """What a type allows."""
    origin, inner = typing.get_origin(plain.kind), typing.get_args(plain.kind)
    if plain.description:
        return plain.description
    if is_dataclass(plain.kind):
        return "keys and values"
    if origin is dict:
        return f"names and their {'numbers' if _plain(inner[1]).kind is float else 'settings'}"
    if origin is list:
        return f"a list of {'whole numbers' if inner[0] is int else 'names'}"
    words = SCALARS.get(plain.kind, "a value") + (" or null" if plain.null else "")
    return bounds if bounds and plain.kind is str else f"{words}, {bounds}" if bounds else words


def _converted(kind: Any, value: Any, as_text: bool = False) -> Any:
    """A single value, tested and converted, or _UNFIT; NaN and infinities are no numbers."""
    try:
        converted = msgspec.convert(value, kind, strict=not as_text)
    except msgspec.ValidationError:
        return _UNFIT
    return _UNFIT if isinstance(converted, float) and not math.isfinite(converted) else converted
