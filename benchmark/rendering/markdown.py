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
    item_of,
    named_groups,
    phrases,
)

_ALWAYS = re.compile(r"([\\`*<>|~$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9]))")
"""Markup wherever it stands. Within a word an underscore is only that."""
_ENTITY = re.compile(r"&(?=#?\w+;)")
_LINK = re.compile(r"\](?=[(\[:])")
_BRACKET = re.compile(r"([\[\]])")
_START = re.compile(r"([-+#\[]|\d+(?=[.)]))")
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
    if isinstance(block, Heading):
        yield f"{'#' * (level + block.level - 1)} {inline(block.text)}"
    elif isinstance(block, Paragraph):
        yield block_text(block.text)
    elif isinstance(block, Remark):
        yield block_text((*_label(block.label), *_parts(block.text)))
    elif isinstance(block, TextList):
        yield "\n".join(_items(block.items, block.numbered))
    elif isinstance(block, TextTable):
        yield from _table(block)
    elif isinstance(block, Figure):
        yield block_text((*_parts(block.caption), ": ", block.alternative))


def _items(items: Sequence[ListItem | Inline], numbered: bool, indent: str = "") -> Iterator[str]:
    for number, item in enumerate(map(item_of, items), 1):
        marker = f"{number}." if numbered else "-"
        yield f"{indent}{marker} {block_text((*_label(item.label), *_parts(item.text)))}"
        yield from _items(item.items, False, indent + "    ")


def _table(table: TextTable) -> Iterator[str]:
    """One table for all groups, their names in its first column; then the notes as a list."""
    if table.title:
        yield block_text(Phrase(table.title, "strong"))
    names = [inline(column.name or column.label, in_table=True) for column in table.columns]
    rules = ["---" if column.align == "left" else "---:" for column in table.columns]
    first: list[str] = []
    if table.grouped:
        names, rules, first = [inline(table.group_name, in_table=True), *names], ["---", *rules], [""]
    lines = [f"| {' | '.join(names)} |".replace("|  |", "| |"), f"| {' | '.join(rules)} |"]
    notes: list[str] = []
    for name, group in named_groups(table):
        first = [inline(name, in_table=True)] if table.grouped else []
        lines += [f"| {' | '.join([*first, *_cells(row)])} |" for row in group.rows]
        notes += [f"- {block_text((name, ': ', *_parts(note)) if name else note)}" for note in group.notes]
    if len(lines) > 2:
        yield "\n".join(lines)
    notes += [f"- {block_text(note)}" for note in table.notes]
    if notes:
        yield "\n".join(notes)


def _cells(row: TextRow) -> list[str]:
    texts = [cell_of(cell).text for cell in row.cells]
    if row.strong:
        texts = [
            text if text == "-" else tuple(Phrase(part.text, "strong") for part in phrases(text))
            for text in texts
        ]
    cells = [inline(text, in_table=True) for text in texts]
    return ["<br>".join([cells[0], *(inline(note, in_table=True) for note in row.notes)]), *cells[1:]]


def _label(label: str) -> tuple[str | Phrase, ...]:
    return (Phrase(label, "strong"), ": ") if label else ()


def _parts(text: Inline) -> tuple[str | Phrase, ...]:
    return text if isinstance(text, tuple) else (text,)


def block_text(text: Inline) -> str:
    """`text` at the start of a line, where more characters are markup than elsewhere."""
    shown = inline(text).strip()
    return (
        _START.sub(r"\\\1" if not shown[:1].isdigit() else r"\1\\", shown, count=1)
        if _START.match(shown)
        else shown
    )


def inline(text: Inline, in_table: bool = False) -> str:
    """`text` as Markdown on one line."""
    parts = phrases(text)
    shown = ""
    for index, phrase in enumerate(parts):
        after = parts[index + 1].text[:1] if index + 1 < len(parts) else ""
        piece = _phrase(phrase, shown[-1:], after, in_table)
        # "]" and "(" of two phrases side by side would make a link.
        shown += (
            f"\\{piece}"
            if shown.endswith("]") and piece[:1] in ("(", "[", ":") and not phrase.look and not phrase.link
            else piece
        )
    return shown


def _phrase(phrase: Phrase, before: str, after: str, in_table: bool) -> str:
    text = escaped(phrase.text)
    if phrase.link:
        text = _BRACKET.sub(r"\\\1", _ENTITY.sub("&amp;", _ALWAYS.sub(r"\\\1", phrase.text)))
    if phrase.look == "code":
        text = _code(phrase.text, in_table)
    elif phrase.look in ("strong", "emphasis"):
        mark, tag = ("**", "b") if phrase.look == "strong" else ("*", "i")
        # The marks only count beside a space or punctuation; elsewhere the element does.
        plain = phrase.text.strip() == phrase.text and _apart(before) and _apart(after)
        text = f"{mark}{text}{mark}" if plain and text else f"<{tag}>{text}</{tag}>"
    return f"[{text}](<{escape(phrase.link)}>)" if phrase.link else text


def _apart(character: str) -> bool:
    return not character or character.isspace() or unicodedata.category(character)[0] in "PS"


def _code(text: str, in_table: bool) -> str:
    """`text` between as many backticks as it needs; in a table, where a bar ends the cell, as an element."""
    if (in_table and "|" in text) or not text.strip():
        return f"<code>{escaped(text)}</code>"
    fence = "`" * (max(map(len, re.findall("`+", text)), default=0) + 1)
    pad = " " if text[0] in "` " or text[-1] in "` " else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def escaped(text: str) -> str:
    """`text`, which is harmless already, with every character that Markdown or HTML reads as markup made
    plain.
    """
    return _LINK.sub(r"\\]", _ENTITY.sub("&amp;", _ALWAYS.sub(r"\\\1", text)))
