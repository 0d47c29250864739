"""Files that are complete or absent."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest

from bmt.runtime.files import (
    file_digest,
    file_name,
    json_digest,
    remove_half_written,
    write_aside,
    write_folder_aside,
    write_json,
    write_text,
)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "x.txt"
    with write_aside(target) as aside:
        aside.write_text("old")
        assert not target.exists()
    with pytest.raises(OSError, match="disk"), write_aside(target) as aside:
        aside.write_text("half")
        raise OSError("disk")
    assert target.read_text() == "old" and [path.name for path in target.parent.iterdir()] == ["x.txt"]


def test_a_failed_folder_leaves_the_old_folder_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    for text in ("one", "two"):
        with write_folder_aside(target) as aside:
            (aside / text).write_text(text)
    assert [path.name for path in target.iterdir()] == ["two"]
    with pytest.raises(OSError, match="disk"), write_folder_aside(target) as aside:
        (aside / "three").write_text("half")
        raise OSError("disk")
    assert [path.name for path in target.iterdir()] == ["two"] and [
        path.name for path in tmp_path.iterdir()
    ] == ["folder"]


@pytest.mark.parametrize(
    "name", ["a/b", ".", "..", "../up", "/etc", ".hidden", "50 % [a]*", "a%2Fb", "\0", "Größe"]
)
def test_any_name_is_one_file_in_its_folder_and_comes_back(name: str, tmp_path: Path) -> None:
    path = tmp_path / file_name(name)
    assert path.resolve().parent == tmp_path.resolve() and list(tmp_path.glob(f"*{path.name}")) == []
    path.write_text("there")
    assert [unquote(there.name) for there in tmp_path.glob(path.name)] == [name] and path.name[0] != "."
    assert file_name("SQuAD") == "SQuAD" and file_name("phase-2-DuoRC.x_y") == "phase-2-DuoRC.x_y"


def test_json_is_stable_and_refuses_nan(tmp_path: Path) -> None:
    write_json(tmp_path / "x.json", {"b": 1, "a": "é"})
    assert (tmp_path / "x.json").read_text(encoding="utf-8") == '{\n "a": "é",\n "b": 1\n}\n'
    with pytest.raises(ValueError, match="Out of range"):
        write_json(tmp_path / "x.json", {"a": float("nan")})
    known = "0c187fb652afca8017b5ef38178eeef09a9dfef844316f80ba4207cdf1995ee5"  # in file names and on disk
    assert json_digest({"b": [1, 2.5, None, True], "a": "é"}) == known
    assert json_digest({"b": 1, "a": 2}) == json_digest({"a": 2, "b": 1}) != json_digest({"a": 2, "b": 2})


def test_digests(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc")
    assert file_digest(tmp_path / "x") == hashlib.sha256(b"abc").hexdigest()
    assert file_digest(tmp_path / "x", "md5") == "900150983cd24fb0d6963f7d28e17f72"


@pytest.mark.parametrize("write", ["write_text(path, 'new' * 9999)", "write_json(path, ['new'] * 9999)"])
def test_a_kill_between_write_and_rename_leaves_the_old_file(write: str, tmp_path: Path) -> None:
    """The process dies at the moment of the rename: the name still has the old content."""
    target = tmp_path / "x.txt"
    target.write_text("old")
    script = (
        "import os, sys\n"
        "from bmt.runtime.files import write_json, write_text\n"
        "path = sys.argv[1]\n"
        "os.replace = os.rename = lambda *_: os._exit(9)\n"
        f"{write}\n"
    )
    root = Path(__file__).resolve().parents[3]
    status = subprocess.run(
        [sys.executable, "-c", script, str(target)], env=os.environ | {"PYTHONPATH": str(root)}
    ).returncode
    assert status == 9 and target.read_text() == "old"
    remove_half_written(tmp_path, "x.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["x.txt"]


def test_half_written_files_of_a_name_go_at_once_or_when_they_are_old(tmp_path: Path) -> None:
    def left_behind() -> list[str]:
        return sorted(path.name for path in tmp_path.iterdir())

    for name in (".x.json.12.part", ".x.json.13.old", ".y.json.12.part", "x.json"):
        (tmp_path / name).write_text("half")
    (tmp_path / ".x.14.part").mkdir()
    remove_half_written(tmp_path, "x.json", "x", seconds=3600)
    assert len(left_behind()) == 5
    os.utime(tmp_path / ".x.json.12.part", (0, 0))
    remove_half_written(tmp_path, "x.json", seconds=3600)
    assert left_behind() == [".x.14.part", ".x.json.13.old", ".y.json.12.part", "x.json"]
    remove_half_written(tmp_path, "x.json", "x")
    assert left_behind() == [".y.json.12.part", "x.json"]


def test_a_folder_that_is_replaced_is_whole_at_every_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old folder is renamed, not emptied: its files are there where the new one cannot come."""
    target = tmp_path / "folder"
    with write_folder_aside(target) as aside:
        (aside / "one").write_text("one")
    rename = os.replace

    def fail(source: Path, to: Path) -> None:
        if Path(to) == target:
            raise OSError("no")
        rename(source, to)

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="no"), write_folder_aside(target) as aside:
        (aside / "two").write_text("two")
    assert [path.read_text() for path in tmp_path.rglob("one")] == ["one"]


def test_a_folder_that_a_killed_process_of_this_number_left_is_not_written_into(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "folder"
    left = target.with_name(f".folder.{os.getpid()}.part")
    left.mkdir(parents=True)
    (left / "stale").write_text("half")
    with write_folder_aside(target) as aside:
        assert aside == left and list(aside.iterdir()) == [] and not target.exists()
        (aside / "new").write_text("new")
    assert [path.name for path in target.iterdir()] == ["new"]
    assert [path.name for path in target.parent.iterdir()] == ["folder"]


def test_the_old_folder_is_there_until_the_new_one_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    with write_folder_aside(target) as aside:
        (aside / "one").write_text("one")
    with write_folder_aside(str(target)) as aside:
        assert (target / "one").read_text() == "one"
        (aside / "two").write_text("two")
        assert (target / "one").read_text() == "one"
    assert [path.name for path in target.iterdir()] == ["two"]


def test_a_path_may_be_text_and_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_text("here.txt", "ä")
    write_json("deep/er.json", [1])
    with write_folder_aside("folder") as aside:
        (aside / "x").write_text("x")
    assert (tmp_path / "here.txt").read_bytes() == "ä".encode()
    assert (tmp_path / "deep" / "er.json").read_text() == "[\n 1\n]\n"
    assert file_digest("folder/x") == hashlib.sha256(b"x").hexdigest()


def test_what_is_refused_leaves_the_old_json(tmp_path: Path) -> None:
    write_json(tmp_path / "x.json", {"a": 1})
    for value in (float("inf"), float("-inf"), float("nan")):
        with pytest.raises(ValueError, match="Out of range"):
            write_json(tmp_path / "x.json", {"a": value})
    assert (tmp_path / "x.json").read_text() == '{\n "a": 1\n}\n'
    assert [path.name for path in tmp_path.iterdir()] == ["x.json"]


def test_a_half_written_file_that_another_process_has_put_in_its_place_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look into the folder and the look at the file."""
    gone = tmp_path / ".x.json.12.part"
    monkeypatch.setattr(Path, "glob", lambda self, pattern: [gone] if pattern.endswith("part") else [])
    for seconds in (0.0, 3600.0):
        remove_half_written(tmp_path, "x.json", seconds=seconds)
    assert list(os.scandir(tmp_path)) == []
