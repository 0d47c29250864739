"""Which seeds a command line names, and how a results folder is shown."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmark.config.results_options import chosen_seeds, results_place, shown_folder
from bmt.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "seeds"),
    [(None, None), ("0", (0,)), ("10, 9,2", (2, 9, 10)), ("4294967295", (4294967295,)), (" 7 ", (7,))],
)
def test_seeds_are_whole_numbers_in_their_order(text: str | None, seeds: tuple[int, ...] | None) -> None:
    assert chosen_seeds(text) == seeds


@pytest.mark.parametrize(
    "text", ["", ",", "1,", "1,1", "1,01", "-1", "1.0", "1 2", "a", "42949672950", "0x1"]
)
def test_other_seeds_are_refused_with_the_form(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        chosen_seeds(text)
    form = "not allowed: whole numbers with commas between, each once, as 0,1,2"
    assert str(caught.value) == f"--seeds {text!r}: {form}"


def test_a_folder_is_shown_from_the_repository_and_one_outside_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "root"
    (root / "results" / "mini").mkdir(parents=True)
    (tmp_path / "link").symlink_to(root)
    for told in (root, tmp_path / "link"):
        monkeypatch.setenv("BMT_ROOT", str(told))
        assert shown_folder(root / "results" / "mini") == "results/mini"
        assert shown_folder(tmp_path / "link" / "results" / "mini") == "results/mini"
        assert shown_folder(tmp_path / "rooted" / "theirs") == "theirs"
    monkeypatch.chdir(root / "results")
    assert shown_folder(Path("mini")) == "results/mini"
    odd = shown_folder(tmp_path / os.fsdecode(b"th\xffeirs"))
    assert odd == "th\N{REPLACEMENT CHARACTER}eirs" and odd.encode()


def test_a_results_folder_that_is_named_must_be_one(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path / "none", tmp_path / "file"):
        with pytest.raises(ConfigError) as caught:
            results_place(place, None)
        assert str(caught.value).startswith(
            f"--results {place}: no such folder: a folder of <cell>.json and "
        )
