"""One table against itself: averages, percentages, bounds, EM at most F1, scores that fall with K. `arrows`
and `lines` have the rest.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from benchmark.paper.tables import AVERAGE, Row, Table
from benchmark.paper_audit.findings import (
    BEYOND,
    IMPLAUSIBLE,
    IMPOSSIBLE,
    Audit,
    Finding,
    column_of,
    label_of,
)
from benchmark.paper_audit.printed_numbers import Span, between, cell, mean, percent, shown

PERCENT = ("_pct", "_percent")
"""Endings of a percentage's name in a table of facts: trainable_pct is that of trainable_M in total_M."""
ZERO, HUNDRED = Span(Fraction(0), Fraction(0), Fraction(0)), Span(Fraction(100), Fraction(100), Fraction(100))


@dataclass(frozen=True, slots=True)
class CellPlace:
    """Where a finding stands: a cell of a printed table. metric: as printed, several with commas between.
    dataset: the column's; AVERAGE, or "" in a table of facts.
    """

    table: Table
    row: Row
    metric: str
    dataset: str = ""

    def finding(
        self, check: str, severity: str, printed: str, follows: str, others: tuple[str, ...] = ()
    ) -> Finding:
        """What `check` says of this cell."""
        column = column_of(self.table, self.dataset)
        table, row, label = self.table.table, self.row.row, label_of(self.row)
        return Finding(check, severity, table, row, label, printed, follows, self.metric, column, others)


def audit_averages(table: Table, audit: Audit) -> None:
    """Every printed macro average is the mean of its row's cells; one outside all of them is impossible."""
    for row in table.rows:
        for metric in table.metrics if table.average else ():
            average = cell(table, row, metric, AVERAGE)
            cells = [span for name in table.columns.values() if (span := cell(table, row, metric, name))]
            if average is None or len(cells) < len(table.columns) or not cells:
                continue
            audit.look("average")
            follows, digits = mean(cells), table.decimals[metric]
            outside = all(average.above(span) for span in cells) or all(span.above(average) for span in cells)
            if outside or not average.meets(follows):
                text = f"the mean of the {len(cells)} cells is {between(follows, digits)}"
                text += "; no mean lies outside of its cells" if outside else ""
                place = CellPlace(table, row, metric, AVERAGE)
                severity = IMPOSSIBLE if outside else BEYOND
                audit.find(place.finding("average", severity, shown(average.middle, digits), text))


def audit_percentages(table: Table, audit: Audit) -> None:
    """In facts: a percentage is 100 * part / whole, and no part is more than its whole. Which is which, the
    metrics' names say.
    """
    for metric, part_name, whole_name in _percentages(table.metrics) if table.kind == "facts" else ():
        for row in table.rows:
            stands, part, whole = (cell(table, row, name, "") for name in (metric, part_name, whole_name))
            if part is None or whole is None:
                continue
            part_text, whole_text = _text(table, row, part_name), _text(table, row, whole_name)
            audit.look("bounds")
            if part.above(whole):
                place = CellPlace(table, row, part_name)
                follows = f"more than the whole, {whole_text}"
                audit.find(place.finding("bounds", IMPOSSIBLE, part_text, follows))
            if stands is None or whole.low <= 0:
                continue
            audit.look("percentage")
            share, digits = percent(part, whole), table.decimals[metric]
            if not stands.meets(share):
                place = CellPlace(table, row, metric)
                text = f"{part_text} of {whole_text} is {between(share, digits)}"
                audit.find(place.finding("percentage", BEYOND, shown(stands.middle, digits), text))


def audit_bounds(table: Table, audit: Audit) -> None:
    """Percentages lie within 0 and 100: all scores of a table whose unit is percent, and the percentages of
    facts.
    """
    metrics = (
        table.metrics
        if table.unit == "percent"
        else tuple(name for name in table.metrics if name.endswith(PERCENT))
    )
    for row in table.rows:
        for metric in metrics:
            for dataset in row.values[metric]:
                span = cell(table, row, metric, dataset)
                if span is None:
                    continue
                audit.look("bounds")
                if ZERO.above(span) or span.above(HUNDRED):
                    place = CellPlace(table, row, metric, dataset)
                    stands = shown(span.middle, table.decimals[metric])
                    text = "a percentage lies between 0 and 100"
                    audit.find(place.finding("bounds", IMPOSSIBLE, stands, text))


def audit_exact_match(table: Table, audit: Audit) -> None:
    """EM is at most F1, cell by cell: an answer that matches exactly has an F1 of 1."""
    names = {metric.lower(): metric for metric in table.metrics}
    if not {"em", "f1"} <= set(names):
        return
    for row in table.rows:
        for dataset in row.values[names["em"]]:
            em, f1 = (cell(table, row, names[name], dataset) for name in ("em", "f1"))
            if em and f1:
                audit.look("em-f1")
                if em.above(f1):
                    text = "EM is at most F1: an answer that matches exactly has an F1 of 1"
                    place = CellPlace(table, row, f"{names['em']}, {names['f1']}", dataset)
                    em_text, f1_text = (_text(table, row, names[name], dataset) for name in ("em", "f1"))
                    stands = f"EM {em_text}, F1 {f1_text}"
                    audit.find(place.finding("em-f1", IMPOSSIBLE, stands, text))


def audit_shots(table: Table, audit: Audit) -> None:
    """Rows that differ in K alone: no score falls, beyond rounding, from one K to the next. One finding
    per column.
    """
    families: dict[tuple[object, ...], list[Row]] = {}
    for row in table.rows:
        if row.K is not None:
            families.setdefault((row.model, row.arm, row.ours, row.p_f), []).append(row)
    for rows in families.values():
        rows.sort(key=lambda row: row.K or 0)
        for metric in table.metrics if table.kind == "scores" else ():
            for dataset in rows[0].values[metric]:
                printed = [(row, span) for row in rows if (span := cell(table, row, metric, dataset))]
                audit.look("shots", max(0, len(printed) - 1))
                falls = [
                    (a, b) for (a, high), (b, low) in pairwise(printed) if a.K != b.K and high.above(low)
                ]
                if falls:
                    digits = table.decimals[metric]
                    stands = ", ".join(f"K = {row.K}: {shown(span.middle, digits)}" for row, span in printed)
                    text = "with more examples it falls: " + ", ".join(
                        f"from K = {a.K} to K = {b.K}" for a, b in falls
                    )
                    place = CellPlace(table, falls[0][1], metric, dataset)
                    others = tuple(a.row for a, _ in falls)
                    audit.find(place.finding("shots", IMPLAUSIBLE, stands, text, others))


def _percentages(metrics: tuple[str, ...]) -> Iterator[tuple[str, str, str]]:
    """The percentages named <part>_pct whose <part>_<unit> and total_<unit> the table has too: (percentage,
    part, whole).
    """
    for metric in metrics:
        stem = next((metric.removesuffix(ending) for ending in PERCENT if metric.endswith(ending)), None)
        for name in metrics if stem else ():
            whole = f"total{name.removeprefix(stem or '')}"
            if name.startswith(f"{stem}_") and name != metric and whole != name and whole in metrics:
                yield metric, name, whole


def _text(table: Table, row: Row, metric: str, dataset: str = "") -> str:
    """A printed number as it stands."""
    return f"{row.values[metric][dataset]:.{table.decimals[metric]}f}"
