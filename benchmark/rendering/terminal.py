"""A document in the terminal, by rich: narrow terminals lose secondary columns first; a pipe gets plain
text.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator

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
    RowGroup,
    TextList,
    TextTable,
    cell_of,
    item_of,
    phrases,
    plain_text,
)

WIDTH = 132
"""Columns of output that is piped or written to a file."""
NARROWEST = 8
"""Width below which a column is not squeezed: rich breaks the words then."""
STYLES = {"good": "green", "bad": "bold red", "open": "yellow", "quiet": "dim", "": ""}
LOOKS = {"strong": "bold", "emphasis": "italic", "code": "", "": ""}


def print_document(document: Document) -> None:
    """Print to the terminal, in colour and as wide as it is; piped output is that of `to_text`."""
    console = Console(highlight=False)
    if console.is_terminal:
        console.print(Group(*_parts(document, console.width)))
    else:
        sys.stdout.write(to_text(document))


def to_text(document: Document) -> str:
    """The same without colours, `WIDTH` columns wide, or as wide as its longest line where lines are not to
    be broken.
    """
    width, parts = WIDTH, list(_parts(document, WIDTH))
    if not document.wrapped:
        wide = Console(file=io.StringIO(), width=1_000_000)
        parts = list(_parts(document, 1_000_000))
        width = max(WIDTH, *(wide.measure(part).maximum + 1 for part in parts))
    stream = io.StringIO()
    Console(file=stream, width=width, highlight=False, color_system=None).print(Group(*parts))
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines()) + "\n"


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
    if isinstance(block, Paragraph):
        yield _text(block.text, STYLES[block.tone])
    elif isinstance(block, Remark):
        label = Text(f"{plain_text(block.label)}: " if block.label else "", style=STYLES[block.tone])
        yield label + _text(block.text)
    elif isinstance(block, TextList):
        yield _list(block)
    elif isinstance(block, TextTable):
        yield from _table(block, width)
    elif isinstance(block, Figure):
        yield _text(block.caption, "bold")
        yield Padding(_text(block.alternative, "dim"), (0, 0, 0, 2))


def _text(text: Inline, style: str = "", before: str = "") -> Text:
    shown = Text(before, style=style)
    for phrase in phrases(text):
        words = f"`{phrase.text}`" if phrase.look == "code" else phrase.text
        link = f" <{phrase.link}>" if phrase.link and phrase.link != phrase.text else ""
        shown.append(
            words + link, style=" ".join(part for part in (LOOKS[phrase.look], STYLES[phrase.tone]) if part)
        )
    return shown


def _list(block: TextList) -> Table:
    """Labels, or numbers, or hyphens in one column, the entries in the other."""
    items = [item_of(item) for item in block.items]
    grid = Table.grid(padding=(0, 2 if any(item.label for item in items) and not block.numbered else 1))
    for number, item in enumerate(items, 1):
        if number > 1 and items[number - 2].items:
            grid.add_row("", "")
        text = _text(item.text)
        if block.numbered and item.label:
            text = Text(f"{plain_text(item.label)}: ", style="bold") + text
        marker = f"{number}." if block.numbered else plain_text(item.label) or "-"
        grid.add_row(Text(marker, style="bold"), text)
        if item.items:
            grid.add_row("", _list(TextList(item.items)))
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
        if group.rows:
            yield from _group(table, group, widths, headed, indent)
        yield from (_note(note, indent) for note in group.notes)
    yield from (_note(note, indent) for note in table.notes)


def _note(note: Inline, indent: int) -> Padding:
    return Padding(_text(note, "dim"), (0, 0, 0, indent), expand=False)


def _group(
    table: TextTable, group: RowGroup, widths: dict[int, int], headed: bool, indent: int
) -> Iterator[RenderableType]:
    """The rows, each with its notes over the whole width; a blank line between them where any has notes."""
    spaced = any(row.notes for row in group.rows)
    part = _empty(table, widths, headed)
    for row in group.rows:
        cells = [cell_of(row.cells[index]) for index in widths]
        texts = [_text(cell.text, STYLES[cell.tone]) for cell in cells]
        part.add_row(*texts, style="bold" if row.strong else "")
        if spaced or row is group.rows[-1]:
            yield Padding(part, (0, 0, 0, indent), expand=False)
            part = _empty(table, widths, headed=False)
            yield from (_note(note, indent) for note in row.notes)
            if row is not group.rows[-1]:
                yield Text("")


def _empty(table: TextTable, widths: dict[int, int], headed: bool) -> Table:
    shown = Table(box=None, show_header=headed, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for index, width in widths.items():
        column = table.columns[index]
        shown.add_column(_text(column.name), width=width, justify=column.align)
    return shown


def column_widths(table: TextTable, available: int) -> dict[int, int]:
    """{column: width} of the columns that fit side by side into `available` characters.

    Every column is as wide as its longest text. Where that is too much, columns that may be dropped go first,
    in the order of `drop`; then those that may be wrapped share what is left, the one that lacks least first;
    then the widest are squeezed.
    """
    natural = [cell_len(plain_text(column.name)) for column in table.columns]
    for row in (row for group in table.groups for row in group.rows):
        for index, cell in enumerate(row.cells):
            natural[index] = max(natural[index], cell_len(_text(cell_of(cell).text).plain))
    least = [min(wide, column.least or wide) for wide, column in zip(natural, table.columns, strict=True)]
    shown = list(range(len(natural)))
    while sum(least[index] + 2 for index in shown) - 2 > available:
        secondary = [index for index in shown if table.columns[index].drop]
        if not secondary:
            break
        shown.remove(min(secondary, key=lambda index: table.columns[index].drop))
    widths = {index: least[index] for index in shown}
    room = available - sum(width + 2 for width in widths.values()) + 2
    for index in sorted(shown, key=lambda index: natural[index] - widths[index]):
        more = max(0, min(room, natural[index] - widths[index]))
        widths[index] += more
        room -= more
    while room < 0 and max(widths.values()) > NARROWEST:
        widest = max(widths, key=lambda index: widths[index])
        widths[widest] -= 1
        room += 1
    return widths
