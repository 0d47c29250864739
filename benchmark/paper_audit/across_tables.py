"""Rows of several tables: one that is printed twice with other numbers, and numbers that are printed twice
under other labels.
"""

from __future__ import annotations

from collections import Counter
from itertools import combinations

from benchmark.paper.tables import AVERAGE, Paper, Row, Table, table_name
from benchmark.paper_audit.findings import BEYOND, IMPLAUSIBLE, Audit, Place, label_of
from benchmark.paper_audit.printed_numbers import Span, as_printed, cells

LEAST = 3
"""Datasets in which two rows must have the same numbers for that to be no chance."""
TableRow = tuple[Table, Row]


def audit_repeats(paper: Paper, audit: Audit) -> None:
    """A row printed in several tables (the same id and K) has the same numbers there; an average only where
    the datasets are the same.

    Of the tables that print a cell, the number that most of them have counts as right, of equally many the
    first table's.
    """
    printed: dict[tuple[str, int | None, str, str | frozenset[str]], list[tuple[Table, Row, Span]]] = {}
    for table in paper.tables.values():
        for row, metric, dataset, span in cells(table):
            among = frozenset(table.datasets) if dataset == AVERAGE else dataset
            printed.setdefault((row.row, row.K, metric, among), []).append((table, row, span))
    differing: dict[tuple[str, str, str], list[tuple[TableRow, TableRow, str, str]]] = {}
    for (_, _, metric, among), places in printed.items():
        audit.look("repeat", len(places) - 1)
        usual = max(places, key=lambda place: sum(_agree(place[2], other[2]) for other in places))
        column = AVERAGE if isinstance(among, frozenset) else among
        for table, row, span in places:
            if not _agree(span, usual[2]):
                differing.setdefault((row.row, table.table, usual[0].table), []).append(
                    ((table, row), usual[:2], metric, column)
                )
    for differing_cells in differing.values():
        _find_repeat(differing_cells, audit)


def audit_labels(paper: Paper, audit: Audit) -> None:
    """No two rows of different labels have the same numbers in all the datasets that they share (three at
    least).

    Named is the one that fewer tables print with these numbers, of equally many the later one.
    """
    tables = [table for table in paper.tables.values() if table.kind == "scores"]
    places = [(table, row) for table in tables for row in table.rows]
    equal: dict[tuple[str, ...], dict[int, TableRow]] = {}
    for (i, first), (j, second) in combinations(enumerate(places), 2):
        for metric in first[0].metrics:
            shared = _shared(first, second, metric)
            if len(shared) < LEAST or _same(first, second):
                continue
            audit.look("label")
            if all(a == b for a, b in shared.values()) and len({a for a, _ in shared.values()}) > 1:
                equal.setdefault((metric, *sorted((first[1].row, second[1].row))), {}).update(
                    {i: first, j: second}
                )
    for (metric, *_), equal_rows in equal.items():
        in_order = [place for _, place in sorted(equal_rows.items())]
        prints = Counter(row.row for _, row in in_order)
        named = min(reversed(prints), key=lambda row: prints[row])
        named_rows = [place for place in in_order if place[1].row == named]
        others = [place for place in in_order if place[1].row != named]
        _find_label(metric, named_rows, others, audit)


def _agree(a: Span, b: Span) -> bool:
    """Whether two printed numbers can be the same one."""
    return not a.above(b) and not b.above(a)


def _find_repeat(differing: list[tuple[TableRow, TableRow, str, str]], audit: Audit) -> None:
    (table, row), (other, there), _, _ = differing[0]
    alike = (row.model, row.arm) == (there.model, there.arm)
    stands, says = (
        ", ".join(as_printed(*place, metric, dataset) for *_, metric, dataset in differing)
        for place in ((table, row), (other, there))
    )
    same = "the same row" if alike else f"the row as {label_of(there)}"
    text = f"{table_name(other.table)} prints {same}, with {says}"
    metrics = ", ".join(dict.fromkeys(metric for *_, metric, _ in differing))
    place = Place(table, row, metrics, tuple(dict.fromkeys(dataset for *_, dataset in differing)))
    audit.find("repeat", BEYOND, place, stands, text, (there.row,))


def _find_label(metric: str, places: list[TableRow], others: list[TableRow], audit: Audit) -> None:
    """`places`: the row that is named, where it has the numbers; `others`: the other row, table by table."""
    (table, row), there = places[0], others[0]
    datasets = tuple(_shared(places[0], there, metric))
    numbers = ", ".join(as_printed(table, row, metric, name) for name in datasets)
    names = " and ".join(dict.fromkeys(label_of(other) for _, other in others))
    tables = [table_name(other.table).removeprefix("Table ") for other, _ in others]
    where = f"Table{'s' if len(tables) > 1 else ''} {', '.join(tables)}"
    text = f"the same {len(datasets)} numbers are those of {names} in {where}"
    audit.find("label", IMPLAUSIBLE, Place(table, row, metric, datasets), numbers, text, (there[1].row,))


def _shared(first: TableRow, second: TableRow, metric: str) -> dict[str, tuple[float, float]]:
    """The numbers that two rows print for the same dataset; averages are none."""
    one, other = first[1].values.get(metric, {}), second[1].values.get(metric, {})
    pairs = {dataset: (number, other.get(dataset)) for dataset, number in one.items() if dataset != AVERAGE}
    return {dataset: (a, b) for dataset, (a, b) in pairs.items() if a is not None and b is not None}


def _same(first: TableRow, second: TableRow) -> bool:
    """Whether two rows say that they are the same: by id, by the runs that answer them, or by label; K and
    p_F alike.
    """
    a, b = first[1], second[1]
    if (a.K, a.p_f) != (b.K, b.p_f) and a.row != b.row:
        return False
    return a.row == b.row or (a.ours is not None and a.ours == b.ours) or (a.model, a.arm) == (b.model, b.arm)
