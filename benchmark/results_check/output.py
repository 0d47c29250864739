"""What `benchmark.check` prints: a summary and a line a fault, in colour on a terminal and plain elsewhere,
or JSON.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmark.results_check.findings import CHECKS, Checked, Findings, counted


def print_checked(checked: Checked, strict: bool) -> None:
    """Print to the terminal; piped output is plain, a line a check, a note and a fault."""
    console = Console(highlight=False, soft_wrap=True)
    if not console.is_terminal:
        sys.stdout.write(to_text(checked, strict))
        return
    console.print(Text(_title(checked), style="bold"))
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for column in ("check", "looked at", "found"):
        table.add_column(column, overflow="fold")
    for title, looked, found, style in _rows(checked.findings):
        table.add_row(Text(title), Text(looked), Text(found, style=style))
    console.print(table, soft_wrap=False)
    console.print()
    for note in checked.findings.notes:
        console.print(Text("not checked: ", style="yellow") + Text(_printable(note.text)))
    for fault in checked.findings.faults:
        console.print(Text("fault: ", style="bold red") + Text(_printable(str(fault))))
    console.print(
        Text(_verdict(checked, strict), style="bold red" if checked.status(strict) else "bold green")
    )


def to_text(checked: Checked, strict: bool) -> str:
    """The same without colours."""
    rows = _rows(checked.findings)
    titles, looked_at = (max(len(row[index]) for row in rows) for index in (0, 1))
    lines = [
        _title(checked),
        *(f"  {title:<{titles}}  {looked:<{looked_at}}  {found}" for title, looked, found, _ in rows),
        "",
    ]
    lines += [f"not checked: {note.text}" for note in checked.findings.notes]
    lines += [f"fault: {fault}" for fault in checked.findings.faults]
    return _printable("\n".join([*lines, _verdict(checked, strict)]) + "\n")


def to_json(checked: Checked, strict: bool) -> str:
    """One object, documented in docs/compare.md: folder, profile, runs, predictions, status, checks, faults,
    not_checked.
    """
    found = checked.findings
    checks = [
        {
            "check": check,
            "title": title,
            "looked_at": found.looked.get(check, ""),
            "faults": sum(fault.check == check for fault in found.faults),
            "not_checked": sum(note.check == check for note in found.notes),
        }
        for check, title in CHECKS.items()
    ]
    value = {
        "folder": checked.folder,
        "profile": checked.profile,
        "runs": checked.runs,
        "predictions": checked.predictions,
        "status": checked.status(strict),
        "checks": checks,
        "faults": [asdict(fault) | {"line": str(fault)} for fault in found.faults],
        "not_checked": [asdict(note) for note in found.notes],
    }
    return json.dumps(value, indent=1) + "\n"


def _title(checked: Checked) -> str:
    runs, rows = counted(checked.runs, "run"), counted(checked.predictions, "prediction")
    return _printable(f"{checked.folder}: {runs} of profile {checked.profile or '?'}, {rows}")


def _rows(found: Findings) -> list[tuple[str, str, str, str]]:
    """(title, what was looked at, what was found, style) of each check."""
    rows = []
    for check, title in CHECKS.items():
        faults = sum(fault.check == check for fault in found.faults)
        notes = sum(note.check == check for note in found.notes)
        text = counted(faults, "fault") if faults else "not checked in full" if notes else "ok"
        rows.append(
            (
                title,
                found.looked.get(check, ""),
                text,
                "bold red" if faults else "yellow" if notes else "green",
            )
        )
    return rows


def _verdict(checked: Checked, strict: bool) -> str:
    faults, notes = checked.findings.faults, checked.findings.notes
    unchecked = f"{counted(len(notes), 'thing')} could not be checked" if notes else ""
    if not faults:
        return (
            f"no fault{', but --strict: ' if unchecked and strict else '; ' if unchecked else ''}{unchecked}"
        )
    return f"{counted(len(faults), 'fault')} in {counted(len({fault.file for fault in faults}), 'file')}"


def _printable(text: str) -> str:
    """`text` without half characters, which a JSON file can hold and no terminal can show."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
