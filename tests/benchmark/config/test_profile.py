from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmark.config.params import load
from benchmark.config.profiles import chosen_config, differences, params_file, profiles, show, switch
from benchmark.config.results_options import configuration, results_place
from bmt.errors import ConfigError
from tests.support.repository import ROOT


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A root with the profiles, params.yaml being the sample's."""
    shutil.copytree(ROOT / "profiles", tmp_path / "profiles")
    shutil.copy(ROOT / "profiles" / "sample.yaml", tmp_path / "params.yaml")
    monkeypatch.setenv("BMT_ROOT", str(tmp_path))
    return tmp_path


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert text.count(old) == 1
    file.write_text(text.replace(old, new), encoding="utf-8")


def run(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "BMT_ROOT": str(root), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "benchmark.profile", *arguments]
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)


def test_switching_copies_the_profile_byte_for_byte(copy: Path) -> None:
    assert switch("mini") == [
        "overwrites profile sample, unchanged",
        "params.yaml: profile mini, 9 cells; run `dvc repro`",
    ]
    assert (copy / "params.yaml").read_bytes() == (ROOT / "profiles" / "mini.yaml").read_bytes()
    assert sorted(path.name for path in copy.iterdir()) == ["params.yaml", "profiles"]


def test_switching_says_each_edit_that_is_lost(copy: Path) -> None:
    edit(copy / "params.yaml", "  lr: 1.5e-4", "  lr: 2.0e-4")
    edit(copy / "params.yaml", "  threads: null", "  threads: 5")
    edit(copy / "params.yaml", "  - minilm.mt.bmt.s1\n", "  - minilm.mt.bmt.s1\n  - minilm.mt.bmt.s2\n")
    assert switch("paper")[:-1] == [
        "overwrites profile sample and 3 keys changed in it, now lost:",
        "  training.lr: 0.0002 (profile: 0.00015)",
        "  training.threads: 5 (profile: null)",
        "  cells: 1 more: minilm.mt.bmt.s2 (profile: no more)",
    ]


def test_switching_back_to_the_same_profile_says_so_too(copy: Path) -> None:
    edit(copy / "params.yaml", "  threads: null", "  threads: 2")
    assert switch("sample")[:2] == [
        "overwrites profile sample and 1 key changed in it, now lost:",
        "  training.threads: 2 (profile: null)",
    ]
    assert switch("sample")[0] == "overwrites profile sample, unchanged"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("profile: [\n", "overwrites a file that could not be read: params.yaml: line 2 no YAML"),
        ("profile: mine\n", "overwrites a params.yaml of a profile that profiles/ does not have: 'mine'"),
        ("- 1\n", "overwrites a params.yaml of a profile that profiles/ does not have: None"),
        ("profile: {}\n", "overwrites a params.yaml of a profile that profiles/ does not have: {}"),
    ],
)
def test_a_broken_params_file_can_be_replaced(copy: Path, text: str, said: str) -> None:
    (copy / "params.yaml").write_text(text, encoding="utf-8")
    assert switch("sample")[0].startswith(said)
    assert show()[1] == "equal to profiles/sample.yaml"


def test_comments_alone_are_told_apart_from_edits(copy: Path) -> None:
    with (copy / "params.yaml").open("a", encoding="utf-8") as stream:
        stream.write("# a note\n")
    assert switch("mini")[0] == "overwrites profile sample, changed in its comments or layout only"


def test_no_params_file_yet(copy: Path) -> None:
    (copy / "params.yaml").unlink()
    with pytest.raises(ConfigError, match=r"no such file; `python -m benchmark.profile sample`"):
        show()
    assert switch("sample") == ["params.yaml: profile sample, 6 cells; run `dvc repro`"]


def test_an_invalid_profile_leaves_params_as_they_were(copy: Path) -> None:
    before = (copy / "params.yaml").read_bytes()
    edit(copy / "profiles" / "mini.yaml", "  lr: 1.0e-4", "  lr: 1e-4")
    with pytest.raises(ConfigError, match=r"write 1\.0e-4"):
        switch("mini")
    with pytest.raises(
        ConfigError,
        match=r"profile 'smaple': .*did you mean sample\?\): one of grid, mini, mini_gpu, paper, sample",
    ):
        switch("smaple")
    assert (copy / "params.yaml").read_bytes() == before


def test_show_names_the_profile_and_its_changes(copy: Path) -> None:
    assert show() == [
        "params.yaml: profile sample, 6 cells",
        "equal to profiles/sample.yaml",
        "others: grid, mini, mini_gpu, paper; `python -m benchmark.profile NAME` switches",
    ]
    edit(copy / "params.yaml", "  clip: 1.0\n  clip_order", "  clip: null\n  clip_order")
    assert show()[1:3] == [
        "differs from profiles/sample.yaml in 1 key:",
        "  tuning.clip: null (profile: 1.0)",
    ]


def test_a_profile_of_one_s_own(copy: Path) -> None:
    shutil.copy(copy / "profiles" / "mini.yaml", copy / "profiles" / "mine.yaml")
    edit(copy / "profiles" / "mine.yaml", "profile: mini\n", "profile: mine\n")
    assert list(profiles()) == ["grid", "mine", "mini", "mini_gpu", "paper", "sample"]
    switch("mine")
    assert show()[0] == "params.yaml: profile mine, 9 cells"


