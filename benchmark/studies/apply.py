"""A study's best values into a params file: only their texts change, comments and layout stay; the difference
is shown first.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from benchmark.config.params import checked, load
from benchmark.config.yaml_file import parse_yaml
from bmt.errors import ConfigError


def difference(path: Path, shown: str, profile: str, values: Mapping[str, Any]) -> tuple[str, str]:
    """(the file's new text, the unified difference to the present one; empty where nothing changes).

    Args:
        profile: the study's: values found on one profile are not put into another's file.
        values: by key, as `mask.lam`.

    Raises:
        ConfigError: another profile's file, a key that the file does not have, a value that it does not
            allow.
    """
    present = load(path).profile
    if present != profile:
        raise ConfigError(
            f"{shown}: profile {present}, but the study ran on {profile}: `python -m benchmark.profile "
            f"{profile}` first"
        )
    old = path.read_text(encoding="utf-8")
    new = old
    for key, value in values.items():
        new = replaced(new, key, value, shown)
    checked(parse_yaml(new, shown, ConfigError), shown)
    lines = difflib.unified_diff(
        old.splitlines(True), new.splitlines(True), shown, f"{shown} with the study's values"
    )
    return new, "".join(lines)


def replaced(text: str, key: str, value: Any, shown: str) -> str:
    """The YAML `text` with the scalar at `key` written as `value`."""
    node = yaml.compose(text)
    for part in key.split("."):
        pairs = node.value if isinstance(node, yaml.MappingNode) else []
        node = next(
            (inner for name, inner in pairs if isinstance(name, yaml.ScalarNode) and name.value == part), None
        )
    if not isinstance(node, yaml.ScalarNode):
        raise ConfigError(f"{shown}: {key}: the file has no such value")
    return text[: node.start_mark.index] + written(value) + text[node.end_mark.index :]


def written(value: Any) -> str:
    """A number as YAML reads it back exactly: 1.25e-07, 0.3, 12."""
    return yaml.safe_dump(value).split("\n")[0]
