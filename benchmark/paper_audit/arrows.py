"""Arrows: a gain printed beside an average, over a row above. Which row, the paper does not say; the table's
own arrows do.
"""

from __future__ import annotations

from benchmark.paper.tables import AVERAGE, Row, Table
from benchmark.paper_audit.backbones import same_backbone
from benchmark.paper_audit.findings import BEYOND, IMPLAUSIBLE, Audit, Place, label_of
from benchmark.paper_audit.printed_numbers import Span, between, cell, decimals_of, shown, stated

READINGS = (-1, 0)
"""Which of the rows above of the same model and K an arrow is over: the next one, or the first."""


def audit_arrows(table: Table, audit: Audit) -> None:
    """Every arrow is its average less that of its base, within rounding.

    The base is the next row above of the same model and K, or the first of them: in each table the reading
    that explains more of its arrows, either where both do alike. An arrow in a model's first row is a gain
    over another model: it mixes backbones.
    """
    arrows = [
        index
        for index, row in enumerate(table.rows)
        if row.printed_gain is not None and _average(table, row) is not None
    ]
    explained = {
        reading: sum(_explains(table, table.rows[index], _base(table, index, reading)) for index in arrows)
        for reading in READINGS
    }
    readings = [reading for reading, number in explained.items() if number == max(explained.values())]
    for index in arrows:
        audit.look("arrow")
        row = table.rows[index]
        bases = [base for reading in readings if (base := _base(table, index, reading))]
        if not bases:
            _audit_first(table, index, audit)
        elif not any(_explains(table, row, base) for base in bases):
            _audit_gain(table, row, bases[0], audit)


def _audit_gain(table: Table, row: Row, base: Row, audit: Audit) -> None:
    follows = _gain(table, row, base)
    if follows is None or row.printed_gain is None or stated(row.printed_gain).meets(follows):
        return
    text = f"over {label_of(base)} it is {between(follows, table.decimals[table.metrics[-1]], sign=True)}"
    fits = [other for other in table.rows if other not in (row, base) and _explains(table, row, other)]
    text += f"; it is that over {label_of(fits[0])}" if len(fits) == 1 else ""
    _find(audit, "arrow", BEYOND, table, row, text, (base.row, *(other.row for other in fits)))


def _audit_first(table: Table, index: int, audit: Audit) -> None:
    """An arrow with no row of its model above it."""
    row, above = table.rows[index], table.rows[index - 1] if index else None
    if above is None:
        _find(audit, "arrow", BEYOND, table, row, "no row stands above it that it could be a gain over", ())
    elif not same_backbone(row, above):
        audit.look("backbone")
        text = (
            f"no row of this model stands above it; the next one is {label_of(above)}, of another backbone: "
            "a gain over it is not the arm's"
        )
        _find(audit, "backbone", IMPLAUSIBLE, table, row, text, (above.row,))
    else:
        _audit_gain(table, row, above, audit)


def _base(table: Table, index: int, reading: int) -> Row | None:
    """The row that the arrow of row `index` is over, in one of the READINGS."""
    row = table.rows[index]
    block = [other for other in table.rows[:index] if (other.model, other.K) == (row.model, row.K)]
    return block[reading] if block else None


def _average(table: Table, row: Row) -> Span | None:
    return cell(table, row, table.metrics[-1], AVERAGE) if table.average else None


def _gain(table: Table, row: Row, base: Row) -> Span | None:
    """The average less that of the base."""
    ours, theirs = _average(table, row), _average(table, base)
    return None if ours is None or theirs is None else ours - theirs


def _explains(table: Table, row: Row, base: Row | None) -> bool:
    """Whether the arrow of a row is the gain over `base`."""
    gain = None if base is None else _gain(table, row, base)
    return gain is not None and row.printed_gain is not None and stated(row.printed_gain).meets(gain)


def _find(
    audit: Audit, check: str, severity: str, table: Table, row: Row, follows: str, others: tuple[str, ...]
) -> None:
    gain = row.printed_gain or 0
    arrow = f"{'↓' if gain < 0 else '↑'} {shown(abs(stated(gain).middle), decimals_of(gain))}"
    audit.find(check, severity, Place(table, row, table.metrics[-1], (AVERAGE,)), arrow, follows, others)
