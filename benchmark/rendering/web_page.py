"""HTML from Jinja2 templates: everything is escaped, and made harmless before (`benchmark.cli.text`)."""

from __future__ import annotations

from functools import cache
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from benchmark.cli.text import printable

COLOURS = {
    "ground": ("#fdfcf9", "#14171a"),
    "panel": ("#f5f3ed", "#1c2024"),
    "ink": ("#1b1e22", "#e9e6df"),
    "quiet": ("#585d64", "#a6abb1"),
    "rule": ("#d8d4ca", "#373d43"),
    "edge": ("#8b8d8f", "#757c84"),
    "accent": ("#14508c", "#8fbfee"),
    "good": ("#17693a", "#72d393"),
    "bad": ("#b3261e", "#ff9086"),
    "open": ("#855600", "#efc163"),
    "gated": ("#737a85", "#8a919b"),
    "faint": ("#e3dfd5", "#2b3137"),
    "claimed": ("#e6edf4", "#22303d"),
    "good-ground": ("#e3f0e6", "#193323"),
    "bad-ground": ("#fae6e3", "#40211f"),
    "open-ground": ("#f7edd8", "#3a2f18"),
    "quiet-ground": ("#edeae3", "#282d32"),
}
"""Colours of pages, {name: (light, dark)}: texts have a contrast of at least 4.5 to their ground, marks of at
least 3. A page's style sheet has them as custom properties, `--ground`.
"""


@cache
def environment(package: str = __package__) -> Environment:
    """Where the templates of a package and of this one are found, and how they are read."""
    made = Environment(
        loader=ChoiceLoader([PackageLoader(package), PackageLoader(__package__)]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=harmless,
    )
    made.globals["colours"] = COLOURS
    return made


def render_page(template: str, package: str = __package__, **values: Any) -> str:
    """A package's template with its values. Texts are escaped; only `Markup`, which this project made, is
    not.

    Args:
        package: whose folder `templates` has it; it may extend and import those of this package.
    """
    return environment(package).get_template(template).render(**values)


def harmless(value: Any) -> Any:
    """A text that is not markup, without what is no text."""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value
