"""Tests mirror the rooms: who looks for the tests of a room finds them in the folder of its name."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.support.repository import ROOT
from tests.support.source_code import PACKAGES, SourceFile, source_files

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


def imports_beside_support(files: Sequence[SourceFile]) -> Iterator[str]:
    """Imports from the tests that are not from tests.support; plugins and modules that are named by a string
    count too.
    """
    for file in files:
        modules = (str(string.value) for string in file.strings())
        for name in [*file.imports(), *(name for name in modules if re.fullmatch(r"tests(\.\w+)+", name))]:
            parts = name.split(".")
            if "conftest" in parts or (parts[0] == "tests" and len(parts) > 1 and parts[1] != "support"):
                yield f"{file.path} imports {name}"


def test_tests_share_what_stands_in_support_and_nothing_else() -> None:
    """No test file, nor a helper, imports another test file or a conftest.py."""
    assert not list(imports_beside_support(source_files("tests")))


@pytest.mark.parametrize(
    "text",
    [
        "import tests.bmt.test_masks",
        "from tests import conftest",
        "from tests.conftest import NAME",
        "def f():\n    from tests.benchmark.runs.test_kill import NAME",
        "from . import test_masks",
        "from ..test_masks import NAME",
        "import conftest",
        'pytest_plugins = ("tests.bmt.test_masks",)',
    ],
)
def test_an_import_of_another_test_file_is_seen(text: str) -> None:
    assert list(imports_beside_support([SourceFile("tests/bmt/qa/some.py", text, ast.parse(text))]))


def test_an_import_from_support_is_allowed() -> None:
    text = 'import tests\nfrom tests.support import tiny\npytest_plugins = ("tests.support.fixtures",)\n'
    text += '"""As in tests.bmt.test_masks."""\nimport bmt\nname = "tests of bmt"\n'
    assert not list(imports_beside_support([SourceFile("tests/bmt/qa/some.py", text, ast.parse(text))]))
