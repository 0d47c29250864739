"""The two files of a result: what they say, that they are whole, and where the data came from."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmark.config.cells import parse
from benchmark.config.folders import Places
from benchmark.config.params import Config, load
from benchmark.runs import result_files
from benchmark.runs.dataset_scores import DatasetScores
from benchmark.runs.seal import seal
from benchmark.tracking import environment
from bmt.qa.metrics import EVALUATOR_VERSION
from bmt.runtime.files import write_json
from tests.support.repository import ROOT


def test_files_of_the_hub_s_copy_are_named_whether_trained_or_scored_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BMT_ROOT", str(tmp_path))
    config, cell = load(ROOT / "profiles" / "sample.yaml"), parse("minilm.mt.bmt.s0")
    sources = {"SQuAD.train": "hub", "NewsQA.train": "files", "SQuAD.dev": "hub", "DROP.dev": None}
    write_json(
        Places.of(config).features("minilm") / "features.json",
        {"files": {name: {"source": source} for name, source in sources.items()}},
    )
    written: list[dict[str, Any]] = []
    monkeypatch.setattr(result_files, "keep_results", lambda *given: written.append(given[-1]))
    trained = dict.fromkeys(result_files.OF_TRAINING) | {"deviation": {"total": 0.1}, "environment": {}}
    trained |= {"data": {"SQuAD.train": "a", "NewsQA.train": "b"}}
    scores = DatasetScores(pa.table({}), {"SQuAD": {}, "DROP": {}, "RACE": {}}, [])
    result_files.write_results(config, cell, trained, scores, None, {"K": None})
    assert [record["from_hub"] for record in written] == [["SQuAD.train", "SQuAD.dev"]]
    assert (written[0]["deviation"], written[0]["K"]) == (0.1, None)


def config_at(root: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """The sample profile, its results going under `root`."""
    monkeypatch.setenv("BMT_ROOT", str(root))
    return load(ROOT / "profiles" / "sample.yaml")


def test_a_result_is_sealed_and_names_its_predictions_its_params_file_and_its_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_at(tmp_path, monkeypatch)
    (tmp_path / "params.yaml").write_bytes(b"the root's")
    (tmp_path / "mine.yaml").write_bytes(b"mine")
    described = {"git": {"commit": "c", "dirty": False}, "device": "cpu of ours", "packages": {"torch": "2"}}
    monkeypatch.setattr(environment, "describe", lambda: described)
    rows = pa.table({"dataset": ["SQuAD"], "em": [1.0]}).replace_schema_metadata({"old": "metadata"})
    datasets = {"SQuAD": {"em": 100.0, "f1": 100.0, "examples": 1}}
    record = {"profile": "sample", "cell": "minilm.mt.bmt.k16.s7", "seconds": 2.5, "tuple": (1, 2)}
    for params, content in ((str(tmp_path / "mine.yaml"), b"mine"), (None, b"the root's")):
        result_files.keep_results(config, DatasetScores(rows, datasets, ["DROP"]), params, record)
        path = tmp_path / "results" / "sample" / "minilm.mt.bmt.k16.s7.json"
        values = json.loads(path.read_text(encoding="utf-8"))
        predictions = path.with_suffix(".parquet").read_bytes()
        assert values.pop("record_sha256") == seal(values)
        assert values == {
            "schema": 1,
            "profile": "sample",
            "cell": "minilm.mt.bmt.k16.s7",
            "seconds": 2.5,
            "tuple": [1, 2],
            "datasets": datasets,
            "averages": {"in_domain": {"em": 100.0, "f1": 100.0, "datasets": ["SQuAD"]}},
            "missing_datasets": ["DROP"],
            "evaluator_version": EVALUATOR_VERSION,
            "params_sha256": hashlib.sha256(content).hexdigest(),
            "git": described["git"],
            "device": "cpu of ours",
            "environment": described,
            "predictions_sha256": hashlib.sha256(predictions).hexdigest(),
        }
    table = pq.read_table(path.with_suffix(".parquet"))
    assert table.to_pylist() == [{"dataset": "SQuAD", "em": 1.0}]
    assert table.schema.metadata == {b"bmt.cell": b"sample/minilm.mt.bmt.k16.s7"}


def test_predictions_that_cannot_be_written_leave_the_older_result_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_at(tmp_path, monkeypatch)
    (tmp_path / "params.yaml").write_bytes(b"")
    folder = tmp_path / "results" / "sample"
    folder.mkdir(parents=True)
    for kind in ("json", "parquet"):
        (folder / f"c.{kind}").write_text(f"older {kind}")

    def full(table: object, path: Path, **_: object) -> None:
        Path(path).write_bytes(b"half")
        raise OSError("no space left")

    monkeypatch.setattr(pq, "write_table", full)
    with pytest.raises(OSError, match="no space left"):
        result_files.keep_results(
            config, DatasetScores(pa.table({"a": [1]}), {}, []), None, {"profile": "sample", "cell": "c"}
        )
    assert {path.name: path.read_text() for path in folder.iterdir()} == {
        "c.json": "older json",
        "c.parquet": "older parquet",
    }


def test_a_result_repeats_its_training_and_what_is_added_stands_in_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, cell = config_at(tmp_path, monkeypatch), parse("minilm.mt.bmt.s0")
    write_json(Places.of(config).features("minilm") / "features.json", {"files": {}})
    written: list[Any] = []
    monkeypatch.setattr(result_files, "keep_results", lambda *given: written.append(given))
    kept = {key: f"trained {key}" for key in result_files.OF_TRAINING}
    trained = kept | {
        "deviation": {"total": {"l2": 1.0}, "layer/layer_00": {"l2": 0.5}},
        "environment": {"device": "the trainer's"},
        "data": {"SQuAD.train": "a"},
        "padding_waste": 0.5,
    }
    scores = DatasetScores(pa.table({}), {"SQuAD": {}}, [])
    result_files.write_results(config, cell, trained, scores, "p.yaml", {"seed": 7, "K": 16})
    result_files.write_results(config, cell, trained | {"regularizer": {"kind": "l2_sp"}}, scores, None, {})
    (first, second) = written
    assert first[:3] == (config, scores, "p.yaml")
    assert first[3] == kept | {
        "seed": 7,
        "K": 16,
        "regularizer": None,
        "from_hub": [],
        "deviation": {"l2": 1.0},
        "deviation_by": trained["deviation"],
        "trained_with": {"device": "the trainer's"},
        "train_data_sha256": {"SQuAD.train": "a"},
    }
    assert second[2] is None and second[3]["regularizer"] == {"kind": "l2_sp"}
    assert set(result_files.OF_TRAINING) == {
        "cell",
        "profile",
        "backbone",
        "backbone_revision",
        "regime",
        "arm",
        "adapter",
        "seed",
        "p_f",
        "mask",
        "budget",
        "mlflow_run_id",
        "seconds",
        "tokens_per_second",
        "peak_memory_mb",
    }


def test_a_seal_is_of_every_field_but_itself_as_the_json_gives_it_back() -> None:
    values = {"cell": "c", "predictions_sha256": "a", "params_sha256": "b", "train_data_sha256": {"x": "c"}}
    first = seal(values)
    assert seal(values | {"record_sha256": "anything"}) == first
    assert seal(dict(reversed(values.items()))) == first
    for key in values:
        assert seal(values | {key: "another"}) != first, key
        assert seal({name: value for name, value in values.items() if name != key}) != first, key
    assert seal({"a": (1, 2), "b": {3: None}}) == seal({"a": [1, 2], "b": {"3": None}})
