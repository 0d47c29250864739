"""Counted numbers: exact or not, from which file, and what stands in the way."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmark.comparison.counted_tables import compare_counted
from benchmark.comparison.inputs import ComparisonInputs, read_inputs
from benchmark.comparison.matching import Setting
from benchmark.comparison.parameter_counts import notes
from benchmark.comparison.report import TableReport
from benchmark.config.params import CompareSettings
from benchmark.paper.tables import Claim, Ours, Paper, Requirements, Row, Table, load
from benchmark.runs.results import Identity, Results, Run
from tests.support.repository import ROOT
from tests.support.results_maker import make_results

OURS = Ours("m", "mt", "none")
ROWS = (
    Row("data", "D", None, None, {"n": {"": 3.5}, "k": {"": None}}, dataset="data"),
    Row("model", "M", None, OURS, {"n": {"": 7.0}, "k": {"": 1.0}}),
)
TABLE = Table("1", "", "", "", "facts", ("n", "k"), {"n": 1, "k": 0}, {}, None, ROWS, command="count it")
CLAIM = Claim("c", "1", "", "", "model", "data", "n", None, "greater")


def counted(
    folder: Path, numbers: dict[str, Any] | None, table: Table = TABLE, **setting: Any
) -> TableReport:
    if numbers is not None:
        whole = {"schema": 1, "table": table.table, "profile": "paper", "backbone": "m"} | numbers
        (folder / f"table_{table.table}.json").write_text(json.dumps(whole))
    paper = Paper("P", {"1": table}, (CLAIM,), Requirements(profile="paper"))
    values = {"profile": "mini"} | setting
    return compare_counted(ComparisonInputs(paper, Results(folder, ()), Setting(**values), None, "r"), table)


def cells(report: TableReport) -> list[tuple[Any, ...]]:
    return [(cell.verdict, cell.reason, cell.mean, cell.delta) for cell in report.cells]


NOTHING = ("no data", "the paper prints no number here")


@pytest.mark.parametrize(
    ("value", "verdict"),
    [
        (3.5, "exact"),
        (3.5499, "exact"),
        (3.55, "exact"),
        (3.45, "exact"),
        (3.5501, "differs"),
        (3.4499, "differs"),
    ],
)
def test_a_number_is_exact_where_it_rounds_to_the_printed_one(tmp_path, value, verdict):
    report = counted(tmp_path, {"rows": {"data": {"n": value, "k": 2}, "model": {"n": 7, "k": 1.4}}})
    assert cells(report) == [
        (verdict, "", value, pytest.approx(value - 3.5)),
        (*NOTHING, 2, None),
        ("exact", "", 7, 0),
        ("exact", "", 1.4, pytest.approx(0.4)),
    ]
    assert [cell.n for cell in report.cells] == [1, 0, 1, 1]


def test_what_is_not_counted_says_why(tmp_path):
    report = counted(tmp_path, {"rows": {"model": {"n": None}}})
    assert cells(report) == [
        ("no data", "no file of data was counted", None, None),
        (*NOTHING, None, None),
        ("no data", "no n of model to be counted (null in table_1.json)", None, None),
        ("missing", "no k of model in table_1.json", None, None),
    ]
    assert [cell.match.state for cell in report.cells] == ["no data", None, "no data", "missing"]


def test_without_a_file_the_command_that_makes_it_is_named(tmp_path):
    missing = "no table_1.json in the results"
    assert counted(tmp_path, None).cells[0].reason == f"{missing}: `count it`"
    elsewhere = {"active": False, "listed": ("m.mt.none.s0",)}
    assert counted(tmp_path, None, **elsewhere).cells[0].reason == (
        f"{missing}: `python -m benchmark.profile mini && count it`"
    )
    silent = counted(tmp_path, None, replace(TABLE, command=None))
    assert (silent.cells[0].verdict, silent.cells[0].reason) == ("missing", missing)
    assert silent.profile == "mini"


@pytest.mark.parametrize(
    ("about", "data", "model"),
    [
        ({}, "", ""),
        ({"profile": "mini"}, "profile mini", ""),
        ({"profile": None}, "profile not recorded", ""),
        ({"backbone": "n"}, "", "backbone n instead of m"),
        ({"backbone": None}, "", "backbone not recorded instead of m"),
    ],
)
def test_data_must_be_of_the_paper_s_profile_and_parameters_of_its_backbone(tmp_path, about, data, model):
    numbers = {"rows": {"data": {"n": 3.5}, "model": {"n": 7, "k": 1}}} | about
    report = counted(tmp_path, numbers)
    states = [(cell.verdict, cell.reason) for cell in report.cells]
    assert states[0] == (("not comparable", data) if data else ("exact", ""))
    assert states[2] == (("not comparable", model) if model else ("exact", ""))
    assert (report.cells[0].mean, report.cells[0].delta) == (3.5, 0)  # shown all the same


def test_a_damaged_file_is_a_fault_and_nothing_is_counted_in_its_place(tmp_path):
    (tmp_path / "table_1.json").write_text("{")
    report = counted(tmp_path, None)
    assert {cell.verdict for cell in report.cells} == {"not comparable"} and report.status() == 2
    assert {cell.reason for cell in report.cells} == {f"unreadable {report.faults[0]}"}
    assert report.claims[0].verdict == "no data"


def test_a_report_of_counted_numbers_says_whose_they_are(tmp_path):
    report = counted(tmp_path, {"profile": "theirs", "rows": {"data": {"n": 3}, "model": {"n": 4}}})
    assert (report.title, report.profile, report.source, report.seeds) == ("P", "theirs", "r", ())
    assert report.assumptions == ("exact: ours, rounded as printed, is the printed number",)
    assert [(claim.verdict, claim.paper_delta) for claim in report.claims] == [("upheld", 3.5)]
    assert report.faults == () and report.notes == ()


# --- the densities under Table 7 ----------------------------------------------------------------------------


def learned(cell: str, identity: Identity, seed: int, density: float) -> Run:
    mask = {"kind": "learned", "density": {"a": density, "b": density}, "union_density": None}
    return Run(cell, "p", identity, seed, {}, mask=mask)


def test_open_weights_are_expected_at_the_density_of_whole_multi_data_runs_of_this_backbone_first():
    base, mini = Identity("roberta-base", "mt", "bmt"), Identity("minilm", "mt", "bmt")

    def line(*runs: Run, seeds: tuple[int, ...] | None = None) -> str:
        lines = notes(load().tables["7"], Results(Path(), runs), seeds)
        return next(one for one in lines if one.startswith("delta_d, non-zero: ")).removeprefix(
            "delta_d, non-zero: "
        )

    nothing = "not measured, no run in the results has learned masks"
    others = (
        learned("a", replace(base, regime="st-DROP"), 0, 0.9),
        learned("b", replace(base, K=16), 0, 0.9),
        Run("c", "p", base, 0, {}, mask={"kind": "random", "p_f": 0.5}),
    )
    assert line() == line(*others) == nothing
    ours = (learned("d", base, 0, 0.2), learned("e", base, 1, 0.4))
    stand_ins = tuple(learned(f"f{seed}", mini, seed, 0.5) for seed in range(3))
    assert line(*others, *stand_ins, *ours) == (
        "expected at the measured mask density 0.300 (mean of 2 runs): 37.2M open weights per dataset, "
        "74.4M for 2"
    )
    assert line(*stand_ins, *ours, seeds=(1,)).startswith(
        "expected at the measured mask density 0.400 (mean of 1 run):"
    )
    assert line(*stand_ins, *others).startswith(
        "expected at the measured mask density 0.500 (mean of 3 runs of minilm, which stands in):"
    )
    assert line(*ours, seeds=(7,)) == nothing


def test_what_the_paper_prints_for_delta_d_is_remarked_on_where_both_pairs_of_rows_say_the_same():
    table = load().tables["7"]

    def remarks(**totals: float | None) -> list[str]:
        rows = []
        for row in table.rows:
            assert row.ours is not None
            name = row.ours.arm + ("_adapter" if row.ours.adapter else "")
            values = row.values | ({"total_M": {"": totals[name]}} if name in totals else {})
            rows.append(replace(row, values=values))
        changed = replace(table, rows=tuple(rows))
        return [line for line in notes(changed, Results(Path(), ())) if "not derivable" in line]

    assert [line.split(" is not")[0] for line in remarks()] == ["the paper's 7.3M for delta_d"]
    assert remarks(bmt=130.0) == []
    assert remarks(bmt=None)[0].startswith("the paper's 7.3M")  # the other pair still says it
    assert remarks(bmt=None, none_adapter=None) == []
    without = replace(table, rows=tuple(row for row in table.rows if row.ours and row.ours.arm != "bmt"))
    assert not [line for line in notes(without, Results(Path(), ())) if "delta_d, " in line]


# --- what is read -------------------------------------------------------------------------------------------


def test_a_folder_given_is_its_runs_and_a_profile_s_folder_should_be_whole(tmp_path, monkeypatch):
    monkeypatch.setenv("BMT_ROOT", str(tmp_path))
    for name in ("params.yaml", "profiles"):
        (tmp_path / name).symlink_to(ROOT / name)
    make_results(
        tmp_path / "r", profile="mini", backbone="minilm", arms=["none"], seeds=[0], sizes={"DROP": 3}
    )
    given = read_inputs(tmp_path / "r", None, seeds=(0, 4))
    setting = given.setting
    assert (setting.profile, setting.seeds, setting.whole, setting.commands) == ("mini", (0, 4), False, True)
    assert given.config is not None and given.config.profile == "mini"
    assert setting.listed == tuple(given.config.every_cell) and setting.listed
    assert setting.sizes == tuple(given.config.fewshot.sizes) and not setting.active
    assert given.source == "r" and given.settings is given.config.compare
    of_profile = read_inputs(None, "sample")
    assert (of_profile.setting.profile, of_profile.setting.whole) == ("sample", True)
    assert (of_profile.setting.active, of_profile.source) == (True, "results/sample")
    foreign = read_inputs(tmp_path / "r", None, paper_folder=ROOT / "benchmark" / "paper")
    assert not foreign.setting.commands


def test_runs_of_several_profiles_or_of_one_without_a_file_are_judged_by_the_defaults(tmp_path):
    make_results(tmp_path / "r", profile="b", arms=["none"], seeds=[0], sizes={"DROP": 3})
    one = read_inputs(tmp_path / "r", None)
    assert (one.setting.profile, one.config, one.setting.listed, one.setting.sizes) == ("b", None, (), ())
    assert one.settings == CompareSettings()
    make_results(tmp_path / "r", profile="mini", arms=["mask"], seeds=[0], sizes={"DROP": 3})
    both = read_inputs(tmp_path / "r", None)
    assert (both.setting.profile, both.config) == ("b, mini", None)
    (tmp_path / "empty").mkdir()
    assert read_inputs(tmp_path / "empty", None).setting.profile == "unknown"
    named = read_inputs(tmp_path / "r", "mini")
    assert named.setting.profile == "mini" and named.config is not None
