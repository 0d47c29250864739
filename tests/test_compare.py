"""`python -m benchmark.compare` on fabricated results: values, verdicts, gates, damage, formats, another paper."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from benchmark import paper_schema, papers, predictions
from benchmark.compare import main
from benchmark.papers import OWN_PAPER, load
from benchmark.stats import CellData, PairedScores, claim_interval, judge_cells, seed_interval
from bmt.errors import ConfigError
from tests.results_maker import IN_DOMAIN, OUT_OF_DOMAIN, SMALL, make_results, seed_noise

ROOT = Path(__file__).resolve().parent.parent
CELL_KEYS = [
    "row", "model", "arm", "K", "p_f", "dataset", "metric", "paper", "ours_mean", "ours_sd", "n", "delta", "pi95", "ci90", "cv_star",
    "p_holm", "verdict", "reason", "runs",
]  # fmt: skip
CLAIM_KEYS = ["id", "quote", "paper_delta", "our_delta", "ci95", "p", "verdict", "seeds_needed"]
PUBLISHED = {
    (table.table, row.row): row.values.get("F1", {}) for table in load().tables.values() for row in table.rows if table.kind == "scores"
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def papers_read_once():
    """Reading the YAML of ten tables takes a fifth of a second; here each folder is read once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(papers, "load", cache(papers.load))
        yield


@pytest.fixture(scope="module")
def small_paper(tmp_path_factory) -> Path:
    """The project's paper, its dev sets said to have the 300 questions of a fabricated folder."""
    folder = tmp_path_factory.mktemp("paper") / "paper"
    shutil.copytree(OWN_PAPER, folder)
    about = yaml.safe_load((folder / "paper.yaml").read_text())
    about["requires"]["examples"] = SMALL
    (folder / "paper.yaml").write_text(yaml.safe_dump(about))
    return folder


@pytest.fixture(scope="module")
def faithful(tmp_path_factory) -> Path:
    """RoBERTa-base runs that scatter by .1 about the paper's own numbers."""
    folder = tmp_path_factory.mktemp("faithful")
    for arm, table in (("none", "2"), ("mask", "3"), ("bmt", "3")):
        published = PUBLISHED[table, f"roberta-base.mt.{arm}"]
        make_results(
            folder, arms=[arm], f1=lambda a, dataset, s, p=published: p.get(dataset, 60.0) + 0.1 * seed_noise(a, dataset, s), scatter=0
        )
    return folder


def copy_of(folder: Path, to: Path) -> Path:
    return Path(shutil.copytree(folder, to))


def compared(capsys, results: Path, paper: Path | None, table: str = "3", *more: str, status: int | None = None) -> dict[str, Any]:
    """The JSON of a comparison, with its keys checked."""
    arguments = ["--paper-table", table, "--results", str(results), "--format", "json", *more]
    found = main([*arguments, *(["--paper", str(paper)] if paper else [])])
    report = json.loads(capsys.readouterr().out)
    assert status is None or found == status
    assert list(report) == ["table", "profile", "cells", "claims", "summary"]
    assert all(list(cell) == CELL_KEYS for cell in report["cells"])
    assert all(list(claim) == CLAIM_KEYS for claim in report["claims"])
    return report


def cells_of(report: dict[str, Any], row: str, metric: str = "F1") -> dict[str, dict[str, Any]]:
    return {cell["dataset"]: cell for cell in report["cells"] if cell["row"] == row and cell["metric"] == metric}


def claim_of(report: dict[str, Any], name: str) -> dict[str, Any]:
    found = next(claim for claim in report["claims"] if claim["id"] == name)
    return found | {"details": report["summary"]["claim_details"][name]}


def read(folder: Path, cell: str) -> dict[str, Any]:
    return json.loads((folder / f"{cell}.json").read_text())


def edit(folder: Path, cell: str, change) -> None:
    record = read(folder, cell)
    change(record)
    (folder / f"{cell}.json").write_text(json.dumps(record))


def rewrite(folder: Path, cell: str, change) -> None:
    path = folder / f"{cell}.parquet"
    pq.write_table(change(pq.read_table(path)), path)


# --- reproduction -------------------------------------------------------------------------------------------------------------------


def test_runs_at_the_paper_s_numbers_are_reproduced(capsys, faithful, small_paper):
    report = compared(capsys, faithful, small_paper, status=0)
    assert (report["table"], report["profile"]) == ("3", "paper")
    for arm in ("mask", "bmt"):
        own = cells_of(report, f"roberta-base.mt.{arm}")
        assert list(own) == [*IN_DOMAIN, "average"]
        assert {cell["verdict"] for cell in own.values()} == {"reproduced"}
    assert {cell["verdict"] for cell in report["cells"] if cell["model"] != "RoBERTa-base"} == {"missing"}
    assert report["summary"]["verdicts"] == {"missing": 28, "reproduced": 14}
    assert report["summary"]["sign_agreement"] == [6, 6]
    assert report["summary"]["effect_ratio"] == pytest.approx(1.0, abs=0.15)
    assert report["summary"]["kendall_tau_b"] == 1.0


