"""HTML from the templates beside this file: everything is escaped, and made harmless before
(`benchmark.cli.text`).
"""

from __future__ import annotations

from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from benchmark.cli.text import printable


@cache
def environment() -> Environment:
    """Where the templates are found, and how they are read."""
    return Environment(
        loader=PackageLoader("benchmark.rendering"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=harmless,
    )


def render_page(template: str, **values: Any) -> str:
    """A template with its values. Texts are escaped; only `Markup`, which this project made, is not."""
    return environment().get_template(template).render(**values)


def harmless(value: Any) -> Any:
    """A text that is not markup, without what is no text."""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value
