"""Each rule of `benchmark.audit` on tables of a few numbers: what is looked at, what is found, its words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest

from benchmark.paper.schema import Ours, Requirements
from benchmark.paper.tables import AVERAGE, Claim, Paper, Row, Table
from benchmark.paper_audit.across_tables import audit_labels, audit_repeats
from benchmark.paper_audit.arrows import audit_arrows
from benchmark.paper_audit.audit_document import audit_document, audit_json
from benchmark.paper_audit.backbones import same_backbone
from benchmark.paper_audit.findings import BEYOND, IMPLAUSIBLE, IMPOSSIBLE, Audit, Place, label_of
from benchmark.paper_audit.outlying_cells import audit_outlying_cells
from benchmark.paper_audit.printed_numbers import between, percent, printed, shown, stated
from benchmark.paper_audit.prose import PAIRS, audit_backbones, audit_claims, audit_quotes
from benchmark.paper_audit.within_table import (
    _percentages,
    audit_averages,
    audit_bounds,
    audit_exact_match,
    audit_percentages,
    audit_shots,
)
from benchmark.rendering import render

Numbers = Sequence[float | None]


def scores(
    name: str, *numbers: Numbers, model: str = "M", metrics: Sequence[str] = ("F1",), **more: Any
) -> Row:
    """A row of scores: per metric the datasets a, b, …, and last the average."""
    values = {
        metric: dict(zip([*"abcdefgh"[: len(line) - 1], AVERAGE], line, strict=True))
        for metric, line in zip(metrics, numbers, strict=True)
    }
    return Row(name, model, more.pop("arm", name), more.pop("ours", None), values, **more)


def table(
    *rows: Row, name: str = "1", kind: str = "scores", decimals: int = 1, average: bool = True
) -> Table:
    """A table with the columns and metrics of its first row."""
    metrics = tuple(rows[0].values)
    columns = {key.upper(): key for key in rows[0].values[metrics[0]] if key not in (AVERAGE, "")}
    unit = "percent" if kind == "scores" else None
    each = dict.fromkeys(metrics, decimals)
    label = "Avg." if average else None
    return Table(name, "c", "w", "", kind, metrics, each, columns, label, rows, unit=unit)


def paper(*tables: Table, claims: Sequence[Claim] = ()) -> Paper:
    return Paper("t", {one.table: one for one in tables}, tuple(claims), Requirements())


def audited(rule: Callable[[Any, Audit], None], what: Table | Paper) -> Audit:
    audit = Audit("t")
    rule(what, audit)
    return audit


def places(audit: Audit) -> list[tuple[str, str, str]]:
    return [(one.severity, one.row, one.column) for one in audit.findings]


# --- numbers ------------------------------------------------------------------------------------------------


def test_numbers_are_shown_with_their_ends_and_signs():
    assert between(printed(1.25, 2), 2) == "1.250, with rounding 1.245 to 1.255"
    assert between(printed(1.0, 0) - printed(1.0, 0), 0, sign=True) == "0.0, with rounding -1.0 to +1.0"
    assert (shown(Fraction(3, 2), 1, sign=True), shown(Fraction(-3, 2), 1, sign=True)) == ("+1.5", "-1.5")
    assert (shown(Fraction(0), 1, sign=True), shown(Fraction(3, 2), 1)) == ("0.0", "1.5")
    assert (stated(1e-05).low, stated(20.0).high) == (
        Fraction(1, 10**5) - Fraction(1, 2 * 10**5),
        Fraction("20.05"),
    )
    assert percent(printed(0.0, 1), printed(1.0, 1)).low == 0  # no part is less than nothing


# --- one table ----------------------------------------------------------------------------------------------


def test_an_average_is_held_against_its_cells_metric_by_metric_where_all_are_printed():
    metrics = ("EM", "F1")
    whole = table(
        scores("right", (40.0, 60.0, 50.0), (50.0, 70.0, 60.0), metrics=metrics),
        scores("hole", (None, 60.0, 99.0), (50.0, 70.0, None), metrics=metrics),
        scores("wrong", (40.0, 60.0, 50.3), (50.0, 70.0, 70.0), metrics=metrics),
        scores("outside", (40.0, 60.0, 60.1), (50.0, 70.0, 49.9), metrics=metrics),
    )
    audit = audited(audit_averages, whole)
    assert audit.looked == {"average": 6}
    assert [(one.severity, one.row, one.metric, one.column) for one in audit.findings] == [
        (BEYOND, "wrong", "EM", "Avg."),
        (BEYOND, "wrong", "F1", "Avg."),  # as large as its largest cell, not larger
        (IMPOSSIBLE, "outside", "EM", "Avg."),
        (IMPOSSIBLE, "outside", "F1", "Avg."),
    ]
    assert (audit.findings[0].printed, audit.findings[0].follows) == (
        "50.3",
        "the mean of the 2 cells is 50.00, with rounding 49.95 to 50.05",
    )
    assert audit.findings[2].follows.endswith("49.95 to 50.05; no mean lies outside of its cells")
    assert not audited(audit_averages, replace(whole, average=None)).looked


def arrows(*rows: tuple[str, float, float | None], **more: Any) -> Audit:
    """The findings on rows of one model: name, average, arrow."""
    made = [scores(name, (0.0, average), printed_gain=gain) for name, average, gain in rows]
    return audited(audit_arrows, table(*made, **more))


def test_arrows_are_over_the_row_that_most_of_a_tables_arrows_are_over():
    over_next = arrows(("a", 50.0, None), ("b", 52.0, 2.0), ("c", 55.0, 3.0), ("d", 56.0, 1.0))
    over_first = arrows(("a", 50.0, None), ("b", 52.0, 2.0), ("c", 55.0, 5.0), ("d", 56.0, 6.0))
    tie = arrows(("a", 50.0, None), ("b", 52.0, 2.0), ("c", 55.0, 3.0), ("d", 56.0, 6.0))
    assert over_next.findings == over_first.findings == tie.findings == []
    mixed = arrows(("a", 50.0, None), ("b", 52.0, 2.0), ("c", 55.0, 3.0), ("d", 56.0, 1.0), ("e", 57.0, 7.0))
    (finding,) = mixed.findings
    assert (mixed.looked["arrow"], finding.severity, finding.row, finding.column) == (4, BEYOND, "e", "Avg.")
    assert (finding.printed, finding.others) == ("↑ 7.0", ("d", "a"))
    assert finding.follows == "over M d it is +1.00, with rounding +0.90 to +1.10; it is that over M a"
    (fall,) = arrows(("a", 50.0, None), ("b", 49.0, -2.05)).findings
    assert (fall.printed, fall.follows, fall.others) == (
        "↓ 2.05",
        "over M a it is -1.00, with rounding -1.10 to -0.90",
        ("a",),
    )
    (level,) = arrows(("a", 50.0, None), ("b", 51.0, 0.0)).findings
    assert "it is that over" not in level.follows  # no row is a gain over itself
    (several,) = arrows(
        ("a", 50.0, None),
        ("b", 50.0, 0.0),
        ("c", 53.0, 3.0),
        ("d", 54.0, 1.0),
        ("e", 54.0, 4.0),
        ("f", 60.0, 6.0),
    ).findings
    assert "it is that over" not in several.follows  # two rows fit, and nothing says which is meant


def test_an_arrow_is_over_rows_of_its_own_model_and_k():
    base = scores("a", (0.0, 50.0), K=16)
    other_k = scores("b", (0.0, 40.0), K=64)
    other_model = scores("c", (0.0, 45.0), model="N", K=16)
    own = scores("d", (0.0, 52.0), K=16, printed_gain=2.0)
    unprinted = scores("e", (0.0, None), K=16, printed_gain=9.0)
    first = scores("x", (0.0, 30.0), K=64)
    audit = audited(audit_arrows, table(first, base, other_k, other_model, own, unprinted))
    assert (audit.findings, dict(audit.looked)) == ([], {"arrow": 1})
    metrics = ("EM", "F1")
    em = table(
        scores("a", (0.0, 10.0), (0.0, 50.0), metrics=metrics),
        scores("b", (0.0, 90.0), (0.0, 52.0), metrics=metrics, printed_gain=2.0),
    )
    assert audited(audit_arrows, em).findings == []  # an arrow stands beside the last metric's average
    assert not audited(audit_arrows, replace(em, average=None)).looked


def test_the_first_arrow_of_a_model_is_over_the_row_above_if_the_backbone_is_the_same():
    above = scores("a", (0.0, 50.0), model="Otter-base")
    right = scores("b", (0.0, 52.0), model="Plan (Otter-base)", printed_gain=2.0)
    wrong, apart = replace(right, printed_gain=3.0), replace(right, model="Otter-large")
    audit = audited(audit_arrows, table(above, right))
    assert (audit.findings, dict(audit.looked)) == ([], {"arrow": 1})
    (finding,) = audited(audit_arrows, table(above, wrong)).findings
    assert (finding.check, finding.others) == ("arrow", ("a",))
    other = audited(audit_arrows, table(above, apart))
    assert dict(other.looked) == {"arrow": 1, "backbone": 1}
    (finding,) = other.findings
    assert (finding.check, finding.severity, finding.others, finding.printed) == (
        "backbone",
        IMPLAUSIBLE,
        ("a",),
        "↑ 2.0",
    )
    assert finding.follows == (
        "no row of this model stands above it; the next one is Otter-base a, of another backbone: a gain "
        "over it is not the arm's"
    )


def facts(name: str, **values: float | None) -> Row:
    return Row(name, name, None, None, {metric: {"": number} for metric, number in values.items()})


def test_percentages_are_those_of_their_part_and_whole():
    rows = (
        facts("right", trainable_M=1.8, total_M=135.4, trainable_pct=1.3),
        facts("wrong", trainable_M=1.8, total_M=135.4, trainable_pct=1.5),
        facts("more", trainable_M=136.0, total_M=135.4, trainable_pct=100.4),
        facts("alike", trainable_M=5.0, total_M=5.0, trainable_pct=100.0),
        facts("unprinted", trainable_M=None, total_M=5.0, trainable_pct=7.0),
        facts("no share", trainable_M=6.0, total_M=5.0, trainable_pct=None),
        facts("nothing", trainable_M=0.0, total_M=0.0, trainable_pct=50.0),
    )
    audit = audited(audit_percentages, table(*rows, kind="facts"))
    assert dict(audit.looked) == {"bounds": 6, "percentage": 4}
    found = [
        (one.check, one.severity, one.row, one.metric, one.printed, one.follows) for one in audit.findings
    ]
    assert found == [
        (
            "percentage",
            BEYOND,
            "wrong",
            "trainable_pct",
            "1.5",
            "1.8 of 135.4 is 1.33, with rounding 1.29 to 1.37",
        ),
        ("bounds", IMPOSSIBLE, "more", "trainable_M", "136.0", "more than the whole, 135.4"),
        ("bounds", IMPOSSIBLE, "no share", "trainable_M", "6.0", "more than the whole, 5.0"),
    ]
    assert not audited(audit_percentages, replace(table(*rows, kind="facts"), kind="scores")).looked


def test_which_percentage_is_of_which_part_and_whole_the_names_say():
    names = (
        "open_pct",
        "open_M",
        "total_M",
        "open_K",
        "total_pct",
        "other_percent",
        "other_M",
        "open",
        "_pct",
    )
    assert list(_percentages(names)) == [
        ("open_pct", "open_M", "total_M"),
        ("other_percent", "other_M", "total_M"),
    ]


def test_percentages_lie_within_0_and_100():
    row = scores("r", (100.0, 100.1, 0.0, -0.1, None, 50.0))
    audit = audited(audit_bounds, table(row))
    assert places(audit) == [(IMPOSSIBLE, "r", "B"), (IMPOSSIBLE, "r", "D")]
    assert [one.printed for one in audit.findings] == ["100.1", "-0.1"] and audit.looked == {"bounds": 5}
    assert not audited(audit_bounds, replace(table(row), unit=None)).looked
    share = table(facts("r", open_pct=101.0, open_M=900.0, other_percent=-1.0), kind="facts")
    audit = audited(audit_bounds, share)
    assert [one.metric for one in audit.findings] == ["open_pct", "other_percent"]
    assert audit.looked == {"bounds": 2}


def test_exact_match_is_at_most_f1_in_every_cell_and_average():
    rows = [
        scores("r", (50.0, 50.1, 60.0, 50.1), (50.0, 50.0, None, 50.0), metrics=("em", "F1")),
        scores("s", (None, 1.0, 2.0, 3.0), (50.0, 2.0, 3.0, 4.0), metrics=("em", "F1")),
    ]
    audit = audited(audit_exact_match, table(*rows))
    assert audit.looked == {"em-f1": 6}
    assert places(audit) == [(IMPOSSIBLE, "r", "B"), (IMPOSSIBLE, "r", "Avg.")]
    assert (audit.findings[0].metric, audit.findings[0].printed) == ("em, F1", "EM 50.1, F1 50.0")
    assert not audited(audit_exact_match, table(scores("r", (9.0, 9.0), metrics=("EM",)))).looked


def shots(name: str, k: int | None, *numbers: float | None, **more: Any) -> Row:
    return scores(name, (*numbers, None), arm="few", K=k, **more)


def test_scores_do_not_fall_with_k_in_the_order_of_the_numbers():
    rising = [shots("big", 1024, 30.0), shots("small", 16, 10.0), shots("middle", 128, 20.0)]
    audit = audited(audit_shots, table(*rising))
    assert (audit.findings, dict(audit.looked)) == ([], {"shots": 2})
    falling = [shots("c", 1024, 19.9), shots("a", 16, 20.1), shots("b", 128, 20.0), shots("d", 2048, 30.0)]
    (finding,) = audited(audit_shots, table(*falling)).findings
    assert (finding.severity, finding.row, finding.column, finding.others) == (
        IMPLAUSIBLE,
        "b",
        "A",
        ("a", "b"),
    )
    assert finding.printed == "K = 16: 20.1, K = 128: 20.0, K = 1024: 19.9, K = 2048: 30.0"
    assert finding.follows == (
        "with more examples it falls: from K = 16 to K = 128, from K = 128 to K = 1024"
    )
    bert, ours = Ours("bert", "mt", "few"), Ours("bart", "mt", "few")
    for other in ({"p_f": 0.5}, {"model": "N"}, {"ours": ours}):
        apart = [shots("a", 16, 20.1, ours=bert), shots("b", 128, 20.0, **({"ours": bert} | other))]
        assert not audited(audit_shots, table(*apart)).looked["shots"], other
    hole = [shots("a", 16, 20.1), shots("b", 128, None), shots("c", 256, 20.0), shots("x", None, 1.0)]
    (finding,) = audited(audit_shots, table(*hole)).findings
    assert (finding.row, finding.others) == ("c", ("a",))
    again = [shots("a", 16, 20.1), shots("b", 16, 20.0)]
    assert not audited(audit_shots, table(*again)).findings  # the same K twice is no rise
    assert not audited(audit_shots, replace(table(*falling), kind="facts")).looked


def additive(off: dict[tuple[int, int], float], rows: int = 6, columns: int = 6, decimals: int = 1) -> Table:
    """Rows of 10 i + j, exactly in line, but for some cells."""
    made = [
        scores(f"r{i}", (*(10.0 * i + j + off.get((i, j), 0.0) for j in range(columns)), None))
        for i in range(rows)
    ]
    return table(*made, decimals=decimals)


@pytest.mark.parametrize(
    ("off", "found"),
    [
        ({}, {}),
        ({(2, 3): 0.9}, {}),  # no more than ten printed units
        ({(2, 3): 1.5}, {("r2", "D"): "23.0"}),
        ({(2, 3): -1.5}, {("r2", "D"): "23.0"}),
        # The largest first, while the other still weighs on what the rest suggests.
        ({(2, 3): 8.0, (5, 0): -5.0}, {("r2", "D"): "23.2", ("r5", "A"): "50.0"}),
    ],
)
def test_a_cell_out_of_line_is_named_with_what_the_rest_suggests(off, found):
    audit = audited(audit_outlying_cells, additive(off))
    assert {
        (one.row, one.column): one.follows.split("suggests ")[1].split()[0] for one in audit.findings
    } == found
    assert audit.looked == {"line": 36} and {one.severity for one in audit.findings} <= {IMPLAUSIBLE}
    assert all(
        one.follows.startswith("the rest of the table, by row and column, suggests") for one in audit.findings
    )
    assert all(one.follows.endswith(" over 36 cells)") for one in audit.findings)


def test_only_large_whole_tables_of_scores_have_a_line():
    off = {(2, 3): 9.0}
    assert audited(audit_outlying_cells, additive(off, 6, 5)).looked == {"line": 30}  # 5 by 4 degrees
    for small in (additive(off, 4, 7), replace(additive(off), kind="facts")):
        assert not audited(audit_outlying_cells, small).looked
    hole = additive(off)
    hole.rows[0].values["F1"]["b"] = None
    assert not audited(audit_outlying_cells, hole).looked
    two = additive(off, decimals=2)
    (finding,) = audited(audit_outlying_cells, two).findings
    assert finding.printed == "32.00" and "suggests 23.00 (p 1e-09" in finding.follows


# --- several tables -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("numbers", "wrong"),
    [
        ((50.0, 51.0, 51.0), ["1"]),  # what most tables print counts as right
        ((51.0, 50.0, 51.0), ["2"]),
        ((50.0, 51.0), ["2"]),  # of equally many the first table's
        ((50.0, 51.0, 52.0), ["2", "3"]),
        ((50.0, 50.0, 50.0), []),
    ],
)
def test_of_a_row_in_several_tables_the_number_that_most_print_is_right(numbers, wrong):
    tables = [
        table(scores("r", (number, 60.0, None)), scores("s", (10.0, 20.0, None)), name=str(index))
        for index, number in enumerate(numbers, 1)
    ]
    audit = audited(audit_repeats, paper(*tables))
    assert [one.table for one in audit.findings] == wrong
    assert {(one.row, one.column, one.severity) for one in audit.findings} <= {("r", "A", BEYOND)}
    assert audit.looked == {"repeat": 4 * (len(tables) - 1)}


def test_a_repeated_row_is_one_finding_with_all_that_differs():
    metrics = ("EM", "F1")
    first = table(scores("r", (1.0, 2.0, 1.5), (3.0, 4.0, 3.5), metrics=metrics, arm="x"), name="1")
    second = table(scores("r", (1.0, 2.5, 1.8), (3.5, 4.0, 3.8), metrics=metrics, arm="y"), name="a2")
    (finding,) = audited(audit_repeats, paper(first, second)).findings
    assert (finding.table, finding.metric, finding.column) == ("a2", "EM, F1", "B, Avg., A")
    assert finding.printed == "2.5, 1.8, 3.5, 3.8"
    assert finding.follows == "Table 1 prints the row as M x, with 2.0, 1.5, 3.0, 3.5"
    assert finding.others == ("r",)
    alike = replace(second, rows=(replace(second.rows[0], arm="x"),))
    (finding,) = audited(audit_repeats, paper(first, alike)).findings
    assert finding.follows.startswith("Table 1 prints the same row, with 2.0")


def test_averages_over_other_datasets_other_k_and_other_decimals_are_no_repetition():
    few = table(scores("r", (50.0, 60.0, 55.0)), name="1")
    more = table(scores("r", (50.0, 60.0, 70.0, 60.0)), name="2")
    assert audited(audit_repeats, paper(few, more)).findings == []
    other_k = table(scores("r", (51.0, 61.0, 56.0), K=16), name="2")
    assert not audited(audit_repeats, paper(few, other_k)).looked["repeat"]
    finer = table(scores("r", (50.04, 59.96, 55.0)), name="2", decimals=2)
    assert audited(audit_repeats, paper(few, finer)).findings == []


SAME = (10.0, 20.0, 30.0, None)


@pytest.mark.parametrize(
    ("one", "other", "found"),
    [
        ({}, {"arm": "z"}, True),
        ({}, {"model": "N", "arm": "r"}, True),
        ({}, {"arm": "r"}, False),  # the same label
        ({"ours": Ours("b", "mt", "x")}, {"arm": "z", "ours": Ours("b", "mt", "x")}, False),  # the same runs
        ({}, {"arm": "r", "K": 16}, True),  # another K or p_F is another label
        ({}, {"arm": "r", "p_f": 0.5}, True),
    ],
)
def test_equal_numbers_under_another_label(one, other, found):
    rows = [scores("r", SAME, **one), scores("s", SAME, **other)]
    audit = audited(audit_labels, paper(table(*rows)))
    assert bool(audit.findings) is found


def test_equal_numbers_are_those_of_three_datasets_at_least_that_are_not_all_the_same():
    pairs = {
        (10.0, 20.0, None): (10.0, 20.0, None),  # two datasets only
        (10.0, 20.0, None, 15.0): (10.0, 20.0, 30.0, 15.0),
        (0.0, 0.0, 0.0, None): (0.0, 0.0, 0.0, None),
        (10.0, 20.0, 30.0, None): (10.0, 20.0, 30.1, None),
    }
    for first, second in pairs.items():
        assert audited(audit_labels, paper(table(scores("r", first), scores("s", second)))).findings == []
    (finding,) = audited(audit_labels, paper(table(scores("r", SAME), scores("s", SAME)))).findings
    assert (finding.severity, finding.row, finding.column, finding.others) == (
        IMPLAUSIBLE,
        "s",
        "A, B, C",
        ("r",),
    )
    assert finding.printed == "10.0, 20.0, 30.0"
    assert finding.follows == "the same 3 numbers are those of M r in Table 1"


def test_of_two_labels_the_one_that_fewer_tables_print_is_named():
    first = table(scores("s", SAME), name="1")
    second = table(scores("r", SAME), name="2")
    third = table(scores("r", SAME), name="a3")
    (finding,) = audited(audit_labels, paper(first, second, third)).findings
    assert (finding.table, finding.row) == ("1", "s")
    assert finding.follows == "the same 3 numbers are those of M r in Tables 2, A.3"
    assert (
        audited(audit_labels, paper(*(replace(one, kind="facts") for one in (first, second)))).findings == []
    )


# --- sentences ----------------------------------------------------------------------------------------------

ROWS = table(
    scores("a", (60.0, 70.0, 65.0), model="Otter-base", arm="bmt"),
    scores("b", (58.0, 69.0, 63.5), model="Otter-base", arm="plain"),
    scores("c", (50.0, 64.0, 57.0), model="Rail-large", arm="bmt"),
    scores("d", (49.0, 63.0, 56.0), model="Rail-large", arm="plain"),
    scores("e", (None, 1.0, None), model="Otter-base", arm="mask"),
)


def claim(**fields: Any) -> Claim:
    usual = {"id": "k", "table": "1", "section": "4.5", "quote": "q", "a": "a", "b": "b"}
    return Claim(**(usual | {"metric": "F1", "over": AVERAGE, "direction": "greater"} | fields))


@pytest.mark.parametrize(
    ("fields", "says", "follows"),
    [
        (
            {"direction": "less"},
            "Otter-base bmt below Otter-base plain",
            "Otter-base bmt 65.0, Otter-base plain 63.5: a difference of +1.50, with rounding +1.40 to +1.60",
        ),
        (
            {"size": 3.0},
            "Otter-base bmt above Otter-base plain by 3.0",
            "Otter-base bmt 65.0, Otter-base plain 63.5: a difference of +1.50, with rounding +1.40 to +1.60",
        ),
        (
            {"direction": "comparable", "size": 0.5, "over": "a"},
            "Otter-base bmt comparable with Otter-base plain within 0.5",
            "Otter-base bmt 60.0, Otter-base plain 58.0: a difference of +2.00, with rounding +1.90 to +2.10",
        ),
        (
            {"direction": "less", "than": ("c", "d")},
            "(Otter-base bmt − Otter-base plain) below (Rail-large bmt − Rail-large plain)",
            "Otter-base bmt 65.0, Otter-base plain 63.5, Rail-large bmt 57.0, Rail-large plain 56.0: a "
            "difference of +0.50, with rounding +0.30 to +0.70",
        ),
        (
            {"direction": "less", "metric": "spread.F1", "over": None, "a": "b", "b": "a"},
            "Otter-base plain below Otter-base bmt",
            "Otter-base plain 7.8, Otter-base bmt 7.1: a difference of +0.71, with rounding +0.57 to +0.85",
        ),
    ],
)
def test_a_contradicted_sentence_says_what_it_says_and_what_the_cells_give(fields, says, follows):
    audit = audited(audit_claims, paper(ROWS, claims=[claim(**fields, reading="as read")]))
    (finding,) = audit.findings
    assert (finding.printed, finding.follows) == (says, follows)
    assert (finding.severity, finding.claim, finding.quote, finding.reading) == (BEYOND, "k", "q", "as read")
    assert finding.others == claim(**fields).rows[1:] and finding.row == claim(**fields).a
    assert finding.where.endswith("; section 4.5") and audit.looked == {"claim": 1}


def test_sentences_about_what_is_not_printed_are_not_looked_at():
    unprinted = [
        claim(a="e", direction="less"),
        claim(b="e"),
        claim(a="e", metric="spread.F1", over=None),
        claim(metric="deviation.l2", over=None),
        claim(than=("a", "e")),
    ]
    assert not audited(audit_claims, paper(ROWS, claims=unprinted)).looked
    fine = [
        claim(),
        claim(size=1.5),
        claim(than=("c", "d"), size=0.5),
        claim(direction="comparable", size=1.6),
    ]
    audit = audited(audit_claims, paper(ROWS, claims=fine))
    assert (audit.findings, dict(audit.looked)) == ([], {"claim": 4})


@pytest.mark.parametrize(
    ("quote", "pairs"),
    [
        ("82.9 vs. 81.1", [("82.9", "81.1")]),
        ("82.9% versus 81.1", [("82.9", "81.1")]),
        ("rises from 63.3 points to 63.8 points", [("63.3", "63.8")]),
        ("from 50 to 60", []),
        ("from 1.5 to 2.5 and 3.5 vs 4.5", [("1.5", "2.5"), ("3.5", "4.5")]),
    ],
)
def test_which_numbers_a_sentence_sets_side_by_side(quote, pairs):
    found = [tuple(text for text in match.groups() if text) for match in PAIRS.finditer(quote)]
    assert found == pairs


@pytest.mark.parametrize(
    ("quotes", "fields", "looked", "found"),
    [
        (["65.0 vs. 63.5"], {}, 1, []),
        (["63.5 vs. 65.0"], {}, 1, []),  # in either order
        (["65.1 vs. 63.5"], {}, 1, ["“65.1 vs. 63.5”"]),
        (["9.5 vs. 10.5"], {}, 1, ["“9.5 vs. 10.5”"]),
        (["65.00 vs. 63.50"], {}, 0, []),  # other decimals: about something else
        (["no numbers"], {"also": (("6", "from 63.5 to 65.5"),)}, 1, ["“from 63.5 to 65.5”"]),
        (["1.0 vs. 1.5"], {"than": ("c", "d")}, 1, []),  # of a claim about gains, the two gains
        (["1.6 vs. 1.0"], {"than": ("c", "d")}, 1, []),  # to rounding
        (["1.7 vs. 1.0"], {"than": ("c", "d")}, 1, ["“1.7 vs. 1.0”"]),
        (["1.0 vs. 1.5"], {"a": "b", "b": "a", "than": ("d", "c")}, 1, []),  # of losses their sizes
        (["57.0 vs. 65.0", "57.0 vs. 65.0"], {}, 1, ["“57.0 vs. 65.0”"]),
    ],
)
def test_quoted_numbers_are_those_of_the_rows(quotes, fields, looked, found):
    claims = [claim(**fields, id=f"k{index}", quote=quote) for index, quote in enumerate(quotes)]
    audit = audited(audit_quotes, paper(ROWS, claims=claims))
    assert [one.printed for one in audit.findings] == found and audit.looked["quote"] == looked
    if found and "also" in fields:
        assert (audit.findings[0].section, audit.findings[0].quote) == ("6", "from 63.5 to 65.5")
    if found and not fields:
        assert audit.findings[0].follows == "Otter-base bmt 65.0, Otter-base plain 63.5"


def test_quoted_numbers_are_compared_as_numbers():
    low = table(scores("a", (10.5, 10.5), arm="bmt"), scores("b", (9.5, 9.5)))
    for quote in ("10.5 vs. 9.5", "from 9.5 to 10.5"):
        assert audited(audit_quotes, paper(low, claims=[claim(quote=quote)])).findings == []


def test_of_claims_that_share_a_sentence_one_has_to_fit():
    shared = [claim(id="x", quote="57.0 vs. 65.0"), claim(id="y", b="c", quote="57.0 vs. 65.0")]
    audit = audited(audit_quotes, paper(ROWS, claims=shared))
    assert (audit.findings, dict(audit.looked)) == ([], {"quote": 1})
    elsewhere = [shared[0], replace(shared[1], section="9")]
    assert [one.claim for one in audited(audit_quotes, paper(ROWS, claims=elsewhere)).findings] == ["x"]


def test_a_gain_is_one_within_a_backbone():
    mixed = claim(b="d")
    audit = audited(audit_backbones, paper(ROWS, claims=[claim(), mixed, replace(mixed, id="again")]))
    (finding,) = audit.findings
    assert (audit.looked, finding.severity, finding.claim) == ({"backbone": 2}, IMPLAUSIBLE, "k")
    assert (finding.printed, finding.others) == ("Otter-base bmt above Rail-large plain", ("d",))
    assert finding.follows == (
        "the difference +9.0 is one from Rail-large plain to Otter-base bmt: backbone and method change "
        "together"
    )
    apart = [claim(b="d", direction="comparable"), claim(b="c")]  # no gain; about the backbone itself
    assert not audited(audit_backbones, paper(ROWS, claims=apart)).looked
    gains = audited(audit_backbones, paper(ROWS, claims=[claim(than=("c", "b"))]))
    assert [one.follows for one in gains.findings] == [
        "the difference is one from Otter-base plain to Rail-large bmt: backbone and method change together"
    ]
    told_twice = [mixed, replace(mixed, id="again", quote="other words")]
    assert len(audited(audit_backbones, paper(ROWS, claims=told_twice)).findings) == 2
    assert not audited(audit_backbones, paper(replace(ROWS, kind="facts"), claims=[mixed])).looked


def test_our_backbone_stands_for_a_label_that_names_none():
    ours = Row("r", "MT", "bmt", Ours("roberta-base", "mt", "bmt"), {})
    assert same_backbone(ours, Row("s", "LinkBERT (RoBERT-base)", None, None, {}))
    assert not same_backbone(ours, Row("s", "RoBERTa-large", None, None, {}))
    assert same_backbone(ours, Row("t", "other label", "x", Ours("roberta-base", "mt", "x"), {}))


# --- findings and how they are shown ------------------------------------------------------------------------


def test_labels_and_places_are_as_printed():
    assert label_of(Row("r", "M", "arm", None, {}, K=16, p_f=0.5)) == "M arm (K = 16, p_F = 0.5)"
    assert label_of(Row("r", "M", None, None, {}, p_f=0.0)) == "M (p_F = 0)"
    assert label_of(Row("r", "M", None, None, {})) == "M"
    audit = Audit("t")
    place = Place(ROWS, ROWS.rows[0], "F1", ("b", AVERAGE, ""))
    assert place.columns == ["B", "Avg.", ""]
    audit.find("claim", BEYOND, place, "p", "f", section="abstract")
    audit.find("bounds", IMPOSSIBLE, Place(ROWS, ROWS.rows[0], "", ()), "p", "f", section="4.5")
    assert [one.where for one in audit.findings] == [
        "Table 1, Otter-base bmt, F1, B, Avg.; abstract",
        "Table 1, Otter-base bmt; section 4.5",
    ]


def test_the_worst_findings_come_first_then_the_order_of_the_checks():
    audit, place = Audit("t"), Place(ROWS, ROWS.rows[0], "F1", ())
    given = [
        ("claim", BEYOND),
        ("average", BEYOND),
        ("label", IMPLAUSIBLE),
        ("em-f1", IMPOSSIBLE),
        ("line", IMPLAUSIBLE),
        ("claim", BEYOND),
    ]
    for index, (check, severity) in enumerate(given):
        audit.find(check, severity, place, str(index), "f")
    audit.sort()
    assert [one.printed for one in audit.findings] == ["3", "4", "2", "1", "0", "5"]
    assert (audit.status, Audit("t").status) == (1, 0)


def test_the_document_counts_what_was_looked_at_and_numbers_the_findings():
    audit, place = Audit("Title", tables=2, cells=1234, claims=1), Place(ROWS, ROWS.rows[0], "F1", ("a",))
    audit.look("bounds", 1200)
    audit.look("average", 3)
    audit.find("average", IMPOSSIBLE, place, "1", "2")
    audit.find("average", BEYOND, place, "3", "4")
    audit.find("claim", BEYOND, place, "5", "6", section="4", quote="words", claim="k", reading="so")
    text = render(audit_document(audit), "markdown")
    for line in (
        "| averages against their cells | 3 | 1 impossible, 1 beyond rounding |",
        "| percentages within 0 to 100, parts within the whole | 1,200 | nothing |",
        "| arrows against the averages | - | nothing to look at |",
        "1. **Table 1, Otter-base bmt, F1, A** (averages against their cells)\n    - **printed**: 3\n"
        "    - **follows**: 4\n2. ",
        "    - **stated**: 5\n    - **follows**: 6\n    - **sentence**: *“words”*\n    - **read as**: so\n",
        "**2 tables, 1,234 printed numbers, 1 claims: 3 findings (1 impossible, 2 beyond rounding)**",
    ):
        assert line in text, line
    assert text.index("## Impossible") < text.index("## Beyond rounding") and "## Implausible" not in text
    assert '"looked_at": 1200' in audit_json(audit) and '"read' in audit_json(audit)