def test_figures_are_those_of_the_runs_and_of_the_statistics(capsys, faithful, small_paper):
    report = compared(capsys, faithful, small_paper)
    values = {
        (arm, dataset): [read(faithful, f"roberta-base.mt.{arm}.s{seed}")["datasets"][dataset]["f1"] for seed in range(3)]
        for arm in ("mask", "bmt")
        for dataset in IN_DOMAIN
    }
    data = []
    for arm in ("mask", "bmt"):
        for dataset in (*IN_DOMAIN, "average"):
            own = values.get((arm, dataset)) or [fmean(values[arm, name][seed] for name in IN_DOMAIN) for seed in range(3)]
            cell = cells_of(report, f"roberta-base.mt.{arm}")[dataset]
            assert cell["ours_mean"] == pytest.approx(fmean(own), abs=1e-9)
            assert cell["ours_sd"] == pytest.approx(stdev(own), abs=1e-9)
            assert (cell["n"], cell["runs"]) == (3, [f"roberta-base.mt.{arm}.s{seed}" for seed in range(3)])
            assert cell["delta"] == pytest.approx(fmean(own) - PUBLISHED["3", f"roberta-base.mt.{arm}"][dataset], abs=1e-9)
            kind = "average" if dataset == "average" else "cell"
            data.append(CellData(f"{arm}{dataset}", cell["paper"], 1, tuple(own), kind, 1.2 if (arm, kind) == ("bmt", "average") else None))
    for verdict, cell in zip(judge_cells(data), [cell for cell in report["cells"] if cell["n"]], strict=True):
        assert cell["verdict"] == verdict.verdict
        assert cell["pi95"] == pytest.approx(verdict.pi95, abs=1e-9)
        assert cell["ci90"] == pytest.approx(verdict.ci90, abs=1e-9)
        assert (cell["cv_star"], cell["p_holm"]) == pytest.approx((verdict.cv_star, verdict.p_holm))


def test_a_shifted_row_is_not_reproduced_and_the_status_says_so(capsys, faithful, small_paper, tmp_path):
    folder = copy_of(faithful, tmp_path / "r")
    make_results(
        folder, arms=["bmt"], f1=lambda arm, dataset, seed: PUBLISHED["3", "roberta-base.mt.bmt"].get(dataset, 60.0) - 5 + 0.1 * seed
    )
    report = compared(capsys, folder, small_paper, status=1)
    assert {cell["verdict"] for cell in cells_of(report, "roberta-base.mt.bmt").values()} == {"not reproduced"}
    assert {cell["verdict"] for cell in cells_of(report, "roberta-base.mt.mask").values()} == {"reproduced"}
    assert "below the paper" in cells_of(report, "roberta-base.mt.bmt")["SQuAD"]["reason"]
    claim = claim_of(report, "bmt-over-mask-roberta-base")
    assert (claim["verdict"], claim["paper_delta"]) == ("contradicted", 1.2)
    assert claim["our_delta"] == pytest.approx(1.2 - 5, abs=0.3)


def test_strict_needs_every_trainable_cell(capsys, faithful, small_paper, tmp_path):
    compared(capsys, faithful, small_paper, "3", "--strict", status=1)  # the other backbones are missing
    table = yaml.safe_load((small_paper / "table_3.yaml").read_text())
    paper = copy_of(small_paper, tmp_path / "p")
    table["rows"] = [row for row in table["rows"] if row["model"] == "RoBERTa-base"]
    literature = {"row": "lit", "model": "L", "ours": "literature", "values": table["rows"][0]["values"]}
    (paper / "table_3.yaml").write_text(yaml.safe_dump(table | {"rows": [*table["rows"], literature]}))
    claims = yaml.safe_load((paper / "claims.yaml").read_text())
    claims["claims"] = [claim for claim in claims["claims"] if claim["table"] == "3" and "base" in claim["a"] and "roberta" in claim["a"]]
    (paper / "claims.yaml").write_text(yaml.safe_dump(claims))
    report = compared(capsys, faithful, paper, "3", "--strict", status=0)
    assert report["summary"]["verdicts"] == {"literature": 7, "reproduced": 14}


def test_seeds_chosen_are_the_seeds_counted(capsys, faithful, small_paper):
    report = compared(capsys, faithful, small_paper, "3", "--seeds", "0,2")
    assert report["summary"]["seeds"] == [0, 2]
    assert cells_of(report, "roberta-base.mt.bmt")["SQuAD"]["n"] == 2
    report = compared(capsys, faithful, small_paper, "3", "--seeds", "0,1,7", status=0)
    cell = cells_of(report, "roberta-base.mt.bmt")["SQuAD"]
    assert (cell["verdict"], cell["reason"], cell["n"]) == ("not comparable", "missing runs: roberta-base.mt.bmt.s7", 2)


# --- the gate -----------------------------------------------------------------------------------------------------------------------

ALL_DATASETS = (*IN_DOMAIN, "average")
HUB, PINNED = "FacebookAI/roberta-base", "FacebookAI/roberta-base@e2da8e2f811d"


def at(*keys: str):
    """A change of the entry at `keys`."""

    def change(record: dict[str, Any], value: Any) -> None:
        for key in keys[:-1]:
            record = record[key]
        record[keys[-1]] = value

    return change


@pytest.mark.parametrize(
    ("place", "value", "reason", "where", "shown"),
    [
        (("profile",), "mini", "mixed profiles: mini, paper", ALL_DATASETS, False),
        (("backbone_revision",), f"{HUB}@{'1' * 40}", f"backbone revision {HUB}@111111111111 instead of {PINNED}", ALL_DATASETS, True),
        (("backbone_revision",), None, f"backbone revision not recorded instead of {PINNED}", ALL_DATASETS, True),
        (("evaluator_version",), "squad/2", "mixed evaluator versions: mrqa-2019/1, squad/2", ALL_DATASETS, False),
        (("budget", "epochs"), 2, "step budget 2 epochs instead of 3 epochs", ALL_DATASETS, True),
        (("budget", "epochs"), None, "step budget not recorded instead of 3 epochs", ALL_DATASETS, True),
        (("budget", "mask_steps"), 99, "mixed step budgets: 18, 99 mask steps", ALL_DATASETS, False),
        (("datasets", "NewsQA", "data_sha256"), "ab" * 32, "mixed data digests: ", ("NewsQA", "average"), False),
    ],
)  # fmt: skip
def test_one_run_of_another_kind_gates_its_row(capsys, faithful, small_paper, tmp_path, place, value, reason, where, shown):
    folder = copy_of(faithful, tmp_path / "r")
    edit(folder, "roberta-base.mt.bmt.s1", lambda record: at(*place)(record, value))
    cells = cells_of(compared(capsys, folder, small_paper, status=0), "roberta-base.mt.bmt")
    for dataset, cell in cells.items():
        assert cell["verdict"] == ("not comparable" if dataset in where else "reproduced")
        assert (reason in cell["reason"]) == (dataset in where)
    assert (cells[where[0]]["ours_mean"] is not None) == shown


