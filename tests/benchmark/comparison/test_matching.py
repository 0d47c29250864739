"""Which backbone stands in, which seeds are expected, what a status and the descriptive figures count: unit
by unit.
"""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from benchmark.comparison.matching import Match, Setting, find_stand_in
from benchmark.comparison.remarks import differences, tau_b
from benchmark.comparison.report import CellResult, TableReport
from benchmark.comparison.table_comparison import SMALLEST_GAIN, _claimed_gain, _described
from benchmark.paper.tables import AVERAGE, Claim, Ours, Paper, Requirements, Row, Table, load
from benchmark.runs.results import Identity

TABLE_3 = load().tables["3"]
REQUIRES = Requirements(profile="paper")


def results(profiles: tuple[str, ...], backbones: tuple[str, ...]) -> Any:
    return SimpleNamespace(profiles=profiles, backbones=backbones)


@pytest.mark.parametrize(
    ("profiles", "backbones", "listed", "stand_in"),
    [
        (("mini",), ("minilm",), (), {"roberta-base": "minilm"}),
        (("mini",), ("minilm", "other"), (), {"roberta-base": "minilm"}),
        (("mini",), ("roberta-large", "minilm"), (), {"roberta-base": "minilm"}),  # a row of the table has it
        (("mini",), ("roberta-base", "minilm"), (), {}),
        (("paper",), ("minilm",), (), {}),
        (("mini", "paper"), ("minilm",), (), {}),
        (("mini",), ("roberta-large",), (), {}),
        ((), (), ("minilm.mt.bmt.s0",), {"roberta-base": "minilm"}),
        ((), (), (), {}),
    ],
)
def test_a_backbone_stands_in_only_under_another_profile_and_where_it_is_needed(
    profiles, backbones, listed, stand_in
):
    assert find_stand_in(TABLE_3, results(profiles, backbones), REQUIRES, listed) == stand_in
    assert find_stand_in(TABLE_3, results(profiles, backbones), Requirements(), listed) == {}


def test_expected_seeds_are_those_asked_for_else_the_listed_ones_of_a_whole_folder():
    cell = Identity("minilm", "mt", "bmt", False)
    listed = (
        "minilm.mt.bmt.s0",
        "minilm.mt.bmt.s10",
        "minilm.mt.bmt.s2",
        "minilm.mt.bmt_x.s7",
        "minilm.mt.bmt.adapter.s5",
    )
    assert Setting("mini", listed=listed, whole=True).expected(cell) == (0, 2, 10)
    assert Setting("mini", listed=listed).expected(cell) == ()
    assert Setting("mini", seeds=(4, 5), listed=listed, whole=True).expected(cell) == (4, 5)
    assert Setting("mini", seeds=(4, 5)).expected(cell) == (4, 5)
    published = Identity("unifiedqa-base", "mt", "zero_shot", False)
    assert Setting("mini", seeds=(4, 5), listed=listed, whole=True).expected(published) == ()


TRAINED = Ours("roberta-base", "mt", "bmt")


def row(name: str, ours: Ours | None = TRAINED) -> Row:
    return Row(name, "model", name, ours, {})


def cell(
    name: str, dataset: str, mean: float | None, published: float | None, verdict: str = "reproduced"
) -> CellResult:
    return CellResult(verdict, "", mean, match=Match(row(name), dataset, "F1", published, 1, None))


def report(*verdicts: str, faults: tuple[Any, ...] = (), **changes: Any) -> TableReport:
    cells = tuple(cell("r", str(number), 1.0, 1.0, verdict) for number, verdict in enumerate(verdicts))
    return TableReport("", TABLE_3, "paper", "", (0,), {}, changes.get("cells", cells), (), faults=faults)


@pytest.mark.parametrize(
    ("verdicts", "plain", "strict"),
    [
        (("reproduced", "exact"), 0, 0),
        (("reproduced", "not reproduced"), 1, 1),
        (("reproduced", "missing"), 0, 1),
        (("reproduced", "not comparable"), 0, 1),
        (("inconclusive",), 0, 1),
        (("no data",), 0, 1),
    ],
)
def test_the_status_of_a_table(verdicts, plain, strict):
    assert (report(*verdicts).status(), report(*verdicts).status(strict=True)) == (plain, strict)
    assert report(*verdicts, faults=("damaged",)).status() == 2


def test_strict_asks_only_for_what_could_be_trained():
    literature = CellResult("literature", "", match=Match(row("x", None), "d", "F1", 1.0, 1, "literature"))
    published = CellResult(
        "not comparable", "", match=Match(row("x", Ours("u", "mt", "zero_shot")), "d", "F1", 1.0, 1, None)
    )
    unprinted = cell("x", "d", 1.0, None, "no data")
    assert [entry.trainable for entry in (literature, published, unprinted)] == [False] * 3
    assert report(cells=(literature, published, unprinted)).status(strict=True) == 0


def test_differences_are_those_of_claimed_rows_dataset_by_dataset_without_the_average():
    cells = [
        cell("a", "one", 3.0, 30.0),
        cell("a", "two", 5.0, 50.0),
        cell("a", "three", None, 9.0),
        cell("a", AVERAGE, 4.0, 40.0),
        cell("b", "one", 1.0, 20.0),
        cell("b", "two", 9.0, 49.0),
        cell("b", "three", 2.0, 8.0),
        cell("b", AVERAGE, 5.0, 34.5),
    ]
    claim = Claim("c", "3", "", "", "a", "b", "F1", AVERAGE, "greater")
    claims: Any = [SimpleNamespace(claim=claim), SimpleNamespace(claim=claim)]
    assert differences(claims, cells) == ([2.0, -4.0], [10.0, 1.0])
    assert (
        tau_b(cells) == -1.0
    )  # ours: 4 below 5; the paper's: 40 above 34.5, over the datasets that both have


def test_the_smallest_claimed_gain_of_a_cell_that_is_large_enough_tightens_its_margin():
    def claim(size: float | None, **changes: Any) -> Claim:
        fields = {"a": "r", "b": "other", "metric": "F1", "over": "d", "direction": "greater"} | changes
        return Claim("c", fields.pop("table", "3"), "", "", size=size, **fields)

    match = Match(row("r"), "d", "F1", 1.0, 1, None)
    table: Table = TABLE_3

    def gain(*claims: Claim) -> float | None:
        return _claimed_gain(match, Paper("", {}, claims, Requirements()), table)

    assert gain(claim(1.4), claim(1.2), claim(None)) == 1.2
    assert gain(claim(SMALLEST_GAIN)) == SMALLEST_GAIN and gain(claim(SMALLEST_GAIN - 0.01)) is None
    for other in (
        {"a": "x"},
        {"metric": "EM"},
        {"over": AVERAGE},
        {"direction": "less"},
        {"table": "2"},
        {"than": ("x", "y")},
    ):
        assert gain(claim(1.2, **other)) is None


def test_an_average_over_fewer_datasets_is_shown_without_a_difference():
    """A second reading is described, never judged; over other datasets than the paper's it has no
    difference.
    """
    match = Match(row("r"), AVERAGE, "F1", 80.0, 1, "not comparable", "why", (81.0, 83.0), (0, 1))
    whole, partial = _described(match), _described(replace(match, partial=True))
    assert (whole.mean, whole.sd, whole.n, whole.delta) == (82.0, pytest.approx(2**0.5), 2, 2.0)
    assert (partial.mean, partial.sd, partial.n, partial.delta) == (82.0, whole.sd, 2, None)
