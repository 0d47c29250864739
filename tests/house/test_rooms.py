"""Tests mirror the rooms: who looks for the tests of a room finds them in the folder of its name."""

from __future__ import annotations

from pathlib import Path

from tests.support.repository import ROOT
from tests.support.source_code import PACKAGES, source_files

# Rooms that have no folder of tests yet. Lines only go from here.
PENDING: set[str] = set()


def folders_of_tests() -> set[str]:
    """The folders below tests/bmt, tests/benchmark and tests/tools that hold tests, as `bmt/qa`."""
    tests = ROOT / "tests"
    files = (path for package in PACKAGES for path in (tests / package).rglob("test_*.py"))
    return {path.parent.relative_to(tests).as_posix() for path in files}


def test_each_folder_of_tests_has_its_room() -> None:
    assert not folders_of_tests() - {file.room for file in source_files()}


def test_each_room_has_its_tests() -> None:
    top = {"/".join(Path(file.path).parts[:2]) for file in source_files() if len(Path(file.path).parts) > 2}
    tested = {"/".join(Path(folder).parts[:2]) for folder in folders_of_tests()}
    assert not top - tested - PENDING


def test_no_test_stands_outside_a_folder() -> None:
    assert not list((ROOT / "tests").glob("test_*.py"))


def test_support_holds_no_tests() -> None:
    assert not list((ROOT / "tests" / "support").rglob("test_*.py"))
