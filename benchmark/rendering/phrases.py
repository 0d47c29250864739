"""Numbers and lists of names as a sentence has them."""

from __future__ import annotations

from collections.abc import Iterable

NOTHING = "–"


def counted(number: int, what: str) -> str:
    """`1 run`, `2,000 runs`."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def enumerated(names: Iterable[str], most: int = 3) -> str:
    """`a, b, c and 4 others`."""
    names = list(names)
    rest = len(names) - most
    if rest <= 0:
        return ", ".join(names)
    return f"{', '.join(names[:most])} and {rest:,} other{'s' if rest > 1 else ''}"


def fixed(value: float | None, decimals: int = 2, signed: bool = False) -> str:
    """A number with a true minus sign, or a dash for none."""
    return NOTHING if value is None else f"{value:{'+' if signed else ''}.{decimals}f}".replace("-", "−")
