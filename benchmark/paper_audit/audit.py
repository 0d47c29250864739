"""All rules of the audit, held against one paper."""

from __future__ import annotations

from benchmark.paper.tables import Paper
from benchmark.paper_audit.across_tables import audit_labels, audit_repeats
from benchmark.paper_audit.arrows import audit_arrows
from benchmark.paper_audit.findings import Audit
from benchmark.paper_audit.outlying_cells import audit_outlying_cells
from benchmark.paper_audit.printed_numbers import cells
from benchmark.paper_audit.prose import audit_backbones, audit_claims, audit_quotes
from benchmark.paper_audit.within_table import (
    audit_averages,
    audit_bounds,
    audit_exact_match,
    audit_percentages,
    audit_shots,
)

TABLE_RULES = (
    audit_averages,
    audit_arrows,
    audit_percentages,
    audit_bounds,
    audit_exact_match,
    audit_outlying_cells,
    audit_shots,
)
PAPER_RULES = (audit_repeats, audit_labels, audit_claims, audit_quotes, audit_backbones)


def audit_paper(paper: Paper) -> Audit:
    """Everything in which a paper's tables and claims contradict themselves by more than rounding, the worst
    first.
    """
    printed = sum(1 for table in paper.tables.values() for _ in cells(table))
    audit = Audit(paper.title, len(paper.tables), printed, len(paper.claims))
    for table in paper.tables.values():
        for rule in TABLE_RULES:
            rule(table, audit)
    for paper_rule in PAPER_RULES:
        paper_rule(paper, audit)
    audit.sort()
    return audit
