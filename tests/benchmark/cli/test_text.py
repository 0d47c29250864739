"""Text that is safe to print, paths in messages, the nearest name."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmark.cli.text import nearest, printable, short


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("ÄöΩ漢 a,b|*", "ÄöΩ漢 a,b|*"),
        ("a\nb\r\nc\td\u2028e\xa0f", "a b  c d e f"),  # of any kind, one for one
        ("\x1b[2J\x00\x07", "\ufffd[2J\ufffd\ufffd"),
        ("\ud800", "\ufffd"),
        ("\ue000", "\ufffd"),  # a private character
        ("abc\u202edef\u2066g\u200b", "abc\ufffddef\ufffdg\ufffd"),  # which turn the direction, or hide
        ("", ""),
    ],
)
def test_what_would_steer_a_terminal_is_replaced(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert printable(shown) == shown


def test_a_path_is_shown_from_here_where_that_is_shorter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a")
    assert short(tmp_path / "a" / "b" / "x.json") == "b/x.json"
    assert short(tmp_path / "x.json") == "../x.json"
    assert short(Path("/etc")) == "/etc"
    assert short(Path("b/../x")) == "x"


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("bmtt", " (did you mean bmt?)"),
        ("squad", " (did you mean SQuAD?)"),  # as it is written, whatever was typed
        ("MASK_P3", " (did you mean mask_p30?)"),
        ("zzz", ""),
        ("bmxyz", ""),  # half of both names' letters: not near enough
        ("bxt", " (did you mean bmt?)"),
        ("", ""),
    ],
)
def test_the_nearest_name_is_named_as_it_is_written(name: str, meant: str) -> None:
    assert nearest(name, (word for word in ("bmt", "SQuAD", "mask_p30", "mask_p70"))) == meant


def test_without_names_none_is_near() -> None:
    assert nearest("bmt", []) == ""
