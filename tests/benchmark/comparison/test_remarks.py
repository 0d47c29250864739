"""What stands under a compared table, and the densities beside it: means of which runs, and when something is
said at all.
"""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from benchmark.comparison.mask_density import Density, mask_density
from benchmark.comparison.matching import Match
from benchmark.comparison.remarks import assumptions, differences, notes, tau_b
from benchmark.comparison.report import CellResult
from benchmark.paper.tables import AVERAGE, Claim, Ours, Row
from benchmark.runs.results import Identity, Run
from benchmark.statistics.reproduction import ReproductionRule


def run(seed: int = 0, **fields: Any) -> Run:
    return replace(Run(f"m.mt.x.s{seed}", "p", Identity("m", "mt", "x"), seed, {}), **fields)


def learned(union: float | None = None, **density: float) -> dict[str, Any]:
    return {"kind": "learned", "density": density, "union_density": union}


def cell(
    row: str,
    dataset: str,
    mean: float | None,
    published: float | None,
    metric: str = "F1",
    verdict: str = "reproduced",
    runs: tuple[str, ...] = (),
) -> CellResult:
    match = Match(
        Row(row, "M", row, Ours("m", "mt", "x"), {}), dataset, metric, published, 1, None, runs=runs
    )
    return CellResult(verdict, "", mean, match=match)


def test_a_density_is_the_mean_over_the_runs_that_learned_masks_and_record_it():
    random = {"kind": "random", "p_f": 0.5, "density": {"a": 0.9}, "union_density": 0.9}
    runs = [run(mask=learned(0.5, a=0.25, b=0.5)), run(mask=learned(None, a=0.75)), run(mask=random), run()]
    assert mask_density(runs) == Density({"a": 0.5, "b": 0.5}, 0.5)
    assert mask_density([run(mask=learned(0.0, a=0.0)), run(mask=learned(0.5, a=0.5))]) == Density(
        {"a": 0.25}, 0.25
    )
    assert mask_density([run(mask=learned())]) == Density({}, None)
    assert mask_density([run(mask={"kind": "learned", "density": None})]) == Density({}, None)
    assert mask_density([run(mask=random), run()]) is None and mask_density([]) is None


@pytest.mark.parametrize(("union", "inactive"), [(0.95, False), (0.951, True), (1.0, True), (None, False)])
def test_masks_that_open_more_than_95_percent_are_nearly_inactive(union, inactive):
    assert Density({"a": 1.0}, union).nearly_inactive is inactive


def test_the_order_of_the_rows_is_that_of_the_last_metric_over_the_datasets_that_all_rows_have():
    cells = [
        *(cell("a", name, mean, 1.0 * mean, "EM") for name, mean in (("one", 9.0), ("two", 9.0))),
        *(cell("b", name, mean, 1.0 * mean, "EM") for name, mean in (("one", 1.0), ("two", 1.0))),
        cell("a", "one", 1.0, 3.0),
        cell("a", "two", 99.0, 0.0),
        cell("a", AVERAGE, 99.0, 0.0),
        cell("b", "one", 2.0, 4.0),
        cell("b", "two", None, 9.0),
        cell("c", "one", 3.0, 3.5),
        cell("c", "two", 1.0, None),
        cell("d", "two", None, 9.0),  # none of its datasets is answered: no row of ours
    ]
    assert tau_b(cells) == pytest.approx(1 / 3)  # ours a < b < c, the paper's a < c < b
    assert tau_b([cell("a", "one", 1.0, 1.0), cell("b", "two", 2.0, 2.0)]) is None
    assert tau_b([cell("a", "one", None, 1.0)]) is None


def test_differences_are_of_the_claim_s_own_metric_and_each_pair_counts_once():
    cells = [
        *(cell("a", "one", 5.0, 50.0, metric) for metric in ("EM", "F1")),
        cell("b", "one", 1.0, 20.0, "EM"),
        cell("b", "one", 2.0, 30.0, "F1"),
    ]

    def claims(*changes: dict[str, Any]) -> Any:
        fields = {"a": "a", "b": "b", "metric": "F1", "over": AVERAGE, "direction": "greater"}
        return [SimpleNamespace(claim=Claim("c", "3", "", "", **fields | change)) for change in changes]

    assert differences(claims({}, {"over": "one"}), cells) == ([3.0], [20.0])
    assert differences(claims({"metric": "EM"}), cells) == ([4.0], [30.0])
    assert differences(claims({"a": "b", "b": "a"}, {}), cells) == ([-3.0, 3.0], [-20.0, 20.0])
    assert differences(claims({"b": "literature"}, {"metric": "deviation.l2"}), cells) == ([], [])


def test_the_assumptions_state_the_rule_that_judged():
    printed = assumptions(ReproductionRule(margin_cell=1.5, margin_average=0.25, d0=2.5, n_pub=3))
    assert printed[0] == "a printed number is the mean of 3 runs of the paper's, with the spread of ours"
    assert printed[1] == (
        "reproduced: within ±1.5 per cell, ±0.25 per average or half of a claimed gain where that is "
        "tighter; the printed number is taken as fixed"
    )
    assert "with 2.5 prior degrees of freedom" in printed[3]
    mean = assumptions(ReproductionRule(estimand="mean"))
    assert mean[0].startswith("a printed number is the mean of 1 run of")
    assert mean[1].endswith("; the mean behind the printed number is meant")


def test_uncommitted_changes_and_several_commits_are_said():
    clean, dirty = run(commit="a" * 40, dirty=False), run(1, commit="a" * 40, dirty=True)
    assert notes([], [clean, run(2)]) == ()
    assert notes([], [clean, dirty, run(2, dirty=True)]) == (
        "2 of 3 runs were made with uncommitted changes",
    )
    assert notes([], [clean, run(1, commit="b" * 40), run(2)]) == ("the runs are of 2 commits",)


def test_datasets_without_data_are_said_where_runs_lack_them_and_no_row_has_them():
    lacking = ("m.mt.x.s0",)
    cells = [
        cell("a", "one", 1.0, 1.0),
        cell("b", "one", None, 1.0, verdict="no data", runs=lacking),  # another row has it
        cell("a", "two", None, 1.0, verdict="no data", runs=lacking),
        cell("a", "two", None, 1.0, "EM", verdict="no data", runs=lacking),
        cell("a", "three", None, 1.0, verdict="no data"),  # no run at all
        cell("a", "four", None, 1.0, verdict="not comparable", runs=lacking),
        cell("a", "five", None, 1.0, verdict="no data", runs=lacking),
    ]
    assert notes(cells, []) == (
        "no data: two, five; left out of our averages, which are therefore not comparable",
    )
