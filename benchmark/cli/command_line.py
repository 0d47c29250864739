"""The command that made a file, as it stands in the file and can be typed again."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def command_line(
    verb: str, options: argparse.Namespace, names: Sequence[str], defaults: Mapping[str, Any] | None = None
) -> str:
    """`python -m benchmark.<verb>` with those of `names` that were given otherwise than by default.

    Of an absolute path only the end stands there, so that the file holds no path of this machine.
    """
    words = ["python", "-m", f"benchmark.{verb}"]
    for option in names:
        value = getattr(options, option)
        if value is not None and value != (defaults or {}).get(option):
            several = value if isinstance(value, list) else [value]
            words += [f"--{option}", *map(_word, several)]
    return " ".join(word if word.startswith("…/") else shlex.quote(word) for word in words)


def _word(value: Any) -> str:
    path = Path(value) if isinstance(value, str | Path) else None
    return f"…/{path.name}" if path and path.is_absolute() else str(value)
