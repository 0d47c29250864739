"""A compared table in the terminal, by rich: a block a row of the paper; narrow terminals lose the secondary
columns first.
"""

from __future__ import annotations

import io
import sys

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from benchmark.comparison.layout import CLAIM_COLUMNS, TONES, Beside, Layout, Line

STYLES = {"good": "green", "bad": "bold red", "open": "yellow", "": "dim"}
WIDTHS = (21, 6, 17, 7, 16, 22, 5, 6, 24)
FACT_WIDTHS = (21, 10, 12, 10, 24)
SECONDARY = ((6, 128), (5, 122), (4, 98), (7, 80))
"""Columns that are left out below a width: CV*, the equivalence interval, the prediction interval, p."""
WIDTH = 132


def print_report(layout: Layout) -> None:
    """Print to the terminal; piped output is plain and `WIDTH` columns wide."""
    console = Console(highlight=False)
    if console.is_terminal:
        console.print(_document(layout, console.width))
    else:
        sys.stdout.write(to_text(layout))


def to_text(layout: Layout) -> str:
    """The same without colours."""
    stream = io.StringIO()
    Console(file=stream, width=WIDTH, highlight=False, color_system=None).print(_document(layout, WIDTH))
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines()) + "\n"


def _document(layout: Layout, width: int) -> RenderableType:
    parts: list[RenderableType] = [
        Text(layout.title, style="bold"),
        Text(layout.paper, style="dim"),
        Text(layout.subtitle),
    ]
    for number, block in enumerate(layout.blocks):
        if block.model:
            parts.append(Text(f"\n{block.model}", style="bold cyan"))
        if block.title:
            parts.append(Text(f"  {block.title}", style="bold"))
        if block.lines:
            parts.append(
                Padding(
                    _lines(layout.columns, block.lines, width, headed=number == 0 or bool(block.model)),
                    (0, 0, 0, 4),
                )
            )
        parts += [
            Padding(Text(remark, style="yellow" if "nearly inactive" in remark else "dim"), (0, 0, 0, 4))
            for remark in block.remarks
        ]
    if layout.beside:
        parts += [
            Text(f"\n{layout.beside.title}", style="bold cyan"),
            Padding(_beside(layout.beside), (0, 0, 0, 4)),
        ]
        parts.append(Padding(Text(layout.beside.remark, style="dim"), (0, 0, 0, 4)))
    if layout.claims:
        parts += [Text("\nClaims", style="bold cyan"), Padding(_claims(layout), (0, 0, 0, 2))]
    footer = Table.grid(padding=(0, 2))
    for label, text in layout.footer:
        footer.add_row(Text(label, style="bold"), Text(text, style="red" if label == "unreadable" else ""))
    parts += [Text(""), footer]
    return Group(*parts)


def _lines(columns: tuple[str, ...], lines: tuple[Line, ...], width: int, headed: bool) -> Table:
    facts = len(columns) != len(WIDTHS)
    hidden = set() if facts else {index for index, least in SECONDARY if width < least}
    shown = [index for index in range(len(columns)) if index not in hidden]
    table = Table(box=None, show_header=headed, pad_edge=False, header_style="dim", padding=(0, 1, 0, 0))
    for index in shown:
        verdict, label = index == len(columns) - 1, index == 0
        fixed = None if verdict else (FACT_WIDTHS if facts else WIDTHS)[index]
        table.add_column(
            columns[index],
            width=fixed,
            min_width=14 if verdict else None,
            justify="left" if verdict or label else "right",
        )
    for line in lines:
        style = STYLES[TONES.get(line.verdict, "")]
        texts = [Text(line.texts[index], style=style if index == len(columns) - 1 else "") for index in shown]
        table.add_row(*texts, style="bold" if line.average else "")
    return table


def _beside(beside: Beside) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for index, name in enumerate(beside.columns):
        table.add_column(name, justify="right" if index else "left")
    for texts in beside.lines:
        table.add_row(*map(Text, texts))
    return table


def _claims(layout: Layout) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for name in CLAIM_COLUMNS:
        table.add_column(
            name,
            justify="left" if name in ("claim", "verdict") else "right",
            no_wrap=name not in ("claim", "verdict"),
        )
    for claim in layout.claims:
        what = Text(claim.texts[0])
        what.append(f"\n“{claim.quote}”" if claim.quote else "", style="dim italic")
        what.append(f"\n{claim.remark}" if claim.remark else "", style="dim")
        what.append("\n")
        table.add_row(
            what, *claim.texts[1:-1], Text(claim.texts[-1], style=STYLES[TONES.get(claim.verdict, "")])
        )
    return table
