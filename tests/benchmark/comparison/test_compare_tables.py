"""What single tables need of `benchmark.compare`: ST rows, second readings, few-shot, p_F, counted numbers;
and all ten in every format.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from html.parser import HTMLParser
from statistics import fmean

import numpy as np
import pyarrow.parquet as pq
import pytest

from benchmark.compare import main
from benchmark.paper.tables import load
from benchmark.statistics.claims import claim_interval
from benchmark.statistics.paired import PairedScores
from tests.support.comparing import (
    PUBLISHED,
    cells_of,
    claim_of,
    compared,
    copy_of,
    edit,
    facts,
    hold_out,
    read,
    strict_json,
)
from tests.support.results_maker import IN_DOMAIN, OUT_OF_DOMAIN, make_results, seed_noise

pytest_plugins = ("tests.support.compare_fixtures",)
pytestmark = pytest.mark.usefixtures("papers_read_once")


def test_table_5_takes_each_dataset_of_an_st_row_from_its_own_runs(capsys, faithful, small_paper, tmp_path):
    folder = copy_of(faithful, tmp_path / "r")
    for arm in ("none", "mask", "bmt"):
        published = PUBLISHED["5", f"roberta-base.st.{arm}"]
        for dataset in IN_DOMAIN:
            make_results(
                folder,
                arms=[arm],
                regime=f"st-{dataset}",
                f1=lambda a, name, s, p=published, own=dataset: (
                    p[own] + 0.1 * seed_noise(a, own, s + 5) if name == own else 10.0
                ),
                scatter=0,
            )
    report = compared(capsys, folder, small_paper, "5", status=0)
    cells = cells_of(report, "roberta-base.st.bmt")
    assert {cell["verdict"] for cell in cells.values()} == {"reproduced"}
    assert cells["NewsQA"]["runs"] == [f"roberta-base.st-NewsQA.bmt.s{seed}" for seed in range(3)]
    assert len(cells["average"]["runs"]) == 18 and cells["average"]["n"] == 3
    verdicts = {claim["id"]: claim["verdict"] for claim in report["claims"]}
    assert (
        verdicts["mt-bmt-over-st-bmt"]
        == verdicts["mt-none-over-st-none"]
        == verdicts["mt-bmt-over-mt-mask"]
        == "upheld"
    )
    gain = claim_of(report, "bmt-gains-more-in-mt")
    assert (gain["our_delta"], gain["paper_delta"]) == (pytest.approx(1.0, abs=0.2), pytest.approx(1.0))
    main(
        ["--paper-table", "5", "--results", str(faithful), "--paper", str(small_paper), "--profile", "paper"]
    )
    shown = capsys.readouterr().out
    assert all(
        f"missing: no run of roberta-base.st-{dataset}.{arm}" in shown
        for dataset in IN_DOMAIN
        for arm in ("none", "bmt")
    )
    for seed in range(3):
        for suffix in ("json", "parquet"):
            (folder / f"roberta-base.st-NewsQA.bmt.s{seed}.{suffix}").unlink()
    cells = cells_of(compared(capsys, folder, small_paper, "5"), "roberta-base.st.bmt")
    assert cells["NewsQA"]["verdict"] == "missing"
    assert (cells["average"]["verdict"], cells["average"]["delta"]) == ("not comparable", None)
    assert cells["average"]["reason"].startswith(
        "missing runs: NewsQA; average over 5 of 6 datasets (without NewsQA)"
    )


def test_table_6_shows_the_second_reading_of_its_first_row(capsys, faithful, small_paper):
    report = compared(capsys, faithful, small_paper, "6")
    second = {(entry["metric"], entry["dataset"]): entry for entry in report["summary"]["second_readings"]}
    assert {entry["arm"] for entry in second.values()} == {"mask"}
    assert second["F1", "average"]["delta"] == pytest.approx(
        0.0, abs=0.2
    )  # the row's F1 are those of the mask row
    first = cells_of(report, "roberta-base.mt.none")["average"]
    assert first["delta"] == pytest.approx(81.5 - 81.7, abs=0.2)
    main(
        [
            "--paper-table",
            "6",
            "--results",
            str(faithful),
            "--paper",
            str(small_paper),
            "--format",
            "markdown",
        ]
    )
    line = next(
        line
        for line in capsys.readouterr().out.splitlines()
        if "read as arm mask, F1 average: paper 81.7" in line
    )
    assert (
        f"Δ {second['F1', 'average']['delta']:+.2f}; Δ by dataset: SQuAD "
        f"{second['F1', 'SQuAD']['delta']:+.2f}, HotpotQA" in line
    )


@pytest.mark.parametrize("table", ["6", "8"])
def test_both_rows_without_bmt_are_held_against_the_random_mask_too(
    capsys, faithful, small_paper, tmp_path, table
):
    folder = copy_of(faithful, tmp_path / "r")
    make_results(folder, adapter=True, arms=["mask"])
    seconds = compared(capsys, folder, small_paper, table)["summary"]["second_readings"]
    average = {
        entry["row"]: entry for entry in seconds if (entry["metric"], entry["dataset"]) == ("F1", "average")
    }
    assert list(average) == ["roberta-base.mt.none", "roberta-base.mt.none.adapter"]
    for row, cell in (
        ("roberta-base.mt.none", "roberta-base.mt.mask"),
        ("roberta-base.mt.none.adapter", "roberta-base.mt.mask.adapter"),
    ):
        names = IN_DOMAIN if table == "6" else OUT_OF_DOMAIN
        own = fmean(
            read(folder, f"{cell}.s{seed}")["datasets"][name]["f1"] for seed in range(3) for name in names
        )
        assert average[row]["ours_mean"] == pytest.approx(own)
        assert average[row]["delta"] == pytest.approx(own - PUBLISHED[table, row]["average"])
        assert average[row]["runs"] == [f"{cell}.s{seed}" for seed in range(3)]


def test_out_of_domain_columns_of_table_8_are_the_out_of_domain_datasets(capsys, mini):
    report = compared(capsys, mini, None, "8")
    assert list(cells_of(report, "roberta-base.mt.none", "EM")) == [*OUT_OF_DOMAIN, "average"]


def test_table_9_matches_k_and_assumes_three_published_runs(capsys, small_paper, tmp_path):
    for K in (16, 64):
        make_results(
            tmp_path / "r",
            adapter=True,
            K=K,
            arms=["none", "bmt"],
            f1=lambda a, d, s, k=K: 60.0 + k / 16 + 0.2 * seed_noise(f"{a}{k}", d, s),
            scatter=0,
        )
    report = compared(capsys, tmp_path / "r", small_paper, "9")
    for K in (16, 64):
        cell = cells_of(report, f"roberta-base.mt.bmt.adapter.k{K}")["BioASQ"]
        assert cell["K"] == K and cell["ours_mean"] == pytest.approx(60 + K / 16, abs=0.5)
        assert cell["runs"][0] == f"roberta-base.mt.bmt.adapter.k{K}.s0"
    assert cells_of(report, "roberta-base.mt.bmt.adapter.k256")["BioASQ"]["verdict"] == "missing"
    assert report["summary"]["assumptions"][0].startswith("a printed number is the mean of 3 runs")
    assert claim_of(report, "few-shot-improves-k16-to-k64")["verdict"] == "upheld"
    assert claim_of(report, "few-shot-gap-grows-with-k")["verdict"] == "no data"
    (tmp_path / "r" / "roberta-base.mt.bmt.adapter.k16.s0.json").write_text("{")
    report = compared(capsys, tmp_path / "r", small_paper, "9", status=2)
    assert cells_of(report, "roberta-base.mt.bmt.adapter.k16")["DROP"]["reason"].startswith(
        "unreadable roberta-base.mt.bmt.adapter.k16.s0.json"
    )
    assert "unreadable" not in cells_of(report, "roberta-base.mt.bmt.adapter.k64")["DROP"]["reason"]


def test_few_shot_runs_that_leave_out_what_they_were_tuned_on_are_paired_on_what_is_left(
    capsys, small_paper, tmp_path
):
    folder = tmp_path / "r"
    kept: dict[str, set[int]] = {dataset: set(range(300)) for dataset in OUT_OF_DOMAIN}
    for K in (16, 64):
        make_results(
            folder,
            adapter=True,
            K=K,
            arms=["none", "bmt"],
            sizes=dict.fromkeys(OUT_OF_DOMAIN, 300),
            f1=lambda a, d, s, k=K: 60.0 + k / 16 + 2 * (a == "bmt") + 0.2 * seed_noise(f"{a}{k}", d, s),
        )
        for seed in range(3):
            drawn = np.random.default_rng([seed, K])
            out = {dataset: drawn.choice(300, K, replace=False).tolist() for dataset in OUT_OF_DOMAIN}
            for dataset, numbers in out.items():
                kept[dataset] -= set(numbers)
            for arm in ("none", "bmt"):
                hold_out(folder, f"roberta-base.mt.{arm}.adapter.k{K}.s{seed}", out)
    report = compared(capsys, folder, small_paper, "9", status=0)
    cell = cells_of(report, "roberta-base.mt.bmt.adapter.k16")["DROP"]
    assert (cell["verdict"], cell["reason"]) == ("not comparable", "split size 284 instead of 300")
    means = [
        read(folder, f"roberta-base.mt.bmt.adapter.k16.s{seed}")["datasets"]["DROP"]["f1"]
        for seed in range(3)
    ]
    assert (cell["ours_mean"], cell["n"]) == (pytest.approx(fmean(means)), 3)

    def scores(arm: str, dataset: str) -> np.ndarray:
        rows = []
        for seed in range(3):
            table = pq.read_table(folder / f"roberta-base.mt.{arm}.adapter.k16.s{seed}.parquet")
            by_id = dict(zip(table["example_id"].to_pylist(), table["f1"].to_pylist(), strict=True))
            rows.append([100 * by_id[f"{dataset}-{number:06d}"] for number in sorted(kept[dataset])])
        return np.array(rows)

    pairs = [
        PairedScores(d, scores("bmt", d), scores("none", d), np.array(sorted(kept[d])) // 3)
        for d in OUT_OF_DOMAIN
    ]
    wanted = claim_interval(pairs)
    claim = claim_of(report, "few-shot-bmt-over-none-k16")
    assert claim["our_delta"] == pytest.approx(wanted.estimate)
    assert claim["ci95"] == pytest.approx([wanted.low, wanted.high])
    assert (
        claim["details"]["note"]
        == f"on the {sum(map(len, kept.values()))} questions that every few-shot run is scored on"
    )
    assert claim_of(report, "few-shot-improves-k16-to-k64")["verdict"] == "upheld"


def test_few_shot_runs_without_a_question_in_common_decide_nothing(capsys, small_paper, tmp_path):
    make_results(tmp_path, adapter=True, K=16, arms=["none", "bmt"], sizes=dict.fromkeys(OUT_OF_DOMAIN, 30))
    for seed, numbers in enumerate((range(10), range(10, 20), range(20, 30))):
        for arm in ("none", "bmt"):
            hold_out(tmp_path, f"roberta-base.mt.{arm}.adapter.k16.s{seed}", {"RACE": list(numbers)})
    claim = claim_of(compared(capsys, tmp_path, small_paper, "9"), "few-shot-bmt-over-none-k16")
    assert (claim["verdict"], claim["our_delta"]) == ("no data", None)
    assert claim["details"]["reason"] == "no question of RACE is scored by every few-shot run"


def test_table_a10_tells_the_masks_apart_by_p_f(capsys, small_paper, tmp_path):
    make_results(tmp_path / "r", arms=["mask", "mask_p30", "mask_p70"])
    report = compared(capsys, tmp_path / "r", small_paper, "A.10")
    assert [
        cells_of(report, f"roberta-base.mt.{arm}")["SQuAD"]["p_f"] for arm in ("mask_p30", "mask", "mask_p70")
    ] == [0.3, 0.5, 0.7]
    edit(tmp_path / "r", "roberta-base.mt.mask_p30.s0", lambda record: record.update(p_f=0.5))
    cell = cells_of(compared(capsys, tmp_path / "r", small_paper, "a10"), "roberta-base.mt.mask_p30")["SQuAD"]
    assert (cell["verdict"], "p_F 0.5 instead of 0.3" in cell["reason"]) == ("not comparable", True)


def test_tables_of_facts_are_exact_or_differ(capsys, tmp_path):
    report = compared(capsys, tmp_path, None, "1", status=0)
    assert report["summary"]["verdicts"] == {"missing": 48, "no data": 12}
    assert "`python -m benchmark.data stats --json`" in report["cells"][0]["reason"]
    facts(tmp_path, "1", {"SQuAD": {"Q": 11.4, "C": 137.5, "Train": 86588, "Dev": 10506, "Test": None}})
    report = compared(capsys, tmp_path, None, "1", status=0)
    assert [cell["verdict"] for cell in report["cells"][:5]] == [
        "exact",
        "exact",
        "exact",
        "differs",
        "no data",
    ]
    assert (report["cells"][3]["delta"], report["cells"][3]["ours_mean"]) == (-1, 10506)
    assert (report["cells"][5]["verdict"], report["cells"][5]["reason"]) == (
        "no data",
        "no file of NewsQA was counted",
    )
    facts(tmp_path, "1", {"SQuAD": {"Q": 11.4, "Train": None}})
    report = compared(capsys, tmp_path, None, "1", status=0)
    assert [cell["reason"] for cell in report["cells"][1:3]] == [
        "no C of SQuAD in table_1.json",
        "no Train of SQuAD to be counted (null in table_1.json)",
    ]
    assert [cell["verdict"] for cell in report["cells"][1:3]] == ["missing", "no data"]
    facts(tmp_path, "1", {"SQuAD": {"Q": 11.4}}, profile="mini")
    cell = compared(capsys, tmp_path, None, "1")["cells"][0]
    assert (cell["verdict"], cell["reason"], cell["ours_mean"]) == ("not comparable", "profile mini", 11.4)
    (tmp_path / "table_1.json").write_text("{")
    report = compared(capsys, tmp_path, None, "1", status=2)
    assert (
        report["cells"][0]["verdict"] == "not comparable" and "table_1.json" in report["cells"][0]["reason"]
    )


def test_table_7_compares_counts_of_the_same_backbone_and_tests_its_claim(capsys, tmp_path):
    rows = {
        "roberta-base.mt.none": {"total_M": 124.647, "trainable_M": 124.647, "trainable_pct": 100.0},
        "roberta-base.mt.none.adapter": {"total_M": 135.39, "trainable_M": 1.79, "trainable_pct": 1.32},
    }
    facts(tmp_path, "7", rows, backbone="roberta-base", profile="sample")
    report = compared(capsys, tmp_path, None, "7", status=0)
    cells = {(cell["row"], cell["metric"]): cell["verdict"] for cell in report["cells"]}
    assert (
        cells["roberta-base.mt.none", "total_M"]
        == cells["roberta-base.mt.none.adapter", "trainable_pct"]
        == "exact"
    )
    assert cells["roberta-base.mt.bmt", "total_M"] == "missing"
    claim = claim_of(report, "adapter-trains-fewer-parameters")
    assert (claim["verdict"], claim["our_delta"], claim["ci95"]) == (
        "upheld",
        pytest.approx(1.79 - 124.647),
        None,
    )
    assert claim_of(report, "adapter-bmt-trains-fewer-parameters")["verdict"] == "no data"
    facts(tmp_path, "7", rows, backbone="minilm")
    report = compared(capsys, tmp_path, None, "7")
    assert report["cells"][0]["reason"] == "backbone minilm instead of roberta-base"


class Balanced(HTMLParser):
    """Counts open tags and outside references."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.outside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.outside += [str(value) for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "br", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_every_format_shows_every_number(capsys, faithful, small_paper, tmp_path):
    arguments = ["--paper-table", "3", "--results", str(faithful), "--paper", str(small_paper)]
    prefix = tmp_path / "reports" / "table_3"
    assert main([*arguments, "--format", "markdown,json,latex,html,terminal", "--out", str(prefix)]) == 0
    texts = {path.suffix: path.read_text() for path in prefix.parent.iterdir()}
    assert sorted(texts) == [".html", ".json", ".md", ".tex", ".txt"]
    cells = [cell for cell in json.loads(texts.pop(".json"))["cells"] if cell["n"]]
    for suffix, text in texts.items():
        for cell in cells:
            assert f"{cell['ours_mean']:.2f}" in text and f"{cell['delta']:+.2f}" in text, suffix
        assert "improves the average F1 score" in " ".join(text.split())
        assert str(faithful) not in text and str(tmp_path) not in text
    rows = [line for line in texts[".md"].splitlines() if line.startswith("|")]
    assert {row.replace("\\|", "").count("|") for row in rows} == {11, 6}
    assert texts[".tex"].count(r"\begin{longtable}") == texts[".tex"].count(r"\end{longtable}") == 2
    assert (
        not any("_" in line.replace(r"\_", "") for line in texts[".tex"].splitlines())
        and "95 \\% PI" in texts[".tex"]
    )
    page = Balanced()
    page.feed(texts[".html"])
    assert (page.open, page.outside) == ([], ["data:,"])  # the empty icon
    assert max(map(len, texts[".txt"].splitlines())) <= 132
    one = tmp_path / "only.md"
    main([*arguments, "--format", "markdown", "--out", str(one)])
    assert one.read_text() == texts[".md"]
    capsys.readouterr()
    main([*arguments, "--format", "markdown"])
    assert capsys.readouterr().out == texts[".md"]


