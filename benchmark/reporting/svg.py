"""SVG as text. `tag` escapes all that it is given: no name in a results file can become markup.

Drawings are as wide as their box: x is in percent of the width, y in pixels, so that texts and marks keep
their size on a phone.
"""

from __future__ import annotations

from collections.abc import Iterable

from markupsafe import Markup, escape

from benchmark.cli.text import printable
from benchmark.reporting.chart_colours import SHAPES


def tag(name: str, /, *inner: str, **attributes: str | float | None) -> Markup:
    """The SVG element `name` with `inner`, texts or markup, inside.

    An attribute's trailing underscore is dropped and the others become hyphens (`class_`, `aria_label`); None
    leaves it out; numbers keep two decimals.
    """
    opened = name + "".join(_attribute(key, value) for key, value in attributes.items())
    content = join(inner)
    return Markup(f"<{opened}>{content}</{name}>" if content else f"<{opened}/>")


def join(parts: Iterable[str]) -> Markup:
    """Texts and markup, one after the other."""
    return Markup("").join(part if isinstance(part, Markup) else printable(part) for part in parts)


def number(value: float) -> str:
    """A coordinate: at most two decimals, no trailing zeros."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def percent(value: float) -> str:
    """A coordinate relative to the figure's width: 12.5 → `12.5%`."""
    return f"{number(value)}%"


def image(key: str, title: str, description: str, height: float, *inner: str, class_: str) -> Markup:
    """A drawing `height` pixels high. Screen readers hear `title` and `description`."""
    names = (tag("title", title, id=f"{key}-title"), tag("desc", description, id=f"{key}-desc"))
    spoken = {"role": "img", "aria_labelledby": f"{key}-title {key}-desc"}
    return tag("svg", *names, *inner, class_=class_, width="100%", height=height, **spoken)


def decoration(height: float, *inner: str, class_: str | None = None) -> Markup:
    """A drawing whose values stand beside it as text: screen readers pass it over."""
    return tag("svg", *inner, class_=class_, width="100%", height=height, aria_hidden="true")


def boxed(kind: str, drawing: Markup, style: str | None = None) -> Markup:
    """The drawing in a box of a CSS class, which gives it room for its labels."""
    styled = Markup(' style="{}"').format(style) if style else ""
    return Markup('<div class="{}"{}>{}</div>').format(kind, styled, drawing)


def placed(x: float, y: float, *inner: str) -> Markup:
    """`inner`, drawn about (0, 0), at `x` percent and `y` pixels: a transform does not allow percent."""
    return tag("svg", *inner, x=percent(x), y=y, overflow="visible")


def band(left: float, right: float, top: float, height: float, kind: str, *inner: str) -> Markup:
    """A rectangle between two places in percent."""
    return tag(
        "rect", *inner, x=percent(left), width=percent(right - left), y=top, height=height, class_=kind
    )


def across(y: float, kind: str, left: float = 0, right: float = 100) -> Markup:
    """A line at `y` pixels between two places in percent."""
    return tag("line", x1=percent(left), x2=percent(right), y1=y, y2=y, class_=kind)


def upright(x: float, top: float, bottom: float, kind: str) -> Markup:
    """A line at `x` percent between two places in pixels."""
    return tag("line", x1=percent(x), x2=percent(x), y1=top, y2=bottom, class_=kind)


def dot(x: float, y: float, radius: float, kind: str) -> Markup:
    """A circle about `x` percent and `y` pixels."""
    return tag("circle", cx=percent(x), cy=y, r=radius, class_=kind)


def words(text: str, x: float, y: float, kind: str) -> Markup:
    """`text` at `x` percent and `y` pixels."""
    return tag("text", text, x=percent(x), y=y, class_=kind)


def mark(series: int, title: str = "") -> Markup:
    """The mark of a series about (0, 0); `title` shows where a pointer rests on it."""
    shown = [tag("title", title)] if title else []
    return tag("path", *shown, d=SHAPES[series], class_=f"mark s{series}")


def _attribute(key: str, value: str | float | None) -> str:
    if value is None:
        return ""
    name = key.rstrip("_").replace("_", "-")
    return f' {name}="{escape(value if isinstance(value, str) else number(value))}"'
