"""The features that a cell reads: prepared, and with today's settings and code."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from benchmark.config.cells import parse
from benchmark.config.params import load
from benchmark.runs import cell_data
from bmt.errors import DataError
from bmt.qa import features
from bmt.settings import DataSettings
from tests.support import tiny
from tests.support.project import ROOT


def test_features_of_other_settings_or_code_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = DataSettings()
    with pytest.raises(DataError, match=r"SQuAD\.dev: no features there: run `python -m benchmark\.prepare`"):
        cell_data.read_features(tmp_path, "SQuAD", "dev", data)
    (tmp_path / "SQuAD.dev").mkdir()
    (tmp_path / "SQuAD.dev" / "features.json").write_text("{}")
    inputs = {name: getattr(data, name) for name in ("window", "overlap", "question", "special_tokens")}
    kept = SimpleNamespace(meta={"inputs": {**inputs, "code_sha256": features._code_digest()}})
    monkeypatch.setattr(cell_data, "load", lambda folder: kept)
    assert cell_data.read_features(tmp_path, "SQuAD", "dev", data) is kept
    for other, changed in (
        (replace(data, window=data.window + 1), "window"),
        (replace(data, overlap=data.overlap + 1, question=data.question + 1), "overlap, question"),
    ):
        with pytest.raises(DataError, match=rf"SQuAD\.dev: made with another {changed}: run `python"):
            cell_data.read_features(tmp_path, "SQuAD", "dev", other)
    kept.meta["inputs"]["code_sha256"] = "0" * 64
    with pytest.raises(DataError, match="made with another code_sha256"):
        cell_data.read_features(tmp_path, "SQuAD", "dev", data)


@pytest.mark.parametrize("source", ["train", "dev"])
def test_validation_is_held_out_of_train_or_the_first_dev_questions(
    source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = load(ROOT / "profiles" / "sample.yaml")
    data = replace(
        config.data,
        train=["SQuAD", "NewsQA"],
        val_source=source,
        validation_cap=6,
        train_cap=20 if source == "train" else None,
        windows="all",
    )
    config, key = replace(config, data=data), "k"
    counts = {"train": 40, "dev": 9}
    made_windows = {
        (split, name): tiny.windows(name, count) for split, count in counts.items() for name in data.train
    }

    def features(folder: Path, dataset: str, split: str, data: DataSettings) -> Any:
        ids = [f"{dataset} {split} {row}" for row in range(counts[split])]
        columns: dict[str, list[Any]] = {
            "id": ids,
            "context_id": [f"{dataset} {row // 2}" for row in range(counts[split])],
        }
        columns |= {"context": ids, "answers": [[one] for one in ids]}
        return SimpleNamespace(windows=split, examples=pa.table(columns), meta={"key": f"{key} {dataset}"})

    monkeypatch.setattr(cell_data, "read_features", features)
    monkeypatch.setattr(
        cell_data.Windows, "of", staticmethod(lambda split, dataset: made_windows[split, dataset])
    )
    every, one = (
        cell_data.training_data(config, parse(f"minilm.{regime}.bmt.s0"), Path())
        for regime in ("mt", "st-NewsQA")
    )
    assert list(every.files) == ["SQuAD.train", "NewsQA.train"] and list(one.files) == ["NewsQA.train"]
    assert [part.windows.dataset for part in every.validation] == ["SQuAD", "NewsQA"]
    for part in every.validation:
        dataset = part.windows.dataset
        trained = set(every.sets[0].example[every.rows[dataset]].tolist())
        assert len(trained) == (20 if source == "train" else 40) and len(part.examples) == 6
        if source == "train":  # no context is on both sides
            assert not {row // 2 for row in trained} & {row // 2 for row in part.examples.tolist()}
        else:
            assert part.examples.tolist() == [0, 1, 2, 3, 4, 5]
        assert part.contexts[0] == f"{dataset} {source} 0"
    assert one.rows["NewsQA"].tolist() == every.rows["NewsQA"].tolist()
    assert one.digest != every.digest
    key = "l"
    assert cell_data.training_data(config, parse("minilm.mt.bmt.s0"), Path()).digest != every.digest


def test_dev_questions_are_scored_up_to_the_cap() -> None:
    features: Any = SimpleNamespace(examples=range(5))
    counts = {cap: len(cell_data.dev_examples(features, DataSettings(dev_cap=cap))) for cap in (None, 3, 9)}
    assert counts == {None: 5, 3: 3, 9: 5}
