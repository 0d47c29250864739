"""Every table of the paper on a tiny model and the sample corpus: `benchmark.plan --run` makes its runs,
`benchmark.compare` prints it.

The plan's commands are called in this process (tests/support/in_process.py): imports are paid for once, and
the whole takes less than a minute.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from benchmark import compare, plan
from benchmark.acquisition.sample_corpus import write as write_corpus
from benchmark.paper import tables as papers
from benchmark.planning import execution as running
from benchmark.planning.schedule import DONE, FAILED
from bmt.settings import IN_DOMAIN, OUT_OF_DOMAIN
from tests.support import project
from tests.support.in_process import InProcess

ABSENT = "TextbookQA"  # as on `mini`: not evaluated, so it has no data
SIZES, SEEDS = [16], [7, 19, 29]
RUNS = {"1": 1, "2": 2, "3": 2, "4": 1, "5": 6 * 3 + 3, "6": 4, "7": 0, "8": 4, "9": 2 + 2 * 3, "A.10": 3}
"""Of each table: cells (ST: 6 datasets x 3 arms), for Table 9 with 2 sources of K = 16 x 3 seeds. Table 1 is
a file, 7 is counted.
"""
MISSING_ROWS = {"2": 4, "3": 4, "A.10": 6}
"""Of the other two backbones."""
NO_DATA_ROWS = {"8": 1, "9": 4}
"""UnifiedQA, whose weights the profile does not name; two arms with K = 64 and two with K = 256."""
LACKING = {"roberta-large", "t5-base"}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project on a tiny BERT and the sample corpus, with nothing made yet; the other tables' runs are there
    for the later ones.
    """
    folder = tmp_path_factory.mktemp("project")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BMT_ROOT", str(folder))
        patch.setenv("BMT_TRACKING", "journal")
        patch.setattr(papers, "load", cache(papers.load))
        patch.setattr(running, "Processes", InProcess)
        write_corpus(folder / "corpus")
        project.write_bert(
            folder / "backbones" / "bert", project.corpus_texts(folder / "corpus"), num_hidden_layers=1
        )
        write(folder, SIZES, SEEDS)
        yield folder


def write(folder: Path, sizes: list[int], seeds: list[int]) -> None:
    """params.yaml: all datasets but one, some steps a cell."""
    values = project.params(["bert"], ["bert.mt.bmt.s0"], manifest=str(folder / "corpus"))
    values["data"] |= {
        "train": list(IN_DOMAIN),
        "evaluate": [name for name in (*IN_DOMAIN, *OUT_OF_DOMAIN) if name != ABSENT],
    }
    values["data"] |= {"train_cap": 8, "dev_cap": 24}
    values["training"] |= {"epochs_mt": 1, "epochs_st": 1, "evaluate_every": 3}
    values["fewshot"] |= {"steps": 2, "sizes": sizes, "seeds": seeds}
    project.write_params(folder, values)


def run(capsys: pytest.CaptureFixture[str], table: str, *more: str, status: int = 0) -> dict[str, Any]:
    """The JSON of a plan."""
    capsys.readouterr()
    assert plan.main(["--paper-table", table, "--json", *more]) == status
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def printed(capsys: pytest.CaptureFixture[str], table: str, form: str) -> str:
    """What compare prints."""
    capsys.readouterr()
    assert compare.main(["--paper-table", table, "--format", form]) == 0
    return capsys.readouterr().out


def scored(root: Path, cell: dict[str, Any]) -> list[float]:
    """A compared cell's scores as its runs' result files have them."""
    records = [json.loads((root / "results" / "tiny" / f"{run}.json").read_text()) for run in cell["runs"]]
    own = [record["datasets"][cell["dataset"]] for record in records if cell["dataset"] in record["datasets"]]
    return [one[cell["metric"].lower()] for one in own]


