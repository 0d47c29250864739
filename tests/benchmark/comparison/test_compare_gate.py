"""What keeps `benchmark.compare` from a verdict: runs of another kind, duplicates, absent data, damaged
files; never a traceback.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import yaml

from benchmark.compare import main
from bmt.errors import ConfigError
from tests.support.comparing import PUBLISHED, cells_of, claim_of, compared, copy_of, edit, rewrite
from tests.support.results_maker import IN_DOMAIN, SMALL, make_results

pytest_plugins = ("tests.support.compare_fixtures",)
pytestmark = pytest.mark.usefixtures("papers_read_once")


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
        (
            ("backbone_revision",),
            f"{HUB}@{'1' * 40}",
            f"backbone revision {HUB}@111111111111 instead of {PINNED}",
            ALL_DATASETS,
            True,
        ),
        (
            ("backbone_revision",),
            None,
            f"backbone revision not recorded instead of {PINNED}",
            ALL_DATASETS,
            True,
        ),
        (
            ("evaluator_version",),
            "squad/2",
            "mixed evaluator versions: mrqa-2019/1, squad/2",
            ALL_DATASETS,
            False,
        ),
        (("budget", "epochs"), 2, "step budget 2 epochs instead of 3 epochs", ALL_DATASETS, True),
        (("budget", "epochs"), None, "step budget not recorded instead of 3 epochs", ALL_DATASETS, True),
        (
            ("from_hub",),
            ["SQuAD.dev"],
            "data of the hub's copy, not known to be the official examples: SQuAD.dev "
            "(roberta-base.mt.bmt.s1)",
            ALL_DATASETS,
            True,
        ),
        (("budget", "mask_steps"), 99, "mixed step budgets: 18, 99 mask steps", ALL_DATASETS, False),
        (
            ("datasets", "NewsQA", "data_sha256"),
            "ab" * 32,
            "mixed data digests: ",
            ("NewsQA", "average"),
            False,
        ),
    ],
)
def test_one_run_of_another_kind_gates_its_row(
    capsys, faithful, small_paper, tmp_path, place, value, reason, where, shown
):
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
    assert (cell["verdict"], cell["reason"]) == (
        "not comparable",
        "evaluator squad/2 instead of mrqa-2019/1 (roberta-base.mt.bmt.s0)",
    )
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
        assert (
            "mixed examples: the examples of roberta-base.mt.mask.s0 are not those of"
            in cells["SQuAD"]["reason"]
        )
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
    assert claim_of(report, "bmt-over-mask-roberta-base")["details"]["reason"].startswith(
        "duplicate seeds: 0"
    )


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
    assert (cells["TextbookQA"]["verdict"], cells["TextbookQA"]["reason"]) == (
        "no data",
        "TextbookQA is not in these results",
    )
    assert (cells["RACE"]["verdict"], cells["RACE"]["reason"]) == (
        "no data",
        "0 examples in roberta-base.mt.bmt.s0",
    )
    average = cells["average"]
    assert (average["verdict"], average["delta"], average["pi95"]) == ("not comparable", None, None)
    kept = [
        PUBLISHED["8", "roberta-base.mt.bmt"][name]
        for name in ("BioASQ", "DROP", "DuoRC", "RelationExtraction")
    ]
    assert average["ours_mean"] == pytest.approx(fmean(kept) + 0.1, abs=1e-9)
    assert average["reason"] == (
        "average over 4 of 6 datasets (no data: RACE, TextbookQA); "
        f"the paper's over the same 4: {fmean(kept):.1f}"
    )
    assert "no data: RACE, TextbookQA" in report["summary"]["notes"][0]
    assert (
        claim_of(report, "zero-shot-bmt-over-none")["details"]["note"]
        == "over 4 of 6 datasets (no data: RACE, TextbookQA)"
    )
    assert claim_of(report, "zero-shot-bmt-over-unifiedqa")["verdict"] == "no data"
    published = cells_of(report, "unifiedqa-base")["average"]
    assert (published["verdict"], published["ours_mean"], published["runs"]) == ("missing", None, [])


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


def with_first_id_again(table: pa.Table) -> pa.Table:
    ids = table["example_id"].to_pylist()
    return table.set_column(
        table.schema.get_field_index("example_id"), "example_id", pa.array([ids[0], ids[0], *ids[2:]])
    )


def replace(folder: Path, old: str, new: str) -> None:
    path = folder / f"{BMT}.json"
    path.write_text(path.read_text().replace(old, new))


BMT = "roberta-base.mt.bmt.s1"
DAMAGE = {
    "truncated JSON": (lambda f: cut(f / f"{BMT}.json"), "no JSON"),
    "empty JSON": (lambda f: (f / f"{BMT}.json").write_text(""), "no JSON"),
    "binary JSON": (lambda f: (f / f"{BMT}.json").write_bytes(b"\xff\xfe\x00"), "no UTF-8 text"),
    "a list": (lambda f: (f / f"{BMT}.json").write_text("[]"), "[] is not allowed: an object"),
    "schema 2": (lambda f: edit(f, BMT, lambda r: r.update(schema=2)), "schema 2 is not allowed: 1"),
    "no seed": (lambda f: edit(f, BMT, lambda r: r.pop("seed")), "seed: null is not allowed: a whole number"),
    "another cell": (lambda f: edit(f, BMT, lambda r: r.update(cell="x")), 'cell "x" is not allowed'),
    "NaN": (
        lambda f: edit(f, BMT, lambda r: r["datasets"]["SQuAD"].update(f1=float("nan"))),
        "datasets.SQuAD.f1: NaN is not allowed",
    ),
    "infinity": (
        lambda f: edit(f, BMT, lambda r: r["deviation"].update(relative=float("inf"))),
        "deviation.relative: Infinity is not",
    ),
    "F1 of 180": (
        lambda f: edit(f, BMT, lambda r: r["datasets"]["SQuAD"].update(f1=180)),
        "f1: 180 is not allowed: a number of 0 to 100",
    ),
    "edited F1": (
        lambda f: edit(f, BMT, lambda r: r["datasets"]["SQuAD"].update(f1=93.0)),
        "have F1 92.19, but the JSON says 93.0",
    ),
    "no datasets": (lambda f: edit(f, BMT, lambda r: r.update(datasets={})), "datasets: missing"),
    "a number beyond floats": (
        lambda f: edit(f, BMT, lambda r: r["datasets"]["SQuAD"].update(em=10**400)),
        "datasets.SQuAD.em: 1000",
    ),
    "a number of 5,000 digits": (
        lambda f: replace(f, '"seed": 1', f'"seed": {"9" * 5000}'),
        "a number too long",
    ),
    "half a surrogate pair": (
        lambda f: edit(f, BMT, lambda r: r.update(device="\ud800")),
        "a text in it is no Unicode",
    ),
    "NaN as a density": (
        lambda f: edit(f, BMT, lambda r: r["mask"]["density"].update(SQuAD=float("nan"))),
        "mask.density.SQuAD: NaN is not allowed",
    ),
    "a density of 7": (
        lambda f: edit(f, BMT, lambda r: r["mask"].update(union_density=7)),
        "mask.union_density: 7 is not allowed",
    ),
    "densities as a list": (
        lambda f: edit(f, BMT, lambda r: r["mask"].update(density=[1])),
        "mask.density: [1] is not allowed: an object",
    ),
    "no parquet": (lambda f: (f / f"{BMT}.parquet").unlink(), "absent"),
    "truncated parquet": (lambda f: cut(f / f"{BMT}.parquet"), "unreadable"),
    "text as parquet": (lambda f: (f / f"{BMT}.parquet").write_text("dataset,f1"), "unreadable"),
    "no column": (
        lambda f: rewrite(f, BMT, lambda t: t.drop_columns(["context_id"])),
        "no column context_id",
    ),
    "NaN in parquet": (
        lambda f: rewrite(f, BMT, with_column("f1", first_is(float("nan")))),
        "f1 has a value that is not a number",
    ),
    "a column twice": (
        lambda f: rewrite(f, BMT, lambda t: t.append_column("f1", t["f1"])),
        "twice the column f1",
    ),
    "an example twice": (
        lambda f: rewrite(f, BMT, with_first_id_again),
        "SQuAD: the example 'SQuAD-000000' stands twice",
    ),
    "a score that is a text": (
        lambda f: rewrite(f, BMT, with_column("f1", lambda values: ["x"] * len(values))),
        "unreadable",
    ),
    "dropped examples": (
        lambda f: rewrite(f, BMT, lambda t: t.slice(5)),
        "295 examples of SQuAD, but the JSON says 300",
    ),
    "a missing value": (
        lambda f: rewrite(f, BMT, with_column("example_id", first_is(None))),
        "a value is missing (null)",
    ),
    "a score above one": (
        lambda f: rewrite(f, BMT, with_column("em", first_is(1.01))),
        "em has a value that is not a number of 0 to 1",
    ),
    "another mean": (
        lambda f: edit(
            f, BMT, lambda r: r["datasets"]["SQuAD"].update(f1=r["datasets"]["SQuAD"]["f1"] + 0.01)
        ),
        "SQuAD: the predictions have F1 ",
    ),
    "no example of a dataset": (
        lambda f: rewrite(f, BMT, lambda t: t.filter(pc.not_equal(t["dataset"], "DROP"))),
        "no examples of DROP, which the JSON scores",
    ),
    "a dataset too many": (
        lambda f: edit(f, BMT, lambda r: r["datasets"].pop("DROP")),
        "300 examples of DROP, which the JSON does not score",
    ),
}


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


def test_a_damaged_run_says_nothing_about_the_others(capsys, faithful, small_paper, tmp_path):
    """Its ids differ too, and it is read first: the others must not be measured against it."""
    folder = copy_of(faithful, tmp_path / "r")
    first = "roberta-base.mt.bmt.s0"
    rewrite(
        folder,
        first,
        lambda t: t.set_column(
            1, "example_id", pa.array([f"other-{name}" for name in t["example_id"].to_pylist()])
        ),
    )
    edit(
        folder, first, lambda record: record["datasets"]["TextbookQA"].update(f1=1.0)
    )  # the last dataset of the file
    report = compared(capsys, folder, small_paper, status=2)
    assert {cell["verdict"] for cell in cells_of(report, "roberta-base.mt.mask").values()} == {"reproduced"}
    assert "mixed" not in cells_of(report, "roberta-base.mt.bmt")["SQuAD"]["reason"]


def as_seed(folder: Path, cell: str, seed: int) -> None:
    """Write the run `cell` again under another seed."""
    name = f"{cell.rsplit('.', 1)[0]}.s{seed}"
    shutil.copy(folder / f"{cell}.parquet", folder / f"{name}.parquet")
    (folder / f"{name}.json").write_text(
        json.dumps(json.loads((folder / f"{cell}.json").read_text()) | {"cell": name, "seed": seed})
    )


def test_one_run_under_two_seeds_is_one_run(capsys, faithful, small_paper, tmp_path):
    folder = copy_of(faithful, tmp_path / "r")
    as_seed(folder, "roberta-base.mt.bmt.s0", 3)
    rewrite(
        folder,
        "roberta-base.mt.bmt.s3",
        lambda table: table.take(np.random.default_rng(0).permutation(len(table))),
    )
    report = compared(capsys, folder, small_paper, status=0)
    for cell in cells_of(report, "roberta-base.mt.bmt").values():
        assert (cell["verdict"], cell["ours_mean"]) == ("not comparable", None)
        assert (
            "duplicate runs: every score of roberta-base.mt.bmt.s3 is that of roberta-base.mt.bmt.s0"
            in cell["reason"]
        )
    claim = claim_of(report, "bmt-over-mask-roberta-base")
    assert (claim["verdict"], claim["our_delta"]) == ("no data", None) and "duplicate runs" in claim[
        "details"
    ]["reason"]
    report = compared(capsys, folder, small_paper, "3", "--seeds", "1,2,3", status=0)  # each of them once
    assert {cell["verdict"] for cell in cells_of(report, "roberta-base.mt.bmt").values()} == {"reproduced"}


def test_equal_scores_on_a_handful_of_questions_are_no_duplicate(capsys, small_paper, tmp_path):
    make_results(
        tmp_path / "r", sizes=dict.fromkeys(SMALL, 40), f1=lambda arm, dataset, seed: 80.0, scatter=0
    )
    cell = cells_of(compared(capsys, tmp_path / "r", small_paper), "roberta-base.mt.bmt")["SQuAD"]
    assert (cell["reason"], cell["ours_mean"]) == ("split size 40 instead of 300", pytest.approx(80.0))


def test_a_results_folder_that_may_not_be_read_is_status_2(monkeypatch, faithful):
    def forbidden(folder: Path) -> list[str]:
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr("benchmark.runs.results.os.listdir", forbidden)
    with pytest.raises(ConfigError, match="the results cannot be read: Permission denied") as caught:
        main(["--paper-table", "3", "--results", str(faithful)])
    assert caught.value.status == 2