FORMATS = ("terminal", "markdown", "latex", "json", "html")


@pytest.mark.parametrize("table", ["1", "2", "3", "4", "5", "6", "7", "8", "9", "a10"])
def test_all_ten_tables_print_every_printed_number_in_every_format(capsys, tmp_path, table):
    """Without a single run: from the paper's data alone."""
    (tmp_path / "none").mkdir()
    assert (
        main(
            [
                "--paper-table",
                table,
                "--results",
                str(tmp_path / "none"),
                "--format",
                ",".join(FORMATS),
                "--out",
                str(tmp_path / "t"),
            ]
        )
        == 0
    )
    texts = {path.suffix: path.read_text(encoding="utf-8") for path in tmp_path.glob("t.*")}
    assert sorted(texts) == [".html", ".json", ".md", ".tex", ".txt"]
    own = load().tables[table]
    printed = [
        (row.row, metric, dataset or row.dataset, number, own.decimals[metric])
        for row in own.rows
        for metric, numbers in row.values.items()
        for dataset, number in numbers.items()
    ]
    cells = strict_json(texts.pop(".json"))["cells"]
    assert [(cell["row"], cell["metric"], cell["dataset"], cell["paper"]) for cell in cells] == [
        entry[:4] for entry in printed
    ]
    wanted = Counter(f"{number:.{decimals}f}" for *_, number, decimals in printed if number is not None)
    for suffix, text in texts.items():
        found = Counter(re.findall(r"\d+(?:\.\d+)?", text))
        assert {number: count for number, count in wanted.items() if found[number] < count} == {}, suffix
        assert f"Table {'A.10' if table == 'a10' else table}. " in text


def test_both_spellings_of_the_appendix_s_table_are_one(capsys, faithful):
    shown = []
    for name in ("a10", "A.10"):
        main(["--paper-table", name, "--results", str(faithful), "--format", "json"])
        shown.append(strict_json(capsys.readouterr().out))
    assert shown[0] == shown[1] and shown[0]["table"] == "a10"


def test_what_is_odd_about_the_printed_numbers_is_said(capsys, tmp_path):
    report = compared(capsys, tmp_path, None, "4")
    printed = report["summary"]["printed"]
    assert "backbones, training regimes and evaluation splits are mixed" in printed["notes"]
    assert printed["rows"]["multi-task-bert-base"].startswith("NaturalQ 65.4 looks like an EM value")
    main(["--paper-table", "4", "--results", str(tmp_path)])
    shown = " ".join(capsys.readouterr().out.split())
    assert "note: NaturalQ 65.4 looks like an EM value" in shown and "evaluation splits are mixed" in shown
