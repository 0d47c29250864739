"""`python -m benchmark.report` on what is missing, damaged or foreign, from the command line, at the scale of
the paper, and in MLflow.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
import yaml

from benchmark import report
from benchmark.paper import tables as papers
from benchmark.tracking import environment
from bmt.errors import ConfigError
from tests.support.html_tree import parse
from tests.support.report_folder import ARMS, density, make_root, page_of, table_of
from tests.support.repository import ROOT
from tests.support.results_maker import IN_DOMAIN, make_paper_scale, make_results
from tests.support.tracking_store import contents, make

pytest_plugins = ("tests.support.compare_fixtures",)
pytestmark = pytest.mark.usefixtures("papers_read_once")
SEEDS = (0, 1, 2)


@pytest.fixture(scope="module")
def original(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("project") / "root"
    make_root(root)
    return root


@pytest.fixture(autouse=True)
def project(original, tmp_path, monkeypatch) -> Path:
    """A copy of a project with twelve fabricated runs, to damage; it is the root."""
    root = tmp_path / "root"
    shutil.copytree(original, root)
    monkeypatch.setenv("BMT_ROOT", str(root))
    return root


def change(path: Path, **fields: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def test_an_empty_folder_is_said_in_words_and_nothing_is_invented(tmp_path):
    empty = tmp_path / "nothing"
    empty.mkdir()
    page = page_of(tmp_path, "--results", str(empty), "--profile", "sample")
    said = page.one("main").text
    for sentence in (
        "There are no runs in nothing yet",
        "There are no runs, and so no masks.",
        "There are no runs, and so no deviations.",
        "No run of this profile has left a curve.csv beside its results: the course of training is not "
        "known.",
        "There are no runs.",
    ):
        assert sentence in said, sentence
    for part in ("masks", "deviation", "training"):
        assert not list(page.one(id_=part).all("svg"))
    assert not [cell for key in ("2", "3", "8") for cell in page.one(id_=f"table-{key}").all("td")]


def test_runs_without_masks_or_courses_say_so(tmp_path):
    folder = tmp_path / "results" / "paper"
    make_results(folder, arms=("none", "bmt"), seeds=(0, 1), sizes=dict.fromkeys(IN_DOMAIN, 30))
    page = page_of(tmp_path, "--results", str(folder))
    assert (
        "No run of these results says its density by layer (2 runs with masks by dataset)."
        in page.one(id_="density").text
    )
    assert "No run of these results says its overlap between datasets" in page.one(id_="overlap").text
    assert "No run of these results says its deviation by layer." in page.one(id_="deviation-layers").text
    assert "No run says where it was made." in page.one(id_="environment").text
    assert not list(page.one(id_="training").all("svg"))
    make_results(tmp_path / "plain", arms=("none",), seeds=(0,), sizes=dict.fromkeys(IN_DOMAIN, 30))
    assert (
        "No run of these results has a mask."
        in page_of(tmp_path, "--results", str(tmp_path / "plain")).one(id_="masks").text
    )


def test_what_is_not_as_it_should_be_is_left_out_and_named(project, tmp_path, capsys):
    results = project / "results" / "sample"
    mask = json.loads((results / "minilm.mt.bmt.s0.json").read_text())["mask"]
    mask["by_layer"]["SQuAD"] |= {"layer_00": 7.5}
    change(results / "minilm.mt.bmt.s0.json", mask=mask)
    change(results / "minilm.mt.mask.s2.json", environment=None, trained_with=None, seconds=None, device=None)
    run = project / "runs" / "sample"
    (run / "minilm.mt.mask.s0" / "curve.csv").write_text("step,macro_f1\n20,nan\n")
    (run / "minilm.mt.mask.s1" / "curve.csv").write_text("step,loss\n20,1\n")
    (run / "minilm.mt.none.s0" / "training.json").write_text('{"mlflow_run_id": "run-another"}')
    (run / "minilm.mt.none.s1" / "training.json").write_text("[")
    (run / "notes").mkdir()
    (run / "notes" / "curve.csv").write_text("x")
    (project / "results" / "sample" / "minilm.mt.none.s2.parquet").unlink()
    page = page_of(tmp_path)
    said = [item.text for item in page.one(id_="overview").all("li")]
    for sentence in (
        "minilm.mt.bmt.s0.json: mask.by_layer.SQuAD.layer_00: 7.5 is not allowed: a number of 0 to 1",
        "minilm.mt.mask.s0: curve.csv: line 2: macro_f1: 'nan' is not allowed: a number of 0 to 100; not "
        "shown",
        "minilm.mt.mask.s1: curve.csv: no lines with step and macro_f1; not shown",
        "minilm.mt.none.s0: curve.csv is of another training than the results: evaluate the cell again",
        "minilm.mt.none.s2.parquet: absent: the run's per-example predictions belong beside its JSON",
    ):
        assert sentence in said, sentence
    assert "none.s2.parquet: absent" in capsys.readouterr().err
    layer = next(
        row for row in table_of(page.one(id_="density"), "bmt · minilm · mt · 2 runs") if row[0] == "layer 0"
    )
    assert layer[1] == f"{fmean(density('SQuAD', 'layer_00', seed) for seed in (1, 2)):.4f}"
    curves = {row[0] for row in table_of(page.one(id_="curves"), "Validation macro F1, minilm · mt")}
    assert curves == {f"minilm.mt.{arm}.s{seed}" for arm in ARMS for seed in SEEDS} - {
        "minilm.mt.mask.s0",
        "minilm.mt.mask.s1",
        "minilm.mt.none.s0",
    }
    runs = {
        row[0]: row
        for row in table_of(page.one(id_="runs"), "Runs, with what they cost; – where a run does not say")
    }
    assert "minilm.mt.none.s2" not in runs
    assert "minilm.mt.bmt.s0" not in runs
    assert runs["minilm.mt.mask.s2"][7:11] == ["–", "1,234", "2.0", "–"]
    assert "Without an environment: 1 run (minilm.mt.mask.s2)." in page.one(id_="environment").text


def test_absurd_numbers_are_left_out_or_shown_but_never_a_traceback(project, tmp_path):
    for seed in SEEDS:
        cell = project / "results" / "sample" / f"minilm.mt.bmt.s{seed}.json"
        far = {"relative": 1e100, "l2": 1e100}
        by = {"layer/layer_00": {"relative": 1e300}, "layer/layer_01": {"relative": 0.5}}
        change(cell, deviation=far, deviation_by=by, seconds=1e300, peak_memory_mb=1e300)
    curve = project / "runs" / "sample" / "minilm.mt.bmt.s0" / "curve.csv"
    curve.write_text("step,macro_f1,weight/SQuAD\n1e300,50,0.5\n")
    (curve.parents[1] / "minilm.mt.bmt.s1" / "curve.csv").write_text(
        "step,macro_f1,weight/SQuAD,weight/X\n0,0,0.5,0.5\n"
    )
    page = page_of(tmp_path)
    said = page.one(id_="overview").text
    assert (
        "minilm.mt.bmt.s0: deviation_by: 1 of 2 entries are not names and numbers of 0 to 1e+06, and are "
        "left out" in said
    )
    assert (
        "minilm.mt.bmt.s0: curve.csv: line 2: step: '1e300' is not allowed: a number of 0 to 1e+12; not shown"
        in said
    )
    rows = table_of(page.one(id_="deviation-f1"), "minilm · mt: in-domain F1 (6 datasets)")
    assert {row[1] for row in rows} == {"fixed_random", "mask", "none"}
    assert [
        row[1] for row in table_of(page.one(id_="deviation-layers"), "minilm · mt") if row[0] == "layer 1"
    ] == ["50.0000"]
    assert ["minilm.mt.bmt.s1", "0", "0.500", *["–"] * 5, "0.500"] in table_of(
        page.one(id_="weights"), "Sampling weights, bmt · minilm · mt"
    )


def test_a_truncated_result_is_named_and_the_page_is_written(project, tmp_path, capsys):
    path = project / "results" / "sample" / "minilm.mt.bmt.s1.json"
    path.write_text(path.read_text()[:100])
    page = page_of(tmp_path)
    assert "minilm.mt.bmt.s1.json: line 1: no JSON" in page.one("details", "alarm").text
    assert "warning: results/sample/minilm.mt.bmt.s1.json: line 1: no JSON" in capsys.readouterr().err
    assert "11 runs of profile sample" in page.one(id_="overview").text


def test_seeds_restrict_everything(tmp_path):
    page = page_of(tmp_path, "--seeds", "1,2")
    assert "8 runs of profile sample" in page.one(id_="overview").text
    assert {row[0][-2:] for row in table_of(page.one(id_="curves"), "Validation macro F1, minilm · mt")} == {
        "s1",
        "s2",
    }
    assert (
        table_of(page.one(id_="density"), "bmt · minilm · mt · 2 runs")[0][1]
        == f"{density('SQuAD', 'embeddings', 0) + 0.0015:.4f}"
    )
    assert (
        "python -m benchmark.compare --paper-table 3 --profile sample --seeds 1,2"
        in page.one(id_="commands").text
    )


def test_names_from_files_are_texts_and_never_markup(project, tmp_path):
    evil = "<script>alert(1)</script>"
    cell = project / "results" / "sample" / "minilm.mt.bmt.s0.json"
    record = json.loads(cell.read_text())
    record["mask"]["by_layer"][evil] = {f"{evil}&amp;": 0.5}
    record["trained_with"] |= {evil: evil, "packages": {evil: '"><b>'}}
    change(cell, mask=record["mask"], trained_with=record["trained_with"], device=evil)
    (journal,) = (project / "runs" / "sample" / "minilm.mt.bmt.s0" / "journal").glob("*.jsonl")
    journal.write_text(
        json.dumps({"tags": {"mlflow.source.name": f"{evil} half a surrogate pair: \ud800"}}) + "\n"
    )
    page = page_of(tmp_path)
    assert not list(page.all("script"))
    assert f"{evil} half a surrogate pair: \ufffd" in page.one(id_="commands").text
    assert evil in page.one(id_="density").text
    assert f"{evil}&amp;" in page.one(id_="density").text
    assert evil in page.one(id_="environment").text


def test_another_papers_folder_with_its_own_tables_and_results(tmp_path):
    folder = tmp_path / "their"
    folder.mkdir()
    row = {
        "row": "ours",
        "model": "M",
        "arm": "plain",
        "ours": {"backbone": "net", "regime": "mt", "arm": "none", "adapter": False},
    }
    table = {
        "table": "x1",
        "caption": "Theirs & others.",
        "where": "page 3",
        "kind": "scores",
        "metrics": ["F1"],
        "unit": "percent",
        "decimals": 1,
        "columns": {"A": "setA", "B": "setB"},
        "rows": [row | {"values": {"F1": {"A": 80.0, "B": 70.0}}}],
    }
    (folder / "table_x1.yaml").write_text(yaml.safe_dump(table))
    found = tmp_path / "found"
    make_results(
        found,
        profile="theirs",
        backbone="net",
        arms=["none"],
        sizes={"setA": 40, "setB": 40},
        f1=lambda arm, name, seed: 79.0 + seed,
    )
    page = page_of(tmp_path, "--paper", str(folder), "--results", str(found))
    lines = [row[:4] for row in page.one(id_="table-x1").one("table", "numbers").rows() if len(row) > 4][1:]
    assert lines == [
        ["setA", "80.0", "80.00 ± 1.00 (3)", "+0.00"],
        ["setB", "70.0", "80.00 ± 1.00 (3)", "+10.00"],
    ]
    assert "The paper's folder holds no claims." in page.one(id_="claims").text
    commands = page.one(id_="commands").text
    assert "How the runs of a folder that was named are made is not known here" in commands
    assert "benchmark.train" not in commands
    assert "python -m benchmark.compare --paper-table x1 --results …/found --paper DIR" in commands


def test_single_data_runs_stand_against_their_own_dataset(tmp_path):
    folder = tmp_path / "single"
    for name in ("SQuAD", "NewsQA"):
        make_results(
            folder,
            regime=f"st-{name}",
            arms=("none", "bmt"),
            seeds=(0, 1),
            sizes=dict.fromkeys(IN_DOMAIN, 30),
        )
    page = page_of(tmp_path, "--results", str(folder))
    captions = [table.one("caption").text for table in page.one(id_="deviation-f1").all("table")]
    assert captions == [
        "roberta-base · st-NewsQA: NewsQA F1 (1 dataset)",
        "roberta-base · st-SQuAD: SQuAD F1 (1 dataset)",
    ]


def test_two_runs_write_the_same_bytes(tmp_path):
    page_of(tmp_path / "a")
    page_of(tmp_path / "b")
    first, second = ((tmp_path / name / "out" / "page.html").read_bytes() for name in "ab")
    assert first == second


def test_help_ends_with_an_example(capsys):
    with pytest.raises(SystemExit) as left:
        report.main(["--help"])
    assert left.value.code == 0
    assert capsys.readouterr().out.endswith("example:\n  python -m benchmark.report --profile sample\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seeds", "0,x"], r"--seeds '0,x': not allowed: whole numbers"),
        (["--results", "/absent/folder"], r"--results /absent/folder: no such folder"),
        (
            ["--profile", "absent"],
            r"--profile absent: not allowed: one of grid, mini, mini_gpu, paper, sample",
        ),
        (["--paper", "/absent/folder"], r"/absent/folder: no such folder"),
        (["--out", "."], r"--out \.: a folder: name the page's file"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(arguments, message):
    with pytest.raises(ConfigError, match=message) as failed:
        report.main(arguments)
    assert failed.value.status == 2
    assert "\n" not in str(failed.value)


def test_a_plain_report_starts_without_torch_and_mlflow(project, tmp_path):
    code = (
        "import sys; from benchmark import report; report.main(sys.argv[1:]); "
        "print(sorted({'torch', 'mlflow', 'dvc', 'transformers', 'matplotlib', 'pandas'} & set(sys.modules)))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, "--out", str(tmp_path / "page.html")],
        cwd=ROOT,
        env={**os.environ, "BMT_ROOT": str(project)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout == "[]\n"
    assert ran.stderr == f"wrote {tmp_path / 'page.html'}\n"


def test_the_scale_of_the_paper_takes_little_memory(tmp_path):
    make_paper_scale(tmp_path / "results")
    code = (
        "import sys; from benchmark import report; from benchmark.tracking import environment; "
        "report.main(sys.argv[1:]); print(environment.peak_memory_mb())"
    )
    arguments = ["--results", str(tmp_path / "results"), "--out", str(tmp_path / "page.html")]
    ran = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert float(ran.stdout) < 2048
    page = parse((tmp_path / "page.html").read_text())
    assert "45 runs of profile paper: roberta-base, roberta-large, t5-base" in page.one(id_="overview").text


def test_track_logs_the_page_and_its_counts(project, tmp_path, monkeypatch):
    uri = make(tmp_path / "store")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert report.main(["--track"]) == 0
    run = contents(uri, "bmt-sample")["report"]
    assert run["status"] == "FINISHED"
    assert run["artifacts"]["report.html"] == (project / "reports" / "sample" / "report.html").read_bytes()
    assert run["metrics"]["runs"][0][1] == 12
    page = parse(run["artifacts"]["report.html"].decode())
    names, total = (next(page.one(id_="overview").all("table")).rows()[index] for index in (0, -1))
    counted = dict(zip(names[1:-1], map(int, total[1:-1]), strict=True))
    assert {
        name.removeprefix("cells/"): points[0][1]
        for name, points in run["metrics"].items()
        if name.startswith("cells/")
    } == counted
    assert sum(points[0][1] for name, points in run["metrics"].items() if name.startswith("claims/")) == len(
        papers.load(None).claims
    )
    assert (run["params"]["profile"], run["params"]["results"], run["tags"]["stage"]) == (
        "sample",
        "results/sample",
        "report",
    )


def test_track_without_mlflow_writes_the_page_and_keeps_the_rest_for_later(project, monkeypatch, capsys):
    for name in [name for name in sys.modules if name.split(".")[0] == "mlflow"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "mlflow", None)
    assert report.main(["--track"]) == 0
    assert (project / "reports" / "sample" / "report.html").is_file()
    (journal,) = (project / "runs" / "sample" / "report" / "journal").glob("*.jsonl")
    kinds = [json.loads(line)["kind"] for line in journal.read_text().splitlines()]
    assert kinds[0] == "run"
    assert kinds[-1] == "end"
    assert (journal.with_suffix("") / "report.html").is_file()
    assert "track sync" in capsys.readouterr().err


def test_the_recorded_environment_is_not_looked_up_with_torch(project, monkeypatch):
    monkeypatch.setenv("BMT_TRACKING", "journal")
    monkeypatch.setattr(environment, "describe", lambda root=None: pytest.fail("describe imports torch"))
    assert report.main(["--track"]) == 0
