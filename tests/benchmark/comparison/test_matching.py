"""Which backbone stands in, which seeds are expected, what a status and the descriptive figures count: unit
by unit.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmark.comparison.inputs import ComparisonInputs
from benchmark.comparison.matching import Match, Matcher, Setting, find_stand_in, match_row
from benchmark.comparison.remarks import differences, tau_b
from benchmark.comparison.report import CellResult, TableReport
from benchmark.comparison.table_comparison import SMALLEST_GAIN, _claimed_gain, _described, _judge, compare
from benchmark.paper.tables import AVERAGE, Claim, Ours, Paper, Requirements, Row, Table, load
from benchmark.runs.results import DatasetScore, Fault, Identity, Results, Run
from benchmark.statistics.reproduction import CellData, ReproductionRule, judge_cells

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


def test_a_model_scored_as_published_needs_no_stand_in():
    """The first row that is trained says whose backbone the profile's stands in for."""
    rows = (
        Row("u", "U", None, Ours("unified", "mt", "zero_shot"), {}),
        Row("n", "N", None, Ours("newt", "mt", "none"), {}),
    )
    table = replace(TABLE_3, rows=rows)
    assert find_stand_in(table, results(("mini",), ("minilm",)), REQUIRES) == {"newt": "minilm"}
    assert find_stand_in(table, results(("mini",), ("unified", "minilm")), REQUIRES) == {"newt": "minilm"}
    only_published = replace(TABLE_3, rows=rows[:1])
    assert find_stand_in(only_published, results(("mini",), ("minilm",)), REQUIRES) == {}


LISTED = ("minilm.mt.bmt.s0", "minilm.mt.bmt.s1", "minilm.mt.none.adapter.s0")
MADE = Setting("mini", listed=LISTED, whole=True, sizes=(16, 64))
CELL = Identity("minilm", "mt", "bmt")
SHOTS = Identity("minilm", "mt", "none", True, 16)
ACTIVATE = "python -m benchmark.profile mini && "


@pytest.mark.parametrize(
    ("setting", "identity", "command"),
    [
        (MADE, CELL, "`dvc repro`"),
        (replace(MADE, active=False), CELL, f"`{ACTIVATE}dvc repro`"),
        (replace(MADE, seeds=(0, 1)), CELL, "`dvc repro`"),
        (
            replace(MADE, seeds=(1, 7, 8)),
            CELL,
            "`python -m benchmark.train minilm.mt.bmt.s1 && python -m benchmark.evaluate minilm.mt.bmt.s1` "
            "(then minilm.mt.bmt.s7, minilm.mt.bmt.s8)",
        ),
        (
            replace(MADE, seeds=(7, 8)),
            CELL,
            "`python -m benchmark.train minilm.mt.bmt.s7 && python -m benchmark.evaluate minilm.mt.bmt.s7` "
            "(then minilm.mt.bmt.s8)",
        ),
        (
            replace(MADE, active=False),
            replace(CELL, arm="mask"),
            f"`{ACTIVATE}python -m benchmark.train minilm.mt.mask.s0 "
            "&& python -m benchmark.evaluate minilm.mt.mask.s0`",
        ),
        (
            MADE,
            SHOTS,
            "`python -m benchmark.transfer minilm.mt.none.adapter.s0 --k 16`, "
            "once minilm.mt.none.adapter.s0 is trained",
        ),
        (
            replace(MADE, active=False),
            SHOTS,
            f"`{ACTIVATE}python -m benchmark.transfer minilm.mt.none.adapter.s0 --k 16`, "
            "once minilm.mt.none.adapter.s0 is trained",
        ),
        (
            MADE,
            replace(CELL, backbone="t5"),
            "profile mini has no t5; `python -m benchmark.profile paper` has",
        ),
        (
            replace(MADE, listed=(), active=False),
            replace(CELL, backbone="t5"),
            "`python -m benchmark.train t5.mt.bmt.s0 && python -m benchmark.evaluate t5.mt.bmt.s0`",
        ),
        (MADE, Identity("unified", "mt", "zero_shot"), "`python -m benchmark.unifiedqa unified`"),
        (
            replace(MADE, active=False),
            Identity("unified", "mt", "zero_shot"),
            f"`{ACTIVATE}python -m benchmark.unifiedqa unified`",
        ),
        (replace(MADE, commands=False), CELL, ""),
    ],
)
def test_the_command_that_makes_a_cell(setting, identity, command):
    assert setting.command(identity) == command