def test_differences_of_values() -> None:
    assert differences({"a": 1, "b": {"c": [1, 2]}}, {"a": 1.0, "b": {"c": [1, 2]}}) == []
    assert differences({"a": True}, {"a": 1}) == [("a", "true", "1")]
    assert differences({"a": 1}, {"b": None}) == [("b", "absent", "null"), ("a", "1", "absent")]
    assert differences({"a": [1, 2]}, {"a": [2, 1]}) == [("a", "another order", "the profile's order")]
    assert differences({"a": [1]}, {"a": [1, 1]}) == [("a", "another order", "the profile's order")]
    assert differences({"a": {"b": 1}}, {"a": 2}) == [("a", "b", "2")]


def test_the_command(copy: Path) -> None:
    done = run(copy, "mini")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (
        0,
        "params.yaml: profile mini, 9 cells; run `dvc repro`",
    )
    done = run(copy)
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "params.yaml: profile mini, 9 cells")
    done = run(copy, "mimi")
    assert (done.returncode, done.stdout) == (2, "")
    assert (
        done.stderr
        == "error: profile 'mimi': profiles/ has none of that name (did you mean mini?): one of grid, mini, "
        "mini_gpu, paper, sample\n"
    )


def test_the_params_file_that_a_command_line_names(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """params.yaml where the profile is active, edits and all; else the profile's file, as seen from here."""
    edit(copy / "params.yaml", "  threads: null", "  threads: 5")
    monkeypatch.chdir(copy)
    assert params_file(None, None) is None
    assert params_file("mine.yaml", None) == "mine.yaml"
    assert params_file(None, "sample") is None
    assert load(params_file(None, "sample")).training.threads == 5
    assert params_file(None, "mini") == "profiles/mini.yaml"
    monkeypatch.chdir(copy / "profiles")
    assert params_file(None, "mini") == "mini.yaml"
    monkeypatch.chdir("/")
    assert params_file(None, "mini") == str(copy / "profiles" / "mini.yaml").removeprefix("/")
    (copy / "elsewhere").mkdir()
    monkeypatch.chdir(copy / "elsewhere")
    assert params_file(None, "mini") == str(copy / "profiles" / "mini.yaml")


def test_the_configuration_of_a_command_line_and_its_file(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(copy)
    grid = str(copy / "profiles" / "grid.yaml")
    for params, profile, name, file in (
        (None, None, "sample", None),
        (None, "sample", "sample", None),
        (grid, None, "grid", grid),
        (None, "mini", "mini", "profiles/mini.yaml"),
    ):
        config, meant = chosen_config(argparse.Namespace(params=params, profile=profile))
        assert (config.profile, meant) == (name, file)


@pytest.mark.parametrize("text", [None, "profile: mini\nnonsense: 1\n", "- 1\n", "profile: 3\n"])
def test_a_profile_that_is_not_active_needs_no_good_params_file(copy: Path, text: str | None) -> None:
    (copy / "params.yaml").unlink() if text is None else (copy / "params.yaml").write_text(text)
    file = params_file(None, "grid")
    assert file is not None and load(file).profile == "grid"


def test_a_params_file_that_is_no_yaml_is_said_and_not_passed_over(copy: Path) -> None:
    (copy / "params.yaml").write_text("profile: [\n")
    with pytest.raises(ConfigError, match=r"params\.yaml: line 2 no YAML"):
        params_file(None, "sample")


def test_a_profile_that_does_not_exist_gets_the_nearest(copy: Path) -> None:
    known = "grid, mini, mini_gpu, paper, sample"
    words = rf"^--profile sampel: not allowed \(did you mean sample\?\): one of {known}$"
    with pytest.raises(ConfigError, match=words):
        params_file(None, "sampel")
    shutil.rmtree(copy / "profiles")
    with pytest.raises(
        ConfigError, match=r"^--profile x: not allowed: one of those with a file in profiles/$"
    ):
        params_file(None, "x")


def test_results_of_a_params_file_and_of_a_profile_with_results_alone(copy: Path) -> None:
    assert configuration(None)[1] and configuration("sample")[1]  # params.yaml's
    mini, active = configuration("mini")
    assert mini is not None and mini.profile == "mini" and not active
    assert configuration("guests") == (None, False)
    folder, name, config, active = results_place(None, None, str(copy / "profiles" / "grid.yaml"))
    assert (folder, name, active) == (copy / "results" / "grid", "grid", False)
    assert config is not None and config.profile == "grid"
    with pytest.raises(
        ConfigError, match=r"^--profile guests: not allowed: one of .*, or one with a folder results/guests$"
    ):
        results_place(None, "guests")
    with pytest.raises(ConfigError, match=r"^--profile mimi: not allowed \(did you mean mini\?\): one of"):
        results_place(None, "mimi")
    (copy / "results" / "guests").mkdir(parents=True)
    assert results_place(None, "guests") == (copy / "results" / "guests", "guests", None, False)
    given = copy / "results" / "guests"
    assert results_place(given, None) == (given, "", None, False)
    assert results_place(given, None, str(copy / "profiles" / "mini.yaml"))[1] == "mini"
    assert results_place(given, "sample")[1:2] == ("sample",) and results_place(given, "sample")[3]
