"""One model of what commands print: a document of headings, paragraphs, tables, lists, remarks and figures.

A command builds a `Document`; the writers beside this file (terminal, markdown, html, latex, json) do the
rest. Texts are plain strings, or a few `Phrase`s where a part looks different. No text carries markup: every
writer asks `phrases` for it, which makes it harmless (`benchmark.cli.text`), and escapes what its own format
would read as markup. So a name in somebody's results file can neither steer a terminal nor bring a script.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from markupsafe import Markup

from benchmark.cli.text import printable

Tone = Literal["", "good", "bad", "open", "quiet"]
"""What a text means to the reader: settled well, settled badly, still open, or secondary."""
Look = Literal["", "strong", "emphasis", "code"]

_CODE = re.compile(r"`([^`]+)`")
_ADDRESS = re.compile(r"(?:https?://|mailto:|#|\.{0,2}/|[\w.-]+(?:[/#]|$))\S*")


@dataclass(frozen=True, slots=True)
class Phrase:
    """A part of a text with a look of its own. link: an address; one that could run a script is dropped."""

    text: str
    look: Look = ""
    tone: Tone = ""
    link: str = ""


Inline = str | Phrase | tuple[str | Phrase, ...]
"""A text on one line, or what is wrapped as one."""


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading within the document. level: 2 for a part, 3 for what is within a part."""

    text: Inline
    level: int = 2


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Sentences."""

    text: Inline
    tone: Tone = ""


@dataclass(frozen=True, slots=True)
class Remark:
    """A sentence that must not be overlooked: `fault: …`."""

    text: Inline
    label: str = ""
    tone: Tone = "open"


@dataclass(frozen=True, slots=True)
class ListItem:
    """An entry of a list. label: the term that the text explains. items: a list within the entry."""

    text: Inline
    label: str = ""
    items: tuple[ListItem | Inline, ...] = ()


@dataclass(frozen=True, slots=True)
class TextList:
    """Entries, one under the other."""

    items: tuple[ListItem | Inline, ...]
    numbered: bool = False


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    label: its name where a heading may not be empty (Markdown, HTML). drop: narrow terminals leave the
    columns with the smallest number out first; 0: never. least: width, in characters, down to which its texts
    may be wrapped; 0: never wrapped.
    """

    name: str
    align: Literal["left", "right"] = "right"
    label: str = ""
    drop: int = 0
    least: int = 0


@dataclass(frozen=True, slots=True)
class TextCell:
    """A cell whose text means something: a verdict."""

    text: Inline
    tone: Tone = ""


@dataclass(frozen=True, slots=True)
class TextRow:
    """A row. notes: what is said of it, under its first cell. strong: it sums the others up."""

    cells: tuple[TextCell | Inline, ...]
    notes: tuple[Inline, ...] = ()
    strong: bool = False


@dataclass(frozen=True, slots=True)
class RowGroup:
    """Rows under a title of their own. section: a heading above the title, shown where it changes. notes:
    under the rows.
    """

    rows: tuple[TextRow, ...]
    title: str = ""
    section: str = ""
    notes: tuple[Inline, ...] = ()

    @property
    def name(self) -> str:
        """Section and title on one line."""
        return " ".join(part for part in (self.section, self.title) if part)


@dataclass(frozen=True, slots=True)
class TextTable:
    """A table of texts. group_name: the column of the groups' names in formats that print one table for all
    of them.
    """

    columns: tuple[Column, ...]
    groups: tuple[RowGroup, ...]
    title: str = ""
    notes: tuple[Inline, ...] = ()
    group_name: str = "row"

    @property
    def grouped(self) -> bool:
        """Whether any rows have a name."""
        return any(group.name for group in self.groups)


@dataclass(frozen=True, slots=True)
class Figure:
    """A drawing with its caption. alternative: what it shows, for those who do not see it.

    svg: markup that this project drew; only HTML shows it, other formats print the words.
    """

    caption: Inline
    alternative: str
    svg: Markup


Block = Heading | Paragraph | Remark | TextList | TextTable | Figure


@dataclass(frozen=True, slots=True)
class Document:
    """What a command prints. title: may be empty.

    about: a line on what was looked at. source: whose numbers these are, in small print. level: of the title
    in Markdown (3 where it is pasted into an issue). wrapped: whether lines that are piped or written to a
    file are broken at the width of a page; not where each line is for `grep`.
    """

    title: Inline
    blocks: tuple[Block, ...]
    about: Inline = ""
    source: Inline = ""
    level: int = 1
    wrapped: bool = True


def text_table(
    columns: Sequence[Column | str],
    rows: Sequence[TextRow | Sequence[TextCell | Inline]],
    title: str = "",
    *notes: Inline,
) -> TextTable:
    """A table without groups. A column that is only a name is set left if it is the first, else right."""
    made = (
        Column(column, "right" if index else "left") if isinstance(column, str) else column
        for index, column in enumerate(columns)
    )
    lines = (row if isinstance(row, TextRow) else TextRow(tuple(row)) for row in rows)
    return TextTable(tuple(made), (RowGroup(tuple(lines)),), title, notes)


def phrases(text: Inline) -> tuple[Phrase, ...]:
    """`text` as phrases that are safe to show: on one line, without what steers a terminal or turns the
    direction of writing.
    """
    made = (part if isinstance(part, Phrase) else Phrase(part) for part in parts_of(text))
    return tuple(
        Phrase(printable(part.text), part.look, part.tone, _address(part.link)) for part in made if part.text
    )


def parts_of(text: Inline) -> tuple[str | Phrase, ...]:
    """`text` as a tuple, whichever way it was given."""
    return text if isinstance(text, tuple) else (text,)


def labelled(label: str, text: Inline) -> Inline:
    """`label: text`, the label strong; `text` alone without a label."""
    return (Phrase(label, "strong"), ": ", *parts_of(text)) if label else text


def plain_text(text: Inline) -> str:
    """The words alone, harmless."""
    return "".join(phrase.text for phrase in phrases(text))


def with_code(text: str) -> Inline:
    """`text` with what stands between backticks as code: messages name commands that way."""
    parts = _CODE.split(text)
    return tuple(Phrase(part, "code") if index % 2 else part for index, part in enumerate(parts) if part)


def cell_of(cell: TextCell | Inline) -> TextCell:
    """The cell, whichever way it was given."""
    return cell if isinstance(cell, TextCell) else TextCell(cell)


def list_items(items: Iterable[ListItem | Inline]) -> list[ListItem]:
    """The items of a list, whichever way they were given."""
    return [item if isinstance(item, ListItem) else ListItem(item) for item in items]


def _address(link: str) -> str:
    """`link`, or nothing if it could be more than an address: `javascript:`, `data:`, control characters."""
    return link if _ADDRESS.fullmatch(link) and printable(link) == link else ""