def test_a_k_that_the_profile_does_not_ask_for_is_said():
    assert MADE.not_asked(replace(SHOTS, K=256)) == "profile mini asks for K = 16, 64"
    assert MADE.not_asked(replace(SHOTS, K=32)) == "profile mini asks for K = 16, 64"
    assert MADE.not_asked(SHOTS) == MADE.not_asked(CELL) == ""
    assert replace(MADE, sizes=()).not_asked(replace(SHOTS, K=256)) == ""
    assert replace(MADE, commands=False).not_asked(replace(SHOTS, K=256)) == ""


# --- rows ---------------------------------------------------------------------------------------------------

COLUMNS = {"A": "a", "B": "b"}
PRINTED = {"EM": {"a": 10.0, "b": 20.0, AVERAGE: 15.0}, "F1": {"a": 30.0, "b": 40.0, AVERAGE: 35.0}}


def of_scores(*, average: str | None = "Avg.", metrics: tuple[str, ...] = ("EM", "F1")) -> Table:
    decimals = {metric: 1 + (metric == "F1") for metric in metrics}
    return Table("1", "", "", "", "scores", metrics, decimals, COLUMNS, average, ())


def scored(seed: int, regime: str = "mt", arm: str = "x", **scores: float) -> Run:
    """A run whose F1 are `scores`, its EM 10 less."""
    identity = Identity("m", regime, arm)
    datasets = {name: DatasetScore(f1 - 10, f1, 100) for name, f1 in scores.items()}
    return Run(f"{identity.stem}.s{seed}", "p", identity, seed, datasets)


def matched(
    *runs: Run,
    ours: Ours | None = Ours("m", "mt", "x"),  # noqa: B008
    faults: tuple[Fault, ...] = (),
    setting: Setting = Setting("p"),  # noqa: B008
    table: Table | None = None,
    values: dict[str, dict[str, float | None]] = PRINTED,
    **row_fields: Any,
) -> dict[tuple[str, str], Match]:
    """The matches of one row, by metric and dataset."""
    one = Row("r", "M", "x", ours, values, **row_fields)
    matcher = Matcher(Results(Path("r"), runs, faults), Requirements(), setting, {})
    matches = match_row(table or of_scores(), one, matcher)
    return {(match.metric, match.dataset): match for match in matches}


def test_a_row_has_its_runs_scores_by_seed_and_their_average_last():
    """Seeds are in the order of their numbers, whatever the order of the files."""
    row_of_cells = matched(scored(10, a=50.0, b=80.0), scored(2, a=60.0, b=71.0))
    assert list(row_of_cells) == [(metric, name) for metric in ("EM", "F1") for name in ("a", "b", AVERAGE)]
    assert [(match.values, match.published, match.decimals) for match in row_of_cells.values()] == [
        ((50.0, 40.0), 10.0, 1),
        ((61.0, 70.0), 20.0, 1),
        ((55.5, 55.0), 15.0, 1),
        ((60.0, 50.0), 30.0, 2),
        ((71.0, 80.0), 40.0, 2),
        ((65.5, 65.0), 35.0, 2),
    ]
    for match in row_of_cells.values():
        assert (match.state, match.reason, match.seeds, match.partial) == (None, "", (2, 10), False)
        assert match.runs == ("m.mt.x.s2", "m.mt.x.s10")


def test_a_table_without_an_average_has_none():
    row_of_cells = matched(scored(0, a=1.0, b=2.0), table=of_scores(average=None))
    assert [dataset for _, dataset in row_of_cells] == ["a", "b"] * 2


