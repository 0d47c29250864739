"""Documents and their writers: a command builds a `Document` (`document`), which is shown in one of the
`SUFFIXES`' formats.

terminal   rich, for reading here; plain text where the output is piped
markdown   for an issue or a README
latex      booktabs tables for an appendix
html       one page without network, light and dark
json       the document's structure; commands whose JSON is documented write their own
"""

from __future__ import annotations

from benchmark.rendering.document import Document

SUFFIXES = {"terminal": ".txt", "markdown": ".md", "latex": ".tex", "html": ".html", "json": ".json"}


def render(document: Document, form: str) -> str:
    """The document as text in one of `SUFFIXES`; `terminal` without colours."""
    # A writer is imported when it is asked for: rich and Jinja2 cost a fifth of a second.
    if form == "markdown":
        from benchmark.rendering.markdown import to_markdown as write
    elif form == "latex":
        from benchmark.rendering.latex import to_latex as write
    elif form == "html":
        from benchmark.rendering.html import to_html as write
    elif form == "json":
        from benchmark.rendering.json import to_json as write
    else:
        from benchmark.rendering.terminal import to_text as write
    return write(document)


def print_document(document: Document) -> None:
    """Print to the terminal."""
    from benchmark.rendering.terminal import print_document as write

    write(document)
