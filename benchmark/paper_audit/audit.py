"""`python -m benchmark.audit`: the paper against itself, from its tables and sentences alone. No run of ours
is looked at.

`benchmark/paper_audit` has the rules. docs/audit.md is what this command finds in the paper that this project
reproduces.
"""

from __future__ import annotations

from benchmark.paper.tables import Paper
from benchmark.paper_audit.across_tables import audit_labels, audit_repeats
from benchmark.paper_audit.arrows import audit_arrows
from benchmark.paper_audit.findings import Audit
from benchmark.paper_audit.lines import audit_lines
from benchmark.paper_audit.prose import audit_backbones, audit_claims, audit_quotes
from benchmark.paper_audit.within_table import (
    audit_averages,
    audit_bounds,
    audit_exact_match,
    audit_percentages,
    audit_shots,
)


def audit_paper(paper: Paper) -> Audit:
    """Everything in which a paper's tables and claims contradict themselves by more than rounding, the worst
    first.
    """
    cells = sum(
        number is not None
        for table in paper.tables.values()
        for row in table.rows
        for m in row.values.values()
        for number in m.values()
    )
    audit = Audit(paper.title, len(paper.tables), cells, len(paper.claims))
    for table in paper.tables.values():
        for rule in (
            audit_averages,
            audit_arrows,
            audit_percentages,
            audit_bounds,
            audit_exact_match,
            audit_lines,
            audit_shots,
        ):
            rule(table, audit)
    for whole in (audit_repeats, audit_labels, audit_claims, audit_quotes, audit_backbones):
        whole(paper, audit)
    audit.sort()
    return audit
