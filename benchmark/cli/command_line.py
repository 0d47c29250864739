"""The command that made a file, as it stands in the file and can be typed again."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path


def command_line(parser: argparse.ArgumentParser, options: argparse.Namespace) -> str:
    """The parser's command with the options that were given otherwise than by default, flags left out.

    Of an absolute path only the end stands there, so that the file holds no path of this machine.
    """
    words = parser.prog.split()
    for action in parser._actions:
        value = getattr(options, action.dest, None)
        if action.nargs != 0 and value != action.default:
            several = value if isinstance(value, list) else [value]
            words += [action.option_strings[0], *map(_word, several)]
    return " ".join(word if word.startswith("…/") else shlex.quote(word) for word in words)


def _word(value: object) -> str:
    path = Path(value) if isinstance(value, str | Path) else None
    return f"…/{path.name}" if path and path.is_absolute() else str(value)