def test_literature_is_shown_as_printed_and_asks_for_no_run():
    for match in matched(scored(0, a=1.0, b=2.0), ours=None).values():
        assert (match.state, match.reason, match.values, match.runs) == ("literature", "", (), ())
        assert match.published == PRINTED[match.metric][match.dataset]


def test_a_dataset_that_one_run_lacks_is_said_and_not_judged():
    row_of_cells = matched(scored(0, a=50.0, b=60.0), scored(1, a=70.0))
    b, average = row_of_cells["F1", "b"], row_of_cells["F1", AVERAGE]
    assert (b.state, b.reason, b.values, b.seeds) == ("not comparable", "no b in m.mt.x.s1", (60.0,), (0,))
    assert row_of_cells["F1", "a"].state is None and row_of_cells["F1", "a"].values == (50.0, 70.0)
    assert (average.values, average.seeds) == ((55.0,), (0,))
    assert average.reason == "no b in m.mt.x.s1; its datasets have different seeds"


def test_a_metric_that_results_do_not_have_is_no_data():
    values = {"ROUGE": {"a": 1.0, "b": 2.0, AVERAGE: 1.5}}
    runs = (scored(0, a=1.0, b=2.0), scored(1, a=1.0, b=2.0))
    row_of_cells = matched(*runs, table=of_scores(metrics=("ROUGE",)), values=values)
    assert {match.state for match in row_of_cells.values()} == {"no data"}
    assert row_of_cells["ROUGE", "a"].reason == "results have EM and F1, no ROUGE"


def test_only_seeds_that_count_count_and_a_published_model_always_does():
    runs = tuple(scored(seed, a=50.0 + seed, b=60.0) for seed in range(4))
    chosen = matched(*runs, setting=Setting("p", seeds=(1, 3)))
    assert chosen["F1", "a"].values == (51.0, 53.0) and chosen["F1", "a"].state is None
    published = scored(0, arm="zero_shot", a=50.0, b=60.0)
    cells = matched(published, ours=Ours("m", "mt", "zero_shot"), setting=Setting("p", seeds=(1, 3)))
    assert cells["F1", AVERAGE].values == (55.0,)
    assert cells["F1", AVERAGE].reason.startswith("scored as it was published: it has no seeds")


def test_a_damaged_run_is_unreadable_and_not_missing_too_and_no_matter_where_its_seed_does_not_count():
    runs = (scored(0, a=50.0, b=60.0), scored(1, a=51.0, b=61.0))
    damaged = Fault("m.mt.x.s2.json", "no JSON", Identity("m", "mt", "x"), 2)
    elsewhere = Fault("m.mt.y.s2.json", "no JSON", Identity("m", "mt", "y"), 2)
    cells = matched(*runs, faults=(damaged, elsewhere), setting=Setting("p", seeds=(0, 1, 2, 3)))
    assert cells["F1", "a"].reason == "unreadable m.mt.x.s2.json: no JSON; missing runs: m.mt.x.s3"
    assert cells["F1", "a"].values == (50.0, 51.0)
    cells = matched(*runs, faults=(damaged, elsewhere), setting=Setting("p", seeds=(0, 1)))
    assert {match.state for match in cells.values()} == {None}
    alone = matched(faults=(damaged,))["F1", "a"]
    assert (alone.state, alone.reason) == ("not comparable", "unreadable m.mt.x.s2.json: no JSON")


def test_single_data_rows_take_each_dataset_from_its_own_runs_and_average_over_the_common_seeds():
    runs = [scored(seed, "st-a", a=50.0 + seed, b=99.0) for seed in (0, 1, 2)]
    runs += [scored(seed, "st-b", a=99.0, b=60.0 + 2 * seed) for seed in (1, 2, 5)]
    cells = matched(*runs, ours=Ours("m", "st", "x"))
    assert (cells["F1", "a"].values, cells["F1", "a"].seeds) == ((50.0, 51.0, 52.0), (0, 1, 2))
    assert (cells["F1", "b"].values, cells["F1", "b"].seeds) == ((62.0, 64.0, 70.0), (1, 2, 5))
    average = cells["F1", AVERAGE]
    assert (average.values, average.seeds, average.partial) == ((56.5, 58.0), (1, 2), False)
    assert (average.state, average.reason) == ("not comparable", "its datasets have different seeds")
    assert average.runs == tuple(run.cell for run in runs)


