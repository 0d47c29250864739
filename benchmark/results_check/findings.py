"""What a check found: faults, what could not be checked, and what was looked at."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from benchmark.rendering.phrases import enumerated

CHECKS = {
    "files": "files, complete and in pairs",
    "names": "names against fields",
    "fields": "fields, types, finite values, ranges",
    "digests": "digests and seals",
    "means": "means and averages against the predictions",
    "scores": "predictions scored again",
    "examples": "examples complete and the same in all runs",
    "agreement": "one profile, evaluator and data",
    "seeds": "seeds unique, no copies",
    "masks": "masks and deviation plausible",
    "arms": "arms are what they are called",
    "origin": "results against the trained runs",
}
"""What is checked, in the order in which it is shown."""

RESTORE = "restore the file, or evaluate the run again"


@dataclass(frozen=True, slots=True)
class ResultFault:
    """One fault: where it is, what was found there, what belongs there, and what to do. check: a key of
    CHECKS.
    """

    check: str
    file: str
    where: str
    found: str
    expected: str
    advice: str

    def __str__(self) -> str:
        where = f"{self.where}: " if self.where else ""
        return f"{self.file}: {where}{self.found}; {self.expected}: {self.advice}"


@dataclass(frozen=True, slots=True)
class UncheckedNote:
    """Something that could not be checked, and why. check: a key of CHECKS."""

    check: str
    text: str


@dataclass(slots=True)
class Findings:
    """All that was found in a folder. looked: what each check looked at, in words."""

    faults: list[ResultFault] = field(default_factory=list)
    notes: list[UncheckedNote] = field(default_factory=list)
    looked: dict[str, str] = field(default_factory=dict)

    def fault(
        self, check: str, file: str, where: str, found: str, expected: str, advice: str = RESTORE
    ) -> None:
        """Add a fault."""
        self.faults.append(ResultFault(check, file, where, found, expected, advice))

    def note(self, check: str, text: str) -> None:
        """Add something that could not be checked."""
        self.notes.append(UncheckedNote(check, text))

    def note_absent(self, check: str, what: str, absent: list[str], total: int, why: str) -> None:
        """Say that `what` is absent from the runs `absent`, of `total`, and what is not checked for it;
        nothing if none lacks it.
        """
        if absent:
            who = (
                "any run" if len(absent) == total else f"{enumerated(absent)} ({len(absent)} of {total} runs)"
            )
            self.note(check, f"no {what} in {who}: {why}")


@dataclass(frozen=True, slots=True)
class FolderCheck:
    """A folder that was checked. profile: those of its runs; predictions: rows of all its Parquet files."""

    folder: str
    profile: str
    runs: int
    predictions: int
    findings: Findings

    def status(self, strict: bool = False) -> int:
        """Exit status: 0 no fault, else 1; strict: what could not be checked counts as a fault."""
        return int(bool(self.findings.faults or (strict and self.findings.notes)))


def quoted(ids: Iterable[str]) -> str:
    """Example ids for a message: the first three in quotes, and how many more."""
    return enumerated([shown(one) for one in ids])


def shown(value: Any) -> str:
    """A value as JSON writes it, on one line and cut to 100 characters."""
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)
    return text if len(text) <= 100 else text[:97] + "..."
