"""The whole of what `benchmark.errors` finds: counts by dataset, group and category, how often rules fire,
and the examples to show.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from benchmark.error_analysis.arms import ArmChoice
from benchmark.error_analysis.outcomes import (
    GROUPS,
    LISTS,
    UNSETTLED,
    WRONG,
    Answers,
    States,
    WrongCriterion,
    group_of,
)
from benchmark.error_analysis.rules import CATEGORIES, NO_RULE, SEVERAL, UNDECIDED, ErrorRule, category, fired
from bmt.qa.mrqa import Example


@dataclass(frozen=True, slots=True)
class ListedExample:
    """An example to show. answers: for each arm, for each seed. fired: the rules that say its category."""

    example: Example
    states: States
    answers: Answers
    fired: tuple[ErrorRule, ...]

    @property
    def category(self) -> str:
        """One of rules.CATEGORIES, or UNDECIDED."""
        return category(self.fired)


@dataclass(slots=True)
class DatasetCounts:
    """The counts of one dataset: examples by group; by list and category, or why they are undecided."""

    groups: Counter[str] = field(default_factory=Counter)
    categories: Counter[tuple[str, str]] = field(default_factory=Counter)


@dataclass(slots=True)
class ErrorAnalysis:
    """profile, source, data: names for the reader. limit: examples kept per list and dataset. counts: by
    dataset. patterns: how often which arms are right, wrong or mixed together. rules: (rule's name, group) →
    examples it fired for. listed: by list, those kept of every dataset.
    """

    profile: str
    source: str
    data: str
    choice: ArmChoice
    wrong: WrongCriterion
    limit: int
    notes: tuple[str, ...]
    counts: dict[str, DatasetCounts] = field(default_factory=dict)
    patterns: Counter[States] = field(default_factory=Counter)
    rules: Counter[tuple[str, str]] = field(default_factory=Counter)
    listed: dict[str, list[ListedExample]] = field(default_factory=lambda: {name: [] for name in LISTS})

    def add(
        self,
        dataset: str,
        outcomes: Mapping[str, States],
        examples: Mapping[str, Example],
        answers: Mapping[tuple[str, str], Answers],
    ) -> None:
        """Sort a dataset's examples, and keep `limit` of each list to show: those whose ids have the least
        digests, the same on every machine and in any order of the file.

        Args:
            outcomes, examples: by id.
            answers: by dataset and id, to the examples of LISTS.
        """
        tally = self.counts[dataset] = DatasetCounts()
        lists: dict[str, list[ListedExample]] = {name: [] for name in LISTS}
        for key, states in outcomes.items():
            group = group_of(states)
            tally.groups[group] += 1
            self.patterns[states] += 1
            if group == UNSETTLED:
                continue
            by_arm = answers[dataset, key] if group in LISTS else ()  # of other groups nothing is read
            wrong_answers = [
                answer.text
                for state, answers_of_arm in (zip(states, by_arm, strict=True) if by_arm else ())
                if state == WRONG
                for answer in answers_of_arm
            ]
            rules = fired(examples[key], wrong_answers)
            self.rules.update((rule.name, group) for rule in rules)
            if group in LISTS:
                entry = ListedExample(examples[key], states, by_arm, rules)
                kind = entry.category if entry.category in CATEGORIES else SEVERAL if rules else NO_RULE
                tally.categories[group, kind] += 1
                lists[group].append(entry)
        for group, entries in lists.items():
            entries.sort(key=lambda entry: hashlib.sha256(entry.example.id.encode()).digest())
            self.listed[group] += entries[: self.limit]

    @property
    def groups(self) -> Counter[str]:
        """Examples of all datasets by group."""
        return sum((counts.groups for counts in self.counts.values()), Counter())

    def metrics(self) -> dict[str, int]:
        """The counts for a tracker: `<group>/<dataset>`, `<group>/all` and `<list>/category/<category>`,
        words joined by `_`.
        """
        by_dataset = {name: counts.groups for name, counts in self.counts.items()} | {"all": self.groups}
        numbers = {
            f"{group}/{name}": groups[group] for name, groups in by_dataset.items() for group in GROUPS
        }
        numbers |= {f"{group}/category/{name}": 0 for group in LISTS for name in (*CATEGORIES, UNDECIDED)}
        for counts in self.counts.values():
            for (group, kind), count in counts.categories.items():
                numbers[f"{group}/category/{UNDECIDED if kind in (NO_RULE, SEVERAL) else kind}"] += count
        return {name.replace(" ", "_"): number for name, number in numbers.items()}
