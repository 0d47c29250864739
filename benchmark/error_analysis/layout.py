"""What stands where in an error analysis, as texts: the tables, the rules' sentences, and the lines of an
example.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmark.cli.text import printable
from benchmark.error_analysis.analysis import Analysis, Shown
from benchmark.error_analysis.cases import (
    ALL_RIGHT,
    ALL_WRONG,
    DIFFER,
    GROUPS,
    LISTS,
    MIXED,
    RIGHT,
    WRONG,
    Answer,
    group_of,
)
from benchmark.error_analysis.rules import CATEGORIES, RULES, UNDECIDED
from benchmark.error_analysis.wording import best_span, excerpt
from bmt.qa.mrqa import Example

AROUND = 220
"""Characters of the context on each side of the gold answer."""
COMBINATIONS = 12
"""Rows of the table of what the arms do together: three arms have 27."""
LONGEST = 200
"""Characters of an answer that are shown."""
MARKS = {RIGHT: "✓", WRONG: "✗", MIXED: "~"}
SHORT = {ALL_WRONG: "all wrong", DIFFER: "differ", ALL_RIGHT: "all right"}
"""The groups that rules are counted for, as narrow columns call them."""
HEURISTIC = (
    "The categories are heuristics: the rules below sort by form alone, the paper states no criteria of its own, and no annotator has "
    "checked them. An example is put into a category if rules of that category and of no other fire, else it is undecided."
)


@dataclass(frozen=True, slots=True)
class Table:
    """The first column is text, the others are numbers; the last row is a sum where `total` is set."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    total: bool = False


def title(analysis: Analysis) -> str:
    """The heading."""
    return f"Errors of {', '.join(arm.name for arm in analysis.choice.arms)} (profile {analysis.profile})"


def about(analysis: Analysis) -> list[str]:
    """What was looked at, and how."""
    seeds = analysis.choice.seeds
    several = len(seeds) > 1
    lines = [
        f"runs: {', '.join(f'{arm.name} = {arm.identity.stem}' for arm in analysis.choice.arms)}; "
        f"seed{'s' * several} {', '.join(map(str, seeds))}; results in {analysis.source}, questions and contexts in {analysis.data}",
        f"an answer is wrong: {analysis.wrong}"
        + ("; the paper takes F1 0 (--metric f1)" if str(analysis.wrong) != "F1 0" else ""),
    ]
    if several:
        lines.append(
            "an arm is wrong on an example where all its seeds are, right where none is; otherwise its seeds disagree (~)"
        )
    return lines + [f"note: {note}" for note in analysis.notes]


def tables(analysis: Analysis) -> list[Table]:
    """Counts by dataset; what the arms do together; categories by dataset for each list."""
    groups = _summed(
        "Examples",
        ("dataset", "examples", *GROUPS),
        [
            (name, [own.examples, *(own.groups[group] for group in GROUPS)])
            for name, own in analysis.tallies.items()
        ],
    )
    names = [arm.name for arm in analysis.choice.arms]
    together = Table(
        f"What the arms do together ({', '.join(f'{mark} {state}' for state, mark in MARKS.items())})",
        ("", *names, "examples"),
        _together(analysis),
    )
    found = [groups, *([together] if len(names) > 1 else [])]
    for group in LISTS:
        if analysis.groups[group]:
            found.append(_categories(analysis, group))
    return found


def _together(analysis: Analysis) -> tuple[tuple[str, ...], ...]:
    """The commonest combinations, the others in one row."""
    found = analysis.patterns.most_common()
    rows = [
        (group_of(states), *(MARKS[state] for state in states), f"{count:,}")
        for states, count in found[:COMBINATIONS]
    ]
    if rest := found[COMBINATIONS:]:
        rows.append(
            (
                f"{len(rest)} others",
                *([""] * len(analysis.choice.arms)),
                f"{sum(count for _, count in rest):,}",
            )
        )
    return tuple(rows)


def _categories(analysis: Analysis, group: str) -> Table:
    rows = []
    for name, own in analysis.tallies.items():
        numbers = [
            sum(n for (g, c, _), n in own.categories.items() if (g, c) == (group, category))
            for category in CATEGORIES
        ]
        none = own.categories[group, UNDECIDED, 0]
        several = sum(n for (g, c, k), n in own.categories.items() if (g, c) == (group, UNDECIDED) and k > 1)
        rows.append((name, [*numbers, none, several, own.groups[group]]))
    columns = ("dataset", *CATEGORIES, "undecided: no rule", "undecided: several", "all")
    return _summed(f"{group.capitalize()}: categories", columns, rows)


