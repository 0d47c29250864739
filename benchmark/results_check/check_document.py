"""What `benchmark.check` shows of a folder: a document (a summary, then a line per fault), or the documented
JSON.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from typing import Any

from benchmark.rendering.document import (
    Column,
    Document,
    Paragraph,
    Phrase,
    Remark,
    TextCell,
    text_table,
)
from benchmark.rendering.phrases import counted
from benchmark.results_check.findings import CHECKS, FolderCheck

COLUMNS = (Column("check", "left"), Column("looked at", "left", least=20), Column("found", "left", least=12))


def check_document(checked: FolderCheck, strict: bool) -> Document:
    """The folder's name, what each check looked at and found, what could not be checked, every fault, the
    verdict.
    """
    runs, rows = counted(checked.runs, "run"), counted(checked.predictions, "prediction")
    title = f"{checked.folder}: {runs} of profile {checked.profile or '?'}, {rows}"
    remarks = [Remark(note.text, "not checked", "open") for note in checked.findings.notes]
    remarks += [Remark(str(fault), "fault", "bad") for fault in checked.findings.faults]
    verdict = Phrase(_verdict(checked, strict), "strong", "bad" if checked.status(strict) else "good")
    return Document(
        title, (text_table(COLUMNS, _check_rows(checked)), *remarks, Paragraph(verdict)), wrapped=False
    )


def check_json(checked: FolderCheck, strict: bool) -> str:
    """One object, documented in docs/compare.md: folder, profile, runs, predictions, status, checks, faults,
    not_checked.
    """
    findings = checked.findings
    faults, notes = _by_check(checked)
    value: dict[str, Any] = {
        **{key: getattr(checked, key) for key in ("folder", "profile", "runs", "predictions")},
        "status": checked.status(strict),
        "checks": [
            {
                "check": check,
                "title": title,
                "looked_at": findings.looked.get(check, ""),
                "faults": faults[check],
                "not_checked": notes[check],
            }
            for check, title in CHECKS.items()
        ],
        "faults": [asdict(fault) | {"line": str(fault)} for fault in findings.faults],
        "not_checked": [asdict(note) for note in findings.notes],
    }
    return json.dumps(value, indent=1) + "\n"


def _check_rows(checked: FolderCheck) -> list[tuple[str, str, TextCell]]:
    """Title, what was looked at, and what was found, of each check."""
    faults, notes = _by_check(checked)
    rows = []
    for check, title in CHECKS.items():
        status = TextCell("not checked in full", "open") if notes[check] else TextCell("ok", "good")
        status = TextCell(counted(faults[check], "fault"), "bad") if faults[check] else status
        rows.append((title, checked.findings.looked.get(check, ""), status))
    return rows


def _by_check(checked: FolderCheck) -> tuple[Counter[str], Counter[str]]:
    """How many faults each check has, and how many things it could not check."""
    findings = checked.findings
    return Counter(fault.check for fault in findings.faults), Counter(note.check for note in findings.notes)


def _verdict(checked: FolderCheck, strict: bool) -> str:
    faults, notes = checked.findings.faults, checked.findings.notes
    if faults:
        return f"{counted(len(faults), 'fault')} in {counted(len({fault.file for fault in faults}), 'file')}"
    if not notes:
        return "no fault"
    unchecked = f"{counted(len(notes), 'thing')} could not be checked"
    return f"no fault{', but --strict: ' if strict else '; '}{unchecked}"
