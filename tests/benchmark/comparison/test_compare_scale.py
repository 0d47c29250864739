"""`benchmark.compare` is light: its imports, how soon it starts, what it takes at the scale of the paper."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.comparing import hold_out
from tests.support.repository import ROOT
from tests.support.results_maker import IN_DOMAIN, OUT_OF_DOMAIN, make_paper_scale, make_results

pytest_plugins = ("tests.support.compare_fixtures",)

TABLES = ("1", "2", "3", "4", "5", "6", "7", "8", "9", "a10")
ABSENT = """
import sys

HEAVY = "torch mlflow dvc pandas datasets transformers statsmodels optuna matplotlib".split()

class Absent:
    asked = []
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in HEAVY:
            self.asked.append(name)
            raise ModuleNotFoundError(f"No module named {name!r}")

sys.meta_path.insert(0, Absent())
"""
MEASURED = """
import json, resource, time
from benchmark.compare import main

def measured(table, results, out):
    began = time.process_time()
    status = main(["--paper-table", table, "--results", results, "--format", "json", "--out", out])
    seconds = time.process_time() - began
    return {"status": status, "seconds": seconds, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}
"""


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=os.environ | {"COLUMNS": "80"},
    )


@pytest.fixture(scope="module")
def every_kind(mini, tmp_path_factory) -> Path:
    """MT, ST and few-shot runs (with held-out examples) in one folder."""
    folder = tmp_path_factory.mktemp("every") / "r"
    shutil.copytree(mini, folder)
    make_results(
        folder,
        profile="mini",
        backbone="minilm",
        arms=["none"],
        regime="st-SQuAD",
        sizes=dict.fromkeys(IN_DOMAIN, 30),
    )
    few = {
        "profile": "mini",
        "backbone": "minilm",
        "adapter": True,
        "K": 16,
        "sizes": dict.fromkeys(OUT_OF_DOMAIN, 60),
    }
    for arm in ("none", "bmt"):
        for cell in make_results(folder, arms=[arm], **few):
            hold_out(folder, cell, {"DROP": list(range(int(cell[-1]) * 5, int(cell[-1]) * 5 + 5))})
    return folder


def test_all_tables_in_all_formats_where_torch_mlflow_and_dvc_are_not_installed(every_kind, tmp_path):
    formats, out = "terminal,markdown,latex,json,html", str(tmp_path / "t")
    arguments = ["--results", str(every_kind), "--format", formats, "--out", out]
    code = f"{ABSENT}from benchmark.compare import main\n"
    code += f"print([main(['--paper-table', table, *{arguments!r}]) for table in {TABLES!r}], Absent.asked)"
    done = run(code)
    assert done.stdout == f"{[0] * 10} []\n", done.stderr
    done = run(
        f"{ABSENT}from benchmark.compare import main\nmain(['--paper-table', '3', '--results', "
        f"{str(every_kind)!r}])"
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "not comparable (profile mini: backbone minilm instead of roberta-base)" in " ".join(
        done.stdout.split()
    )


@pytest.mark.parametrize("more", [["--help"], ["--paper-table", "3"]])
def test_it_starts_in_under_two_seconds(mini, more):
    """Of processor time: the wall clock of a busy machine says nothing."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [
        sys.executable,
        "-m",
        "benchmark.compare",
        *more,
        *(["--results", str(mini)] if more != ["--help"] else []),
    ]
    assert subprocess.run(command, cwd=ROOT, capture_output=True).returncode == 0
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 2


def test_at_the_scale_of_the_paper_a_table_takes_under_ten_seconds_and_two_gigabytes(tmp_path):
    """68,000 dev examples, 9 arms, 5 seeds; seconds of processor time."""
    cells = make_paper_scale(tmp_path / "r")
    assert len(cells) == 45
    results, out = str(tmp_path / "r"), str(tmp_path / "t")
    measured = f"{{table: measured(table, {results!r}, {out!r} + table) for table in {TABLES!r}}}"
    code = f"{MEASURED}print(json.dumps({measured}))"
    done = run(code)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    unit = 1 if sys.platform == "darwin" else 1024
    assert {table: own["seconds"] for table, own in figures.items() if own["seconds"] >= 10} == {}
    assert max(own["peak"] for own in figures.values()) * unit < 2e9
    assert {table: own["status"] for table, own in figures.items()} == dict.fromkeys(TABLES, 1) | {
        "1": 0,
        "7": 0,
        "9": 0,
    }
    report = json.loads((tmp_path / "t3.json").read_text())
    claim = next(claim for claim in report["claims"] if claim["id"] == "bmt-over-mask-roberta-large")
    assert (claim["verdict"], claim["seeds_needed"]) == ("upheld", 3) and claim["our_delta"] == pytest.approx(
        1.2, abs=0.5
    )
    assert {cell["n"] for cell in report["cells"]} == {5}