def test_the_whole_folder_of_another_kind(capsys, small_paper, tmp_path):
    make_results(tmp_path / "r", change=lambda record: record.update(evaluator_version="squad/2"))
    cell = cells_of(compared(capsys, tmp_path / "r", small_paper), "roberta-base.mt.bmt")["SQuAD"]
    assert (cell["verdict"], cell["reason"]) == ("not comparable", "evaluator squad/2 instead of mrqa-2019/1 (roberta-base.mt.bmt.s0)")
    report = compared(capsys, tmp_path / "r", None)  # the paper's dev sets are larger
    assert "split size 300 instead of 10,507" in cells_of(report, "roberta-base.mt.bmt")["SQuAD"]["reason"]


def test_a_data_digest_that_the_paper_folder_states(capsys, faithful, small_paper, tmp_path):
    paper = copy_of(small_paper, tmp_path / "p")
    about = yaml.safe_load((paper / "paper.yaml").read_text())
    about["requires"]["data_sha256"] = {"SQuAD": "f" * 64}
    (paper / "paper.yaml").write_text(yaml.safe_dump(about))
    cells = cells_of(compared(capsys, faithful, paper), "roberta-base.mt.bmt")
    assert "data digest" in cells["SQuAD"]["reason"] and cells["SQuAD"]["verdict"] == "not comparable"
    assert cells["HotpotQA"]["verdict"] == "reproduced"


def test_other_examples_under_the_same_digest_are_found(capsys, faithful, small_paper, tmp_path):
    folder = copy_of(faithful, tmp_path / "r")

    def rename(table: pa.Table) -> pa.Table:
        ids = [name.replace("SQuAD-000007", "SQuAD-999999") for name in table["example_id"].to_pylist()]
        return table.set_column(table.schema.get_field_index("example_id"), "example_id", pa.array(ids))

    rewrite(folder, "roberta-base.mt.mask.s0", rename)
    report = compared(capsys, folder, small_paper)
    for arm in ("mask", "bmt"):
        cells = cells_of(report, f"roberta-base.mt.{arm}")
        assert "mixed examples: the examples of roberta-base.mt.mask.s0 are not those of" in cells["SQuAD"]["reason"]
        assert cells["SQuAD"]["ours_mean"] is None
        assert cells["NewsQA"]["verdict"] == "reproduced"
    assert claim_of(report, "bmt-over-mask-roberta-base")["verdict"] == "no data"


def test_duplicate_seeds_and_single_seeds(capsys, faithful, small_paper, tmp_path):
    folder = copy_of(faithful, tmp_path / "r")
    shutil.copy(folder / "roberta-base.mt.bmt.s0.parquet", folder / "again.parquet")
    record = json.loads((folder / "roberta-base.mt.bmt.s0.json").read_text()) | {"cell": "again"}
    (folder / "again.json").write_text(json.dumps(record))
    for seed in (1, 2):
        (folder / f"roberta-base.mt.mask.s{seed}.json").unlink()
    report = compared(capsys, folder, small_paper, status=0)
    cell = cells_of(report, "roberta-base.mt.bmt")["average"]
    assert (cell["verdict"], cell["ours_mean"]) == ("not comparable", None)
    assert cell["reason"].startswith("duplicate seeds: 0 in again, roberta-base.mt.bmt.s0")
    cell = cells_of(report, "roberta-base.mt.mask")["SQuAD"]
    assert (cell["verdict"], cell["n"], cell["ours_sd"], cell["pi95"]) == ("not comparable", 1, None, None)
    assert cell["reason"] == "one seed (0): at least 2 are needed"
    assert claim_of(report, "bmt-over-mask-roberta-base")["details"]["reason"].startswith("duplicate seeds: 0")


def test_zero_examples_and_absent_datasets_are_no_data_and_leave_the_average(capsys, small_paper, tmp_path):
    sizes = {name: size for name, size in SMALL.items() if name != "TextbookQA"} | {"RACE": 0}
    make_results(
        tmp_path / "r",
        sizes=sizes,
        f1=lambda arm, dataset, seed: PUBLISHED["8", f"roberta-base.mt.{arm}"].get(dataset, 80.0) + seed / 10,
        arms=["none", "bmt"],
    )
    report = compared(capsys, tmp_path / "r", small_paper, "8")
    cells = cells_of(report, "roberta-base.mt.bmt")
    assert (cells["TextbookQA"]["verdict"], cells["TextbookQA"]["reason"]) == ("no data", "TextbookQA is not in these results")
    assert (cells["RACE"]["verdict"], cells["RACE"]["reason"]) == ("no data", "0 examples in roberta-base.mt.bmt.s0")
    average = cells["average"]
    assert (average["verdict"], average["delta"], average["pi95"]) == ("not comparable", None, None)
    kept = [PUBLISHED["8", "roberta-base.mt.bmt"][name] for name in ("BioASQ", "DROP", "DuoRC", "RelationExtraction")]
    assert average["ours_mean"] == pytest.approx(fmean(kept) + 0.1, abs=1e-9)
    assert average["reason"] == f"average over 4 of 6 datasets (no data: RACE, TextbookQA); the paper's over the same 4: {fmean(kept):.1f}"
    assert "no data: RACE, TextbookQA" in report["summary"]["notes"][0]
    assert claim_of(report, "zero-shot-bmt-over-none")["details"]["note"] == "over 4 of 6 datasets (no data: RACE, TextbookQA)"
    assert claim_of(report, "zero-shot-bmt-over-unifiedqa")["verdict"] == "no data"
    literature = cells_of(report, "unifiedqa-base")["average"]
    assert (literature["verdict"], literature["ours_mean"], literature["runs"]) == ("literature", None, [])


