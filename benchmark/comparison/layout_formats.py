"""A `Report` in five formats. `layout` says what stands where, as text; the others only dress it.

terminal   rich, for reading here
markdown   for an issue or a README
latex      a booktabs table for an appendix
html       one page without network, light and dark
json       the documented, stable form (docs/compare.md)
"""

from __future__ import annotations

from benchmark.comparison.report import Report

SUFFIXES = {"terminal": ".txt", "markdown": ".md", "latex": ".tex", "html": ".html", "json": ".json"}


def render(report: Report, form: str) -> str:
    """The report as text in one of `SUFFIXES`; `terminal` without colours, 120 columns wide."""
    if form == "json":
        from benchmark.comparison.report_json import to_json

        return to_json(report)
    from benchmark.comparison.layout import lay_out

    layout = lay_out(report)
    if form == "markdown":
        from benchmark.comparison.layout_markdown import to_markdown

        return to_markdown(layout)
    if form == "latex":
        from benchmark.comparison.layout_latex import to_latex

        return to_latex(layout)
    if form == "html":
        from benchmark.comparison.layout_page import to_html

        return to_html(layout)
    from benchmark.comparison.layout_terminal import to_text

    return to_text(layout)
