"""What an audit found, where, and how bad it is."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from benchmark.paper.tables import AVERAGE, Row, Table, table_name

BEYOND, IMPLAUSIBLE, IMPOSSIBLE = "beyond rounding", "implausible", "impossible"
SEVERITIES = {
    IMPOSSIBLE: "no experiment can give it, by the definition of the measure",
    IMPLAUSIBLE: "it can be, but hardly as it is labelled or told",
    BEYOND: "it does not follow from the other printed numbers, by more than their rounding",
}
"""The worst first."""

CHECKS = {
    "average": "averages against their cells",
    "arrow": "arrows against the averages",
    "percentage": "percentages against part and whole",
    "bounds": "percentages within 0 to 100, parts within the whole",
    "em-f1": "exact match at most F1",
    "line": "cells in line with their row and column",
    "shots": "scores that do not fall with more examples (K)",
    "repeat": "a row printed in several tables",
    "label": "equal numbers under another label",
    "claim": "sentences against the cells",
    "quote": "numbers quoted in sentences against the cells",
    "backbone": "gains within one backbone",
}
"""What is checked, in the order in which it is shown."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One contradiction: where it stands, what is printed there, and what follows from the rest.

    check, severity: keys of CHECKS and SEVERITIES. table, row: ids; label: the row as printed. others: ids of
        the rows that it is held against. metric, column: as printed, several with commas between; "" where it
        is about a whole row. section, quote, claim: of a sentence (claim: its id in claims.yaml; reading: how
        a sentence that names no rows was read), else "".
    """

    check: str
    severity: str
    table: str
    row: str
    label: str
    printed: str
    follows: str
    metric: str = ""
    column: str = ""
    others: tuple[str, ...] = ()
    section: str = ""
    quote: str = ""
    claim: str = ""
    reading: str = ""

    @property
    def where(self) -> str:
        """`Table 6, RoBERTa-base MT(w/ BMT), F1, TriviaQA; section 4.5`."""
        cell = ", ".join(
            part for part in (table_name(self.table), self.label, self.metric, self.column) if part
        )
        return f"{cell}; {section_name(self.section)}" if self.section else cell


@dataclass(frozen=True, slots=True)
class Place:
    """Where something is printed: cells of a row. metric: as printed, several with commas between. datasets:
    the columns', AVERAGE among them; none, or "", for what belongs to the whole row.
    """

    table: Table
    row: Row
    metric: str
    datasets: tuple[str, ...]

    @property
    def columns(self) -> list[str]:
        """The printed labels of the columns; "" for what belongs to the whole row."""
        labels = {dataset: label for label, dataset in self.table.columns.items()}
        labels[AVERAGE] = self.table.average or ""
        return [labels.get(name, "") for name in self.datasets]


@dataclass(slots=True)
class Audit:
    """The findings on a paper, and how many things each check looked at."""

    title: str
    tables: int = 0
    cells: int = 0
    claims: int = 0
    findings: list[Finding] = field(default_factory=list)
    looked: Counter[str] = field(default_factory=Counter)

    @property
    def status(self) -> int:
        """Exit status: 0 nothing beyond rounding, 1 findings."""
        return int(bool(self.findings))

    def look(self, check: str, number: int = 1) -> None:
        """Count what a check looks at."""
        self.looked[check] += number

    def find(
        self,
        check: str,
        severity: str,
        place: Place,
        printed: str,
        follows: str,
        others: tuple[str, ...] = (),
        **sentence: str,
    ) -> None:
        """Add a finding: at `place` stands `printed`, and `follows` is what the rest says.

        others, sentence (section, quote, claim, reading): as in `Finding`.
        """
        table, row = place.table.table, place.row.row
        label, column = label_of(place.row), ", ".join(filter(None, place.columns))
        self.findings.append(
            Finding(
                check, severity, table, row, label, printed, follows, place.metric, column, others, **sentence
            )
        )

    def sort(self) -> None:
        """The worst first, then in the order of CHECKS; within one as they were found: table by table."""
        severities, checks = list(SEVERITIES), list(CHECKS)
        self.findings.sort(key=lambda one: (severities.index(one.severity), checks.index(one.check)))


def label_of(row: Row) -> str:
    """A row as it is printed: model, arm, K and p_F."""
    extra = [f"K = {row.K}"] if row.K is not None else []
    extra += [f"p_F = {row.p_f:g}"] if row.p_f is not None else []
    name = " ".join(part for part in (row.model, row.arm) if part)
    return f"{name} ({', '.join(extra)})" if extra else name


def section_name(section: str) -> str:
    """`section 4.5`, `abstract`."""
    return f"section {section}" if section[:1].isdigit() else section
