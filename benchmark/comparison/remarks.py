"""What stands under a compared table: descriptive figures, assumptions and notes. Nothing is decided with
them.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from benchmark.comparison.claims import ClaimResult
from benchmark.comparison.matching import NO_DATA
from benchmark.comparison.report import CellResult
from benchmark.config.params import CompareSettings
from benchmark.paper.tables import AVERAGE
from benchmark.runs.results import Run
from benchmark.statistics import kendall_tau_b


def differences(
    claims: Sequence[ClaimResult], cells: Sequence[CellResult]
) -> tuple[list[float], list[float]]:
    """Row against row, dataset by dataset, for each pair of rows that a claim compares: our differences, the
    paper's.
    """
    scored = [
        cell
        for cell in cells
        if cell.match.dataset != AVERAGE and cell.mean is not None and cell.match.published is not None
    ]
    by_row: dict[tuple[str, str], dict[str, CellResult]] = {}
    for cell in scored:
        by_row.setdefault((cell.match.row.row, cell.match.metric), {})[cell.match.dataset] = cell
    pairs = dict.fromkeys((result.claim.a, result.claim.b, result.claim.metric) for result in claims)
    ours, published = [], []
    for a, b, metric in pairs:
        others = by_row.get((b, metric), {})
        for dataset, first in by_row.get((a, metric), {}).items():
            if second := others.get(dataset):
                ours.append((first.mean or 0.0) - (second.mean or 0.0))
                published.append((first.match.published or 0.0) - (second.match.published or 0.0))
    return ours, published


def tau_b(cells: Sequence[CellResult]) -> float | None:
    """Kendall's tau-b between the paper's and our order of the rows, by their mean over the datasets that all
    rows have.
    """
    metric = cells[-1].match.metric  # the last metric of a table is its main one
    rows: dict[str, dict[str, CellResult]] = {}
    for cell in cells:
        if (
            cell.match.metric == metric
            and cell.match.dataset != AVERAGE
            and cell.mean is not None
            and cell.match.published is not None
        ):
            rows.setdefault(cell.match.row.row, {})[cell.match.dataset] = cell
    common = set.intersection(*map(set, rows.values())) if rows else set()
    if not common:
        return None
    ours = [fmean(row[name].mean or 0.0 for name in common) for row in rows.values()]
    published = [fmean(row[name].match.published or 0.0 for name in common) for row in rows.values()]
    return kendall_tau_b(ours, published)


def assumptions(settings: CompareSettings, n_pub: int) -> tuple[str, ...]:
    """What the verdicts rest on."""
    runs = f"{n_pub} run{'s' if n_pub > 1 else ''}"
    printed = settings.estimand == "printed"
    meant = (
        "the printed number is taken as fixed" if printed else "the mean behind the printed number is meant"
    )
    margins = f"within ±{settings.margin_cell:g} a cell, ±{settings.margin_average:g} an average"
    return (
        f"a printed number is the mean of {runs} of the paper's, with the spread of ours",
        f"reproduced: {margins} or half of a claimed gain where that is tighter; {meant}",
        "inconclusive (n seeds): with n seeds of ours, and what we see now being true, "
        "it would be settled with 80 % probability",
        f"variances are pooled over the table's cells with {settings.d0:g} prior degrees of freedom; "
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
