"""The pipeline under DVC: what it runs, what it leaves alone, and that its outputs travel to a remote and back."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from bmt.sample_corpus import write as write_corpus
from tests import project
from tests.conftest import ROOT

CELL, SEED = "bert.mt.bmt.s0", "bert.mt.bmt.s1"


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project's code and dvc.yaml with a tiny backbone and one cell, in a git repository of its own."""
    root = tmp_path_factory.mktemp("repository")
    for name in ("bmt", "benchmark", ".dvc", "profiles"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__", "cache", "tmp", "config.local"))
    for name in ("dvc.yaml", ".dvcignore", ".gitignore"):
        shutil.copy(ROOT / name, root / name)
    write_corpus(root / "corpus")
    project.write_bert(root / "backbones" / "bert", project.corpus_texts(root / "corpus"))
    project.write_params(root, project.params(["bert"], [CELL], manifest="corpus"))
    command(root, "git", "init", "-q")
    return root


def command(root: Path, *words: str, status: int = 0) -> str:
    """Run a command in the repository; its output, once its exit status is the one asked for."""
    environment = {key: value for key, value in os.environ.items() if key not in ("BMT_ROOT", "PYTHONPATH", "MLFLOW_TRACKING_URI")}
    environment |= {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "BMT_TRACKING": "journal", "OMP_NUM_THREADS": "1",
        "DVC_NO_ANALYTICS": "1",
    }  # fmt: skip
    done = subprocess.run(words, cwd=root, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=280)
    assert done.returncode == status, f"{' '.join(words)}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout + done.stderr


def dvc(root: Path, *words: str, status: int = 0) -> str:
    """Run a DVC command."""
    return command(root, sys.executable, "-m", "dvc", *words, status=status)


def ran(output: str) -> list[str]:
    """The stages that a `dvc repro` ran."""
    return [line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage")]


def test_repro_runs_what_is_needed_and_outputs_travel(repository: Path) -> None:
    first = dvc(repository, "repro")
    assert ran(first)[:4] == ["fetch", "prepare", f"train@{CELL}", f"evaluate@{CELL}"] and sorted(ran(first)[4:]) == ["compare", "report"]
    again = dvc(repository, "repro")
    assert "up to date" in again and ran(again) == []
    assert command(repository, "git", "status", "--porcelain", "--ignored", "runs", "results", "data", "reports").count("!!") == 4

    before = (repository / "runs" / "tiny" / CELL / "model" / "model.safetensors").read_bytes()
    values = yaml.safe_load((repository / "params.yaml").read_text())
    values["cells"].append(SEED)
    project.write_params(repository, values)
    assert sorted(ran(dvc(repository, "repro"))) == ["compare", f"evaluate@{SEED}", "report", f"train@{SEED}"]
    assert (repository / "runs" / "tiny" / CELL / "model" / "model.safetensors").read_bytes() == before

    shown = json.loads(dvc(repository, "metrics", "show", "--json"))
    metrics = shown[""]["data"][f"runs/tiny/{CELL}/metrics.json"]["data"]
    result = json.loads((repository / "results" / "tiny" / f"{CELL}.json").read_text())
    assert metrics["f1"]["in_domain"] == result["averages"]["in_domain"]["f1"]
    assert "index.html" in dvc(repository, "plots", "show")
    page = (repository / "dvc_plots" / "index.html").read_text()
    assert all(f"runs_tiny_{cell.replace('.', '_')}_curve_csv" in page for cell in (CELL, SEED))

    dvc(repository, "remote", "add", "--default", "local", str(repository.parent / "remote"))
    dvc(repository, "push")
    for name in ("data", "runs", "results", "reports", ".dvc/cache"):
        shutil.rmtree(repository / name)
    dvc(repository, "pull")
    assert (repository / "runs" / "tiny" / CELL / "model" / "model.safetensors").read_bytes() == before
    assert ran(dvc(repository, "repro")) == []


def test_the_graph_is_the_pipeline(repository: Path) -> None:
    graph = dvc(repository, "dag", "--dot")
    stages = ["fetch", "prepare", f"train@{CELL}", f"evaluate@{CELL}", "compare"]
    for before, after in itertools.pairwise(stages):
        assert f'"{before}" -> "{after}"' in graph
