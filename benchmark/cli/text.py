"""Text that is safe to print on a terminal."""

from __future__ import annotations


def printable(text: str) -> str:
    """`text` on one line, without what would steer a terminal."""
    return "".join(
        character if character.isprintable() else " " if character.isspace() else "\ufffd"
        for character in text
    )
