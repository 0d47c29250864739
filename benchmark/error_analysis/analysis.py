"""The whole of what `benchmark.errors` finds: counts by dataset, group and category, how often rules fire,
and the examples to show.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmark.error_analysis.arms import ArmChoice
from benchmark.error_analysis.outcomes import (
    ALL_RIGHT,
    GROUPS,
    LISTS,
    WRONG,
    Answers,
    ExampleOutcome,
    ScoredExamples,
    WrongCriterion,
    read_answers,
)
from benchmark.error_analysis.raw_examples import read_examples
from benchmark.error_analysis.rules import CATEGORIES, UNDECIDED, ErrorRule, category, fired
from benchmark.runs.results import Results
from bmt.qa.mrqa import Example


@dataclass(frozen=True, slots=True)
class ListedExample:
    """An example to show. answers: for each arm, for each seed. fired: the rules that say its category."""

    example: Example
    outcome: ExampleOutcome
    answers: Answers
    fired: tuple[ErrorRule, ...]

    @property
    def category(self) -> str:
        """One of rules.CATEGORIES, or UNDECIDED."""
        return category(self.fired)


@dataclass(slots=True)
class DatasetCounts:
    """The counts of one dataset. categories: (list, category, number of categories whose rules fired) →
    examples.
    """

    examples: int
    groups: Counter[str]
    categories: Counter[tuple[str, str, int]] = field(default_factory=Counter)

    def of_category(self, group: str, name: str) -> int:
        """Examples of a list that have a category."""
        return sum(count for (g, c, _), count in self.categories.items() if (g, c) == (group, name))


@dataclass(frozen=True, slots=True)
class RawData:
    """The raw files that were scored, and how all is called for the reader: the profile, the results, this
    folder.
    """

    folder: Path
    profile: str
    source: str
    data: str


@dataclass(frozen=True, slots=True)
class ErrorAnalysis:
    """profile, source, data: names for the reader. limit: examples kept per list and dataset. counts: by
    dataset. patterns: how often which arms are right, wrong or mixed together. rules: (rule's name, group) →
    examples it fired for. listed: by list, by dataset.
    """

    profile: str
    source: str
    data: str
    choice: ArmChoice
    wrong: WrongCriterion
    limit: int
    counts: dict[str, DatasetCounts]
    patterns: Counter[tuple[str, ...]]
    rules: Counter[tuple[str, str]]
    listed: dict[str, dict[str, tuple[ListedExample, ...]]]
    notes: tuple[str, ...]

    @property
    def groups(self) -> Counter[str]:
        """Examples of all datasets by group."""
        return sum((counts.groups for counts in self.counts.values()), Counter())

    def metrics(self) -> dict[str, int]:
        """The counts for a tracker: `<group>/<dataset>`, `<group>/all` and `<list>/category/<category>`,
        words joined by `_`.
        """
        numbers = {
            f"{group}/{name}": counts.groups[group]
            for name, counts in self.counts.items()
            for group in GROUPS
        }
        numbers |= {f"{group}/all": self.groups[group] for group in GROUPS}
        for group in LISTS:
            for name in (*CATEGORIES, UNDECIDED):
                total = sum(counts.of_category(group, name) for counts in self.counts.values())
                numbers[f"{group}/category/{name}"] = total
        return {name.replace(" ", "_"): number for name, number in numbers.items()}


def analyse(
    results: Results,
    choice: ArmChoice,
    scored: ScoredExamples,
    wrong: WrongCriterion,
    limit: int,
    raw: RawData,
    advance: Callable[[str], None],
) -> ErrorAnalysis:
    """Sort every example that all arms get wrong, or that they differ on, and keep `limit` of each list and
    dataset to show.

    Args:
        advance: told the name of each dataset when it is done.

    Raises:
        DataError: raw files or predictions that cannot be used.
    """
    counts, rules = {}, Counter[tuple[str, str]]()
    listed: dict[str, dict[str, tuple[ListedExample, ...]]] = {name: {} for name in LISTS}
    answers = read_answers(results, choice, scored)
    for dataset, outcomes in scored.outcomes.items():
        ids = [outcome.id for outcome in outcomes]
        examples = read_examples(raw.folder, dataset, ids, choice.runs, raw.data)
        tally = counts[dataset] = DatasetCounts(len(ids), Counter(outcome.group for outcome in outcomes))
        for group, entries in _lists(outcomes, examples, answers[dataset]).items():
            for entry in entries:
                tally.categories[group, entry.category, len({rule.category for rule in entry.fired})] += 1
                rules.update((rule.name, group) for rule in entry.fired)
            listed[group][dataset] = draw(entries, limit)
        for outcome in outcomes:
            if outcome.group == ALL_RIGHT:
                rules.update((rule.name, ALL_RIGHT) for rule in fired(examples[outcome.id], ()))
        advance(dataset)
    patterns = Counter(outcome.states for outcomes in scored.outcomes.values() for outcome in outcomes)
    return ErrorAnalysis(
        raw.profile,
        raw.source,
        raw.data,
        choice,
        wrong,
        limit,
        counts,
        patterns,
        rules,
        listed,
        notes=(*choice.notes, *scored.notes),
    )


def _lists(
    outcomes: Sequence[ExampleOutcome], examples: dict[str, Example], answers: dict[str, Answers]
) -> dict[str, list[ListedExample]]:
    """The examples of each list, with the rules that fire for the wrong answers of arms that are wrong."""
    lists: dict[str, list[ListedExample]] = {name: [] for name in LISTS}
    for outcome in outcomes:
        if outcome.group in LISTS:
            example, by_arm = examples[outcome.id], answers[outcome.id]
            wrong = [
                answer.text
                for state, answers_of_arm in zip(outcome.states, by_arm, strict=True)
                if state == WRONG
                for answer in answers_of_arm
            ]
            lists[outcome.group].append(ListedExample(example, outcome, by_arm, fired(example, wrong)))
    return lists


def draw(examples: Sequence[ListedExample], limit: int) -> tuple[ListedExample, ...]:
    """`limit` of the examples, the same on every machine and in any order of the file: those whose ids have
    the least digests.
    """
    return tuple(sorted(examples, key=lambda one: hashlib.sha256(one.outcome.id.encode()).digest())[:limit])
