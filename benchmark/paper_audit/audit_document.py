"""What `benchmark.audit` shows: a document (docs/audit.md is one), or the documented JSON."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict

from benchmark.paper_audit.findings import (
    BEYOND,
    CHECKS,
    IMPLAUSIBLE,
    IMPOSSIBLE,
    SEVERITIES,
    Audit,
    Finding,
)
from benchmark.rendering.document import (
    Block,
    Column,
    Document,
    Heading,
    ListItem,
    Paragraph,
    Phrase,
    TextCell,
    TextList,
    Tone,
    text_table,
    with_code,
)
from benchmark.rendering.phrases import counted

FORMAT = 1
TONES: dict[str, Tone] = {IMPOSSIBLE: "bad", IMPLAUSIBLE: "open", BEYOND: "open"}
COLUMNS = (Column("check", "left", least=24), Column("looked at"), Column("found", "left", least=14))
HOW = (
    "Written by `python -m benchmark.audit` from the paper's tables and sentences; no run of ours is looked "
    "at. Every printed number stands for the interval that rounds to it (half a printed unit to either "
    "side); means, differences and percentages carry it through. What some unrounded numbers could give is "
    "no finding."
)


def audit_document(audit: Audit) -> Document:
    """What was looked at, the findings, the worst first, and the verdict."""
    blocks: list[Block] = [Paragraph(with_code(HOW), "quiet"), text_table(COLUMNS, _check_rows(audit))]
    for severity, meaning in SEVERITIES.items():
        items = [_item(finding) for finding in audit.findings if finding.severity == severity]
        if items:
            said = Paragraph(f"{meaning[0].upper()}{meaning[1:]}.")
            blocks += [Heading(severity.capitalize()), said, TextList(tuple(items), numbered=True)]
    verdict = Phrase(_verdict(audit), "strong", "bad" if audit.findings else "good")
    return Document(
        "The paper against itself", (*blocks, Paragraph(verdict)), about=audit.title, wrapped=False
    )


def audit_json(audit: Audit) -> str:
    """One object: format, paper, tables, cells, claims, status, severities {severity: findings}, checks,
    findings.

    A finding has check, severity, table, row, label, metric, column, others, section, quote, claim, reading,
    printed, follows and where; null where it has none.
    """
    by_severity = Counter(finding.severity for finding in audit.findings)
    by_check = Counter(finding.check for finding in audit.findings)
    value = {
        "format": FORMAT,
        "paper": audit.title,
        "tables": audit.tables,
        "cells": audit.cells,
        "claims": audit.claims,
        "status": audit.status,
        "severities": {severity: by_severity[severity] for severity in SEVERITIES},
        "checks": [
            {"check": check, "title": title, "looked_at": audit.looked[check], "findings": by_check[check]}
            for check, title in CHECKS.items()
        ],
        "findings": [
            {key: text or None for key, text in asdict(finding).items()} | {"where": finding.where}
            for finding in audit.findings
        ],
    }
    return json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _check_rows(audit: Audit) -> list[tuple[str, str, TextCell]]:
    """Title, how many were looked at, and what was found, of each check."""
    rows = []
    for check, title in CHECKS.items():
        severities = Counter(finding.severity for finding in audit.findings if finding.check == check)
        looked = audit.looked[check]
        text, tone = (
            _by_severity(severities),
            TONES.get(next(filter(severities.get, SEVERITIES), ""), "quiet"),
        )
        if not severities:
            text, tone = ("nothing", "good") if looked else ("nothing to look at", "quiet")
        rows.append((title, f"{looked:,}" if looked else "-", TextCell(text, tone)))
    return rows


def _item(finding: Finding) -> ListItem:
    """Where a finding stands; what was printed, what follows, and of a sentence its words and how they were
    read.
    """
    parts = [
        ListItem(finding.printed, label="stated" if finding.claim else "printed"),
        ListItem(finding.follows, label="follows"),
    ]
    if finding.quote:
        parts.append(ListItem(Phrase(f"“{finding.quote}”", "emphasis"), label="sentence"))
    if finding.reading:
        parts.append(ListItem(finding.reading, label="read as"))
    where = Phrase(finding.where, "strong", TONES[finding.severity])
    return ListItem((where, f" ({CHECKS[finding.check]})"), items=tuple(parts))


def _by_severity(counts: Counter[str]) -> str:
    return ", ".join(f"{counts[severity]} {severity}" for severity in SEVERITIES if counts[severity])


def _verdict(audit: Audit) -> str:
    looked = f"{audit.tables} tables, {audit.cells:,} printed numbers, {audit.claims} claims"
    if not audit.findings:
        return f"{looked}: nothing beyond rounding"
    counts = Counter(finding.severity for finding in audit.findings)
    return f"{looked}: {counted(len(audit.findings), 'finding')} ({_by_severity(counts)})"
