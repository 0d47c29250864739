"""Cells out of line: one number that neither its row nor its column explains, as a slip of the pen or another
measure would leave it.
"""

from __future__ import annotations

from math import inf, sqrt

import numpy as np

from benchmark.paper.tables import Table
from benchmark.paper_audit.findings import IMPLAUSIBLE, Audit, Place
from benchmark.paper_audit.printed_numbers import as_printed
from benchmark.statistics.t_tests import Array, t_two_sided

FREEDOM = 20
"""Degrees of freedom, (rows - 1) * (columns - 1), from which a table says what its line is."""
ALPHA = 1e-4
"""Chance of a false alarm in a table, Bonferroni over its cells. Low, because systems differ by more than
normal noise.
"""
UNITS = 10
"""Printed units that it must be off besides: where all else fits exactly, a last digit is no news."""
SWEEPS = 20
Index = tuple[int, int]


def audit_outlying_cells(table: Table, audit: Audit) -> None:
    """Cells far from row effect + column effect, in tables of scores: the largest deleted studentised
    residual, then the next without it.

    A row of another kind of system differs in several cells, which widens the residuals: only a cell that is
    alone stands out.
    """
    freedom = (len(table.rows) - 1) * (len(table.datasets) - 1)
    for metric in table.metrics if table.kind == "scores" and freedom >= FREEDOM else ():
        printed = [[row.values[metric].get(dataset) for dataset in table.datasets] for row in table.rows]
        if any(None in line for line in printed):
            continue
        numbers, digits = np.array(printed, float), table.decimals[metric]
        audit.look("line", numbers.size)
        for (i, j), (expected, p) in _out_of_line(numbers, UNITS / 10**digits).items():
            row, dataset = table.rows[i], table.datasets[j]
            text = f"the rest of the table, by row and column, suggests {expected:.{digits}f}"
            text += f" (p {max(p, 1e-9):.0e} over {numbers.size} cells)"
            place = Place(table, row, metric, (dataset,))
            audit.find("line", IMPLAUSIBLE, place, as_printed(table, row, metric, dataset), text)


def _out_of_line(numbers: Array, least: float) -> dict[Index, tuple[float, float]]:
    """The cells out of line by more than `least`: what the others suggest, and the corrected p value."""
    outlying: dict[Index, tuple[float, float]] = {}
    rows, columns = numbers.shape
    freedom = (rows - 1) * (columns - 1)
    free = freedom / numbers.size  # 1 - leverage, the same for every cell
    while freedom - len(outlying) > FREEDOM // 2:
        filled = _filled(numbers, list(outlying), free)
        residuals, left = _residuals(filled), freedom - len(outlying)
        error = float((residuals**2).sum()) / left
        i, j = divmod(int(np.abs(residuals).argmax()), columns)
        residual = float(residuals[i, j])
        t = _deleted(abs(residual) / sqrt(error * free) if error else 0.0, left)
        p = min(1.0, float(t_two_sided(t, left - 1)) * numbers.size)
        if p >= ALPHA or abs(residual) / free <= least:
            break
        outlying[i, j] = (float(filled[i, j]) - residual / free, p)
    return outlying


def _filled(numbers: Array, without: list[Index], free: float) -> Array:
    """The numbers; in the places `without`, the others' least-squares estimates (Yates' iteration)."""
    filled = numbers.copy()
    for _ in range(SWEEPS if without else 0):
        for place in without:
            filled[place] -= _residuals(filled)[place] / free
    return filled


def _residuals(numbers: Array) -> Array:
    """What is left of each cell after its row's and its column's mean."""
    return numbers - numbers.mean(1, keepdims=True) - numbers.mean(0) + numbers.mean()


def _deleted(r: float, freedom: int) -> float:
    """The studentised residual against the error without its cell: t with freedom - 1 degrees of freedom."""
    rest = freedom - r**2
    return r * sqrt((freedom - 1) / rest) if rest > 1e-9 else inf
