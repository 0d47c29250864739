"""Text from files made safe to print, in this one place; paths in messages; the nearest known name to a
misspelt one.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path


def printable(text: str) -> str:
    """`text` on one line, without what would steer a terminal.

    White space of any kind becomes a space. What has no shape of its own becomes U+FFFD: control characters
    (and with ESC every escape sequence), half surrogates, private characters, and the marks that turn the
    direction of writing.
    """
    return "".join(
        character if character.isprintable() else " " if character.isspace() else "\ufffd"
        for character in text
    )


def short(path: Path) -> str:
    """A path as seen from the working directory, where that is shorter."""
    return min(str(path), os.path.relpath(path), key=len)


def nearest(name: str, known: Iterable[str]) -> str:
    """` (did you mean X?)` for the known name nearest to `name`, or nothing."""
    from difflib import get_close_matches

    by_lower = {word.lower(): word for word in known}
    close = get_close_matches(name.lower(), list(by_lower), n=1, cutoff=0.6)
    return f" (did you mean {by_lower[close[0]]}?)" if close else ""
