"""Other values for the settings of a configuration, whatever their kind."""

from __future__ import annotations

from dataclasses import Field
from typing import Any


def another(value: Any, entry: Field[Any]) -> Any:
    """A value of the same kind that is not this one."""
    if entry.metadata["choices"]:
        return next(choice for choice in entry.metadata["choices"] if choice != value)
    if isinstance(value, bool):
        return not value
    if isinstance(value, list):
        return [*value, "another"]
    if isinstance(value, int | float):
        return value + 1
    return 0.5 if value is None else f"{value} another"
