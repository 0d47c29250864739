"""A document as HTML: a page without network or script, in light and dark."""

from __future__ import annotations

from markupsafe import Markup

from benchmark.rendering.document import Document, Inline, cell_of, list_items, phrases, plain_text
from benchmark.rendering.web_page import render_page

_ELEMENTS = {"strong": "b", "emphasis": "i", "code": "code"}


def to_html(document: Document) -> str:
    """The page; verdicts are words, coloured besides."""
    return render_page(
        "document.html.j2",
        document=document,
        inline=inline,
        plain=plain_text,
        cell_of=cell_of,
        list_items=list_items,
    )


def inline(text: Inline) -> Markup:
    """`text` as markup."""
    shown = Markup("")
    for phrase in phrases(text):
        piece = Markup.escape(phrase.text)
        if phrase.look:
            piece = Markup("<{0}>{1}</{0}>").format(Markup(_ELEMENTS[phrase.look]), piece)
        if phrase.tone:
            piece = Markup('<span class="{}">{}</span>').format(phrase.tone, piece)
        if phrase.link:
            piece = Markup('<a href="{}">{}</a>').format(phrase.link, piece)
        shown += piece
    return shown
