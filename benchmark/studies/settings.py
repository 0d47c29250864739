"""A params file with some values changed, by `--set KEY=VALUE` and by a trial; all of the file's own checks
hold for the result.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from benchmark.config import schema
from benchmark.config.cells import nearest
from benchmark.config.params import Config, checked, repository_root
from benchmark.config.profiles import params_file
from benchmark.config.record_file import refusal
from benchmark.config.yaml_file import read_yaml
from bmt.errors import ConfigError

MAY_CHANGE = (
    "mask",
    "tuning",
    "training",
    "sampling",
    "loss",
    "decode",
    "arms",
    "data.train",
    "data.train_cap",
    "data.validation_cap",
)
"""What `--set` may change: nothing that other windows or other weights would be needed for."""


@dataclass(frozen=True, slots=True)
class Settings:
    """A params file (called `shown`) and the values of it that were changed, by key."""

    path: Path
    shown: str
    values: dict[str, Any]
    changed: dict[str, Any]

    def config(self, changes: Mapping[str, Any] | None = None) -> Config:
        """The configuration with `changes` (by key, as `mask.lam`) on top.

        Raises:
            ConfigError: a key that the file does not have, or a value that it does not allow.
        """
        values = copy.deepcopy(self.values)
        for key, value in (changes or {}).items():
            _put(values, key, value)
        changed = ", ".join(f"{key}={value}" for key, value in self.changed.items())
        return checked(values, f"{self.shown} with {changed}" if changed else self.shown)


def read_settings(
    params: str | None = None, profile: str | None = None, changes: Sequence[str] = ()
) -> Settings:
    """A params file, or a profile's, or the root's params.yaml, with `KEY=VALUE` changes.

    Raises:
        ConfigError: an unreadable file, a malformed change, a key that a study cannot change.
    """
    named = params_file(params, profile)
    path, shown = Path(named) if named else repository_root() / "params.yaml", named or "params.yaml"
    values = read_yaml(path, shown, "`python -m benchmark.profile sample` writes a params.yaml")
    form = "profiles/sample.yaml shows the form"
    schema.read(schema.Mapping, values, lambda fault: ConfigError(f"{shown}: {refusal(fault)}; {form}"))
    changed: dict[str, Any] = {}
    for text in changes:
        key, sign, value = text.partition("=")
        if not sign:
            raise ConfigError(f"--set {text}: not of the form KEY=VALUE, as in training.epochs_mt=0.5")
        if not any(key == part or key.startswith(f"{part}.") for part in MAY_CHANGE):
            raise ConfigError(f"--set {text}: a study cannot change {key}: only {', '.join(MAY_CHANGE)}")
        try:
            changed[key] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise ConfigError(f"--set {text}: no YAML value") from None
        _put(values, key, changed[key])
    return Settings(path, shown, values, changed)


def _put(values: dict[str, Any], key: str, value: Any) -> None:
    """Replace the value at `key`; the key must be there."""
    *sections, last = key.split(".")
    place: Any = values
    for section in sections:
        place = place.get(section) if isinstance(place, dict) else None
    if not isinstance(place, dict) or last not in place:
        close = nearest(last, tuple(map(str, place))) if isinstance(place, dict) else ""
        raise ConfigError(f"{key}: the params file has no such key{close}")
    place[last] = value
