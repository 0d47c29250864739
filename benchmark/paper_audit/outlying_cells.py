"""Cells out of line: one number that neither its row nor its column explains, as a slip of the pen or another
measure would leave it.
"""

from __future__ import annotations

from math import inf, sqrt
from statistics import fmean

from benchmark.paper.tables import Table
from benchmark.paper_audit.findings import IMPLAUSIBLE, Audit, Finding, column_of, label_of
from benchmark.paper_audit.printed_numbers import cell
from benchmark.statistics.t_tests import t_two_sided

FREEDOM = 20
"""Degrees of freedom, (rows - 1) * (columns - 1), from which a table says what its line is."""
ALPHA = 1e-4
"""Chance of a false alarm in a table, Bonferroni over its cells. Low, because systems differ by more than
normal noise.
"""
UNITS = 10
"""Printed units that it must be off besides: where all else fits exactly, a last digit is no news."""
SWEEPS = 20
Cells = list[list[float]]
Place = tuple[int, int]


def audit_outlying_cells(table: Table, audit: Audit) -> None:
    """Cells far from row effect + column effect, in tables of scores: the largest deleted studentised
    residual, then the next without it.

    A row of another kind of system differs in several cells, which widens the residuals: only a cell that is
    alone stands out.
    """
    datasets, rows = list(table.columns.values()), len(table.rows)
    for metric in (
        table.metrics if table.kind == "scores" and (rows - 1) * (len(datasets) - 1) >= FREEDOM else ()
    ):
        spans = [[cell(table, row, metric, dataset) for dataset in datasets] for row in table.rows]
        numbers = [[float(span.middle) for span in line if span] for line in spans]
        if any(len(line) < len(datasets) for line in numbers):
            continue
        audit.look("line", rows * len(datasets))
        digits = table.decimals[metric]
        for (i, j), (expected, p) in _out_of_line(numbers, UNITS / 10**digits).items():
            row, number = table.rows[i], numbers[i][j]
            text = f"the rest of the table, by row and column, suggests {expected:.{digits}f}"
            text += f" (p {max(p, 1e-9):.0e} over {rows * len(datasets)} cells)"
            where = (metric, column_of(table, datasets[j]))
            audit.find(
                Finding(
                    "line",
                    IMPLAUSIBLE,
                    table.table,
                    row.row,
                    label_of(row),
                    f"{number:.{digits}f}",
                    text,
                    *where,
                )
            )


def _out_of_line(numbers: Cells, least: float) -> dict[Place, tuple[float, float]]:
    """The cells out of line by more than `least`: what the others suggest, and the corrected p value."""
    outlying: dict[Place, tuple[float, float]] = {}
    rows, columns = len(numbers), len(numbers[0])
    freedom = (rows - 1) * (columns - 1)
    free = freedom / (rows * columns)  # 1 - leverage, the same for every cell
    while freedom - len(outlying) > FREEDOM // 2:
        filled = _filled(numbers, list(outlying), free)
        residuals, left = _residuals(filled), freedom - len(outlying)
        error = sum(number**2 for line in residuals for number in line) / left
        worst, i, j = max((abs(residuals[i][j]), i, j) for i in range(rows) for j in range(columns))
        t = _deleted(worst / sqrt(error * free) if error else 0.0, left)
        p = min(1.0, float(t_two_sided(t, left - 1)) * rows * columns)
        if p >= ALPHA or worst / free <= least:
            break
        outlying[i, j] = (filled[i][j] - residuals[i][j] / free, p)
    return outlying


def _filled(numbers: Cells, without: list[Place], free: float) -> Cells:
    """The numbers; in the places `without`, the others' least-squares estimates (Yates' iteration)."""
    filled = [list(line) for line in numbers]
    for _ in range(SWEEPS if without else 0):
        for i, j in without:
            filled[i][j] -= _residuals(filled)[i][j] / free
    return filled


def _residuals(numbers: Cells) -> Cells:
    """What is left of each cell after its row's and its column's mean."""
    means, middles = (
        [fmean(line) for line in numbers],
        [fmean(column) for column in zip(*numbers, strict=True)],
    )
    grand = fmean(means)
    return [
        [number - mean - middle + grand for number, middle in zip(line, middles, strict=True)]
        for line, mean in zip(numbers, means)
    ]


def _deleted(r: float, freedom: int) -> float:
    """The studentised residual against the error without its cell: t with freedom - 1 degrees of freedom."""
    rest = freedom - r**2
    return r * sqrt((freedom - 1) / rest) if rest > 1e-9 else inf
