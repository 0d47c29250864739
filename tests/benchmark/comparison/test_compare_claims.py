"""The paper's claims on fabricated results: the intervals are those of benchmark.statistics on the very
predictions.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from statistics import stdev

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmark.compare import main
from benchmark.comparison import table_document
from benchmark.comparison.claims import ClaimResult, claim_results
from benchmark.comparison.matching import Matcher, Setting
from benchmark.config.params import CompareSettings
from benchmark.paper.tables import AVERAGE, Claim, Ours, Paper, Requirements, Row, Table, load
from benchmark.runs.predictions import Examples, Predictions
from benchmark.runs.results import DatasetScore, Identity, Results, Run
from benchmark.statistics.claims import claim_interval, seed_interval
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
        "2 seeds a side: a verdict needs at least 3",
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


def judged(*claims: Claim) -> tuple[tuple[ClaimResult, ...], Predictions]:
    """The claims on `made_runs`, with the default margins: 1 for a dataset and 0.5 for an average."""
    runs, predictions = made_runs()
    paper = Paper("", {"3": MADE_TABLE}, claims, Requirements())
    matcher = Matcher(runs, paper.requires, Setting("mini"), {})
    return claim_results(paper, MADE_TABLE, matcher, predictions, CompareSettings()), predictions


def test_a_gain_against_a_gain_ties_the_seeds_of_single_task_rows_over_datasets():
    """(st.bmt - st.mask) - (mt.bmt - mt.mask): rows are added by seed, and an MT row's seed is one model on
    all datasets. Between ST rows alone each dataset has seeds of its own.
    """
    tied = Claim("tied", "3", "", "", "st.bmt", "st.mask", "F1", AVERAGE, "greater")
    results, predictions = judged(replace(tied, than=("mt.bmt", "mt.mask")), replace(tied, id="apart"))

    def scores(regime: str, arm: str, name: str) -> np.ndarray:
        cell = f"minilm.{'mt' if regime == 'mt' else f'st-{name}'}.{arm}"
        return np.stack([predictions.scores[f"{cell}.s{seed}"][name]["F1"] for seed in range(3)])

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
