"""The pipeline under DVC: what it runs, what it leaves alone, and that its outputs travel to a remote and
back.
"""

from __future__ import annotations

import itertools
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmark.acquisition.sample_corpus import write as write_corpus
from benchmark.config.params import load
from tests.support import project
from tests.support.dvc_command import command, dvc, ran
from tests.support.repository import ROOT

CELL, ADAPTER = "bert.mt.bmt.s0", "bert.mt.bmt.adapter.s0"
TRANSFER = "bert.mt.bmt.adapter.k2.s7"
CHAIN = ["digests", "fetch", "prepare@bert", "inputs", f"train@{CELL}", f"evaluate@{CELL}"]
READING = {"digests", "inputs", "references"}  # what follows the settings and the data at once
BEST, STUDY = "studies/sample.best.yaml", "study: sample\n"


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project's code and dvc.yaml with a tiny backbone, one cell and a study's values, in a git
    repository of its own.
    """
    root = tmp_path_factory.mktemp("repository")
    for name in ("bmt", "benchmark", ".dvc", "profiles"):
        shutil.copytree(
            ROOT / name,
            root / name,
            ignore=shutil.ignore_patterns("__pycache__", "cache", "tmp", "config.local"),
        )
    for name in ("dvc.yaml", ".dvcignore", ".gitignore"):
        shutil.copy(ROOT / name, root / name)
    write_corpus(root / "corpus")
    project.write_bert(root / "backbones" / "bert", project.corpus_texts(root / "corpus"))
    project.write_params(root, project.params(["bert"], [CELL], manifest="corpus") | {"tables": ["3"]})
    (root / "studies").mkdir()
    (root / BEST).write_text(STUDY)
    command(root, "git", "init", "-q")
    return root


def with_a_transfer(values: dict[str, Any], *seeds: int) -> dict[str, Any]:
    """The parameters, a cell with adapters, its transfers of K = 2 at seed 7 and `seeds`, and Table 9."""
    fewshot = values["fewshot"] | {"sizes": [2], "seeds": [7, *seeds]}
    return values | {
        "cells": [CELL, ADAPTER],
        "transfers": ["bert.mt.bmt.adapter"],
        "fewshot": fewshot,
        "tables": ["3", "9"],
    }


@pytest.mark.timeout(1200)  # some thirty processes that import PyTorch or DVC, on cores that others may share
def test_repro_runs_what_is_needed_and_outputs_travel(repository: Path) -> None:
    first = ran(dvc(repository, "repro"))
    assert [name for name in first if name in CHAIN] == CHAIN and first.index("fetch") < first.index(
        "statistics"
    )
    assert sorted(set(first) - set(CHAIN)) == ["compare@3", "references", "report", "statistics"]
    assert len(first) == len(set(first))
    assert (repository / BEST).read_text() == STUDY  # frozen: neither made again nor removed
    again = dvc(repository, "repro")
    assert "up to date" in again and ran(again) == []
    assert (
        command(
            repository, "git", "status", "--porcelain", "--ignored", "runs", "results", "data", "reports"
        ).count("!!")
        == 4
    )

    before = (repository / "runs" / "tiny" / CELL / "model" / "model.safetensors").read_bytes()
    values = yaml.safe_load((repository / "params.yaml").read_text())
    project.write_params(repository, with_a_transfer(values))
    expected = [
        "compare@3",
        "compare@9",
        f"evaluate@{ADAPTER}",
        "report",
        f"train@{ADAPTER}",
        "transfer@bert.mt.bmt.adapter-2-7",
    ]
    more = ran(dvc(repository, "repro"))
    assert sorted(set(more) - READING) == expected and set(more) > READING
    assert (repository / "runs" / "tiny" / CELL / "model" / "model.safetensors").read_bytes() == before
    transferred = json.loads((repository / "results" / "tiny" / f"{TRANSFER}.json").read_text())
    assert (transferred["K"], transferred["seed"], transferred["source_cell"]) == (2, 7, ADAPTER)
    compared = json.loads((repository / "reports" / "tiny" / "table_9.json").read_text())["cells"]
    assert {cell["reason"] for cell in compared if cell["K"] == 16 and cell["verdict"] == "no data"} == {
        "profile tiny asks for K = 2"
    }
    project.write_params(repository, with_a_transfer(values, 19))
    command(repository, sys.executable, "-m", "benchmark.digests")
    pending = ran(dvc(repository, "repro", "--dry"))
    assert [name for name in pending if name.startswith(("train", "transfer"))] == [
        "transfer@bert.mt.bmt.adapter-2-19"
    ]
    project.write_params(repository, with_a_transfer(values))

    shown = json.loads(dvc(repository, "metrics", "show", "--json"))
    metrics = shown[""]["data"][f"runs/tiny/{CELL}/metrics.json"]["data"]
    result = json.loads((repository / "results" / "tiny" / f"{CELL}.json").read_text())
    assert metrics["f1"]["in_domain"] == result["averages"]["in_domain"]["f1"]
    assert "index.html" in dvc(repository, "plots", "show")
    page = (repository / "dvc_plots" / "index.html").read_text()
    assert all(f"runs_tiny_{cell.replace('.', '_')}_curve_csv" in page for cell in (CELL, ADAPTER))

    dvc(repository, "remote", "add", "--default", "local", str(repository.parent / "remote"))
    dvc(repository, "push")
    for name in ("data", "runs", "results", "reports", ".dvc/cache"):
        shutil.rmtree(repository / name)
    dvc(repository, "pull")
    assert (repository / "runs" / "tiny" / CELL / "model" / "model.safetensors").read_bytes() == before
    assert ran(dvc(repository, "repro")) == []


def test_the_graph_is_the_pipeline(repository: Path) -> None:
    project.write_params(
        repository, with_a_transfer(yaml.safe_load((repository / "params.yaml").read_text()))
    )
    graph = dvc(repository, "dag", "--dot")
    chains = [
        [*CHAIN, "compare@3"],
        ["digests", f"train@{CELL}"],
        ["references", f"train@{CELL}"],
        ["fetch", "statistics", "compare@3"],
        [f"train@{ADAPTER}", "transfer@bert.mt.bmt.adapter-2-7", "compare@9"],
    ]
    for before, after in (pair for chain in chains for pair in itertools.pairwise(chain)):
        assert f'"{before}" -> "{after}"' in graph


@pytest.mark.parametrize("profile", ["sample", "mini", "grid", "paper"])
def test_the_stages_are_what_the_profile_asks_for(profile: str, repository: Path, tmp_path: Path) -> None:
    for name in (".dvc", "dvc.yaml", ".dvcignore"):
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(repository / name, tmp_path / name)
    shutil.copy(ROOT / "profiles" / f"{profile}.yaml", tmp_path / "params.yaml")
    command(tmp_path, "git", "init", "-q")
    config = load(ROOT / "profiles" / f"{profile}.yaml")
    transfers = itertools.product(config.transfers, config.fewshot.sizes, config.fewshot.seeds)
    expected = ["digests", "fetch", "inputs", "references", "report", "statistics", "study"]
    expected += [f"prepare@{name}" for name in config.backbones]
    expected += [f"{stage}@{cell}" for stage in ("train", "evaluate") for cell in config.cells]
    expected += [f"transfer@{source}-{K}-{seed}" for source, K, seed in transfers] + [
        f"compare@{table}" for table in config.tables
    ]
    expected += [f"published@{name}" for name in config.published]
    assert sorted(dvc(tmp_path, "stage", "list", "--name-only").split()) == sorted(expected)


def test_a_number_that_is_not_reproduced_is_no_failed_stage_and_unreadable_results_are(
    tmp_path: Path,
) -> None:
    """The compare stage's own command line, with a command of the test's in place of the comparison."""
    line = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]["compare"]["cmd"]
    wanted = (
        "python -m benchmark.compare --paper-table ${item.table} --format markdown,json "
        "--out reports/${profile}/table_${item.table}"
    )
    assert line.startswith(wanted)
    for status, expected in ((0, 0), (1, 0), (2, 1)):
        command(tmp_path, "sh", "-c", line.replace(wanted, f"(exit {status})"), status=expected)


def test_the_study_is_frozen_and_its_values_belong_to_git(repository: Path) -> None:
    stage = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]["study"]
    assert stage["frozen"] is True and stage["cmd"] == "python -m benchmark.search --study sample --export"
    assert stage["outs"] == [{BEST: {"cache": False, "persist": True}}]
    command(repository, "git", "check-ignore", BEST, status=1)
    (repository / BEST).write_text(
        "study: another\n"
    )  # `make study` wrote others: DVC takes them up, and runs nothing
    assert (
        "study" not in ran(dvc(repository, "repro", "study"))
        and (repository / BEST).read_text() == "study: another\n"
    )
