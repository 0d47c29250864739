"""An error analysis in the terminal, by rich: the tables, the rules, and the first examples of each list and
category.
"""

from __future__ import annotations

import io
import sys

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table as Grid
from rich.text import Text

from benchmark.cli.text import printable
from benchmark.error_analysis.analysis import Analysis, Shown
from benchmark.error_analysis.cases import LISTS, MIXED, RIGHT, WRONG
from benchmark.error_analysis.layout import (
    HEURISTIC,
    MARKS,
    RULES_NOTE,
    Table,
    about,
    answer_line,
    context_parts,
    examples_of,
    list_title,
    rule_names,
    rules_table,
    shortened,
    tables,
    title,
)

STYLES = {RIGHT: "green", WRONG: "red", MIXED: "yellow"}
WIDTH = 132
FIRST = 1
"""Examples of a list and category that the terminal shows; the file has the rest."""


def print_analysis(analysis: Analysis) -> None:
    """Print to the terminal; piped output is plain and `WIDTH` columns wide."""
    console = Console(highlight=False)
    if console.is_terminal:
        console.print(_document(analysis))
    else:
        sys.stdout.write(to_text(analysis))


def to_text(analysis: Analysis) -> str:
    """The same without colours."""
    stream = io.StringIO()
    Console(file=stream, width=WIDTH, highlight=False, color_system=None).print(_document(analysis))
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines()) + "\n"


def _document(analysis: Analysis) -> RenderableType:
    parts: list[RenderableType] = [
        _text(title(analysis), style="bold"),
        *(_text(line, style="dim") for line in about(analysis)),
    ]
    for table in tables(analysis):
        parts += [Text(f"\n{printable(table.title)}", style="bold cyan"), Padding(_grid(table), (0, 0, 0, 2))]
    parts += [
        Text("\nRules", style="bold cyan"),
        Text(HEURISTIC, style="yellow"),
        Padding(_grid(rules_table(analysis), 3), (0, 0, 0, 2)),
    ]
    parts.append(Text(RULES_NOTE, style="dim"))
    names = [arm.name for arm in analysis.choice.arms]
    for group in LISTS:
        if analysis.limit and analysis.groups[group]:
            parts.append(
                Text(f"\n{list_title(analysis, group)}; of each category one here", style="bold cyan")
            )
            for category, found in examples_of(analysis, group).items():
                parts.append(Text(f"  {category}", style="bold"))
                parts += [Padding(_example(shown, names), (0, 0, 1, 4)) for shown in found[:FIRST]]
    return Group(*parts)


def _text(text: str, style: str = "") -> Text:
    return Text(printable(text), style=style)


def _grid(table: Table, texts: int = 1) -> Grid:
    grid = Grid(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for index, name in enumerate(table.columns):
        grid.add_column(
            printable(name),
            justify="left" if index < texts else "right",
            ratio=1 if texts > 1 and index == texts - 1 else None,
        )
    for number, row in enumerate(table.rows):
        grid.add_row(*map(_text, row), style="bold" if table.total and number == len(table.rows) - 1 else "")
    return grid


def _example(shown: Shown, names: list[str]) -> Grid:
    example = shown.example
    grid = Grid.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column()
    grid.add_row(_text(example.dataset), _text(shown.outcome.id, style="dim"))
    grid.add_row(Text("question"), Text(shortened(example.question), style="bold"))
    grid.add_row(
        Text("gold"),
        Text(" · ".join(shortened(answer) for answer in dict.fromkeys(example.answers)), style="green"),
    )
    for name, state, answers in zip(names, shown.outcome.states, shown.answers, strict=True):
        given = " · ".join(f"{text} ({said})" for text, said in answer_line(answers))
        grid.add_row(_text(f"{name} {MARKS[state]}"), Text(given, style=STYLES[state]))
    before, gold, after, remark = context_parts(example)
    context = Text.assemble(
        before, (f"«{gold}»" if gold else "", "bold green"), after, (f" ({remark})" if remark else "", "dim")
    )
    grid.add_row(Text("context"), context)
    grid.add_row(Text("rules"), Text(rule_names(shown)))
    return grid
