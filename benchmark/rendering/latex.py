r"""A document in LaTeX, for an appendix: needs the packages booktabs, longtable and, where there are links,
hyperref.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

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
NOTE = r"\multicolumn{%d}{p{.95\linewidth}}{\footnotesize %s} \\"


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
    if isinstance(block, Heading):
        yield rf"\{'sub' * (block.level - 1)}section*{{{inline(block.text)}}}"
    elif isinstance(block, Paragraph):
        yield inline(block.text)
    elif isinstance(block, Remark):
        yield (rf"\textbf{{{inline(block.label)}}}: " if block.label else "") + inline(block.text)
    elif isinstance(block, TextList):
        yield from _list(block.items, "enumerate" if block.numbered else "itemize")
    elif isinstance(block, TextTable):
        yield from _table(block, title)
    elif isinstance(block, Figure):
        yield rf"\textbf{{{inline(block.caption)}}}: {inline(block.alternative)}"


def _list(items: tuple[ListItem | Inline, ...], kind: str) -> Iterator[str]:
    yield rf"\begin{{{kind}}}"
    for item in map(item_of, items):
        label = rf"\textbf{{{inline(item.label)}}}: " if item.label else ""
        yield rf"\item {label}{inline(item.text)}"
        if item.items:
            yield from _list(item.items, "itemize")
    yield rf"\end{{{kind}}}"


def _table(table: TextTable, title: str) -> Iterator[str]:
    count = len(table.columns)
    rows = [row for group in table.groups for row in group.rows]
    long = [
        bool(column.least) and any(len(plain_text(cell_of(row.cells[index]).text)) > LONG for row in rows)
        for index, column in enumerate(table.columns)
    ]
    wide = f"p{{{0.5 / max(1, sum(long)):.2g}\\linewidth}}"
    kinds = "".join(
        wide if wraps else column.align[0] for wraps, column in zip(long, table.columns, strict=True)
    )
    yield rf"\begin{{longtable}}{{{kinds}}}"
    if caption := inline(table.title) if table.title else title:
        yield rf"\caption{{{caption}}} \\"
    yield r"\toprule"
    yield f"{' & '.join(inline(column.name) for column in table.columns)} \\\\"
    if not table.grouped:
        yield r"\midrule"
    for group in table.groups:
        if group.name:
            yield r"\midrule"
            yield rf"\multicolumn{{{count}}}{{l}}{{\textbf{{{inline(group.name)}}}}} \\"
        for row in group.rows:
            yield f"{' & '.join(_cells(row))} \\\\"
            yield from (NOTE % (count, inline(note)) for note in row.notes)
        yield from (NOTE % (count, inline(note)) for note in group.notes)
    yield r"\bottomrule"
    yield r"\end{longtable}"
    yield from (rf"{{\footnotesize {inline(note)}}}" for note in table.notes)


def _cells(row: TextRow) -> list[str]:
    texts = [inline(cell_of(cell).text) for cell in row.cells]
    return [rf"\textbf{{{text}}}" for text in texts] if row.strong else texts


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
