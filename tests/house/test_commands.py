"""The shape of a command, by its syntax tree: short, light to import, imported by nobody."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from benchmark.cli.verbs import GROUPS
from tests.support.repository import ROOT
from tests.support.source_code import source_files

VERBS = [verb for verbs in GROUPS.values() for verb in verbs]
COMMANDS = {f"benchmark.{verb}" for verb in VERBS}
LIGHT = ("benchmark.cli", "bmt.errors")


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("package", ["bmt", "benchmark", "tools"])
def test_nobody_imports_a_command(package: str) -> None:
    guilty = {
        f"{file.path}: {name}"
        for file in source_files(package)
        for name in file.imports()
        if name in COMMANDS
    }
    assert guilty == set()


@pytest.mark.parametrize("verb", VERBS)
def test_a_command_is_a_parser_one_call_and_what_is_printed(verb: str) -> None:
    path = ROOT / "benchmark" / f"{verb}.py"
    module = tree(path)
    assert ast.get_docstring(module)
    names = [node.name for node in module.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    assert "main" in names
    main = next(node for node in module.body if isinstance(node, ast.FunctionDef) and node.name == "main")
    assert ast.unparse(main.args) == "arguments: list[str] | None=None"
    assert ast.unparse(module.body[-1]) == "if __name__ == '__main__':\n    run_command(main)"
    lines = path.read_text(encoding="utf-8").count("\n")
    assert 25 <= lines <= 80


@pytest.mark.parametrize("verb", VERBS)
def test_a_command_imports_nothing_large_before_its_arguments_are_read(verb: str) -> None:
    """At the top of the file: the standard library, benchmark.cli and bmt.errors."""
    top = [
        node
        for node in tree(ROOT / "benchmark" / f"{verb}.py").body
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    for node in top:
        name = node.module or "" if isinstance(node, ast.ImportFrom) else node.names[0].name
        light = name.partition(".")[0] in sys.stdlib_module_names or name.startswith(LIGHT)
        assert light, f"{name}: import it in main, after parse_args"
