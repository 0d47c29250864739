"""The paper's claims on fabricated results: the intervals are those of benchmark.statistics on the very
predictions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmark.compare import main
from benchmark.comparison import table_document
from benchmark.comparison.claims import ClaimResult, claim_results, fact_results
from benchmark.comparison.gate import table_data
from benchmark.comparison.matching import Matcher, Setting
from benchmark.config.params import CompareSettings
from benchmark.paper.tables import AVERAGE, Claim, Ours, Paper, Requirements, Row, Table, load
from benchmark.runs.predictions import Examples, Predictions
from benchmark.runs.results import DatasetScore, Identity, Results, Run
from benchmark.statistics.claims import ClaimData, claim_interval, judge_claims, seed_interval
from benchmark.statistics.paired import PairedScores
from tests.support.comparing import claim_of, compared, copy_of, read, rewrite
from tests.support.results_maker import IN_DOMAIN, SMALL, make_results, seed_noise

pytest_plugins = ("tests.support.compare_fixtures",)
pytestmark = pytest.mark.usefixtures("papers_read_once")


def test_a_claim_s_interval_is_the_crossed_one_over_seeds_and_contexts(capsys, mini):
    report = compared(capsys, mini, None)
    found = {
        arm: [pq.read_table(mini / f"minilm.mt.{arm}.s{seed}.parquet") for seed in range(3)]
        for arm in ("mask", "bmt")
    }

    def scores(arm: str, dataset: str) -> np.ndarray:
        return np.stack(
            [
                100 * table.filter(pa.compute.equal(table["dataset"], dataset))["f1"].to_numpy()
                for table in found[arm]
            ]
        )

    contexts = [number // 3 for number in range(90)]
    pairs = [
        PairedScores(name, scores("bmt", name), scores("mask", name), np.array(contexts))
        for name in IN_DOMAIN
    ]
    interval = claim_interval(pairs)
    claim = claim_of(report, "bmt-over-mask-roberta-base")
    assert claim["our_delta"] == pytest.approx(interval.estimate, abs=1e-9)
    assert claim["ci95"] == pytest.approx([interval.low, interval.high], abs=1e-9)
    assert (claim["p"], claim["paper_delta"], claim["details"]["seeds"]) == (
        pytest.approx(interval.p),
        1.2,
        3,
    )


def test_claims_about_deviation_and_spread_have_the_seed_as_their_unit(capsys, mini):
    report = compared(capsys, mini, None)
    records = {
        (arm, seed): read(mini, f"minilm.mt.{arm}.s{seed}") for arm in ("none", "bmt") for seed in range(3)
    }
    moved = seed_interval(
        *([records[arm, seed]["deviation"]["relative"] for seed in range(3)] for arm in ("bmt", "none"))
    )
    claim = claim_of(report, "deviation-bmt-below-none")
    assert (claim["our_delta"], claim["ci95"]) == (
        pytest.approx(moved.estimate),
        pytest.approx([moved.low, moved.high]),
    )
    assert (claim["verdict"], claim["paper_delta"]) == ("upheld", None)
    spread = seed_interval(
        *(
            [stdev(records[arm, seed]["datasets"][name]["f1"] for name in IN_DOMAIN) for seed in range(3)]
            for arm in ("bmt", "none")
        )
    )
    claim = claim_of(report, "spread-bmt-below-none")
    assert claim["our_delta"] == pytest.approx(spread.estimate)
    assert claim["paper_delta"] == pytest.approx(
        stdev([92.4, 83.3, 81.4, 73.0, 85.5, 81.8]) - stdev([91.8, 81.1, 80.2, 71.5, 84.9, 79.5])
    )


def test_the_order_of_a_run_s_rows_changes_nothing(capsys, mini, tmp_path):
    before = compared(capsys, mini, None)
    folder = copy_of(mini, tmp_path / "r")
    rewrite(
        folder, "minilm.mt.bmt.s1", lambda table: table.take(np.random.default_rng(0).permutation(len(table)))
    )
    after = compared(capsys, folder, None, status=0)
    assert after["cells"] == before["cells"]
    for one, other in zip(before["claims"], after["claims"], strict=True):
        assert one["ci95"] == (other["ci95"] and pytest.approx(other["ci95"], abs=1e-9))


def test_two_seeds_leave_a_claim_undecided_and_one_without_verdict(capsys, mini):
    two = claim_of(compared(capsys, mini, None, "3", "--seeds", "0,1"), "bmt-over-mask-roberta-base")
    assert (two["verdict"], two["details"]["reason"]) == (
        "undecided",
        "2 seeds per side: a verdict needs at least 3",
    )
    assert two["ci95"][0] < two["our_delta"] < two["ci95"][1]
    one = claim_of(compared(capsys, mini, None, "3", "--seeds", "1"), "bmt-over-mask-roberta-base")
    assert one["verdict"] == "no verdict" and "conditional on these seeds" in one["details"]["reason"]


def test_different_seeds_on_the_two_sides_are_compared_unpaired(capsys, mini, tmp_path):
    folder = copy_of(mini, tmp_path / "r")
    make_results(
        folder,
        profile="mini",
        backbone="minilm",
        arms=["bmt"],
        seeds=[3, 4],
        sizes={n: 90 for n in SMALL if n != "TextbookQA"},
    )
    claim = claim_of(compared(capsys, folder, None), "bmt-over-mask-roberta-base")
    assert claim["details"]["note"] == "seeds differ: unpaired"
    assert claim["details"]["method"] == "crossed seeds x contexts, seeds unpaired"


def test_an_open_claim_says_what_seeds_would_do(capsys, mini, tmp_path):
    """More seeds where they would help; where the claimed size needs no more than there are, that is said
    instead.
    """
    folder = copy_of(mini, tmp_path / "r")
    make_results(
        folder,
        profile="mini",
        backbone="minilm",
        arms=["bmt"],
        sizes={name: 90 for name in SMALL if name != "TextbookQA"},
        f1=lambda arm, dataset, seed: 30.5 + 0.4 * seed_noise(arm, dataset, seed),
    )
    claim = claim_of(compared(capsys, folder, None), "bmt-over-mask-roberta-base")
    assert (claim["verdict"], claim["details"]["seeds"]) == ("undecided", 3)
    needed = claim["seeds_needed"]
    main(["--paper-table", "3", "--results", str(folder), "--format", "markdown"])
    line = next(
        line
        for line in capsys.readouterr().out.splitlines()
        if line.startswith("| roberta-base.mt.bmt \\> roberta-base.mt.mask")
    )
    assert line.split(" | ")[0].endswith(
        f"<br>{needed} seeds to confirm"
        if needed > 3
        else f"<br>the claimed size needs {needed} seeds for 80 % power"
    )
    for found, size, seeds, text in (
        (5, 1.2, 4, "the claimed size needs 4 seeds for 80 % power"),
        (3, 1.2, 8, "8 seeds to confirm"),
        (5, None, 4, "what we see needs 4 seeds for 80 % power"),
        (5, 1.2, None, ""),
    ):
        claimed = replace(load().claims[0], size=size)
        seen = seed_interval([0.1, 0.5, 0.3, 0.2, 0.9][:found], [0.0] * found)
        assert (
            table_document._needed(
                ClaimResult(
                    "undecided", "", seeds_needed=seeds, claim=claimed, paper_delta=None, interval=seen
                )
            )
            == text
        )


MADE_ROWS = tuple(
    Row(f"{regime}.{arm}", "model", arm, Ours("minilm", regime, arm), {})
    for regime in ("st", "mt")
    for arm in ("bmt", "mask")
)
MADE_TABLE = Table(
    "3", "", "", "", "scores", ("F1",), {"F1": 1}, {"one": "one", "two": "two"}, "Avg.", MADE_ROWS
)


def made_runs() -> tuple[Results, Predictions]:
    """Three seeds of every row on two datasets, 20 questions of 10 contexts each, with random scores."""
    rng, contexts = np.random.default_rng(7), np.repeat(np.arange(10, dtype=np.int32), 2)
    predictions = Predictions(examples={name: Examples("", None, contexts) for name in ("one", "two")})
    runs = []
    for row in MADE_ROWS:
        regime, _, arm = row.row.partition(".")
        for cell_regime, names in (
            [("mt", ("one", "two"))] if regime == "mt" else [("st-one", ("one",)), ("st-two", ("two",))]
        ):
            for seed in range(3):
                run = Run(
                    f"minilm.{cell_regime}.{arm}.s{seed}",
                    "mini",
                    Identity("minilm", cell_regime, arm),
                    seed,
                    {name: DatasetScore(0.0, 50.0, 20) for name in names},
                )
                predictions.scores[run.cell] = {
                    name: {"F1": 50 + rng.normal(0, 5) + rng.normal(0, 5, 20)} for name in names
                }
                runs.append(run)
    return Results(Path("results"), tuple(runs)), predictions


def judged(
    *claims: Claim, without: Iterable[str] = (), change: Callable[[Run], Run] = lambda run: run
) -> tuple[tuple[ClaimResult, ...], Predictions]:
    """The claims on `made_runs`, with the default margins: 1 for a dataset and 0.5 for an average. without:
    cells that are left out; change: of each run.
    """
    runs, predictions = made_runs()
    kept = tuple(change(run) for run in runs.runs if run.cell not in set(without))
    paper = Paper("", {"3": MADE_TABLE}, claims, Requirements())
    data = table_data(kept, MADE_TABLE.datasets)
    matcher = Matcher(replace(runs, runs=kept), paper.requires, Setting("mini"), {}, data)
    return claim_results(paper, MADE_TABLE, matcher, predictions, CompareSettings()), predictions


def made_scores(predictions: Predictions, row: str, name: str, seeds: Iterable[int] = range(3)) -> np.ndarray:
    """(S, N) scores of a made row on one dataset."""
    regime, _, arm = row.partition(".")
    cell = f"minilm.{'mt' if regime == 'mt' else f'st-{name}'}.{arm}"
    return np.stack([predictions.scores[f"{cell}.s{seed}"][name]["F1"] for seed in seeds])


def test_a_gain_against_a_gain_ties_the_seeds_of_single_task_rows_over_datasets():
    """(st.bmt - st.mask) - (mt.bmt - mt.mask): rows are added by seed, and an MT row's seed is one model on
    all datasets. Between ST rows alone each dataset has seeds of its own.
    """
    tied = Claim("tied", "3", "", "", "st.bmt", "st.mask", "F1", AVERAGE, "greater")
    results, predictions = judged(replace(tied, than=("mt.bmt", "mt.mask")), replace(tied, id="apart"))

    def scores(regime: str, arm: str, name: str) -> np.ndarray:
        return made_scores(predictions, f"{regime}.{arm}", name)

    gains, differences = [], []
    for name in ("one", "two"):
        contexts = predictions.examples[name].contexts
        st, st_mask = scores("st", "bmt", name), scores("st", "mask", name)
        both = st + scores("mt", "mask", name), st_mask + scores("mt", "bmt", name)
        gains.append(PairedScores(name, *both, contexts))
        differences.append(PairedScores(name, st, st_mask, contexts))
    assert results[0].interval == claim_interval(gains)
    assert results[1].interval == claim_interval(differences, separate_a=True, separate_b=True)
    assert results[0].interval != claim_interval(gains, separate_a=True, separate_b=True)


def test_a_claim_of_no_difference_has_the_margin_of_its_kind_unless_it_states_a_size():
    claim = Claim("c", "3", "", "", "mt.bmt", "mt.mask", "F1", AVERAGE, "comparable")
    results, _ = judged(claim, replace(claim, over="one"), replace(claim, size=0.7))
    bounds = [result.reason.partition("±")[2].partition(" ")[0] for result in results]
    assert bounds == ["0.5", "1", "0.7"]


ONE_SEED_LESS = {"minilm.st-two.bmt.s0": (range(3), (1, 2))}
"""Left out of the made runs: {cell: the seeds that st.bmt then has on each dataset}."""
AVERAGES = Claim("c", "3", "", "", "mt.mask", "st.bmt", "F1", AVERAGE, "greater")


@pytest.mark.parametrize("turned", [False, True])
def test_with_unlike_seeds_only_the_arm_that_is_trained_apart_has_seeds_for_each_dataset(turned):
    """MT against ST and ST against MT: the ST arm keeps every seed it has on each dataset, and the variances
    of its datasets add; the MT arm's seed is one model.
    """
    a, b = ("st.bmt", "mt.mask") if turned else ("mt.mask", "st.bmt")
    (result,), predictions = judged(replace(AVERAGES, a=a, b=b), without=ONE_SEED_LESS)
    st_seeds = dict(zip(("one", "two"), ONE_SEED_LESS["minilm.st-two.bmt.s0"], strict=True))
    pairs = []
    for name in ("one", "two"):
        sides = {
            "mt.mask": made_scores(predictions, "mt.mask", name),
            "st.bmt": made_scores(predictions, "st.bmt", name, st_seeds[name]),
        }
        pairs.append(PairedScores(name, sides[a], sides[b], predictions.examples[name].contexts))
    wanted = claim_interval(pairs, paired_seeds=False, separate_a=turned, separate_b=not turned)
    assert (result.interval, result.note) == (wanted, "seeds differ: unpaired")
    assert wanted != claim_interval(
        [replace(pair, a=pair.a[-2:], b=pair.b[-2:]) for pair in pairs], False, not turned, turned
    )


def test_an_unpaired_multi_data_arm_has_the_seeds_that_it_has_on_all_datasets():
    """Two of one arm, three of the other."""
    claim = replace(AVERAGES, a="mt.bmt", b="mt.mask")
    (result,), predictions = judged(claim, without=["minilm.mt.bmt.s0"])
    pairs = [
        PairedScores(
            name,
            made_scores(predictions, "mt.bmt", name, (1, 2)),
            made_scores(predictions, "mt.mask", name),
            predictions.examples[name].contexts,
        )
        for name in ("one", "two")
    ]
    assert result.interval == claim_interval(pairs, paired_seeds=False)
    assert result.interval is not None and result.interval.n_seeds == 2


def test_a_gain_against_a_gain_is_over_the_seeds_that_all_four_have():
    claim = replace(AVERAGES, a="mt.bmt", b="mt.mask", than=("st.bmt", "st.mask"))
    (result,), predictions = judged(claim, without=["minilm.mt.bmt.s0"])
    pairs = []
    for name in ("one", "two"):
        a, b, c, d = (
            made_scores(predictions, row, name, (1, 2)) for row in ("mt.bmt", "mt.mask", "st.bmt", "st.mask")
        )
        pairs.append(PairedScores(name, a + d, b + c, predictions.examples[name].contexts))
    assert (result.interval, result.note) == (claim_interval(pairs), "seeds 1, 2 only")
    gone = [f"minilm.mt.bmt.s{seed}" for seed in (1, 2)] + ["minilm.mt.mask.s0"]
    (nothing,), _ = judged(claim, without=gone)
    assert (nothing.verdict, nothing.reason) == ("no data", "the rows have no seed in common")


def moved(run: Run) -> Run:
    """With a deviation that tells arm, seed and dataset apart."""
    dataset = {"st-one": 1.0, "st-two": 5.0}.get(run.identity.regime, 3.0)
    relative = dataset + run.seed**2 + 10 * (run.identity.arm == "mask")
    return replace(run, deviation={"relative": relative, "l2": 100 * relative})


def test_a_deviation_is_a_mean_over_the_datasets_runs_and_paired_by_seed():
    claim = Claim("d", "3", "", "", "st.bmt", "mt.mask", "deviation.relative", None, "less")
    results, _ = judged(claim, replace(claim, id="l2", metric="deviation.l2"), change=moved)
    st, mt = [fmean((1.0 + s, 5.0 + s)) for s in (0, 1, 4)], [13.0, 14.0, 17.0]
    assert results[0].interval == seed_interval(st, mt)
    assert results[1].interval == seed_interval([100 * x for x in st], [100 * x for x in mt])
    (unpaired,), _ = judged(claim, without=["minilm.mt.mask.s0"], change=moved)
    assert unpaired.interval == seed_interval(st, mt[1:], paired_seeds=False)
    assert unpaired.note == "seeds differ: unpaired"
    gain = replace(claim, than=("mt.bmt", "st.mask"))
    (four,), _ = judged(gain, without=["minilm.mt.bmt.s2"], change=moved)
    assert four.interval == seed_interval(
        [st[s] + st[s] + 10 for s in (0, 1)], [mt[0] * 2 - 10, mt[1] * 2 - 10]
    )
    assert four.note == "seeds 0, 1 only"
    (silent,), _ = judged(claim, change=lambda run: moved(run) if run.seed else run)
    assert silent.reason == "minilm.st-one.bmt.s0 has no deviation.relative"


def test_a_spread_is_over_the_datasets_that_all_have_and_needs_two():
    def uneven(run: Run) -> Run:
        scores = {"one": 50.0 + run.seed, "two": 60.0 + 3 * run.seed + 4 * (run.identity.arm == "bmt")}
        return replace(run, datasets={n: DatasetScore(0.0, scores[n], 20) for n in run.datasets})

    claim = Claim("s", "3", "", "", "mt.bmt", "mt.mask", "spread.F1", None, "less")
    (result,), _ = judged(claim, change=uneven)
    bmt, mask = ([stdev((50 + s, 60 + 3 * s + more)) for s in range(3)] for more in (4, 0))
    assert result.interval == seed_interval(bmt, mask)

    def without_two(run: Run) -> Run:
        return replace(run, datasets={"one": run.datasets["one"]}) if run.cell == "minilm.mt.bmt.s1" else run

    (one,), _ = judged(claim, change=lambda run: without_two(uneven(run)))
    assert (one.verdict, one.reason) == ("no data", "a spread needs at least 2 datasets")


def test_what_stands_in_the_way_of_a_test_is_its_reason():
    claim = replace(AVERAGES, a="mt.bmt", b="mt.mask")

    def reason(claim: Claim = claim, without: Iterable[str] = (), **fields: object) -> str:
        """With `fields` changed in one run."""
        (result,), _ = judged(
            claim,
            without=without,
            change=lambda run: replace(run, **fields) if run.cell == "minilm.mt.bmt.s1" else run,
        )
        assert (result.verdict, result.interval) == ("no data", None)
        return result.reason

    whole = {"one": DatasetScore(0.0, 50.0, 20), "two": DatasetScore(0.0, 50.0, 20)}
    assert reason(profile="other") == "mixed profiles: mini, other"
    assert reason(datasets={}) == "no scores of one, two in all runs"
    assert reason(replace(claim, over="two"), datasets={"one": whole["one"]}) == (
        "no scores of two in all runs"
    )
    unlike = whole | {"two": DatasetScore(0.0, 50.0, 19)}
    assert reason(datasets=unlike) == (
        "two: mixed numbers of examples: 20 in minilm.st-two.bmt.s0, 19 in minilm.mt.bmt.s1"
    )
    assert reason(without=[f"minilm.mt.mask.s{seed}" for seed in range(3)]) == "no run of minilm.mt.mask"
    assert reason(replace(claim, metric="EM")) == "predictions have EM and F1, no EM"
    (versions,), _ = judged(claim, change=lambda run: replace(run, evaluator=f"e/{run.seed % 2}"))
    assert versions.reason == "mixed evaluator versions: e/0, e/1"
    (over_one,), _ = judged(
        claim,
        change=lambda run: replace(run, datasets={"one": whole["one"]}) if run.seed == 2 else run,
    )
    assert over_one.note == "over 1 of 2 datasets (no data: two)"


def test_claims_are_judged_together_with_direction_size_and_rounding(monkeypatch):
    """Half a unit per printed number that is subtracted; the margin of its kind where nothing is stated."""
    judged_data: list[ClaimData] = []

    def keep(data: list[ClaimData]) -> object:
        judged_data.extend(data)
        return judge_claims(data)

    monkeypatch.setattr("benchmark.comparison.claims.judge_claims", keep)
    claim = replace(AVERAGES, a="mt.bmt", b="mt.mask")
    deviation = Claim("moved", "3", "", "", "mt.bmt", "mt.mask", "deviation.l2", None, "less", 0.2)
    elsewhere = replace(claim, id="x", table="4")
    table_2 = replace(MADE_TABLE, decimals={"F1": 2})
    runs, predictions = made_runs()
    claims = (
        replace(claim, id="plain"),
        elsewhere,
        replace(claim, id="same", direction="comparable"),
        replace(claim, id="one", direction="comparable", over="one"),
        replace(claim, id="four", direction="less", size=1.2, than=("st.bmt", "st.mask")),
        replace(claim, id="spread", metric="spread.F1", over=None, direction="less"),
        deviation,
        replace(claim, id="literature", b="lit"),
    )
    literature = Row("lit", "Lit", None, None, {})
    table_2 = replace(table_2, rows=(*MADE_ROWS, literature))
    paper = Paper("", {"3": table_2}, claims, Requirements())
    matcher = Matcher(runs, paper.requires, Setting("mini"), {})
    results = claim_results(paper, table_2, matcher, predictions, CompareSettings())
    assert [result.claim.id for result in results] == [entry.key for entry in judged_data]
    assert [
        (entry.key, entry.direction, entry.size, pytest.approx(entry.size_half_unit)) for entry in judged_data
    ] == [
        ("plain", 1, None, 0.01),
        ("same", 0, 0.5, 0.01),
        ("one", 0, 1.0, 0.01),
        ("four", -1, 1.2, 0.02),
        ("spread", -1, None, 0.01),
        ("moved", -1, 0.2, 0.1),
        ("literature", 1, None, 0.01),
    ]
    assert [entry.interval is None for entry in judged_data] == [False] * 5 + [True] * 2
    assert judged_data[-1].reason == "Lit is literature: there are no runs of it"
    assert [result.note for result in results] == [""] * 7


def test_a_claim_on_counted_numbers_holds_or_does_not():
    rows = tuple(
        Row(name, name, None, None, {"n": {"": printed}}) for name, printed in (("a", 5.0), ("b", 3.5))
    )
    table = Table("1", "", "", "", "facts", ("n",), {"n": 1}, {}, None, rows)
    claim = Claim("c", "1", "", "", "a", "b", "n", None, "greater")
    claims = (
        claim,
        replace(claim, direction="less"),
        replace(claim, direction="comparable"),
        replace(claim, direction="comparable", size=2.0),
        replace(claim, direction="comparable", size=1.9),
        replace(claim, than=("b", "a")),
        replace(claim, table="2"),
    )
    paper = Paper("", {"1": table}, claims, Requirements())

    def said(a: float | None, b: float | None) -> list[tuple[str, str]]:
        facts = {"rows": {"a": {"n": a}, "b": {"n": b}}}
        return [(result.verdict, result.reason) for result in fact_results(paper, table, facts)]

    up, down = "upheld", "contradicted"
    assert said(7, 5) == [
        (up, "exact numbers: +2"),
        (down, "exact numbers: +2"),
        (down, "exact numbers: +2"),
        (up, "exact numbers: +2"),
        (down, "exact numbers: +2"),
        (up, "exact numbers: +4"),
    ]
    assert [verdict for verdict, _ in said(5, 5)] == [down, down, up, up, up, down]
    assert [verdict for verdict, _ in said(5, 7)] == [down, up, down, up, down, down]
    assert set(said(7, None)) == {("no data", "no n of b")}
    assert {result.reason for result in fact_results(paper, table, None)} == {"no n of a"}
    assert [result.paper_delta for result in fact_results(paper, table, None)] == [1.5] * 5 + [3.0]
