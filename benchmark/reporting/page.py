"""The whole page: one file that loads nothing, runs no script, and holds the same content in light and dark,
wide and narrow.
"""

from __future__ import annotations

from benchmark.reporting import claims, deviation, masks, overview, provenance, tables, training
from benchmark.reporting.gather import Gathered
from benchmark.reporting.markup import Markup, tag
from benchmark.reporting.style import stylesheet

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""The browser's own guard: nothing but the page's style sheet (and the empty icon) is allowed."""
PARTS = {
    "overview": ("Overview", ()),
    "claims": ("Claims", ()),
    "tables": ("Tables", ()),
    "masks": ("Masks", (("density", "Density"), ("overlap", "Overlap"))),
    "deviation": ("Weight deviation", (("deviation-f1", "Against F1"), ("deviation-layers", "By layer"))),
    "training": ("Training", (("curves", "Learning curves"), ("weights", "Sampling weights"))),
    "provenance": (
        "Provenance",
        (("runs", "Runs"), ("environment", "Environment"), ("commands", "Commands")),
    ),
}


def page(gathered: Gathered, command: str) -> str:
    """The report as HTML; `command` made it."""
    name = f"Reproducibility report, profile {gathered.profile}"
    main = tag(
        "main",
        overview.overview(gathered),
        claims.claims(gathered),
        tables.tables(gathered),
        masks.masks(gathered.runs),
        deviation.deviation(gathered.runs),
        training.training(gathered.curves),
        provenance.provenance(gathered, command),
        id="content",
        tabindex="-1",
    )
    seeds = "all seeds" if gathered.seeds is None else f"seeds {', '.join(map(str, gathered.seeds))}"
    header = tag(
        "header",
        tag("h1", "Reproducibility report"),
        tag("p", gathered.paper.title, class_="about"),
        tag("p", f"profile {gathered.profile} · {seeds} · results in {gathered.source}", class_="quiet"),
    )
    footer = tag("footer", tag("p", f"Made by {command}. The page loads nothing and runs no script."))
    skip = tag("a", "Skip to the content", href="#content", class_="skip")
    body = tag("body", skip, header, tag("div", _contents(gathered), main, class_="columns"), footer)
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        Markup(f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("link", rel="icon", href="data:,"),
        tag("title", name),
        tag("style", Markup(stylesheet())),
    )
    text = f'<!DOCTYPE html>\n<html lang="en">{head}{body}</html>\n'
    return text.encode("utf-8", "replace").decode(
        "utf-8"
    )  # JSON can hold half a surrogate pair, a file cannot


def _contents(gathered: Gathered) -> Markup:
    entries = []
    for key, (name, inner) in PARTS.items():
        below = (
            [(f"table-{table.key}", table.name) for table in gathered.tables] if key == "tables" else inner
        )
        nested = (
            [tag("ul", *(tag("li", tag("a", text, href=f"#{place}")) for place, text in below))]
            if below
            else []
        )
        entries.append(tag("li", tag("a", name, href=f"#{key}"), *nested))
    return tag("nav", tag("ul", *entries), aria_label="Contents")
