"""The tables that a paper's folder has, by the names of its files: known before any of them is read."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from bmt.errors import ConfigError

OWN_PAPER = Path(__file__).parent


def table_id(text: str) -> str:
    """`A.10`, `a10`, `3` → the id in the file's name: lower case, letters and digits."""
    return "".join(character for character in text.lower() if character.isalnum())


def table_paths(folder: Path) -> list[Path]:
    """The files `table_<id>.yaml`, the shorter ids first."""
    return sorted(folder.glob("table_*.yaml"), key=lambda path: (len(path.stem), path.stem))


def known_table(name: str, tables: Iterable[str]) -> str:
    """The id of `--paper-table`, as `3` or `A.10`.

    Raises:
        ConfigError: it is none of `tables`.
    """
    if table_id(name) not in tables:
        raise ConfigError(f"--paper-table {name}: not allowed: one of {', '.join(tables)}")
    return table_id(name)


def check_table(name: str, folder: Path | None = None) -> None:
    """Check `--paper-table` against the files of a paper's folder. Of one without tables its reader tells
    more.

    Raises:
        ConfigError: there is no such table.
    """
    if tables := [path.stem.removeprefix("table_") for path in table_paths(folder or OWN_PAPER)]:
        known_table(name, tables)
