"""What surrounds a drawing: its caption, the same data as a table, legends, and boxes that scroll where a
phone is too narrow.

Ids are `<key>-<what>`; keys are made of section names and running numbers, never of names in the data, so no
two are the same.
"""

from __future__ import annotations

from collections.abc import Sequence

from benchmark.reporting.markup import Markup, tag
from benchmark.reporting.palette import SHAPES

NOTHING = "–"


def svg(key: str, title: str, description: str, height: float, *inner: str, class_: str = "") -> Markup:
    """A drawing as wide as its box and `height` pixels high: x in percent, y in pixels. Readers hear `title`
    and `description`.
    """
    names = (tag("title", title, id=f"{key}-title"), tag("desc", description, id=f"{key}-desc"))
    labelled = f"{key}-title {key}-desc"
    return tag(
        "svg",
        *names,
        *inner,
        class_=class_ or None,
        width="100%",
        height=height,
        role="img",
        aria_labelledby=labelled,
    )


def placed(x: str, y: float, *inner: str, class_: str | None = None) -> Markup:
    """`inner`, drawn about (0, 0), at (`x`, `y`): x may be in percent, which a transform does not allow."""
    return tag("svg", *inner, x=x, y=y, class_=class_, overflow="visible")


def figure(
    key: str, title: str, drawing: str, heading: str = "", reading: str = "", legend: str = "", data: str = ""
) -> Markup:
    """A figure with its caption. heading: `h3` or `h4`, or none where the section's own heading is its title;
    reading: how to read it.
    """
    name = tag(heading, title) if heading else tag("span", title, class_="title")
    caption = tag(
        "figcaption", name, *([tag("p", reading, class_="reading")] if reading else []), id=f"{key}-caption"
    )
    return tag("figure", caption, legend, drawing, data, aria_labelledby=f"{key}-caption")


def scroll_box(label: str, *inner: str) -> Markup:
    """A box that scrolls sideways when its content is too wide; the keyboard reaches it."""
    return tag("div", *inner, class_="scroll", tabindex="0", role="group", aria_label=label)


def data_table(caption: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Markup:
    """A plain table; the first cell of a row is its heading."""
    head = tag("thead", tag("tr", *(tag("th", name, scope="col") for name in columns)))
    body = tag(
        "tbody",
        *(tag("tr", tag("th", row[0], scope="row"), *(tag("td", cell) for cell in row[1:])) for row in rows),
    )
    return tag("table", tag("caption", caption), head, body)


def details(summary: str, *inner: str, opened: bool = False, class_: str | None = None) -> Markup:
    """What is shown on request."""
    return tag("details", tag("summary", summary), *inner, open=opened, class_=class_)


def as_table(caption: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Markup:
    """A figure's data as a table, on request."""
    return details(
        "The same as a table", scroll_box(caption, data_table(caption, columns, rows)), class_="data"
    )


def mark_legend(entries: Sequence[tuple[int, str]], label: str) -> Markup:
    """What marks of a scatter plot mean: (series, text) each."""
    items = [
        _entry(
            tag("svg", shape(series), width="16", height="16", viewBox="-8 -8 16 16", aria_hidden="true"),
            text,
        )
        for series, text in entries
    ]
    return tag("ul", *items, class_="legend", aria_label=label)


def line_legend(entries: Sequence[tuple[int | None, str]], label: str) -> Markup:
    """What lines mean: (series, text) each; series None is a reference line."""
    items = []
    for series, text in entries:
        line = tag(
            "line",
            x1="0",
            x2="34",
            y1="6",
            y2="6",
            class_="reference" if series is None else f"line s{series}",
        )
        items.append(_entry(tag("svg", line, width="34", height="12", aria_hidden="true"), text))
    return tag("ul", *items, class_="legend", aria_label=label)


def shape(series: int, title: str = "") -> Markup:
    """A mark about (0, 0); `title` shows where a pointer rests on it."""
    return tag("path", *([tag("title", title)] if title else []), d=SHAPES[series], class_=f"mark s{series}")


def note(*inner: str) -> Markup:
    """A sentence where there is nothing to draw, or about what is drawn."""
    return tag("p", *inner, class_="note")


def grid(panels: Sequence[str]) -> Markup:
    """Panels side by side where there is room."""
    return tag("div", *panels, class_="panels")


def bullet_list(items: Sequence[str]) -> Markup:
    """Sentences as a list."""
    return tag("ul", *(tag("li", item) for item in items), class_="sentences")


def section(key: str, heading: str, level: str, *inner: str) -> Markup:
    """A part of the page that the contents can point to. level: `h2` makes it a landmark, `h3` does not: too
    many help nobody.
    """
    named = f"{key}-heading" if level == "h2" else None
    return tag("section", tag(level, heading, id=f"{key}-heading"), *inner, id=key, aria_labelledby=named)


def fixed(value: float | None, decimals: int = 2, signed: bool = False) -> str:
    """A number with a true minus sign, or a dash for none."""
    return NOTHING if value is None else f"{value:{'+' if signed else ''}.{decimals}f}".replace("-", "−")


def _entry(swatch: str, text: str) -> Markup:
    return tag("li", swatch, tag("span", text))


def code(text: str) -> Markup:
    """A command or a name."""
    return tag("code", text)


def listed(names: Sequence[str], most: int = 6) -> str:
    """Names with commas between, cut with a count of the others."""
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def plural(count: int, one: str, many: str = "") -> str:
    """`1 run`, `2 runs`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"
