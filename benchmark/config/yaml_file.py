"""A YAML file's plain values, with one line for whatever is wrong with it; a key that stands twice is an
error.
"""

from __future__ import annotations

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
        return yaml.load(text, _TextLoader if as_text else _Loader)
    except yaml.MarkedYAMLError as error:
        line = f" line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise error_type(f"{shown}:{line} no YAML: {error.problem}") from None
    except yaml.YAMLError as error:
        raise error_type(f"{shown}: no YAML: {_one_line(error)}") from None
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        # PyYAML's own, on 2026-99-99, !!bool x, …
        raise error_type(f"{shown}: a value that YAML cannot read: {_one_line(error)}") from None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


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
