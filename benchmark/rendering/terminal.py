"""A document in the terminal, by rich: narrow terminals lose secondary columns first; a pipe gets plain
text.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator, Sequence

from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from benchmark.rendering.document import (
    Block,
    Document,
    Figure,
    Heading,
    Inline,
    Paragraph,
    Remark,
    TextList,
    TextRow,
    TextTable,
    cell_of,
    labelled,
    list_items,
    phrases,
    plain_text,
)

WIDTH = 132
"""Columns of output that is piped or written to a file."""
ENDLESS = 1_000_000
"""Columns where no line is to be broken."""
NARROWEST = 8
"""Width below which a column is not squeezed."""
STYLES = {"good": "green", "bad": "bold red", "open": "yellow", "quiet": "dim", "": ""}
LOOKS = {"strong": "bold", "emphasis": "italic", "code": "", "": ""}


def print_document(document: Document) -> None:
    """Print to the terminal, in colour and as wide as it is; piped output is that of `to_text`."""
    console = Console(highlight=False)
    if console.is_terminal:
        console.print(_whole(document, console.width))
    else:
        sys.stdout.write(to_text(document))


def to_text(document: Document) -> str:
    """The same without colours, `WIDTH` columns wide, or as wide as its longest line where lines are not to
    be broken.
    """
    width, stream = WIDTH if document.wrapped else ENDLESS, io.StringIO()
    Console(file=stream, width=width, highlight=False, color_system=None).print(_whole(document, width))
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines()) + "\n"


def _whole(document: Document, width: int) -> Group:
    return Group(*_parts(document, width))


def _parts(document: Document, width: int) -> Iterator[RenderableType]:
    """What rich prints, from top to bottom; a blank line between blocks of different kinds."""
    for text, style in ((document.title, "bold"), (document.source, "dim"), (document.about, "")):
        if text:
            yield _text(text, style)
    last: Block | None = None
    for block in document.blocks:
        if isinstance(block, Heading):
            gap = "\n" if block.level == 2 or not isinstance(last, Heading) else ""
            yield _text(block.text, "bold cyan" if block.level == 2 else "bold", before=gap)
        else:
            together = Heading if isinstance(block, TextList | TextTable) else Heading | type(block)
            if not isinstance(last, together) and (last or document.title):
                yield Text("")
            yield from _block(block, width)
        last = block


def _block(block: Block, width: int) -> Iterator[RenderableType]:
    match block:
        case Paragraph(text, tone):
            yield _text(text, STYLES[tone])
        case Remark(text, label, tone):
            yield _text(f"{label}: " if label else "", STYLES[tone]) + _text(text)
        case TextList():
            yield _list(block)
        case TextTable():
            yield from _table(block, width)
        case Figure(caption, alternative):
            yield _text(caption, "bold")
            yield _note(alternative, 2)


def _text(text: Inline, style: str = "", before: str = "") -> Text:
    shown = Text(before, style=style)
    for phrase in phrases(text):
        words = f"`{phrase.text}`" if phrase.look == "code" else phrase.text
        link = f" <{phrase.link}>" if phrase.link not in ("", phrase.text) else ""
        shown.append(words + link, style=f"{LOOKS[phrase.look]} {STYLES[phrase.tone]}".strip())
    return shown


def _list(block: TextList) -> Table:
    """Labels, or numbers, or hyphens in one column, the entries in the other."""
    items = list_items(block.items)
    grid = Table.grid(padding=(0, 2 if any(item.label for item in items) and not block.numbered else 1))
    for number, item in enumerate(items, 1):
        marker, text = (
            (f"{number}.", labelled(item.label, item.text))
            if block.numbered
            else (item.label or "-", item.text)
        )
        grid.add_row(_text(marker, "bold"), _text(text))
        if item.items:
            grid.add_row("", _list(TextList(item.items)))
            if number < len(items):
                grid.add_row("", "")
    return grid


def _table(table: TextTable, width: int) -> Iterator[RenderableType]:
    """One table of rich's for every group; the columns of all are equally wide, so that they read as one."""
    indent = 4 if table.grouped else 2
    widths = column_widths(table, width - indent)
    if table.title:
        yield _text(table.title, "bold")
    section = ""
    for number, group in enumerate(table.groups):
        headed = number == 0 or group.section not in ("", section)
        if group.section and group.section != section:
            yield _text(group.section, "bold cyan", before="\n" if number else "")
        section = group.section or section
        if group.title:
            yield _text(group.title, "bold", before="  ")
        yield from _group(table, group.rows, widths, headed, indent)
        yield from (_note(note, indent) for note in group.notes)
    yield from (_note(note, indent) for note in table.notes)


def _note(note: Inline, indent: int) -> Padding:
    return Padding(_text(note, "dim"), (0, 0, 0, indent), expand=False)


def _group(
    table: TextTable, rows: Sequence[TextRow], widths: dict[int, int], headed: bool, indent: int
) -> Iterator[RenderableType]:
    """The rows, each with its notes over the whole width; a blank line between them where any has notes."""
    spaced = any(row.notes for row in rows)
    for number, part in enumerate([[row] for row in rows] if spaced else [rows] if rows else []):
        if number:
            yield Text("")
        shown = Table(
            box=None,
            show_header=headed and not number,
            pad_edge=False,
            header_style="dim",
            padding=(0, 2, 0, 0),
        )
        for index, width in widths.items():
            column = table.columns[index]
            # A word longer than its column is broken, not cut off.
            shown.add_column(_text(column.name), width=width, justify=column.align, overflow="fold")
        for row in part:
            cells = [cell_of(row.cells[index]) for index in widths]
            shown.add_row(
                *(_text(cell.text, STYLES[cell.tone]) for cell in cells), style="bold" if row.strong else ""
            )
        yield Padding(shown, (0, 0, 0, indent), expand=False)
        yield from (_note(note, indent) for note in part[-1].notes)


def column_widths(table: TextTable, available: int) -> dict[int, int]:
    """{column: width} of the columns that fit side by side into `available` characters.

    Every column is as wide as its longest text. Where that is too much, columns that may be dropped go first,
    in the order of `drop`; then those that may be wrapped share what is left, the one that lacks least first;
    then the widest are squeezed. No column gets narrower than the longest word of its heading.
    """
    words = [max(map(cell_len, plain_text(column.name).split()), default=0) for column in table.columns]
    natural = [cell_len(plain_text(column.name)) for column in table.columns]
    for row in (row for group in table.groups for row in group.rows):
        for index, cell in enumerate(row.cells):
            natural[index] = max(natural[index], cell_len(_text(cell_of(cell).text).plain))
    widths = {
        index: min(natural[index], max(column.least or natural[index], words[index]))
        for index, column in enumerate(table.columns)
    }
    droppable = sorted(
        (index for index in widths if table.columns[index].drop), key=lambda index: table.columns[index].drop
    )

    def room() -> int:
        return available + 2 - sum(width + 2 for width in widths.values())

    while room() < 0 and droppable:
        del widths[droppable.pop(0)]
    for index in sorted(widths, key=lambda index: natural[index] - widths[index]):
        widths[index] += max(0, min(room(), natural[index] - widths[index]))
    while room() < 0 and (
        wide := [index for index in widths if widths[index] > max(NARROWEST, words[index])]
    ):
        widths[max(wide, key=widths.__getitem__)] -= 1
    return widths
