"""A YAML file's plain values, with one line for whatever is wrong with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from bmt.errors import ConfigError


def read_yaml(path: Path, shown: str, hint: str = "") -> Any:
    """The plain values of a YAML file; a key that stands twice is an error.

    Raises:
        ConfigError: the file (called `shown`) is absent (then `hint` says what to do), unreadable or no YAML.
    """
    try:
        return yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except FileNotFoundError:
        raise ConfigError(f"{shown}: no such file{hint and f'; {hint}'}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{shown}: cannot be read: {getattr(error, 'strerror', None) or 'it is no UTF-8 text'}"
        ) from None
    except yaml.MarkedYAMLError as error:
        line = f" line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ConfigError(f"{shown}:{line} no YAML: {error.problem}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{shown}: no YAML: {' '.join(str(error).split())}") from None
    except (
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        RecursionError,
    ) as error:  # PyYAML's own, on 2026-99-99, !!bool x, …
        raise ConfigError(f"{shown}: a value that YAML cannot read: {' '.join(str(error).split())}") from None


class _Loader(yaml.SafeLoader):
    """YAML's safe loader, which would otherwise let the last of two equal keys win."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key {key.value!r} stands twice", key.start_mark
                    )
                seen.add(key.value)
        return super().construct_mapping(node, deep)