@pytest.mark.parametrize("table", [name for name in RUNS if name not in ("1", "7")])
def test_a_table_of_scores_is_run_and_printed_full(
    root: Path, table: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Numbers in every row of the stand-in and every column with data; what has none says why, and nothing
    else.
    """
    made = run(capsys, table, "--run")
    assert len(made["runs"]) == RUNS[table] and {
        one["outcome"]["state"] for one in made["runs"] if one["outcome"]
    } <= {DONE}
    assert run(capsys, table)["totals"]["to_run"] == 0
    rows = {row.row: row for row in papers.load().tables[papers.table_id(table)].rows}
    cells = json.loads(printed(capsys, table, "json"))["cells"]
    assert {cell["row"] for cell in cells} == set(rows)
    shown = 0
    for cell in cells:
        row, dataset = rows[cell["row"]], cell["dataset"]
        state = (cell["verdict"], cell["reason"])
        if row.ours is None:
            assert state == ("literature", "") and cell["ours_mean"] is None
        elif row.ours.backbone in LACKING:
            stem = f"{row.ours.backbone}.mt.{row.ours.arm}"
            why = (
                f"no run of {stem}: profile tiny has no {row.ours.backbone}; "
                "`python -m benchmark.profile paper` has"
            )
            assert state == ("missing", why) and cell["ours_mean"] is None
        elif row.ours.arm == "zero_shot":  # a published model, whose weights the profile would have to name
            assert (
                state == ("no data", f"profile tiny names no weights of {row.ours.backbone}")
                and cell["ours_mean"] is None
            )
        elif row.K not in (None, 16):
            assert state == ("no data", "profile tiny asks for K = 16") and cell["ours_mean"] is None
        elif dataset == ABSENT:
            assert state == ("no data", f"{ABSENT} is not in these results") and cell["ours_mean"] is None
        else:
            assert cell["verdict"] == "not comparable" and cell["reason"].startswith(
                "profile tiny: backbone bert instead of roberta-base"
            )
            assert cell["n"] == (len(SEEDS) if row.K else 1) and len(cell["runs"]) == cell["n"] * (
                6 if average_of_st(row, dataset) else 1
            )
            if dataset != "average":
                assert cell["ours_mean"] == pytest.approx(fmean(scored(root, cell)), abs=1e-9)
            assert 0 <= cell["ours_mean"] <= 100
            shown += 1
    text = printed(capsys, table, "terminal")
    lines = [
        line
        for line in text.splitlines()
        if re.fullmatch(r" {4}\w+( EM| F1)? +\d+\.\d .*(not comparable|no data)", line)
    ]
    assert len([line for line in lines if re.search(r" \d+\.\d\d( ± \d+\.\d\d)? \(\d\) ", line)]) == shown > 0
    absent = [cell for cell in cells if cell["verdict"] == "no data"]
    assert len([line for line in lines if line.endswith(" no data")]) == sum(
        bool(cell["runs"]) for cell in absent
    )
    for state, whole in (("missing", MISSING_ROWS.get(table, 0)), ("no data", NO_DATA_ROWS.get(table, 0))):
        kept = {cell["row"] for cell in cells if cell["verdict"] == state and not cell["runs"]}
        assert len(re.findall(rf"^    {state}: ", text, re.MULTILINE)) == len(kept) == whole


def average_of_st(row: papers.Row, dataset: str) -> bool:
    """Whether a number is the average over the single-data cells of six datasets."""
    return row.ours is not None and row.ours.regime == "st" and dataset == "average"


def test_table_1_is_counted_and_its_hidden_test_column_is_no_data(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The sample corpus has 90 questions a train file and 36 a dev file; the out-of-domain datasets have no
    train files.
    """
    made = run(capsys, "1", "--run")
    assert [(one["run"], one["outcome"]["state"]) for one in made["runs"]] == [("table_1", DONE)]
    cells = {
        (cell["row"], cell["metric"]): cell for cell in json.loads(printed(capsys, "1", "json"))["cells"]
    }
    for name in (*IN_DOMAIN, *OUT_OF_DOMAIN):
        inside = name in IN_DOMAIN
        assert [cells[name, split]["ours_mean"] for split in ("Train", "Dev", "Test")] == [
            90 if inside else None,
            36,
            None,
        ]
        assert all(cells[name, mean]["ours_mean"] > 5 for mean in ("Q", "C"))
        assert (cells[name, "Test"]["verdict"], cells[name, "Train"]["verdict"]) == (
            "no data",
            "not comparable" if inside else "no data",
        )
        hidden = (
            "the paper prints no number here"
            if inside
            else f"no Test of {name} to be counted (null in table_1.json)"
        )
        assert cells[name, "Test"]["reason"] == hidden
    assert {cell["verdict"] for cell in cells.values()} == {"no data", "not comparable"} and len(
        cells
    ) == 12 * 5


def test_table_7_is_counted_without_a_run(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = run(capsys, "7", "--run")
    assert made["runs"] == [] and made["unavailable"] == [
        {"row": "all rows", "reason": "counted by benchmark.compare itself: no run, no file"}
    ]
    cells = json.loads(printed(capsys, "7", "json"))["cells"]
    assert len(cells) == 4 * 3 and {cell["verdict"] for cell in cells} == {"exact", "differs"}
    own = {(cell["row"], cell["metric"]): cell["ours_mean"] for cell in cells}
    assert own["roberta-base.mt.none.adapter", "trainable_M"] == pytest.approx(1.789056 + 0.001538)


def test_table_4_has_the_systems_published_elsewhere_beside_ours(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(capsys, "4", "--run")
    text = printed(capsys, "4", "terminal")
    for system, inside, outside in (
        ("D-NET", 84.1, 69.7),
        ("FT_XLNet", 82.9, 68.0),
        ("BERT-large (organisers)", 76.3, 57.1),
    ):
        assert re.search(rf"^ +{re.escape(system)} +{inside} +{outside}$", text, re.MULTILINE)
    assert text.count("literature, not ours to train") == 9


def test_a_k_that_the_datasets_lack_fails_alone_and_says_so(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """24 dev questions, one of which is left to test on: K = 64 cannot be drawn. The other K stays."""
    run(capsys, "9", "--run")
    write(root, [16, 64], [7])
    try:
        made = {one["run"]: one for one in run(capsys, "9", "--run", status=1)["runs"]}
    finally:
        write(root, SIZES, SEEDS)
    for arm in ("none", "bmt"):
        assert made[f"bert.mt.{arm}.adapter.k16.s7"]["state"] == "results"
        failed = made[f"bert.mt.{arm}.adapter.k64.s7"]["outcome"]
        assert failed["state"] == FAILED and failed["text"].startswith(
            "exit status 2: python -m benchmark.transfer bert.mt."
        )
        assert "fewshot.sizes: 64 examples of BioASQ are asked for, which has 23 to give" in failed["text"]
