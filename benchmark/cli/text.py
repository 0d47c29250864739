"""Text from files made safe to print: the one place where control characters, escape sequences and the like end."""

from __future__ import annotations


def printable(text: str) -> str:
    """`text` on one line, without what would steer a terminal.

    White space of any kind becomes a space. What has no shape of its own becomes U+FFFD: control characters (and with
    ESC every escape sequence), half surrogates, private characters, and the marks that turn the direction of writing.
    """
    return "".join(
        character if character.isprintable() else " " if character.isspace() else "\ufffd"
        for character in text
    )
