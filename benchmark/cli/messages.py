"""Lines for the person at the terminal: what a command prints besides its documents.

Names and texts in them come from files, so each line goes through `printable` here, and no other `print` is
in the harness (tests/house).
"""

from __future__ import annotations

import sys

from benchmark.cli.text import printable


def say(*lines: str) -> None:
    """Lines on stdout, at once; a line break within one is a space."""
    print("\n".join(map(printable, lines)), flush=True)


def tell(*lines: str) -> None:
    """The same on stderr: progress, warnings, errors."""
    print("\n".join(map(printable, lines)), file=sys.stderr, flush=True)
