r"""A document in LaTeX, for an appendix: needs the packages booktabs, longtable and, where there are links,
hyperref.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

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
    TextTable,
    cell_of,
    labelled,
    list_items,
    phrases,
    plain_text,
)

SPECIAL = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "`": r"\textasciigrave{}",
    "±": r"$\pm$",
    "−": "$-$",
    "×": r"$\times$",
    "Δ": r"$\Delta$",
    "≈": r"$\approx$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "→": r"$\rightarrow$",
    "<": r"$<$",
    ">": r"$>$",
    "·": r"$\cdot$",
    "“": "``",
    "”": "''",
    "–": "--",
    "—": "---",
    "…": r"\ldots{}",
}
_HYPHENS = re.compile("-(?=-)")
COMMANDS = {"strong": "textbf", "emphasis": "emph", "code": "texttt"}
LONG = 30
"""Characters beyond which a column that may wrap does."""


def to_latex(document: Document) -> str:
    """Paragraphs, lists and a longtable for every table; a first table without a title has the document's."""
    lines = [r"% needs \usepackage{booktabs,longtable}"]
    title = " ".join(inline(text) for text in (document.title, document.about) if text)
    if not document.blocks or not isinstance(document.blocks[0], TextTable) or document.blocks[0].title:
        lines += [rf"\section*{{{inline(document.title)}}}"] if document.title else []
        lines += [inline(document.about)] if document.about else []
        title = ""
    for block in document.blocks:
        lines += ["", *_block(block, title)]
        title = ""
    if document.source:
        lines += ["", rf"{{\footnotesize {inline(document.source)}}}"]
    return "\n".join(lines) + "\n"


def _block(block: Block, title: str) -> Iterator[str]:
    match block:
        case Heading(text, level):
            yield rf"\{'sub' * (level - 1)}section*{{{inline(text)}}}"
        case Paragraph(text):
            yield inline(text)
        case Remark(text, label):
            yield inline(labelled(label, text))
        case TextList(items, numbered):
            yield from _list(items, "enumerate" if numbered else "itemize")
        case TextTable():
            yield from _table(block, title)
        case Figure(caption, alternative):
            yield inline(labelled(plain_text(caption), alternative))


def _list(items: tuple[ListItem | Inline, ...], kind: str) -> Iterator[str]:
    yield rf"\begin{{{kind}}}"
    for item in list_items(items):
        yield rf"\item {inline(labelled(item.label, item.text))}"
        if item.items:
            yield from _list(item.items, "itemize")
    yield rf"\end{{{kind}}}"


def _table(table: TextTable, title: str) -> Iterator[str]:
    rows = [row for group in table.groups for row in group.rows]
    long = {
        index
        for index, column in enumerate(table.columns)
        if column.least and any(len(plain_text(cell_of(row.cells[index]).text)) > LONG for row in rows)
    }
    wide = f"p{{{0.5 / max(1, len(long)):.2g}\\linewidth}}"
    kinds = (wide if index in long else column.align[0] for index, column in enumerate(table.columns))
    yield rf"\begin{{longtable}}{{{''.join(kinds)}}}"
    if caption := inline(table.title) if table.title else title:
        yield rf"\caption{{{caption}}} \\"
    yield r"\toprule"
    yield _line(inline(column.name) for column in table.columns)
    if not table.grouped:
        yield r"\midrule"
    note = rf"\multicolumn{{{len(table.columns)}}}{{p{{.95\linewidth}}}}{{\footnotesize %s}} \\"
    for group in table.groups:
        if group.name:
            yield r"\midrule"
            yield rf"\multicolumn{{{len(table.columns)}}}{{l}}{{\textbf{{{inline(group.name)}}}}} \\"
        for row in group.rows:
            texts = [inline(cell_of(cell).text) for cell in row.cells]
            yield _line(rf"\textbf{{{text}}}" if row.strong else text for text in texts)
            yield from (note % inline(text) for text in row.notes)
        yield from (note % inline(text) for text in group.notes)
    yield r"\bottomrule"
    yield r"\end{longtable}"
    yield from (rf"{{\footnotesize {inline(text)}}}" for text in table.notes)


def _line(cells: Iterable[str]) -> str:
    return rf"{' & '.join(cells)} \\"


def inline(text: Inline) -> str:
    """`text` as LaTeX on one line."""
    shown = "".join(map(_phrase, phrases(text)))
    # After a line's end a bracket or star would be read as its argument.
    return f"{{{shown[0]}}}{shown[1:]}" if shown[:1] in ("[", "*") else shown


def _phrase(phrase: Phrase) -> str:
    text = escaped(phrase.text)
    if phrase.look:
        text = rf"\{COMMANDS[phrase.look]}{{{text}}}"
    return rf"\href{{{escaped(phrase.link)}}}{{{text}}}" if phrase.link else text


def escaped(text: str) -> str:
    """`text`, which is harmless already, with every character that LaTeX reads as a command made plain."""
    shown = (SPECIAL.get(character, character) for character in _HYPHENS.sub("-\0", text))
    return "".join(shown).replace("\0", "{}")  # two hyphens would become a dash; no harmless text has a NUL
