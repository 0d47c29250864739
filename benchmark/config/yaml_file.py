"""A YAML file's plain values, with one line for whatever is wrong with it; a key that stands twice is an
error.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import yaml

from bmt.errors import BMTError, ConfigError


def read_yaml(path: Path, shown: str, hint: str = "") -> Any:
    """The plain values of a YAML file.

    Raises:
        ConfigError: the file (called `shown`) is absent (then `hint` says what to do), unreadable or no YAML.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{shown}: no such file{hint and f'; {hint}'}") from None
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no UTF-8 text"
        raise ConfigError(f"{shown}: cannot be read: {reason}") from None
    return parse_yaml(text, shown, ConfigError)


def parse_yaml(text: str, shown: str, error_type: type[BMTError], as_text: bool = False) -> Any:
    """The plain values of a YAML text.

    Args:
        error_type: of what is raised for a text that is no YAML; it is called `shown`.
        as_text: every scalar stays text: a digest of digits only is no number.
    """
    try:
        return _values(text, as_text)
    except yaml.MarkedYAMLError as error:
        line = f" line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise error_type(f"{shown}:{line} no YAML: {error.problem}") from None
    except yaml.YAMLError as error:
        raise error_type(f"{shown}: no YAML: {_one_line(error)}") from None
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        # PyYAML's own, on 2026-99-99, !!bool x, …
        raise error_type(f"{shown}: a value that YAML cannot read: {_one_line(error)}") from None


def _values(text: str, as_text: bool) -> Any:
    """The values, by libyaml (nine times as fast) where it reads as PyYAML's own loader does.

    It differs in three ways: it takes tabs; it has other words for what is wrong; and a text that is nested
    without end ends the process, as nothing counts its depth.
    """
    if "\t" not in text and _depth(text) < DEEPEST:
        with contextlib.suppress(Exception):  # raised again below, with a line and in PyYAML's words
            return yaml.load(text, _FastTextLoader if as_text else _FastLoader)
    return yaml.load(text, _TextLoader if as_text else _Loader)


def _depth(text: str) -> int:
    """No value of a YAML text is nested deeper: a level takes a bracket, a dash, a question mark or a column
    of white space.
    """
    columns = max((len(line) - len(line.lstrip(" ")) for line in text.splitlines()), default=0)
    return columns + sum(map(text.count, ("[", "{", "- ", "? ")))


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


DEEPEST = 2000
"""Levels that fit any thread's stack; by the bound of `_depth` the largest file here has 358."""


class _KeysOnce:
    """YAML's loaders would otherwise let the last of two equal keys win."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in names:
                    problem = f"the key {key.value!r} stands twice"
                    raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
                names.add(key.value)
        values: dict[Any, Any] = super().construct_mapping(node, deep)  # type: ignore[misc]
        return values


class _Loader(_KeysOnce, yaml.SafeLoader):
    """YAML's safe loader."""


class _TextLoader(_KeysOnce, yaml.BaseLoader):
    """YAML's loader that knows texts only."""


class _FastLoader(_KeysOnce, getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """The safe loader on libyaml, where PyYAML was built with it."""


class _FastTextLoader(_KeysOnce, getattr(yaml, "CBaseLoader", yaml.BaseLoader)):  # type: ignore[misc]
    """The loader of texts on libyaml."""
