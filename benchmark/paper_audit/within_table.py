"""One table against itself: averages, percentages, bounds, EM at most F1, scores that fall with K. `arrows`
and `lines` have the rest.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise

from benchmark.paper.tables import AVERAGE, Row, Table
from benchmark.paper_audit.findings import BEYOND, IMPLAUSIBLE, IMPOSSIBLE, Audit, Place
from benchmark.paper_audit.printed_numbers import Span, as_printed, between, cell, cells, mean, percent, shown

PERCENT = ("_pct", "_percent")
"""Endings of a percentage's name in a table of facts: trainable_pct is that of trainable_M in total_M."""
ZERO, HUNDRED = Span(Fraction(0), Fraction(0), Fraction(0)), Span(Fraction(100), Fraction(100), Fraction(100))


def audit_averages(table: Table, audit: Audit) -> None:
    """Every printed macro average is the mean of its row's cells; one outside all of them is impossible."""
    for row in table.rows:
        for metric in table.metrics if table.average else ():
            average = cell(table, row, metric, AVERAGE)
            spans = [span for name in table.datasets if (span := cell(table, row, metric, name))]
            if average is None or len(spans) < len(table.columns) or not spans:
                continue
            audit.look("average")
            follows, digits = mean(spans), table.decimals[metric]
            outside = all(average.above(span) for span in spans) or all(span.above(average) for span in spans)
            if outside or not average.meets(follows):
                text = f"the mean of the {len(spans)} cells is {between(follows, digits)}"
                text += "; no mean lies outside of its cells" if outside else ""
                severity, place = IMPOSSIBLE if outside else BEYOND, Place(table, row, metric, (AVERAGE,))
                audit.find("average", severity, place, shown(average.middle, digits), text)


def audit_percentages(table: Table, audit: Audit) -> None:
    """In facts: a percentage is 100 * part / whole, and no part is more than its whole. Which is which, the
    metrics' names say.
    """
    for metric, part_name, whole_name in _percentages(table.metrics) if table.kind == "facts" else ():
        for row in table.rows:
            stands, part, whole = (cell(table, row, name, "") for name in (metric, part_name, whole_name))
            if part is None or whole is None:
                continue
            part_text, whole_text = (as_printed(table, row, name) for name in (part_name, whole_name))
            audit.look("bounds")
            if part.above(whole):
                place, follows = Place(table, row, part_name, ()), f"more than the whole, {whole_text}"
                audit.find("bounds", IMPOSSIBLE, place, part_text, follows)
            if stands is None or whole.low <= 0:
                continue
            audit.look("percentage")
            share, digits = percent(part, whole), table.decimals[metric]
            if not stands.meets(share):
                text = f"{part_text} of {whole_text} is {between(share, digits)}"
                place = Place(table, row, metric, ())
                audit.find("percentage", BEYOND, place, as_printed(table, row, metric), text)


def audit_bounds(table: Table, audit: Audit) -> None:
    """Percentages lie within 0 and 100: all scores of a table whose unit is percent, and the percentages of
    facts.
    """
    for row, metric, dataset, span in cells(table):
        if table.unit == "percent" or metric.endswith(PERCENT):
            audit.look("bounds")
            if ZERO.above(span) or span.above(HUNDRED):
                place, stands = Place(table, row, metric, (dataset,)), as_printed(table, row, metric, dataset)
                audit.find("bounds", IMPOSSIBLE, place, stands, "a percentage lies between 0 and 100")


def audit_exact_match(table: Table, audit: Audit) -> None:
    """EM is at most F1, cell by cell: an answer that matches exactly has an F1 of 1."""
    names = {metric.lower(): metric for metric in table.metrics}
    if not {"em", "f1"} <= set(names):
        return
    for row, metric, dataset, em in cells(table):
        f1 = cell(table, row, names["f1"], dataset) if metric == names["em"] else None
        if f1 is None:
            continue
        audit.look("em-f1")
        if em.above(f1):
            text = "EM is at most F1: an answer that matches exactly has an F1 of 1"
            place = Place(table, row, f"{names['em']}, {names['f1']}", (dataset,))
            em_text, f1_text = (as_printed(table, row, names[name], dataset) for name in ("em", "f1"))
            audit.find("em-f1", IMPOSSIBLE, place, f"EM {em_text}, F1 {f1_text}", text)


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
                    stands = ", ".join(
                        f"K = {row.K}: {as_printed(table, row, metric, dataset)}" for row, _ in printed
                    )
                    text = "with more examples it falls: " + ", ".join(
                        f"from K = {a.K} to K = {b.K}" for a, b in falls
                    )
                    place = Place(table, falls[0][1], metric, (dataset,))
                    audit.find("shots", IMPLAUSIBLE, place, stands, text, tuple(a.row for a, _ in falls))


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
