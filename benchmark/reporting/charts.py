"""What surrounds drawings on a page: captions, legends, the same data as a table, and sections of them.

Templates write these; `templates/charts.html.j2` says how.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from benchmark.rendering.web_page import COLOURS, render_page
from benchmark.reporting.chart_colours import DASHES, variables
from benchmark.reporting.svg import mark, tag


@dataclass(frozen=True, slots=True)
class Legend:
    """What marks, lines or colours mean. entries: a drawn sample and its text.

    scale: of a colour bar, whose one sample runs from 0 to what its text says.
    """

    label: str
    entries: tuple[tuple[Markup, str], ...]
    scale: bool = False


@dataclass(frozen=True, slots=True)
class DataTable:
    """A plain table; the first cell of a row is its heading."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawing with its caption and the same data as a table.

    key: of ids on the page, `<section>-<number>`, never made of names in the data, so no two are the same.
    scrolls: it has a least width, and on a phone scrolls sideways in its box.
    """

    key: str
    title: str
    drawing: Markup
    data: DataTable
    scrolls: bool = False


@dataclass(frozen=True, slots=True)
class ChartSection:
    """A part of a page. note: a sentence where there is nothing to draw. reading: how to read the charts."""

    key: str
    heading: str
    note: str = ""
    reading: str = ""
    sentences: Sequence[str] = ()
    legend: Legend | None = None
    charts: Sequence[Chart] = ()
    parts: Sequence[ChartSection] = ()


def chart_page(template: str, **values: object) -> str:
    """The page that a template of this room makes of `values`."""
    return render_page(template, __package__, colours=COLOURS | variables(), dashes=DASHES, **values)


def mark_legend(entries: Sequence[tuple[int, str]], label: str) -> Legend:
    """What marks of a scatter plot mean: (series, text) each."""
    view = {"width": "16", "height": "16", "viewBox": "-8 -8 16 16", "aria_hidden": "true"}
    return Legend(label, tuple((tag("svg", mark(series), **view), text) for series, text in entries))


def line_legend(entries: Sequence[tuple[int | None, str]], label: str) -> Legend:
    """What lines mean: (series, text) each; series None is a reference line."""
    samples = []
    for series, text in entries:
        kind = "reference" if series is None else f"line s{series}"
        line = tag("line", x1="0", x2="34", y1="6", y2="6", class_=kind)
        samples.append((tag("svg", line, width="34", height="12", aria_hidden="true"), text))
    return Legend(label, tuple(samples))
