"""What stands under a compared table: descriptive figures, assumptions and notes. Nothing is decided with
them.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from benchmark.comparison.claims import ClaimResult
from benchmark.comparison.matching import NO_DATA
from benchmark.comparison.report import CellResult
from benchmark.paper.tables import AVERAGE
from benchmark.rendering.phrases import counted
from benchmark.runs.results import Run
from benchmark.statistics.effect_sizes import kendall_tau_b
from benchmark.statistics.reproduction import ReproductionRule

Metrics = tuple[str, str]
"""A row and a metric."""


def _scored(cells: Sequence[CellResult]) -> dict[Metrics, dict[str, tuple[float, float]]]:
    """Ours and the paper's of every dataset that has both, by row and metric."""
    scored: dict[Metrics, dict[str, tuple[float, float]]] = {}
    for cell in cells:
        match = cell.match
        if match.dataset != AVERAGE and cell.mean is not None and match.published is not None:
            pair = (cell.mean, match.published)
            scored.setdefault((match.row.row, match.metric), {})[match.dataset] = pair
    return scored


def differences(
    claims: Sequence[ClaimResult], cells: Sequence[CellResult]
) -> tuple[list[float], list[float]]:
    """Row against row, dataset by dataset, for each pair of rows that a claim compares: our differences, the
    paper's.
    """
    scored = _scored(cells)
    ours, published = [], []
    for claim in {(c.claim.a, c.claim.b, c.claim.metric): c.claim for c in claims}.values():
        others = scored.get((claim.b, claim.metric), {})
        for dataset, (mean, printed) in scored.get((claim.a, claim.metric), {}).items():
            if dataset in others:
                ours.append(mean - others[dataset][0])
                published.append(printed - others[dataset][1])
    return ours, published


def tau_b(cells: Sequence[CellResult]) -> float | None:
    """Kendall's tau-b between the paper's and our order of the rows, by their mean over the datasets that all
    rows have.
    """
    main = cells[-1].match.metric  # the last metric of a table is its main one
    rows = [pairs for (_, metric), pairs in _scored(cells).items() if metric == main]
    common = set.intersection(*map(set, rows)) if rows else set()
    if not common:
        return None
    ours, published = ([fmean(row[name][side] for name in common) for row in rows] for side in (0, 1))
    return kendall_tau_b(ours, published)


def assumptions(rule: ReproductionRule) -> tuple[str, ...]:
    """What the verdicts rest on."""
    runs = counted(rule.n_pub, "run")
    meant = "the mean behind the printed number is meant"
    if rule.estimand == "printed":
        meant = "the printed number is taken as fixed"
    margins = f"within ±{rule.margin_cell:g} per cell, ±{rule.margin_average:g} per average"
    return (
        f"a printed number is the mean of {runs} of the paper's, with the spread of ours",
        f"reproduced: {margins} or half of a claimed gain where that is tighter; {meant}",
        "inconclusive (n seeds): with n seeds of ours, and what we see now being true, "
        "it would be settled with 80 % probability",
        f"variances are pooled over the table's cells with {rule.d0:g} prior degrees of freedom; "
        "Holm runs over its comparable cells",
    )


def notes(cells: Sequence[CellResult], runs: Sequence[Run]) -> tuple[str, ...]:
    """What a reader should know of the runs."""
    lines = []
    answered = {cell.match.dataset for cell in cells if cell.mean is not None}
    absent = dict.fromkeys(
        c.match.dataset
        for c in cells
        if c.verdict == NO_DATA and c.match.runs and c.match.dataset not in answered
    )
    if absent:
        lines.append(
            f"no data: {', '.join(absent)}; left out of our averages, which are therefore not comparable"
        )
    if dirty := [run.cell for run in runs if run.dirty]:
        lines.append(f"{len(dirty)} of {len(runs)} runs were made with uncommitted changes")
    if len(commits := {run.commit for run in runs if run.commit}) > 1:
        lines.append(f"the runs are of {len(commits)} commits")
    return tuple(lines)
