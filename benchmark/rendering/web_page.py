"""HTML from Jinja2 templates: everything is escaped, and made harmless before (`benchmark.cli.text`)."""

from __future__ import annotations

from functools import cache
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from benchmark.cli.text import printable
from benchmark.rendering.palette import COLOURS


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
    """A package's template with its values. Texts are escaped; only `Markup`, which this project made, is not.

    Args:
        package: whose folder `templates` has it; it may extend and import those of this package.
    """
    return environment(package).get_template(template).render(**values)


def harmless(value: Any) -> Any:
    """A text that is not markup, without what is no text."""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value
