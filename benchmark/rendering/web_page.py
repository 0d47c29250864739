"""HTML pages from Jinja2 templates: one skeleton and one style sheet for all. A page loads nothing and runs no script.

Whatever a template is given is escaped, unless it is `Markup`: no name in a results file can become markup.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from benchmark.rendering import palette

TEMPLATES = Path(__file__).parent / "templates"
"""The skeleton `page.html.j2`, its style sheet and its macros."""


def render_page(template: str, folder: Path = TEMPLATES, **values: object) -> str:
    """The page that `template` makes of `values`.

    Args:
        template: a file of `folder`; it may extend and import those of TEMPLATES.

    Raises:
        jinja2.UndefinedError: the template names a value that it was not given.
    """
    text = _environment(folder).get_template(template).render(values)
    return text.encode("utf-8", "replace").decode("utf-8")  # JSON can hold half a surrogate pair, a file cannot


@cache
def _environment(folder: Path) -> Environment:
    folders = dict.fromkeys((folder, TEMPLATES))
    environment = Environment(
        loader=FileSystemLoader(list(folders)),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["palette"] = palette
    return environment