def _summed(name: str, columns: tuple[str, ...], rows: Sequence[tuple[str, Sequence[int]]]) -> Table:
    total = [sum(numbers) for numbers in zip(*(numbers for _, numbers in rows), strict=True)]
    every = [*rows, ("all datasets", total)] if len(rows) > 1 else list(rows)
    return Table(
        name,
        columns,
        tuple((label, *(f"{number:,}" for number in numbers)) for label, numbers in every),
        len(rows) > 1,
    )


def rules_table(analysis: Analysis) -> Table:
    """Every rule, its sentence and how often it fires; on right answers, too, where it looks at the question
    alone.
    """
    groups = analysis.groups
    columns = ("rule", "category", "fires if", *(f"{SHORT[group]} ({groups[group]:,})" for group in SHORT))
    rows = []
    for rule in RULES:
        counts = [
            _share(analysis.rules[rule.name, group], groups[group])
            if rule.of_question or group != ALL_RIGHT
            else "-"
            for group in SHORT
        ]
        rows.append((rule.name, rule.category, rule.text, *counts))
    return Table("Rules", columns, tuple(rows))


RULES_NOTE = (
    "A rule about answers fires for an example if it does for at least half of its wrong answers. The last column is the base rate: a rule "
    "that fires as often where every arm is right says little of why arms are wrong. A dash: a rule about wrong answers."
)


def _share(count: int, total: int) -> str:
    return f"{count:,} ({100 * count / total:.1f} %)" if total else "0"


def examples_of(analysis: Analysis, group: str) -> dict[str, list[Shown]]:
    """The examples to show of a list, by category and in it by dataset."""
    every = [own for by_dataset in analysis.shown[group].values() for own in by_dataset]
    return {
        name: own
        for name in (*CATEGORIES, UNDECIDED)
        if (own := [shown for shown in every if shown.category == name])
    }


def list_title(analysis: Analysis, group: str) -> str:
    """The heading of a list: how many there are, and how many of them the file shows."""
    count, shown = analysis.groups[group], sum(map(len, analysis.shown[group].values()))
    return f"{group.capitalize()} ({count:,} example{'s' * (count != 1)}, {shown:,} in the file)"


def answer_line(answers: Sequence[Answer]) -> list[tuple[str, str]]:
    """The different answers of an arm's seeds, each with what is said of it: its F1, and its seeds if there
    are several.
    """
    by_text: dict[tuple[str, float, float], list[int]] = {}
    for answer in answers:
        by_text.setdefault((answer.text, answer.em, answer.f1), []).append(answer.seed)
    said = []
    for (text, em, f1), seeds in by_text.items():
        score = "EM" if em >= 100 else f"F1 {f1:.0f}"
        own = f"; seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}" if len(answers) > 1 else ""
        said.append((shortened(text) or "(nothing)", f"{score}{own}"))
    return said


def shortened(text: str) -> str:
    """On one line, at most LONGEST characters."""
    line = printable(text).strip()
    return line if len(line) <= LONGEST else f"{line[:LONGEST].rstrip()} …"


def context_parts(example: Example) -> tuple[str, str, str, str]:
    """Text before the gold answer, the answer, text after it; and what else there is to say.

    Of several places of an answer the one whose sentence shares most words with the question.
    """
    found = best_span(example.question, example.context, example.spans)
    if found is None:
        end = excerpt(example.context, (0, 0), 2 * AROUND)[0][1]
        return (
            f"{printable(example.context[:end])} …",
            "",
            "",
            "no place of an answer is marked in the file; the context begins",
        )
    span, _ = found
    (left, right), before, after = excerpt(example.context, span, AROUND)
    more = len(example.spans) - 1
    return (
        ("… " if before else "") + printable(example.context[left : span[0]]),
        printable(example.context[span[0] : span[1]]),
        printable(example.context[span[1] : right]) + (" …" if after else ""),
        f"{more} more place{'s' * (more > 1)} of an answer" if more else "",
    )


def rule_names(shown: Shown) -> str:
    """The rules that fired, for the reader."""
    return ", ".join(f"{rule.name} ({rule.category})" for rule in shown.fired) or "none"
