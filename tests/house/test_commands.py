"""The shape of a command, by its syntax tree: short, light to import, imported by nobody."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmark.cli.verbs import GROUPS
from tests.support.repository import ROOT

VERBS = [verb for verbs in GROUPS.values() for verb in verbs]
COMMANDS = {f"benchmark.{verb}" for verb in VERBS}
LIGHT = ("benchmark.cli", "bmt.errors")


def imported(nodes: Iterator[ast.AST], package: str) -> Iterator[str]:
    """Every module, and every name taken from one, that is imported."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            home = ".".join(package.split(".")[: -node.level + 1 or None]) if node.level else ""
            module = ".".join(part for part in (home, node.module) if part)
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def package_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).parent.parts)


@pytest.mark.parametrize("package", ["bmt", "benchmark", "tools"])
def test_nobody_imports_a_command(package: str) -> None:
    guilty = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in (ROOT / package).rglob("*.py")
        for name in imported(ast.walk(tree(path)), package_of(path))
        if name in COMMANDS
    }
    assert guilty == set()


def test_the_search_for_imports_finds_every_form() -> None:
    text = "import benchmark.train\nfrom benchmark import plan\nfrom benchmark.data import x\n"
    text += "def f():\n    from . import ask\n"
    names = set(imported(ast.walk(ast.parse(text)), "benchmark"))
    assert {"benchmark.train", "benchmark.plan", "benchmark.data", "benchmark.ask"} <= names
    assert "benchmark.ask" in set(imported(ast.walk(ast.parse("from .. import ask")), "benchmark.runs"))
    assert "benchmark.ask" in set(imported(ast.walk(ast.parse("from ..ask import x")), "benchmark.runs"))


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
