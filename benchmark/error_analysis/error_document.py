"""An error analysis as a document: what was looked at, the counts, the rules, and examples of each list."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from benchmark.error_analysis.analysis import DatasetCounts, ErrorAnalysis, ListedExample
from benchmark.error_analysis.arms import seeds_text
from benchmark.error_analysis.context_text import best_span, excerpt
from benchmark.error_analysis.outcomes import (
    ALL_RIGHT,
    ALL_WRONG,
    DIFFER,
    GROUPS,
    LISTS,
    MIXED,
    RIGHT,
    WRONG,
    RunAnswer,
    group_of,
)
from benchmark.error_analysis.rules import CATEGORIES, NO_RULE, RULES, SEVERAL, UNDECIDED
from benchmark.rendering.document import (
    Block,
    Column,
    Document,
    Heading,
    Inline,
    ListItem,
    Paragraph,
    Phrase,
    TextList,
    TextRow,
    TextTable,
    Tone,
    text_table,
)
from benchmark.rendering.phrases import counted
from bmt.qa.mrqa import Example

AROUND = 220
"""Characters of the context on each side of the gold answer."""
COMBINATIONS = 12
"""Rows of the table of what the arms do together: three arms have 27."""
LONGEST = 200
"""Characters of an answer that are shown."""
MARKS = {RIGHT: "✓", WRONG: "✗", MIXED: "~"}
TONES: dict[str, Tone] = {RIGHT: "good", WRONG: "bad", MIXED: "open"}
SHORT = {ALL_WRONG: "all wrong", DIFFER: "differ", ALL_RIGHT: "all right"}
"""The groups that rules are counted for, as narrow columns call them."""
HEURISTIC = (
    "The categories are heuristics: the rules below sort by form alone, the paper states no criteria of its "
    "own, and no annotator has checked them. An example is put into a category if rules of that category "
    "and of no other fire, else it is undecided."
)
BASE_RATE = (
    "A rule about answers fires for an example if it does for at least half of its wrong answers. The last "
    "column is the base rate: a rule that fires as often where every arm is right says little of why arms "
    "are wrong. A dash: a rule about wrong answers."
)


def error_document(analysis: ErrorAnalysis, command: str = "", first: int | None = None) -> Document:
    """The whole of it.

    Args:
        command: how the analysis was made; "" where it need not be said.
        first: examples shown per list and category; None: all that were kept.
    """
    names = [arm.name for arm in analysis.choice.arms]
    lists = [group for group in LISTS if analysis.groups[group]]
    blocks: list[Block] = [Paragraph(Phrase(command, "code"))] if command else []
    blocks += [TextList(tuple(_about(analysis))), Heading("Examples"), _group_table(analysis)]
    if len(names) > 1:
        marks = ", ".join(f"{mark} {state}" for state, mark in MARKS.items())
        blocks += [Heading(f"What the arms do together ({marks})"), _pattern_table(analysis, names)]
    for group in lists:
        blocks += [Heading(f"{group.capitalize()}: categories"), _category_table(analysis, group)]
    rules = _rule_table(analysis)
    blocks += [Heading("Rules"), Paragraph(HEURISTIC, "open"), rules, Paragraph(BASE_RATE, "quiet")]
    for group in lists if analysis.limit else ():
        blocks += _list_blocks(analysis, group, names, first)
    return Document(f"Errors of {', '.join(names)} (profile {analysis.profile})", tuple(blocks))


def _about(analysis: ErrorAnalysis) -> list[str]:
    """What was looked at, and how."""
    seeds, arms = analysis.choice.seeds, analysis.choice.arms
    lines = [
        f"runs: {', '.join(f'{arm.name} = {arm.identity.stem}' for arm in arms)}; {seeds_text(seeds)}; "
        f"results in {analysis.source}, questions and contexts in {analysis.data}",
        f"an answer is wrong: {analysis.wrong}"
        + ("; the paper takes F1 0 (--metric f1)" if str(analysis.wrong) != "F1 0" else ""),
    ]
    if len(seeds) > 1:
        lines.append(
            "an arm is wrong on an example where all its seeds are, right where none is; otherwise its "
            "seeds disagree (~)"
        )
    return lines + [f"note: {note}" for note in analysis.notes]


def _group_table(analysis: ErrorAnalysis) -> TextTable:
    def numbers(counts: DatasetCounts) -> list[int]:
        return [counts.groups.total(), *(counts.groups[group] for group in GROUPS)]

    return _summed(analysis, [Column(name, least=9) for name in ("examples", *GROUPS)], numbers)


def _pattern_table(analysis: ErrorAnalysis, names: Sequence[str]) -> TextTable:
    """The commonest combinations of what the arms are, the others in one row."""
    patterns = analysis.patterns.most_common()
    rows: list[Sequence[Inline]] = [
        (group_of(states), *(Phrase(MARKS[state], tone=TONES[state]) for state in states), f"{count:,}")
        for states, count in patterns[:COMBINATIONS]
    ]
    if rest := patterns[COMBINATIONS:]:
        total = f"{sum(count for _, count in rest):,}"
        rows.append((f"{len(rest)} others", *([""] * len(names)), total))
    return text_table((Column("", "left", label="group"), *names, "examples"), rows)


def _category_table(analysis: ErrorAnalysis, group: str) -> TextTable:
    kinds = (*CATEGORIES, NO_RULE, SEVERAL)

    def numbers(counts: DatasetCounts) -> list[int]:
        return [*(counts.categories[group, kind] for kind in kinds), counts.groups[group]]

    # Their sum stands in the table of all groups, too.
    return _summed(analysis, [*(Column(kind, least=9) for kind in kinds), Column("all", drop=1)], numbers)


def _summed(
    analysis: ErrorAnalysis, columns: Sequence[Column], numbers: Callable[[DatasetCounts], list[int]]
) -> TextTable:
    """A row per dataset, and of several their sum."""
    counts = {name: numbers(of_dataset) for name, of_dataset in analysis.counts.items()}
    rows = [TextRow((name, *(f"{number:,}" for number in row))) for name, row in counts.items()]
    if len(counts) > 1:
        total = (f"{sum(column):,}" for column in zip(*counts.values(), strict=True))
        rows.append(TextRow(("all datasets", *total), strong=True))
    return text_table(["dataset", *columns], rows)


def _rule_table(analysis: ErrorAnalysis) -> TextTable:
    """Every rule, its sentence and how often it fires; on right answers, too, where it looks at the question
    alone.
    """
    groups = analysis.groups
    columns = [
        Column("rule", "left", least=10),
        Column("category", "left", least=11),
        Column("fires if", "left", least=30),
        *(Column(f"{SHORT[group]} ({groups[group]:,})", least=10) for group in SHORT),
    ]
    rows = []
    for rule in RULES:
        counts = [
            _share(analysis.rules[rule.name, group], groups[group])
            if rule.of_question or group != ALL_RIGHT
            else "-"
            for group in SHORT
        ]
        rows.append((rule.name, rule.category, rule.text, *counts))
    return text_table(columns, rows)


def _share(count: int, total: int) -> str:
    return f"{count:,} ({100 * count / total:.1f} %)" if total else "0"


def _list_blocks(analysis: ErrorAnalysis, group: str, names: Sequence[str], first: int | None) -> list[Block]:
    """A list's examples, by category and in it by dataset."""
    kept = analysis.listed[group]
    title = f"{group.capitalize()} ({counted(analysis.groups[group], 'example')}, {len(kept):,} in the file)"
    said = f"At most {analysis.limit} per dataset, drawn by a digest of their ids (--limit)"
    said += "." if first is None else f"; of each category {first} here."
    blocks: list[Block] = [Heading(title), Paragraph(said, "quiet")]
    by_category = {name: [one for one in kept if one.category == name] for name in (*CATEGORIES, UNDECIDED)}
    for category, examples in by_category.items():
        if examples:
            blocks.append(Heading(category.capitalize(), 3))
        for listed in examples[:first]:
            blocks += _example_blocks(listed, names)
    return blocks