def test_an_average_says_once_what_is_against_all_of_its_datasets_and_apart_what_is_against_some():
    one = matched(scored(0, a=50.0, b=60.0))
    assert one["F1", AVERAGE].reason == "one seed (0): at least 2 are needed"
    runs = [scored(0, "st-a", a=50.0), scored(3, "st-b", b=60.0)]
    apart = matched(*runs, ours=Ours("m", "st", "x"))["F1", AVERAGE]
    assert apart.reason == (
        "a: one seed (0): at least 2 are needed; b: one seed (3): at least 2 are needed; "
        "its datasets have different seeds"
    )
    assert apart.values == ()


def test_an_average_over_some_of_the_datasets_is_partial_and_has_the_paper_s_over_the_same():
    missing = matched(scored(0, "st-a", a=50.0), scored(1, "st-a", a=52.0), ours=Ours("m", "st", "x"))
    train, evaluate = (f"python -m benchmark.{verb} m.st-b.x.s0" for verb in ("train", "evaluate"))
    command = f"no run of m.st-b.x: `{train} && {evaluate}`"
    assert (missing["F1", "b"].state, missing["F1", "b"].reason) == ("missing", command)
    average = missing["F1", AVERAGE]
    assert (average.state, average.values, average.partial) == ("not comparable", (50.0, 52.0), True)
    assert average.reason == (
        "missing runs: b; average over 1 of 2 datasets (without b); the paper's over the same 1: 30.00"
    )
    absent = matched(scored(0, a=50.0), scored(1, a=52.0))
    assert (absent["F1", "b"].state, absent["F1", "b"].reason) == ("no data", "b is not in these results")
    assert absent["F1", AVERAGE].reason == (
        "average over 1 of 2 datasets (no data: b); the paper's over the same 1: 30.00"
    )
    unprinted = {metric: {"a": None, "b": 1.0, AVERAGE: 1.0} for metric in ("EM", "F1")}
    unprinted_average = matched(scored(0, a=50.0), scored(1, a=52.0), values=unprinted)["F1", AVERAGE]
    assert unprinted_average.reason == "average over 1 of 2 datasets (no data: b)"
    three = replace(of_scores(), columns=COLUMNS | {"C": "c"})
    some = {metric: {"a": 1.0, "b": None, "c": 3.0, AVERAGE: 1.0} for metric in ("EM", "F1")}
    two = matched(scored(0, a=50.0, b=1.0), scored(1, a=52.0, b=1.0), table=three, values=some)
    assert two["F1", AVERAGE].reason == "average over 2 of 3 datasets (no data: c)"
    runs = [scored(seed, "st-a", a=50.0) for seed in (0, 1)]
    runs += [scored(seed, "st-b", a=50.0) for seed in (0, 1)]
    mixed = matched(*runs, ours=Ours("m", "st", "x"), table=three, values=some)["F1", AVERAGE]
    assert mixed.reason == (
        "missing runs: c; average over 1 of 3 datasets (without b, c); the paper's over the same 1: 1.00"
    )
    nothing = matched(scored(0, c=50.0), scored(1, c=52.0))["F1", AVERAGE]
    assert (nothing.state, nothing.reason) == ("no data", "none of its datasets is in these results")
    assert nothing.runs == ("m.mt.x.s0", "m.mt.x.s1")


def test_a_row_s_runs_stand_once_each_whatever_its_datasets():
    runs = (scored(0, a=1.0, b=2.0), scored(0, "st-a", a=1.0), scored(0, "st-b", b=1.0))
    matcher = Matcher(Results(Path("r"), runs), Requirements(), Setting("p"), {})
    names = [
        [run.cell for run in matcher.row_runs(Row("r", "M", "x", ours, {}), ("a", "b"))]
        for ours in (Ours("m", "mt", "x"), Ours("m", "st", "x"), None)
    ]
    assert names == [["m.mt.x.s0"], ["m.st-a.x.s0", "m.st-b.x.s0"], []]


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


