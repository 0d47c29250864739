"""What a result says of where its data came from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from benchmark.config.cells import parse
from benchmark.config.folders import Places
from benchmark.config.params import load
from benchmark.runs import result_files
from benchmark.runs.dataset_scores import DatasetScores
from bmt.runtime.files import write_json
from tests.support.project import ROOT


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