def _example_blocks(listed: ListedExample, names: Sequence[str]) -> tuple[Heading, TextList]:
    example = listed.example
    gold = " · ".join(map(shortened, dict.fromkeys(example.answers)))
    by_arm = zip(names, listed.states, listed.answers, strict=True)
    rules = ", ".join(f"{rule.name} ({rule.category})" for rule in listed.fired) or "none"
    items = (
        ListItem(Phrase(shortened(example.question), "strong"), "question"),
        ListItem(Phrase(gold, tone="good"), "gold"),
        *(
            ListItem(Phrase(answer_line(answers), tone=TONES[state]), f"{name} {MARKS[state]}")
            for name, state, answers in by_arm
        ),
        ListItem(gold_in_context(example), "context"),
        ListItem(rules, "rules"),
    )
    return Heading(f"{example.dataset} · {example.id}", 4), TextList(items)


def answer_line(answers: Sequence[RunAnswer]) -> str:
    """The different answers of an arm's seeds, each with its F1, and its seeds where there are several."""
    by_text: dict[tuple[str, float, float], list[int]] = {}
    for answer in answers:
        by_text.setdefault((answer.text, answer.em, answer.f1), []).append(answer.seed)
    said = []
    for (text, em, f1), seeds in by_text.items():
        score = "EM" if em >= 100 else f"F1 {f1:.0f}"
        whose = f"; {seeds_text(seeds)}" if len(answers) > 1 else ""
        said.append(f"{shortened(text) or '(nothing)'} ({score}{whose})")
    return " · ".join(said)


def shortened(text: str) -> str:
    """On one line, at most LONGEST characters."""
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else f"{line[:LONGEST].rstrip()} …"


def gold_in_context(example: Example) -> Inline:
    """An excerpt of the context with the gold answer marked; of several places of an answer the one whose
    sentence shares most words with the question.
    """
    best = best_span(example.question, example.context, example.spans)
    if best is None:
        (_, end), *_ = excerpt(example.context, (0, 0), 2 * AROUND)
        why = "no place of an answer is marked in the file; the context begins"
        return f"{example.context[:end]} …", Phrase(f" ({why})", tone="quiet")
    (start, end), _ = best
    (left, right), before, after = excerpt(example.context, (start, end), AROUND)
    more = len(example.spans) - 1
    remark = f" ({counted(more, 'more place')} of an answer)" if more else ""
    return (
        ("… " if before else "") + example.context[left:start],
        Phrase(f"«{example.context[start:end]}»", "strong", "good"),
        example.context[end:right] + (" …" if after else ""),
        Phrase(remark, tone="quiet"),
    )
