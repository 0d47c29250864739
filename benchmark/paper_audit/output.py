"""An audit as text: in colour on a terminal, plain elsewhere, as Markdown (docs/audit.md) and as JSON."""

from __future__ import annotations

import json
import sys
from collections import Counter
from dataclasses import asdict

from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmark.paper_audit.findings import BEYOND, CHECKS, IMPLAUSIBLE, IMPOSSIBLE, SEVERITIES, Audit, Finding

SUFFIXES = {"terminal": ".txt", "markdown": ".md", "json": ".json"}
STYLES = {IMPOSSIBLE: "bold red", IMPLAUSIBLE: "yellow", BEYOND: "magenta"}
FORMAT = 1
ROUNDING = (
    "Every printed number stands for the interval that rounds to it (half a printed unit to either side); means, differences and "
    "percentages carry it through. What some unrounded numbers could give is no finding."
)


def render(audit: Audit, form: str) -> str:
    """The audit as text in one of `SUFFIXES`; `terminal` without colours."""
    return {"terminal": to_text, "markdown": to_markdown, "json": to_json}[form](audit)


def print_audit(audit: Audit) -> None:
    """Print to the terminal; piped output is plain."""
    console = Console(highlight=False, soft_wrap=True)
    if not console.is_terminal:
        sys.stdout.write(to_text(audit))
        return
    console.print(Text("The paper against itself", style="bold"))
    console.print(Text(audit.title, style="dim"))
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for name in ("check", "looked at", "found"):
        table.add_column(name, justify="right" if name == "looked at" else "left", overflow="fold")
    for title, looked, found, severity in _rows(audit):
        table.add_row(
            title, looked, Text(found, style=STYLES.get(severity, "green" if looked != "-" else "dim"))
        )
    console.print(table, soft_wrap=False)
    for finding in audit.findings:
        console.print()
        console.print(
            Text.assemble((f"{finding.severity}: ", STYLES[finding.severity]), (finding.where, "bold"))
        )
        for name, text in _parts(finding):
            console.print(
                Text.assemble((f"  {name:<8}  ", "dim"), (text, "italic" if name == "sentence" else ""))
            )
    console.print()
    console.print(Text(_verdict(audit), style="bold red" if audit.findings else "bold green"))


def to_text(audit: Audit) -> str:
    """The same without colours, a line a part."""
    rows = _rows(audit)
    wide, number = max(len(row[0]) for row in rows), max(len(row[1]) for row in rows)
    lines = ["The paper against itself", audit.title, ""]
    lines += [f"  {title:<{wide}}  {looked:>{number}}  {found}" for title, looked, found, _ in rows]
    for finding in audit.findings:
        lines += [
            "",
            f"{finding.severity}: {finding.where}",
            *(f"  {name:<8}  {text}" for name, text in _parts(finding)),
        ]
    return "\n".join([*lines, "", _verdict(audit)]) + "\n"


def to_markdown(audit: Audit) -> str:
    """GitHub Markdown: what was looked at, then the findings, the worst first."""
    how = "Written by `python -m benchmark.audit --format markdown` from the paper's tables and sentences; no run of ours is looked at."
    lines = [
        "# The paper against itself",
        "",
        _escaped(audit.title),
        "",
        f"{how} {ROUNDING}",
        "",
        f"**{_verdict(audit)}**",
        "",
    ]
    lines += ["| check | looked at | found |", "| --- | ---: | --- |"]
    lines += [f"| {title} | {looked} | {found} |" for title, looked, found, _ in _rows(audit)]
    number = 0
    for severity, meaning in SEVERITIES.items():
        found = [finding for finding in audit.findings if finding.severity == severity]
        if found:
            lines += ["", f"## {severity.capitalize()}", "", f"{meaning[0].upper()}{meaning[1:]}."]
        for finding in found:
            number += 1
            lines += ["", f"{number}. **{_escaped(finding.where)}** ({CHECKS[finding.check]})"]
            for name, text in _parts(finding):
                lines += [f"    - {name}: {f'*{_escaped(text)}*' if name == 'sentence' else _escaped(text)}"]
    return "\n".join(lines) + "\n"


def to_json(audit: Audit) -> str:
    """One object: format, paper, tables, cells, claims, status, severities {severity: findings}, checks,
    findings.

    A finding has check, severity, table, row, label, metric, column, others, section, quote, claim, reading,
    printed, follows and
    where; null where it has none.
    """
    counts = Counter(finding.severity for finding in audit.findings)
    value = {
        "format": FORMAT,
        "paper": audit.title,
        "tables": audit.tables,
        "cells": audit.cells,
        "claims": audit.claims,
        "status": audit.status,
        "severities": {severity: counts[severity] for severity in SEVERITIES},
        "checks": [
            {
                "check": check,
                "title": title,
                "looked_at": audit.looked[check],
                "findings": _count(audit, check),
            }
            for check, title in CHECKS.items()
        ],
        "findings": [
            {key: text or None for key, text in asdict(finding).items()} | {"where": finding.where}
            for finding in audit.findings
        ],
    }
    return json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _rows(audit: Audit) -> list[tuple[str, str, str, str]]:
    """(title, how many were looked at, what was found, the worst severity) of each check."""
    rows = []
    for check, title in CHECKS.items():
        severities = Counter(finding.severity for finding in audit.findings if finding.check == check)
        found = ", ".join(
            f"{severities[severity]} {severity}" for severity in SEVERITIES if severities[severity]
        )
        looked = audit.looked[check]
        worst = next((severity for severity in SEVERITIES if severities[severity]), "")
        rows.append(
            (
                title,
                f"{looked:,}" if looked else "-",
                found or ("nothing" if looked else "nothing to look at"),
                worst,
            )
        )
    return rows


def _count(audit: Audit, check: str) -> int:
    return sum(finding.check == check for finding in audit.findings)


def _parts(finding: Finding) -> list[tuple[str, str]]:
    """The lines of a finding: what was printed, what follows, and of a sentence its words and how they were
    read.
    """
    says = "stated" if finding.claim else "printed"
    parts = [(says, finding.printed), ("follows", finding.follows)]
    parts += [("sentence", f"“{finding.quote}”")] if finding.quote else []
    return [*parts, ("read as", finding.reading)] if finding.reading else parts


def _verdict(audit: Audit) -> str:
    looked = f"{audit.tables} tables, {audit.cells:,} printed numbers, {audit.claims} claims"
    counts = Counter(finding.severity for finding in audit.findings)
    found = ", ".join(f"{counts[severity]} {severity}" for severity in SEVERITIES if counts[severity])
    total = len(audit.findings)
    return (
        f"{looked}: {total} finding{'' if total == 1 else 's'} ({found})"
        if total
        else f"{looked}: nothing beyond rounding"
    )


def _escaped(text: str) -> str:
    for character in "\\|*_<>":
        text = text.replace(character, f"\\{character}")
    return text
