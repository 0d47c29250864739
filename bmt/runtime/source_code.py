"""Python source as what it does: a digest that comments, docstrings, layout and type hints do not move.

The digest is of the syntax tree, written out the same by every Python from 3.11 on, so that it may be kept on
disk.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

_HINTS = {
    "annotation",
    "returns",
    "type_comment",
    "type_params",
}  # of functions, their arguments and their variables
_SILENT = {"ctx", "kind"}  # whether a name is read or written follows from where it stands


@cache
def source_digest(path: str | Path) -> str:
    """sha256 (64 hexadecimal digits) of what a Python file does, as it was when it was first asked for."""
    return statements_digest(ast.parse(Path(path).read_bytes()).body)


def statements_digest(statements: Iterable[ast.stmt]) -> str:
    """sha256 (64 hexadecimal digits) of what some statements do, in their order."""
    written: list[str] = []
    _write(list(statements), written, hints=False)
    return hashlib.sha256("\0".join(written).encode("utf-8", "surrogatepass")).hexdigest()


def is_remark(node: ast.AST) -> bool:
    """Whether a statement is a docstring, or another constant that stands alone and does nothing."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _write(node: Any, written: list[str], hints: bool) -> None:
    """Append a node's kind, its fields and its end. hints: whether annotations count, as those of a
    class's fields do: dataclasses and schemas are made of them.
    """
    if isinstance(node, list):
        written.append("[")
        for item in node:
            if not is_remark(item):
                _write(item, written, hints)
        written.append("]")
    elif isinstance(node, ast.AnnAssign) and not hints and isinstance(node.target, ast.Name):
        if node.value is not None:  # `x: int` alone does nothing
            _write(ast.Assign([node.target], node.value), written, hints)
    elif isinstance(node, ast.AST):
        written.append(type(node).__name__)
        inner = isinstance(node, ast.ClassDef) or (
            hints and not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        )
        for name in node._fields:
            value = getattr(node, name, None)
            silent = name in _SILENT or (name in _HINTS and not (hints and isinstance(node, ast.AnnAssign)))
            if not silent and value is not None and value != []:
                written.append(name)
                _write(value, written, inner)
        written.append(";")
    else:
        written.append(f"{type(node).__name__} {node!r}")
