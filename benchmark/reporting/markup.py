"""HTML and SVG as text. `tag` escapes all that it is given: no name in a results file can become markup."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

VOID = frozenset({"br", "link", "meta"})
SHAPES = frozenset({"circle", "line", "path", "rect"})


class Markup(str):
    """Text that is markup already."""

    __slots__ = ()


def tag(name: str, /, *inner: str, **attributes: str | float | bool | None) -> Markup:
    """The element `name` with `inner`, texts or markup, inside.

    An attribute's trailing underscore is dropped and the others become hyphens (`class_`, `aria_label`); None
    and False leave it out, True
    writes it without a value; numbers keep two decimals.
    """
    opened = name + "".join(_attribute(key, value) for key, value in attributes.items())
    if name in VOID:
        return Markup(f"<{opened}>")
    content = join(inner)
    return Markup(f"<{opened}/>" if name in SHAPES and not content else f"<{opened}>{content}</{name}>")


def join(parts: Iterable[str], between: str = "") -> Markup:
    """Texts and markup, one after the other."""
    return Markup(
        between.join(part if isinstance(part, Markup) else escape(part, quote=False) for part in parts)
    )


def number(value: float) -> str:
    """A coordinate: at most two decimals, no trailing zeros."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def percent(value: float) -> str:
    """A coordinate relative to the figure's width: 12.5 → `12.5%`."""
    return f"{number(value)}%"


def _attribute(key: str, value: str | float | bool | None) -> str:
    if value is None or value is False:
        return ""
    name = key.rstrip("_").replace("_", "-")
    if value is True:
        return f" {name}"
    return f' {name}="{escape(value if isinstance(value, str) else number(value))}"'
