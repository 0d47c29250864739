"""An error analysis as GitHub Markdown. Texts of the data are escaped: a context cannot bring markup."""

from __future__ import annotations

import re

from benchmark.cli.text import printable
from benchmark.error_analysis.analysis import Analysis, Shown
from benchmark.error_analysis.cases import LISTS
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

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~$])")


def to_markdown(analysis: Analysis, command: str) -> str:
    """The whole analysis. command: how it was made."""
    lines = [
        f"# {escaped(title(analysis))}",
        "",
        f"    {printable(command)}",
        "",
        *(f"- {escaped(text)}" for text in about(analysis)),
        "",
    ]
    for table in tables(analysis):
        lines += [f"## {escaped(table.title)}", "", *_table(table), ""]
    lines += ["## Rules", "", HEURISTIC, "", *_table(rules_table(analysis), texts=3), "", RULES_NOTE, ""]
    names = [arm.name for arm in analysis.choice.arms]
    for group in LISTS:
        if analysis.groups[group] and analysis.limit:
            lines += [f"## {list_title(analysis, group)}", ""]
            lines += [f"At most {analysis.limit} a dataset, drawn by a digest of their ids (--limit).", ""]
            for category, found in examples_of(analysis, group).items():
                lines += [f"### {category.capitalize()}", ""]
                for shown in found:
                    lines += [*_example(shown, names), ""]
    return "\n".join(lines).rstrip() + "\n"


def _table(table: Table, texts: int = 1) -> list[str]:
    rules = ["---" if index < texts else "---:" for index in range(len(table.columns))]
    rows = [[escaped(text) for text in row] for row in table.rows]
    if table.total:
        rows[-1] = [f"**{text}**" for text in rows[-1]]
    head = [escaped(name) for name in table.columns]
    return [f"| {' | '.join(row)} |" for row in (head, rules, *rows)]


def _example(shown: Shown, names: list[str]) -> list[str]:
    example = shown.example
    before, gold, after, remark = context_parts(example)
    marked = f"<b>{escaped(gold)}</b>" if gold else ""  # ** would depend on the characters beside it
    lines = [
        f"#### {escaped(example.dataset)} · {escaped(shown.outcome.id)}",
        "",
        f"- question: {escaped(shortened(example.question))}",
        f"- gold: {' · '.join(escaped(shortened(answer)) for answer in dict.fromkeys(example.answers))}",
    ]
    for name, state, answers in zip(names, shown.outcome.states, shown.answers, strict=True):
        given = " · ".join(f"{escaped(text)} ({said})" for text, said in answer_line(answers))
        lines.append(f"- {escaped(name)} {MARKS[state]}: {given}")
    lines += [f"- context: {escaped(before)}{marked}{escaped(after)}" + (f" ({remark})" if remark else "")]
    return [*lines, f"- rules: {rule_names(shown)}"]


def escaped(text: str) -> str:
    """`text` on one line, every character that Markdown or HTML reads as markup made plain."""
    return _SPECIAL.sub(r"\\\1", printable(text).replace("&", "&amp;"))