# --- damage -------------------------------------------------------------------------------------------------------------------------


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def with_column(name: str, change):
    def apply(table: pa.Table) -> pa.Table:
        values = np.array(table[name].to_numpy())
        return table.set_column(table.schema.get_field_index(name), name, pa.array(change(values)))

    return apply


def first_is(value: float):
    def change(values: np.ndarray) -> np.ndarray:
        values[0] = value
        return values

    return change


BMT = "roberta-base.mt.bmt.s1"
DAMAGE = {
    "truncated JSON": (lambda f: cut(f / f"{BMT}.json"), "no JSON"),
    "empty JSON": (lambda f: (f / f"{BMT}.json").write_text(""), "no JSON"),
    "binary JSON": (lambda f: (f / f"{BMT}.json").write_bytes(b"\xff\xfe\x00"), "no UTF-8 text"),
    "a list": (lambda f: (f / f"{BMT}.json").write_text("[]"), "[] is not allowed: an object"),
    "schema 2": (lambda f: edit(f, BMT, lambda r: r.update(schema=2)), "schema 2 is not allowed: 1"),
    "no seed": (lambda f: edit(f, BMT, lambda r: r.pop("seed")), "seed: null is not allowed: a whole number"),
    "another cell": (lambda f: edit(f, BMT, lambda r: r.update(cell="x")), 'cell "x" is not allowed'),
    "NaN": (lambda f: edit(f, BMT, lambda r: r["datasets"]["SQuAD"].update(f1=float("nan"))), "datasets.SQuAD.f1: NaN is not allowed"),
    "infinity": (lambda f: edit(f, BMT, lambda r: r["deviation"].update(relative=float("inf"))), "deviation.relative: Infinity is not"),
    "F1 of 180": (lambda f: edit(f, BMT, lambda r: r["datasets"]["SQuAD"].update(f1=180)), "f1: 180 is not allowed: a number of 0 to 100"),
    "edited F1": (lambda f: edit(f, BMT, lambda r: r["datasets"]["SQuAD"].update(f1=93.0)), "have F1 92.19, but the JSON says 93.0"),
    "no datasets": (lambda f: edit(f, BMT, lambda r: r.update(datasets={})), "datasets: missing"),
    "no parquet": (lambda f: (f / f"{BMT}.parquet").unlink(), "absent"),
    "truncated parquet": (lambda f: cut(f / f"{BMT}.parquet"), "unreadable"),
    "text as parquet": (lambda f: (f / f"{BMT}.parquet").write_text("dataset,f1"), "unreadable"),
    "no column": (lambda f: rewrite(f, BMT, lambda t: t.drop_columns(["context_id"])), "no column context_id"),
    "NaN in parquet": (lambda f: rewrite(f, BMT, with_column("f1", first_is(float("nan")))), "f1 has a value that is not a number"),
    "dropped examples": (lambda f: rewrite(f, BMT, lambda t: t.slice(5)), "295 examples of SQuAD, but the JSON says 300"),
    "a dataset too many": (
        lambda f: edit(f, BMT, lambda r: r["datasets"].pop("DROP")), "300 examples of DROP, which the JSON does not score"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGE)
def test_damaged_results_are_said_and_never_counted(capsys, faithful, small_paper, tmp_path, name):
    damage, reason = DAMAGE[name]
    folder = copy_of(faithful, tmp_path / "r")
    damage(folder)
    report = compared(capsys, folder, small_paper, status=2)
    cells = cells_of(report, "roberta-base.mt.bmt")
    for cell in cells.values():
        assert cell["verdict"] == "not comparable"
        assert cell["reason"].startswith(f"unreadable {BMT}.") and reason in cell["reason"]
        assert BMT not in cell["runs"] and cell["n"] == 2
    assert {cell["verdict"] for cell in cells_of(report, "roberta-base.mt.mask").values()} == {"reproduced"}
    assert len(report["summary"]["unreadable"]) == 1
    claim = claim_of(report, "bmt-over-mask-roberta-base")
    assert (claim["verdict"], claim["our_delta"]) == ("no data", None)
    assert claim["details"]["reason"].startswith(f"unreadable {BMT}.")
    assert main(["--paper-table", "3", "--results", str(folder), "--paper", str(small_paper)]) == 2
    shown = capsys.readouterr()
    assert f"error: {folder / BMT}." in shown.err and "Traceback" not in shown.err + shown.out


def test_damage_elsewhere_is_no_matter_of_this_table(capsys, faithful, small_paper, tmp_path):
    folder = copy_of(faithful, tmp_path / "r")
    (folder / "roberta-base.st-SQuAD.none.s0.json").write_text("{")
    (folder / "roberta-base.mt.bmt.s9.json").write_text("{")
    compared(capsys, folder, small_paper, "3", "--seeds", "0,1,2", status=0)
    compared(capsys, folder, small_paper, "3", status=2)
    compared(capsys, folder, small_paper, "5", status=2)
    (folder / "whose.json").write_text("{")  # names no cell: it may be any
    compared(capsys, folder, small_paper, "3", "--seeds", "0,1,2", status=2)


def test_an_empty_folder_has_only_missing_cells(capsys, small_paper, tmp_path):
    (tmp_path / "r").mkdir()
    report = compared(capsys, tmp_path / "r", small_paper, status=0)
    assert report["summary"]["verdicts"] == {"missing": 42}
    assert {claim["verdict"] for claim in report["claims"]} == {"no data"}


# --- profiles and commands ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mini(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("mini")
    level = {"none": 30.0, "mask": 30.5, "bmt": 36.0}
    moved = {"none": 0.022, "mask": 0.018, "bmt": 0.011}
    make_results(
        folder, profile="mini", backbone="minilm", sizes={name: 90 for name in SMALL if name != "TextbookQA"}, density=0.8,
        f1=lambda arm, dataset, seed: level[arm] + 0.4 * seed_noise(arm, dataset, seed),
        deviation=lambda arm, seed: moved[arm] + 0.0003 * seed_noise(arm, "", seed),
    )  # fmt: skip
    return folder


def test_another_profile_is_never_a_reproduction_but_its_claims_are_tested(capsys, mini):
    report = compared(capsys, mini, None, status=0)
    assert report["summary"]["stand_in"] == {"roberta-base": "minilm"}
    cells = cells_of(report, "roberta-base.mt.bmt")
    for cell in cells.values():
        assert (cell["verdict"], cell["reason"]) == ("not comparable", "profile mini: backbone minilm instead of roberta-base")
        assert cell["n"] == 3 and cell["ci90"] is None and cell["p_holm"] is None
    assert cells["SQuAD"]["delta"] == pytest.approx(36.0 - 92.4, abs=1.0)
    assert {cell["verdict"] for cell in report["cells"] if cell["model"] == "T5-base"} == {"missing"}
    assert claim_of(report, "bmt-over-mask-roberta-base")["verdict"] == "upheld"
    assert claim_of(report, "bmt-over-mask-t5-base")["verdict"] == "no data"


def test_a_claim_s_interval_is_the_crossed_one_over_seeds_and_contexts(capsys, mini):
    report = compared(capsys, mini, None)
    found = {arm: [pq.read_table(mini / f"minilm.mt.{arm}.s{seed}.parquet") for seed in range(3)] for arm in ("mask", "bmt")}

    def scores(arm: str, dataset: str) -> np.ndarray:
        return np.stack([100 * table.filter(pa.compute.equal(table["dataset"], dataset))["f1"].to_numpy() for table in found[arm]])

    contexts = [number // 3 for number in range(90)]
    pairs = [PairedScores(name, scores("bmt", name), scores("mask", name), np.array(contexts)) for name in IN_DOMAIN]
    interval = claim_interval(pairs)
    claim = claim_of(report, "bmt-over-mask-roberta-base")
    assert claim["our_delta"] == pytest.approx(interval.estimate, abs=1e-9)
    assert claim["ci95"] == pytest.approx([interval.low, interval.high], abs=1e-9)
    assert (claim["p"], claim["paper_delta"], claim["details"]["seeds"]) == (pytest.approx(interval.p), 1.2, 3)


def test_claims_about_deviation_and_spread_have_the_seed_as_their_unit(capsys, mini):
    report = compared(capsys, mini, None)
    records = {(arm, seed): read(mini, f"minilm.mt.{arm}.s{seed}") for arm in ("none", "bmt") for seed in range(3)}
    moved = seed_interval(*([records[arm, seed]["deviation"]["relative"] for seed in range(3)] for arm in ("bmt", "none")))
    claim = claim_of(report, "deviation-bmt-below-none")
    assert (claim["our_delta"], claim["ci95"]) == (pytest.approx(moved.estimate), pytest.approx([moved.low, moved.high]))
    assert (claim["verdict"], claim["paper_delta"]) == ("upheld", None)
    spread = seed_interval(*(
        [stdev(records[arm, seed]["datasets"][name]["f1"] for name in IN_DOMAIN) for seed in range(3)] for arm in ("bmt", "none")
    ))  # fmt: skip
    claim = claim_of(report, "spread-bmt-below-none")
    assert claim["our_delta"] == pytest.approx(spread.estimate)
    assert claim["paper_delta"] == pytest.approx(stdev([92.4, 83.3, 81.4, 73.0, 85.5, 81.8]) - stdev([91.8, 81.1, 80.2, 71.5, 84.9, 79.5]))


def test_the_order_of_a_run_s_rows_changes_nothing(capsys, mini, tmp_path):
    before = compared(capsys, mini, None)
    folder = copy_of(mini, tmp_path / "r")
    rewrite(folder, "minilm.mt.bmt.s1", lambda table: table.take(np.random.default_rng(0).permutation(len(table))))
    after = compared(capsys, folder, None, status=0)
    assert after["cells"] == before["cells"]
    for one, other in zip(before["claims"], after["claims"], strict=True):
        assert one["ci95"] == (other["ci95"] and pytest.approx(other["ci95"], abs=1e-9))


def test_two_seeds_leave_a_claim_undecided_and_one_without_verdict(capsys, mini):
    two = claim_of(compared(capsys, mini, None, "3", "--seeds", "0,1"), "bmt-over-mask-roberta-base")
    assert (two["verdict"], two["details"]["reason"]) == ("undecided", "2 seeds a side: a verdict needs at least 3")
    assert two["ci95"][0] < two["our_delta"] < two["ci95"][1]
    one = claim_of(compared(capsys, mini, None, "3", "--seeds", "1"), "bmt-over-mask-roberta-base")
    assert one["verdict"] == "no verdict" and "conditional on these seeds" in one["details"]["reason"]


def test_different_seeds_on_the_two_sides_are_compared_unpaired(capsys, mini, tmp_path):
    folder = copy_of(mini, tmp_path / "r")
    make_results(folder, profile="mini", backbone="minilm", arms=["bmt"], seeds=[3, 4], sizes={n: 90 for n in SMALL if n != "TextbookQA"})
    claim = claim_of(compared(capsys, folder, None), "bmt-over-mask-roberta-base")
    assert claim["details"]["note"] == "seeds differ: unpaired"
    assert claim["details"]["method"] == "crossed seeds x contexts, seeds unpaired"


def test_densities_are_shown_and_inactive_masks_called_so(capsys, mini, faithful, small_paper):
    density = compared(capsys, mini, None)["summary"]["density"]
    assert list(density) == ["roberta-base.mt.bmt"]
    assert density["roberta-base.mt.bmt"]["nearly_inactive"] and density["roberta-base.mt.bmt"]["union"] == pytest.approx(1.0)
    assert density["roberta-base.mt.bmt"]["by_dataset"]["SQuAD"] == pytest.approx(0.8)
    for folder, paper, said in ((mini, [], True), (faithful, ["--paper", str(small_paper)], False)):
        main(["--paper-table", "3", "--results", str(folder), *paper])
        text = capsys.readouterr().out
        assert ("mask nearly inactive" in text) == said
        assert "mask density SQuAD" in text and "union" in text


def test_missing_cells_name_the_command_that_makes_them(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("BMT_ROOT", str(tmp_path))
    shutil.copytree(ROOT / "profiles", tmp_path / "profiles")
    shutil.copy(ROOT / "profiles" / "sample.yaml", tmp_path / "params.yaml")

    def reasons(*more: str) -> dict[str, str]:
        main(["--paper-table", "2", "--format", "json", *more])
        return {cell["row"]: cell["reason"] for cell in json.loads(capsys.readouterr().out)["cells"] if cell["dataset"] == "SQuAD"}

    found = reasons()
    assert found["roberta-base.mt.none"] == "no run of minilm.mt.none: `dvc repro`"
    assert found["t5-base.mt.none"].endswith("profile sample has no t5-base; `python -m benchmark.profile paper` has")
    found = reasons("--seeds", "8")
    name = "minilm.mt.none.s8"
    assert found["roberta-base.mt.none"].endswith(f"`python -m benchmark.train {name} && python -m benchmark.evaluate {name}`")
    found = reasons("--profile", "paper")
    assert found["roberta-base.mt.none"] == "no run of roberta-base.mt.none: `python -m benchmark.profile paper && dvc repro`"
    listed = yaml.safe_load((tmp_path / "params.yaml").read_text())["cells"]
    seeds = sorted(int(name.rsplit(".s", 1)[1]) for name in listed if name.startswith("minilm.mt.none."))
    make_results(tmp_path / "results" / "sample", profile="sample", backbone="minilm", arms=["none"], seeds=seeds[1:])
    found = reasons()
    assert f"missing runs: minilm.mt.none.s{seeds[0]}" in found["roberta-base.mt.none"]


# --- the other tables ---------------------------------------------------------------------------------------------------------------


def test_table_5_takes_each_dataset_of_an_st_row_from_its_own_runs(capsys, faithful, small_paper, tmp_path):
    folder = copy_of(faithful, tmp_path / "r")
    for arm in ("none", "mask", "bmt"):
        published = PUBLISHED["5", f"roberta-base.st.{arm}"]
        for dataset in IN_DOMAIN:
            make_results(
                folder, arms=[arm], regime=f"st-{dataset}",
                f1=lambda a, name, s, p=published, own=dataset: p[own] + 0.1 * seed_noise(a, own, s + 5) if name == own else 10.0,
                scatter=0,
            )  # fmt: skip
    report = compared(capsys, folder, small_paper, "5", status=0)
    cells = cells_of(report, "roberta-base.st.bmt")
    assert {cell["verdict"] for cell in cells.values()} == {"reproduced"}
    assert cells["NewsQA"]["runs"] == [f"roberta-base.st-NewsQA.bmt.s{seed}" for seed in range(3)]
    assert len(cells["average"]["runs"]) == 18 and cells["average"]["n"] == 3
    verdicts = {claim["id"]: claim["verdict"] for claim in report["claims"]}
    assert verdicts["mt-bmt-over-st-bmt"] == verdicts["mt-none-over-st-none"] == verdicts["mt-bmt-over-mt-mask"] == "upheld"
    gain = claim_of(report, "bmt-gains-more-in-mt")
    assert (gain["our_delta"], gain["paper_delta"]) == (pytest.approx(1.0, abs=0.2), pytest.approx(1.0))
    for seed in range(3):
        for suffix in ("json", "parquet"):
            (folder / f"roberta-base.st-NewsQA.bmt.s{seed}.{suffix}").unlink()
    cells = cells_of(compared(capsys, folder, small_paper, "5"), "roberta-base.st.bmt")
    assert cells["NewsQA"]["verdict"] == "missing"
    assert (cells["average"]["verdict"], cells["average"]["delta"]) == ("not comparable", None)
    assert cells["average"]["reason"].startswith("missing runs: NewsQA; average over 5 of 6 datasets (without NewsQA)")


def test_table_6_shows_the_second_reading_of_its_first_row(capsys, faithful, small_paper):
    report = compared(capsys, faithful, small_paper, "6")
    second = {(entry["metric"], entry["dataset"]): entry for entry in report["summary"]["second_readings"]}
    assert {entry["arm"] for entry in second.values()} == {"mask"}
    assert second["F1", "average"]["delta"] == pytest.approx(0.0, abs=0.2)  # the row's F1 are those of the mask row
    first = cells_of(report, "roberta-base.mt.none")["average"]
    assert first["delta"] == pytest.approx(81.5 - 81.7, abs=0.2)
    main(["--paper-table", "6", "--results", str(faithful), "--paper", str(small_paper)])
    assert "read as arm mask, F1 average: paper 81.7" in capsys.readouterr().out


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


def test_table_a10_tells_the_masks_apart_by_p_f(capsys, small_paper, tmp_path):
    make_results(tmp_path / "r", arms=["mask", "mask_p30", "mask_p70"])
    report = compared(capsys, tmp_path / "r", small_paper, "A.10")
    assert [cells_of(report, f"roberta-base.mt.{arm}")["SQuAD"]["p_f"] for arm in ("mask_p30", "mask", "mask_p70")] == [0.3, 0.5, 0.7]
    edit(tmp_path / "r", "roberta-base.mt.mask_p30.s0", lambda record: record.update(p_f=0.5))
    cell = cells_of(compared(capsys, tmp_path / "r", small_paper, "a10"), "roberta-base.mt.mask_p30")["SQuAD"]
    assert (cell["verdict"], "p_F 0.5 instead of 0.3" in cell["reason"]) == ("not comparable", True)


def facts(folder: Path, table: str, rows: dict[str, Any], **more: Any) -> None:
    (folder / f"table_{table}.json").write_text(json.dumps({"schema": 1, "table": table, "profile": "paper", "rows": rows} | more))


def test_tables_of_facts_are_exact_or_differ(capsys, tmp_path):
    report = compared(capsys, tmp_path, None, "1", status=0)
    assert report["summary"]["verdicts"] == {"missing": 48, "no data": 12}
    assert "`python -m benchmark.data stats --json`" in report["cells"][0]["reason"]
    facts(tmp_path, "1", {"SQuAD": {"Q": 11.4, "C": 137.5, "Train": 86588, "Dev": 10506, "Test": None}})
    report = compared(capsys, tmp_path, None, "1", status=0)
    assert [cell["verdict"] for cell in report["cells"][:5]] == ["exact", "exact", "exact", "differs", "no data"]
    assert (report["cells"][3]["delta"], report["cells"][3]["ours_mean"]) == (-1, 10506)
    facts(tmp_path, "1", {"SQuAD": {"Q": 11.4}}, profile="mini")
    cell = compared(capsys, tmp_path, None, "1")["cells"][0]
    assert (cell["verdict"], cell["reason"], cell["ours_mean"]) == ("not comparable", "profile mini", 11.4)
    (tmp_path / "table_1.json").write_text("{")
    report = compared(capsys, tmp_path, None, "1", status=2)
    assert report["cells"][0]["verdict"] == "not comparable" and "table_1.json" in report["cells"][0]["reason"]


def test_table_7_compares_counts_of_the_same_backbone_and_tests_its_claim(capsys, tmp_path):
    rows = {
        "roberta-base.mt.none": {"total_M": 124.647, "trainable_M": 124.647, "trainable_pct": 100.0},
        "roberta-base.mt.none.adapter": {"total_M": 135.39, "trainable_M": 1.79, "trainable_pct": 1.32},
    }
    facts(tmp_path, "7", rows, backbone="roberta-base", profile="sample")
    report = compared(capsys, tmp_path, None, "7", status=0)
    cells = {(cell["row"], cell["metric"]): cell["verdict"] for cell in report["cells"]}
    assert cells["roberta-base.mt.none", "total_M"] == cells["roberta-base.mt.none.adapter", "trainable_pct"] == "exact"
    assert cells["roberta-base.mt.bmt", "total_M"] == "missing"
    claim = claim_of(report, "adapter-trains-fewer-parameters")
    assert (claim["verdict"], claim["our_delta"], claim["ci95"]) == ("upheld", pytest.approx(1.79 - 124.647), None)
    assert claim_of(report, "adapter-bmt-trains-fewer-parameters")["verdict"] == "no data"
    facts(tmp_path, "7", rows, backbone="minilm")
    report = compared(capsys, tmp_path, None, "7")
    assert report["cells"][0]["reason"] == "backbone minilm instead of roberta-base"


# --- formats and usage --------------------------------------------------------------------------------------------------------------


class Balanced(HTMLParser):
    """Counts open tags and outside references."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.outside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.outside += [str(value) for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "br"):
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
    assert {row.replace("\\|", "").count("|") for row in rows} == {11, 7}
    assert texts[".tex"].count(r"\begin{longtable}") == texts[".tex"].count(r"\end{longtable}") == 2
    assert not any("_" in line.replace(r"\_", "") for line in texts[".tex"].splitlines()) and "95 \\% PI" in texts[".tex"]
    page = Balanced()
    page.feed(texts[".html"])
    assert (page.open, page.outside) == ([], [])
    assert max(map(len, texts[".txt"].splitlines())) <= 132
    one = tmp_path / "only.md"
    main([*arguments, "--format", "markdown", "--out", str(one)])
    assert one.read_text() == texts[".md"]
    capsys.readouterr()
    main([*arguments, "--format", "markdown"])
    assert capsys.readouterr().out == texts[".md"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--paper-table", "10"], "--paper-table 10: not allowed: one of 1, 2, 3"),
        (["--paper-table", "3", "--format", "pdf"], "--format 'pdf': not allowed: of terminal, markdown"),
        (["--paper-table", "3", "--format", "json,html"], "several formats need --out"),
        (["--paper-table", "3", "--seeds", "0,x"], "--seeds '0,x': not allowed: whole numbers"),
        (["--paper-table", "3", "--seeds", "1,1"], "--seeds '1,1': not allowed"),
        (["--paper-table", "3", "--results", "absent"], "--results absent: no such folder"),
        (["--paper-table", "3", "--profile", "maxi"], "--profile maxi: not allowed: one of mini, paper, sample"),
        (["--paper-table", "3", "--paper", "absent"], "absent: no such folder"),
    ],
)
def test_wrong_usage_is_one_line(arguments, message):
    with pytest.raises(ConfigError) as caught:
        main(arguments)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_the_command_leaves_torch_and_its_friends_alone(mini):
    heavy = ("torch", "mlflow", "dvc", "pandas", "datasets", "transformers", "statsmodels", "optuna", "matplotlib")
    code = (
        "import sys\nfrom benchmark.compare import main\n"
        f"status = main(['--paper-table', '3', '--results', {str(mini)!r}])\n"
        f"assert not set({heavy!r}) & set(sys.modules), sorted(set({heavy!r}) & set(sys.modules))\nsys.exit(status)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, env=os.environ | {"COLUMNS": "80"})
    assert (done.returncode, done.stderr) == (0, "")
    assert "not comparable (profile mini: backbone minilm instead of roberta-base)" in " ".join(done.stdout.split())


# --- another paper ------------------------------------------------------------------------------------------------------------------


def test_a_made_up_paper_of_two_tables_end_to_end(capsys, tmp_path):
    """Other datasets, arms and models; results by other code: only the required fields, integer ids, one float32 column."""
    paper, runs = tmp_path / "paper", tmp_path / "runs"
    paper.mkdir()
    runs.mkdir()
    ours = {"backbone": "frog-small", "regime": "mt"}
    printed = {"plain": (50.0, 70.0, 60.0), "leap": (54.0, 74.0, 64.0)}
    rows = [
        {"row": name, "model": "Frog-small", "arm": name.title(), "ours": ours | {"arm": name}, "values": {"F1": dict(zip(("Pond", "River", "Mean"), values, strict=True))}}  # noqa: E501
        for name, values in printed.items()
    ]  # fmt: skip
    rows.append({"row": "toad", "model": "Toad", "ours": "literature", "values": {"F1": {"Pond": 40.0, "River": 41.0, "Mean": 40.5}}})
    scores = {
        "table": "1", "caption": "Frogs.", "where": "section 2", "kind": "scores", "metrics": ["F1"], "decimals": 1,
        "columns": {"Pond": "pond", "River": "river"}, "average": "Mean", "rows": rows,
    }  # fmt: skip
    counted = {
        "table": "2", "caption": "Sizes.", "where": "section 3", "kind": "facts", "metrics": ["legs"], "decimals": 0,
        "rows": [{"row": "frog", "model": "Frog-small", "values": {"legs": 4}}, {"row": "newt", "model": "Newt", "values": {"legs": 6}}],
    }  # fmt: skip
    claims = [
        {"id": "leap-over-plain", "table": "1", "section": "2", "quote": "Leaping helps by 4 points.", "a": "leap", "b": "plain", "metric": "F1", "over": "average", "direction": "greater", "size": 4},  # noqa: E501
        {"id": "leap-each", "table": "1", "section": "2", "quote": "On every water.", "a": "leap", "b": "plain", "metric": "F1", "over": "each", "direction": "greater"},  # noqa: E501
        {"id": "newt-legs", "table": "2", "section": "3", "quote": "Newts have more legs.", "a": "newt", "b": "frog", "metric": "legs", "direction": "greater"},  # noqa: E501
    ]  # fmt: skip
    for name, values in (("table_1", scores), ("table_2", counted), ("claims", {"claims": claims}), ("paper", {"paper": "Frogs et al."})):
        (paper / f"{name}.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    for arm, gain in (("plain", 0.0), ("leap", 4.0)):
        for seed in range(4):
            rng = np.random.default_rng([seed, int(gain)])
            tables, datasets = [], {}
            for code, (name, level) in enumerate((("pond", 50.0), ("river", 70.0))):
                easy = np.argsort(np.random.default_rng(code).random(2000) + 0.1 * rng.random(2000))
                f1 = np.zeros(2000, np.float32)
                f1[easy[: int(20 * (level + gain)) + int(rng.integers(-2, 3))]] = 1.0
                ids = np.arange(2000)
                tables.append(
                    pa.table({"dataset": [name] * 2000, "example_id": ids, "context_id": ids // 4, "em": f1.astype(float), "f1": f1})
                )
                datasets[name] = {"em": float(100 * f1.mean()), "f1": float(100 * f1.mean()), "examples": 2000}
            name = f"anybody-{arm}-{seed}"
            pq.write_table(pa.concat_tables(tables), runs / f"{name}.parquet")
            record = {
                "schema": 1,
                "cell": name,
                "profile": "pond life",
                **ours,
                "backbone": "frog-small",
                "arm": arm,
                "seed": seed,
                "datasets": datasets,
            }
            (runs / f"{name}.json").write_text(json.dumps(record))
    facts(runs, "2", {"frog": {"legs": 4}, "newt": {"legs": 4}})
    report = compared(capsys, runs, paper, "1", status=0)
    assert report["summary"]["paper"] == "Frogs et al." and report["profile"] == "pond life"
    assert report["summary"]["verdicts"] == {"literature": 3, "reproduced": 6}
    assert report["cells"][0]["runs"] == [f"anybody-plain-{seed}" for seed in range(4)]
    assert {claim["id"]: claim["verdict"] for claim in report["claims"]} == {
        "leap-over-plain": "upheld",
        "leap-each-pond": "upheld",
        "leap-each-river": "upheld",
    }
    assert claim_of(report, "leap-over-plain")["our_delta"] == pytest.approx(4.0, abs=0.2)
    report = compared(capsys, runs, paper, "2", status=0)
    assert [cell["verdict"] for cell in report["cells"]] == ["exact", "differs"]
    assert claim_of(report, "newt-legs")["verdict"] == "contradicted"
    compared(capsys, runs, paper, "2", "--strict", status=1)
    for suffix in ("json", "parquet"):
        (runs / f"anybody-leap-3.{suffix}").unlink()
    (runs / "anybody-leap-2.parquet").write_bytes(b"PAR1")
    report = compared(capsys, runs, paper, "1", status=2)
    assert report["summary"]["unreadable"][0].startswith("anybody-leap-2.parquet: unreadable")


def test_out_of_domain_columns_of_table_8_are_the_out_of_domain_datasets(capsys, mini):
    report = compared(capsys, mini, None, "8")
    assert list(cells_of(report, "roberta-base.mt.none", "EM")) == [*OUT_OF_DOMAIN, "average"]


def test_the_documentation_names_every_key():
    text = (ROOT / "docs" / "compare.md").read_text(encoding="utf-8")
    schemas = (paper_schema.PAPER, paper_schema.REQUIRES, paper_schema.TABLE, paper_schema.ROW, paper_schema.OURS, paper_schema.CLAIM)
    keys = {key.rstrip("?") for schema in schemas for key in schema} | {*CELL_KEYS, *CLAIM_KEYS, *predictions.COLUMNS}
    assert sorted(key for key in keys if key not in text) == []
