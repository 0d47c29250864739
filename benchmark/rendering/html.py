"""A document as HTML: a whole page without network or script, in light and dark, or a fragment of one."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from benchmark.rendering.document import (
    Block,
    Document,
    Inline,
    ListItem,
    cell_of,
    item_of,
    phrases,
    plain_text,
)
from benchmark.rendering.web_page import environment

_ELEMENTS = {"strong": "b", "emphasis": "i", "code": "code"}


def to_html(document: Document) -> str:
    """The page; verdicts are words, coloured besides."""
    return _render("document.html.j2", document, 1)


def to_fragment(document: Document) -> Markup:
    """The title, as a heading of `document.level`, and the blocks, to stand within a page."""
    return Markup(_render("fragment.html.j2", document, document.level))


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


def entries(items: Sequence[ListItem | Inline]) -> list[ListItem]:
    """The items of a list, each with its label."""
    return [item_of(item) for item in items]


def _render(template: str, document: Document, level: int) -> str:
    words = {"inline": inline, "plain": plain_text, "cell_of": cell_of, "entries": entries, "kind": _kind}
    return environment().get_template(template).render(document=document, level=level, **words)


def _kind(block: Block) -> str:
    return type(block).__name__
