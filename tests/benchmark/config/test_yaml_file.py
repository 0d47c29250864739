"""YAML as plain values or as texts, and one line for what is no YAML."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.config import yaml_file
from benchmark.config.yaml_file import parse_yaml, read_yaml
from bmt.errors import ConfigError, DataError


def test_values_are_plain_or_all_texts() -> None:
    text = "a: 012345\nb: 1.0\nc: [yes, null]\nd: {e: 2026-01-02}\n"
    texts = {"a": "012345", "b": "1.0", "c": ["yes", "null"], "d": {"e": "2026-01-02"}}
    assert parse_yaml(text, "f", ConfigError, as_text=True) == texts
    plain = parse_yaml(text, "f", ConfigError)
    assert (plain["a"], plain["b"], plain["c"]) == (5349, 1.0, [True, None])


@pytest.mark.parametrize("as_text", [False, True])
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb:\n  c: 1\n  d: 2\n  c: 3\n", "f: line 5 no YAML: the key 'c' stands twice"),
        ("a: [\n\n", "f: line 3 no YAML: "),
        ("a: \x07", "f: no YAML: "),
    ],
)
def test_what_is_no_yaml_is_one_line_with_the_file_and_the_line(text: str, said: str, as_text: bool) -> None:
    with pytest.raises(DataError) as caught:
        parse_yaml(text, "f", DataError, as_text)
    assert str(caught.value).startswith(said) and "\n" not in str(caught.value)


def test_a_value_that_cannot_be_read_and_a_file_that_is_absent(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^f: a value that YAML cannot read: month must be in 1\.\.12"):
        parse_yaml("a: 2026-99-99\n", "f", DataError)
    for hint, said in (("", "f: no such file"), ("make it", "f: no such file; make it")):
        with pytest.raises(ConfigError) as caught:
            read_yaml(tmp_path / "none.yaml", "f", hint)
        assert str(caught.value) == said


def test_equal_keys_in_two_mappings_and_keys_that_are_no_scalars(tmp_path: Path) -> None:
    (tmp_path / "f.yaml").write_text("é: {b: 1}\nc: {b: 2}\n", encoding="utf-8")
    values: Any = read_yaml(tmp_path / "f.yaml", "f")
    assert values == {"é": {"b": 1}, "c": {"b": 2}}


@pytest.mark.parametrize("text", ["[" * 100_000, "{a: " * 100_000, "- " * 100_000, "? " * 100_000])
def test_a_text_nested_without_end_is_one_line(text: str) -> None:
    """libyaml alone would end the process."""
    with pytest.raises(DataError, match=r"^f: a value that YAML cannot read: maximum recursion depth"):
        parse_yaml(text, "f", DataError)


def test_nested_block_mappings_count_by_their_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "".join(" " * level + "a:\n" for level in range(60))
    assert yaml_file._depth(text) == 59 and yaml_file._depth("- ? - [{a: b-c}]\n") == 5
    monkeypatch.setattr(yaml_file, "DEEPEST", 59)
    monkeypatch.setattr(yaml_file, "_FastLoader", None)
    assert parse_yaml(text, "f", DataError) == yaml_file.yaml.safe_load(text)


def test_a_tab_is_named_by_its_line() -> None:
    with pytest.raises(DataError, match=r"^f: line 2 no YAML: found character '\\t' that cannot start"):
        parse_yaml("a: 1\nb:\t2\n", "f", DataError)


MARKS = " \t\n:-?[]{},#&*!|>'\"%@`a1~<.é"
START = "a: {b: [1, 2.5, 'x']}\nlist:\n- 1\n- &k {c: 0x1f}\n- *k\ntext: >\n  two\n  lines\nday: 2026-01-02\n"


@given(st.lists(st.tuples(st.integers(0, len(START)), st.text(MARKS, max_size=3)), max_size=4), st.booleans())
def test_libyaml_reads_what_pyyaml_reads(edits: list[tuple[int, str]], as_text: bool) -> None:
    """Values, and words for what is wrong, whichever loader reads a text."""
    text = START
    for place, mark in edits:
        text = text[:place] + mark + text[place + 1 :]

    def read() -> Any:
        try:
            return repr(parse_yaml(text, "f", DataError, as_text))
        except DataError as error:
            return str(error)

    fast = read()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(yaml_file, "DEEPEST", 0)
        assert read() == fast
