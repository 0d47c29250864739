"""A document as GitHub Markdown. No text of a file can become markup, an entity, a link or a second line."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from html import escape

from benchmark.rendering.document import (
    Block,
    Document,
    Figure,
    Heading,
    Inline,
    ListItem,
    Paragraph,
    Phrase,
    Remark,
    TextList,
    TextRow,
    TextTable,
    cell_of,
    labelled,
    list_items,
    parts_of,
    phrases,
    plain_text,
)

_ALWAYS = re.compile(r"([\\`*<>|~$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9]))")
"""Markup wherever it stands. Within a word an underscore is only that."""
_ENTITY = re.compile(r"&(?=#?\w+;)")
_LINK = re.compile(r"(\])(?=[(\[:])")
_BRACKET = re.compile(r"([\[\]])")
_START = re.compile(r"^([-+#\[]|\d+(?=[.)]))")
"""What begins a list, a heading or a check box at the start of a line."""


def to_markdown(document: Document) -> str:
    """The document; its title is a heading of `document.level`."""
    parts = [f"{'#' * document.level} {inline(document.title)}"] if document.title else []
    if document.about:
        parts.append(block_text(document.about))
    for block in document.blocks:
        parts += _block(block, document.level)
    if document.source:
        parts.append(f"<sub>{inline(document.source)}</sub>")
    return "\n\n".join(parts) + "\n"


def _block(block: Block, level: int) -> Iterator[str]:
    """The pieces of a block, between which a blank line belongs."""
    match block:
        case Heading(text, depth):
            yield f"{'#' * (level + depth - 1)} {inline(text)}"
        case Paragraph(text):
            yield block_text(text)
        case Remark(text, label):
            yield block_text(labelled(label, text))
        case TextList(items, numbered):
            yield "\n".join(_items(items, numbered))
        case TextTable():
            yield from _table(block)
        case Figure(caption, alternative):
            yield block_text(labelled(plain_text(caption), alternative))


def _items(items: Sequence[ListItem | Inline], numbered: bool, indent: str = "") -> Iterator[str]:
    for number, item in enumerate(list_items(items), 1):
        marker = f"{number}." if numbered else "-"
        yield f"{indent}{marker} {block_text(labelled(item.label, item.text))}"
        yield from _items(item.items, False, indent + "    ")


def _table(table: TextTable) -> Iterator[str]:
    """One table for all groups, their names in its first column; then the notes as a list."""
    if table.title:
        yield block_text(Phrase(table.title, "strong"))
    names = [inline(column.name or column.label, in_table=True) for column in table.columns]
    rules = ["---" if column.align == "left" else "---:" for column in table.columns]
    if table.grouped:
        names, rules = [inline(table.group_name, in_table=True), *names], ["---", *rules]
    lines = [f"| {' | '.join(names)} |".replace("|  |", "| |"), f"| {' | '.join(rules)} |"]
    notes: list[str] = []
    for group in table.groups:
        first = [inline(group.name, in_table=True)] if table.grouped else []
        lines += [f"| {' | '.join([*first, *_cells(row)])} |" for row in group.rows]
        start = (group.name, ": ") if group.name else ()
        notes += [f"- {block_text((*start, *parts_of(note)))}" for note in group.notes]
    if len(lines) > 2:
        yield "\n".join(lines)
    notes += [f"- {block_text(note)}" for note in table.notes]
    if notes:
        yield "\n".join(notes)


def _cells(row: TextRow) -> list[str]:
    texts = [cell_of(cell).text for cell in row.cells]
    if row.strong:
        texts = [text if text == "-" else Phrase(plain_text(text), "strong") for text in texts]
    first, *others = (inline(text, in_table=True) for text in texts)
    return ["<br>".join([first, *(inline(note, in_table=True) for note in row.notes)]), *others]


def block_text(text: Inline) -> str:
    """`text` at the start of a line, where more characters are markup than elsewhere."""
    shown = inline(text).strip()
    first = next((phrase for phrase in phrases(text) if phrase.text.strip()), None)
    if first and first.link:
        return shown  # its bracket begins a link of ours
    return _START.sub(r"\1\\" if shown[:1].isdigit() else r"\\\1", shown, count=1)


def inline(text: Inline, in_table: bool = False) -> str:
    """`text` as Markdown on one line."""
    shown, parts = "", phrases(text)
    for index, phrase in enumerate(parts):
        piece = _phrase(phrase, shown[-1:], plain_text(parts[index + 1 :])[:1], in_table)
        # "]" and "(" of two phrases side by side would make a link.
        if shown.endswith("]") and piece[0] in "([:" and not (phrase.look or phrase.link):
            piece = "\\" + piece
        shown += piece
    return shown


def _phrase(phrase: Phrase, before: str, after: str, in_table: bool) -> str:
    text = escaped(phrase.text, in_link=bool(phrase.link))
    if phrase.look == "code":
        text = _code(phrase.text, in_table)
    elif phrase.look in ("strong", "emphasis"):
        mark, tag = ("**", "b") if phrase.look == "strong" else ("*", "i")
        # The marks only count beside a space or punctuation; elsewhere the element does.
        plain = phrase.text.strip() == phrase.text and _is_boundary(before) and _is_boundary(after)
        text = f"{mark}{text}{mark}" if plain and text else f"<{tag}>{text}</{tag}>"
    return f"[{text}](<{escape(phrase.link)}>)" if phrase.link else text


def _is_boundary(character: str) -> bool:
    return not character or character.isspace() or unicodedata.category(character)[0] in "PS"


def _code(text: str, in_table: bool) -> str:
    """`text` between as many backticks as it needs; in a table, where a bar ends the cell, as an element."""
    if (in_table and "|" in text) or not text.strip():
        return f"<code>{escaped(text)}</code>"
    fence = "`" * (max(map(len, re.findall("`+", text)), default=0) + 1)
    pad = " " if text[0] in "` " or text[-1] in "` " else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def escaped(text: str, in_link: bool = False) -> str:
    """`text`, which is harmless already, with every character that Markdown or HTML reads as markup made
    plain.
    """
    shown = _ENTITY.sub("&amp;", _ALWAYS.sub(r"\\\1", text))
    return (_BRACKET if in_link else _LINK).sub(r"\\\1", shown)
