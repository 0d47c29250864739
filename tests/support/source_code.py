"""The project's Python files with their syntax trees: what the tests of the house look at."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.support.repository import ROOT

PACKAGES = ("bmt", "benchmark", "tools")


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file: its path below the root, as `bmt/gates.py`, its text and its tree."""

    path: str
    text: str
    tree: ast.Module

    @property
    def module(self) -> str:
        """Its dotted name; of an `__init__.py` the package's."""
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    @property
    def room(self) -> str:
        """The folder that it stands in, as `bmt/qa`."""
        return self.path.rpartition("/")[0]

    def functions(self) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
        """Every function with its place, as `bmt/gates.py:Gate.forward`; those inside others too."""
        yield from _functions(self.tree, f"{self.path}:")

    def classes(self) -> Iterator[ast.ClassDef]:
        """Every class, wherever it stands."""
        return (node for node in ast.walk(self.tree) if isinstance(node, ast.ClassDef))

    def docstrings(self) -> set[ast.Constant]:
        """The strings that stand alone as statements: docstrings, also those below a constant or a field."""
        alone = (node.value for node in ast.walk(self.tree) if isinstance(node, ast.Expr))
        return {value for value in alone if isinstance(value, ast.Constant) and isinstance(value.value, str)}

    def strings(self) -> Iterator[ast.Constant]:
        """Every other string, the constant parts of f-strings included."""
        docstrings = self.docstrings()
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in docstrings:
                yield node

    def imports(self) -> Iterator[str]:
        """Every module, and every name taken from one, that is imported, wherever the import stands."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                package = self.room.split("/")
                home = ".".join(package[: -node.level + 1 or None]) if node.level else ""
                module = ".".join(part for part in (home, node.module) if part)
                yield module
                yield from (f"{module}.{alias.name}" for alias in node.names)


def _functions(node: ast.AST, prefix: str) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield prefix + child.name, child
        named = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        yield from _functions(child, f"{prefix}{child.name}." if named else prefix)


def parameter_count(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Parameters that a caller may pass, keyword-only ones and `*args` included; `self` and `cls` are not
    counted.
    """
    signature = function.args
    named = [*signature.posonlyargs, *signature.args, *signature.kwonlyargs]
    starred = [argument for argument in (signature.vararg, signature.kwarg) if argument is not None]
    return len([argument for argument in named if argument.arg not in ("self", "cls")]) + len(starred)


@cache
def _read(path: Path) -> SourceFile:
    text = path.read_text(encoding="utf-8")
    return SourceFile(path.relative_to(ROOT).as_posix(), text, ast.parse(text))


def source_files(*folders: str) -> tuple[SourceFile, ...]:
    """The files below `folders` of the root (default: the three packages), in the order of their paths."""
    paths = sorted(path for folder in folders or PACKAGES for path in (ROOT / folder).rglob("*.py"))
    return tuple(map(_read, paths))
