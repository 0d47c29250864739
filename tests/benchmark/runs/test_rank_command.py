"""`accelerate launch -m benchmark.train` and torchrun on two CPU ranks, on a tiny project: as the same
commands in one process.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from benchmark import fetch
from benchmark.acquisition.feature_files import prepare
from benchmark.acquisition.sample_corpus import write as write_corpus
from benchmark.config.cells import parse
from benchmark.config.params import load
from benchmark.runs.evaluation_run import evaluate_cell
from benchmark.runs.training_run import train_cell
from bmt.errors import ConfigError
from bmt.masks import Masks
from bmt.runtime.ranks import launched
from tests.support import project
from tests.support.repository import ROOT

CELL = "bert.mt.bmt.s0"
ACCELERATE = (
    "accelerate.commands.launch",
    "--multi_gpu",
    "--num_machines",
    "1",
    "--mixed_precision",
    "no",
    "--dynamo_backend",
    "no",
)


def launch(root: Path, *command: str) -> tuple[str, str]:
    """Run a launcher on two CPU ranks, at a free port: what it printed."""
    environment = os.environ | {
        "BMT_ROOT": str(root),
        "BMT_TRACKING": "journal",
        "ACCELERATE_USE_CPU": "true",
        "PYTHONPATH": str(ROOT),
    }
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=root,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def test_two_ranks_train_and_score_a_cell_as_one_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BMT_ROOT", str(tmp_path))
    monkeypatch.setenv("BMT_TRACKING", "journal")
    write_corpus(tmp_path / "corpus")
    project.write_bert(
        tmp_path / "backbones" / "bert", project.corpus_texts(tmp_path / "corpus"), num_hidden_layers=1
    )
    project.write_params(tmp_path, project.params(["bert"], [CELL], manifest=str(tmp_path / "corpus")))
    assert fetch.main([]) == 0
    prepare(load(), workers=1)
    run = tmp_path / "runs" / "tiny" / CELL

    said, told = launch(
        tmp_path,
        *ACCELERATE,
        "--num_processes",
        "2",
        "--main_process_port",
        "0",
        "-m",
        "benchmark.train",
        CELL,
    )
    assert said.count(f"{CELL}: validation macro F1") == 1 and told.count(f"train {CELL}: 64 windows in") == 1
    assert len(list((run / "journal").glob("*.jsonl"))) == 1 and not list(tmp_path.rglob("*.part"))
    assert {path.name for path in run.iterdir()} == {
        "model",
        "masks",
        "training.json",
        "curve.csv",
        "journal",
    }
    two, masks, curve = read(run)
    assert two["ranks"] == 2 and two["budget"]["windows"] == 64 and 0 < two["padding_waste"] < 0.5

    said, _ = launch(
        tmp_path,
        "torch.distributed.run",
        "--standalone",
        "--nproc_per_node",
        "2",
        "-m",
        "benchmark.evaluate",
        CELL,
    )
    assert said.count(f"{CELL}\n") == 1
    results = tmp_path / "results" / "tiny"
    shared = pq.read_table(results / f"{CELL}.parquet").to_pylist()
    evaluate_cell(load(), parse(CELL))
    alone = pq.read_table(results / f"{CELL}.parquet").to_pylist()
    assert [row.pop("score") for row in shared] == pytest.approx(
        [row.pop("score") for row in alone], abs=1e-5
    ) and shared == alone

    for path in (tmp_path / ".checkpoints" / "masks").iterdir():
        path.unlink()  # so that they are learned again
    train_cell(load(), parse(CELL))
    one, again, course = read(run)
    assert one["ranks"] == 1 and again.equals(masks)
    assert [row["loss"] for row in curve] == pytest.approx([row["loss"] for row in course], abs=1e-5)
    assert [row["macro_f1"] for row in curve] == pytest.approx([row["macro_f1"] for row in course], abs=1e-9)


def read(run: Path) -> tuple[dict, Masks, list[dict[str, float]]]:
    """training.json, the masks and the course of a run."""
    with (run / "curve.csv").open(encoding="utf-8") as stream:
        curve = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(stream)]
    return (
        json.loads((run / "training.json").read_text()),
        Masks.load(run / "masks" / "masks.safetensors"),
        curve,
    )


def test_ranks_of_another_launcher_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match="OMPI_COMM_WORLD_SIZE is 2 and WORLD_SIZE is not set"), launched():
        pass
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "1")
    with launched() as ranks:
        assert (
            (ranks.rank, ranks.world, ranks.first) == (0, 1, True)
            and ranks.gathered(7) == [7]
            and ranks.of_first("x") == "x"
        )
