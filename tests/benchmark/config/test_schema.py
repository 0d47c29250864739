"""The one check of YAML and JSON files: what a type allows, where a fault is said to be, and what can be left
out.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from benchmark.acquisition import manifest
from benchmark.config.params import Config
from benchmark.config.schema import (
    Count,
    Flag,
    Mapping,
    Number,
    SchemaFault,
    Text,
    convert,
    is_number,
    read,
    shown,
)
from benchmark.paper import schema as paper_schema
from benchmark.runs import result_schema
from bmt.errors import ConfigError
from bmt.settings import knob

Share = Annotated[float, Meta(ge=0, le=1, description="a number of 0 to 1")]
Word = Annotated[str, Meta(pattern=r"^[a-z]+\Z")]


@dataclass(frozen=True, slots=True)
class Inner:
    share: Share
    note: Text | None = None


@dataclass(frozen=True, slots=True)
class Outer:
    name: Text
    count: Count = 1
    flag: Flag = False
    kind: Annotated[Literal["a", "b"], Meta(description="one of a, b")] = "a"
    inner: Inner | None = None
    shares: dict[Word, Share] | None = None
    parts: Annotated[dict[str, Inner], Meta(min_length=1)] | None = None
    whole: Annotated[Inner, Meta(description="share and note")] | None = None
    anything: Any = None
    keys: Mapping = field(default_factory=dict)
    names: list[str] = field(default_factory=list)
    numbers: tuple[int, ...] = ()
    number: Number = 0
    knobbed: float = knob(0.5, "a knob", above=0, high=1)


def faults(values: Any, **options: bool) -> list[tuple[str, str, Any, str]]:
    return [
        (fault.key, fault.problem, fault.value, fault.wanted)
        for fault in convert(Outer, values, **options)[1]
    ]


def test_values_are_converted_and_defaults_taken() -> None:
    given = {
        "name": "x",
        "inner": {"share": 1},
        "shares": {"a": 0},
        "numbers": [1, 2],
        "number": 3,
        "anything": [None],
    }
    built, none = convert(Outer, given)
    assert none == []
    assert built == Outer("x", inner=Inner(1.0), shares={"a": 0.0}, numbers=(1, 2), number=3, anything=[None])
    assert (
        isinstance(built.inner, Inner)
        and isinstance(built.inner.share, float)
        and isinstance(built.number, int)
    )
    assert convert(Outer, {"name": "x", "inner": None})[0] == Outer("x")


@pytest.mark.parametrize(
    ("key", "value", "wanted"),
    [
        ("name", "", "a text"),
        ("name", 7, "a text"),
        ("name", None, "a text"),
        ("count", -1, "a whole number, at least 0"),
        ("count", 3.0, "a whole number, at least 0"),
        ("count", "3", "a whole number, at least 0"),
        ("count", True, "a whole number, at least 0"),
        ("flag", 1, "true or false"),
        ("flag", "true", "true or false"),
        ("kind", "c", "one of a, b"),
        ("keys", [], "keys and values"),
        ("names", ["a", 1], "a list of names"),
        ("names", "a", "a list of names"),
        ("number", math.nan, "a number"),
        ("number", math.inf, "a number"),
        ("number", True, "a number"),
        ("knobbed", "x", "a number, above 0 and at most 1"),
        ("whole", {"share": 2}, "share and note"),
        ("whole", 3, "share and note"),
    ],
)
def test_a_value_of_another_type_or_beyond_its_range_is_a_fault(key: str, value: Any, wanted: str) -> None:
    (fault,) = faults({"name": "x"} | {key: value})
    assert fault[:2] == (key, "value") and fault[3] == wanted
    assert fault[2] is value


def test_faults_have_their_whole_path_and_all_are_there_in_the_order_of_the_schema() -> None:
    values = {
        "nam": "x",
        "count": -1,
        "inner": {"share": 1.5, "nota": 1},
        "shares": {"a": 2, "B": 0.5, "c": math.nan},
        "parts": {"p": {}, "q": 3},
        "whole": {"share": 0.5},
    }
    assert faults(values) == [
        ("nam", "unknown", "x", ""),
        ("name", "missing", None, "a text"),
        ("count", "value", -1, "a whole number, at least 0"),
        ("inner.nota", "unknown", 1, ""),
        ("inner.share", "value", 1.5, "a number of 0 to 1"),
        ("shares.a", "value", 2, "a number of 0 to 1"),
        ("shares.B", "name", "B", ""),
        ("shares.c", "value", pytest.approx(math.nan, nan_ok=True), "a number of 0 to 1"),
        ("parts.p.share", "missing", None, "a number of 0 to 1"),
        ("parts.q", "object", 3, "keys and values"),
    ]
    assert [fault.known for fault in convert(Outer, {"name": "x", "inner": {"share": 0, "z": 1}})[1]] == [
        ("share", "note")
    ]


@pytest.mark.parametrize("value", [[], "x", 3, None])
def test_what_is_no_object_is_one_fault(value: Any) -> None:
    assert faults(value) == [("", "object", value, "keys and values")]
    assert faults({"name": "x", "parts": {}}) == [("parts", "object", {}, "names and their settings")]
    assert faults({"name": "x", "shares": 3}) == [("shares", "object", 3, "names and their numbers")]


def test_complete_files_have_every_key_and_foreign_keys_may_be_left_alone() -> None:
    missing = [fault[0] for fault in faults({"name": "x"}, complete=True)]
    assert missing == [entry.name for entry in dataclasses.fields(Outer)][1:]
    assert faults({"name": "x", "other": math.nan, "inner": {"share": 0, "more": 1}}, foreign=True) == []


def test_what_can_be_left_out_to_be_rid_of_a_fault() -> None:
    values = {
        "inner": {"share": 2, "note": 3},
        "shares": {"a": 2},
        "parts": {"p": {"share": 0, "note": 3}},
        "count": -1,
        "whole": 3,
    }
    assert {fault.key: fault.optional for fault in convert(Outer, values)[1]} == {
        "name": None,
        "inner.share": ("inner",),
        "inner.note": ("inner", "note"),
        "shares.a": ("shares",),
        "parts.p.note": ("parts",),
        "count": ("count",),
        "whole": ("whole",),
    }


def test_read_raises_the_first_fault_as_its_caller_words_it() -> None:
    def refusal(fault: SchemaFault) -> ConfigError:
        return ConfigError(f"{fault.key}: {shown(fault.value)}: {fault.wanted}")

    with pytest.raises(ConfigError, match=r"^name: null: a text$"):
        read(Outer, {"name": None, "count": -1}, refusal)
    assert read(Outer, {"name": "x"}, refusal) == Outer("x")


@given(st.floats() | st.integers() | st.booleans() | st.text() | st.none())
def test_a_number_is_a_finite_int_or_float(value: Any) -> None:
    expected = type(value) in (int, float) and abs(value) <= 1.7976931348623157e308
    assert is_number(value) is expected
    assert not is_number(10**400)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
    )
)
def test_any_value_is_taken_or_a_fault(value: Any) -> None:
    built, found = convert(
        Outer, {"name": "x", "inner": value, "parts": value, "anything": value, "keys": value}
    )
    assert bool(found) is (built is None)


def kinds(kind: Any) -> list[Any]:
    """A type and all types in it."""
    inner = [part for part in typing.get_args(kind) if not isinstance(part, Meta | str | int)]
    if dataclasses.is_dataclass(kind):
        inner = list(typing.get_type_hints(kind, include_extras=True).values())
    return [kind, *(each for part in inner for each in kinds(part))]


SCHEMAS = [
    Config,
    manifest.Entry,
    manifest.Manifest,
    result_schema.ResultFields,
    result_schema.FactsFields,
    *(each for each in vars(paper_schema).values() if dataclasses.is_dataclass(each)),
]


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: schema.__name__)
def test_no_schema_has_a_union_that_breaks_msgspec(schema: type) -> None:
    """msgspec 0.22 reads beyond its memory for a text with a pattern beside a list or a dict in one union."""
    for kind in kinds(schema):
        if typing.get_origin(kind) in (typing.Union, types.UnionType):
            parts = typing.get_args(kind)
            has_pattern = any(
                getattr(note, "pattern", None)
                for part in parts
                for one in kinds(part)
                if typing.get_origin(one) is Annotated and typing.get_args(one)[0] is str
                for note in typing.get_args(one)[1:]
                if one is part
            )
            bare = [
                typing.get_args(part)[0] if typing.get_origin(part) is Annotated else part for part in parts
            ]
            assert not (
                has_pattern and any(typing.get_origin(part) in (list, dict, tuple) for part in bare)
            ), kind