def test_every_answered_number_is_judged_together_by_its_kind_gain_and_gate(monkeypatch):
    judged: list[CellData] = []

    def keep(data: list[CellData], rule: ReproductionRule) -> Any:
        assert rule == ReproductionRule(margin_cell=2.0)
        judged.extend(data)
        return judge_cells(data, rule)

    monkeypatch.setattr("benchmark.comparison.table_comparison.judge_cells", keep)
    matches = [
        Match(row("s"), "a", "EM", 50.0, 1, "missing", "no run"),
        Match(row("r"), "a", "F1", 50.0, 2, None, "", (50.0, 50.5), (0, 1)),
        Match(row("r"), "b", "F1", None, 2, None, "", (50.0, 52.0), (0, 1)),
        Match(row("r"), AVERAGE, "F1", 60.0, 2, "not comparable", "why", (40.0, 41.0), (0, 1), partial=True),
        Match(row("r"), AVERAGE, "F1", 60.0, 2, "not comparable", "why", (40.0, 41.0), (0, 1)),
    ]
    claim = Claim("c", "3", "", "", "r", "s", "F1", "a", "greater", 1.2)
    paper = Paper("", {}, (claim,), Requirements())
    cells = _judge(matches, paper, TABLE_3, ReproductionRule(margin_cell=2.0))
    assert judged == [
        CellData("r/F1/a", 50.0, 2, (50.0, 50.5), "cell", 1.2, None),
        *2 * (CellData(f"r/F1/{AVERAGE}", 60.0, 2, (40.0, 41.0), "average", None, "why"),),
    ]
    assert [cell.match for cell in cells] == matches
    assert [(cell.verdict, cell.reason, cell.mean, cell.delta) for cell in cells] == [
        ("missing", "no run", None, None),
        ("inconclusive", cells[1].reason, 50.25, 0.25),
        ("no data", "the paper prints no number here", 51.0, None),
        ("not comparable", "why", 40.5, None),
        ("not comparable", "why", 40.5, -19.5),
    ]
    assert cells[1].p_holm is not None and cells[1].margin == 0.6  # half of the claimed gain
    assert [cell.pi95 is None for cell in cells] == [True, False, True, True, False]


def test_the_damaged_files_of_a_table_are_those_of_its_rows_their_second_readings_and_its_claims():
    def of(arm: str) -> Row:
        values = {"F1": {"a": 1.0, "b": 1.0, AVERAGE: 1.0}}
        return Row(
            arm, "M", arm, Ours("m", "mt", arm), values, second_reading="mask" if arm == "none" else None
        )

    table = replace(of_scores(metrics=("F1",)), rows=(of("none"),))
    other = replace(table, table="2", rows=(of("bmt"), of("fisher")))
    claim = Claim("c", "1", "", "", "none", "bmt", "F1", AVERAGE, "greater")
    paper = Paper("", {"1": table, "2": other}, (claim,), Requirements())

    def damaged(*, seeds: tuple[int, ...] | None = None) -> list[str]:
        faults = [
            Fault(f"{arm}.{seed}", "no JSON", Identity("m", "mt", arm), seed)
            for arm in ("none", "mask", "bmt", "fisher")
            for seed in (0, 9)
        ]
        faults += [Fault("whose", "no JSON"), Fault("k", "no JSON", Identity("m", "mt", "none", K=16), 0)]
        inputs = ComparisonInputs(paper, Results(Path("r"), (), tuple(faults)), Setting("p", seeds), None)
        report = compare(inputs, table)
        assert report.status() == 2
        return [fault.file for fault in report.faults]

    assert damaged() == ["none.0", "none.9", "mask.0", "mask.9", "bmt.0", "bmt.9", "whose"]
    assert damaged(seeds=(0,)) == ["none.0", "mask.0", "bmt.0", "whose"]
