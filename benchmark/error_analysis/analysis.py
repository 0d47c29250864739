"""The whole of what `benchmark.errors` finds: counts by dataset, group and category, how often rules fire,
and the examples to show.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmark.error_analysis.arms import Choice
from benchmark.error_analysis.cases import (
    ALL_RIGHT,
    GROUPS,
    LISTS,
    WRONG,
    Answers,
    Cases,
    Outcome,
    Wrong,
    patterns,
    read_answers,
)
from benchmark.error_analysis.rules import CATEGORIES, UNDECIDED, Rule, category, fired
from benchmark.error_analysis.texts import read_examples
from benchmark.runs.results import Results
from bmt.qa.mrqa import Example


@dataclass(frozen=True, slots=True)
class Shown:
    """An example to show. answers: for each arm, for each seed. fired: the rules that say its category."""

    example: Example
    outcome: Outcome
    answers: Answers
    fired: tuple[Rule, ...]

    @property
    def category(self) -> str:
        """One of rules.CATEGORIES, or UNDECIDED."""
        return category(self.fired)


@dataclass(slots=True)
class Tally:
    """The counts of one dataset. categories: (list, category, number of categories whose rules fired) →
    examples.
    """

    examples: int
    groups: Counter[str]
    categories: Counter[tuple[str, str, int]] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Analysis:
    """profile, source, data: names for the reader. rules: (rule's name, group) → examples it fired for.
    shown: by list, by dataset.
    """

    profile: str
    source: str
    data: str
    choice: Choice
    wrong: Wrong
    limit: int
    tallies: dict[str, Tally]
    patterns: Counter[tuple[str, ...]]
    rules: Counter[tuple[str, str]]
    shown: dict[str, dict[str, tuple[Shown, ...]]]
    notes: tuple[str, ...]

    @property
    def groups(self) -> Counter[str]:
        """Examples of all datasets by group."""
        return sum((tally.groups for tally in self.tallies.values()), Counter())

    def metrics(self) -> dict[str, int]:
        """The counts for a tracker: `<group>/<dataset>`, `<group>/all` and `<list>/category/<category>`,
        words joined by `_`.
        """
        counts = {
            f"{group}/{name}": own.groups[group] for name, own in self.tallies.items() for group in GROUPS
        }
        counts |= {f"{group}/all": self.groups[group] for group in GROUPS}
        for group in LISTS:
            for name in (*CATEGORIES, UNDECIDED):
                counts[f"{group}/category/{name}"] = sum(
                    number
                    for own in self.tallies.values()
                    for (g, c, _), number in own.categories.items()
                    if (g, c) == (group, name)
                )
        return {name.replace(" ", "_"): number for name, number in counts.items()}


@dataclass(frozen=True, slots=True)
class Place:
    """Where things are, and how they are called for the reader."""

    profile: str
    source: str
    raw: Path
    data: str


def analyse(
    results: Results,
    choice: Choice,
    cases: Cases,
    wrong: Wrong,
    limit: int,
    place: Place,
    advance: Callable[[str], None],
) -> Analysis:
    """Sort every example that all arms get wrong, or that they differ on, and keep `limit` of each list and
    dataset to show.

    Args:
        advance: told the name of each dataset when it is done.

    Raises:
        DataError: raw files or predictions that cannot be used.
    """
    tallies, rules = {}, Counter[tuple[str, str]]()
    shown: dict[str, dict[str, tuple[Shown, ...]]] = {name: {} for name in LISTS}
    answers = read_answers(results, choice, cases)
    for dataset, outcomes in cases.outcomes.items():
        examples = read_examples(
            place.raw, dataset, [outcome.id for outcome in outcomes], choice.runs, place.data
        )
        tally = tallies[dataset] = Tally(len(outcomes), Counter(outcome.group for outcome in outcomes))
        for name, found in _sorted_out(outcomes, examples, answers[dataset]).items():
            for own in found:
                tally.categories[name, own.category, len({rule.category for rule in own.fired})] += 1
                rules.update((rule.name, name) for rule in own.fired)
            shown[name][dataset] = drawn(found, limit)
        for outcome in outcomes:
            if outcome.group == ALL_RIGHT:
                rules.update((rule.name, ALL_RIGHT) for rule in fired(examples[outcome.id], ()))
        advance(dataset)
    together = patterns([outcome for outcomes in cases.outcomes.values() for outcome in outcomes])
    notes = (*choice.notes, *cases.notes)
    return Analysis(
        place.profile, place.source, place.data, choice, wrong, limit, tallies, together, rules, shown, notes
    )


def _sorted_out(
    outcomes: Sequence[Outcome], examples: dict[str, Example], answers: dict[str, Answers]
) -> dict[str, list[Shown]]:
    """The examples of each list, with the rules that fire for the wrong answers of arms that are wrong."""
    found: dict[str, list[Shown]] = {name: [] for name in LISTS}
    for outcome in outcomes:
        if outcome.group in LISTS:
            example, own = examples[outcome.id], answers[outcome.id]
            wrong = [
                answer.text
                for state, given in zip(outcome.states, own, strict=True)
                if state == WRONG
                for answer in given
            ]
            found[outcome.group].append(Shown(example, outcome, own, fired(example, wrong)))
    return found


def drawn(found: Sequence[Shown], limit: int) -> tuple[Shown, ...]:
    """`limit` of the examples, the same on every machine and in any order of the file: those whose ids have
    the least digests.
    """
    return tuple(sorted(found, key=lambda own: hashlib.sha256(own.outcome.id.encode()).digest())[:limit])
