"""YAML as plain values or as texts, and one line for what is no YAML."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

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
