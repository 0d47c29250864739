"""The features that a cell reads: prepared, and with today's settings and code."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from benchmark.config.cells import parse
from benchmark.config.params import load
from benchmark.runs import cell_data
from bmt.errors import DataError
from bmt.qa import features
from bmt.qa.batches import Vocabulary, Windows
from bmt.qa.features import carve
from bmt.qa.windows import WINDOWS
from bmt.settings import DataSettings
from tests.support import tiny
from tests.support.repository import ROOT


def test_features_of_other_settings_or_code_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = DataSettings()
    with pytest.raises(DataError, match=r"SQuAD\.dev: no features there: run `python -m benchmark\.prepare`"):
        cell_data.read_features(tmp_path, "SQuAD", "dev", data)
    (tmp_path / "SQuAD.dev").mkdir()
    (tmp_path / "SQuAD.dev" / "features.json").write_text("{}")
    inputs = {name: getattr(data, name) for name in ("window", "overlap", "question", "special_tokens")}
    code = features._settings_and_code(data)["code_sha256"]
    kept = SimpleNamespace(meta={"inputs": {**inputs, "code_sha256": code}})
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
        assert part.answers[3] == [f"{dataset} {source} 3"]
        rows = [row for one in part.examples for row in np.flatnonzero(part.windows.example == one)]
        assert part.rows.tolist() == rows  # every window of a question
    assert one.rows["NewsQA"].tolist() == every.rows["NewsQA"].tolist()
    if source == "train":  # by each dataset's own key, whichever others there are
        for part in every.validation:
            dataset = part.windows.dataset
            contexts = [f"{dataset} {row // 2}" for row in range(40)]
            train, held = carve(contexts, 6, 20, f"validation:{dataset}")
            assert part.examples.tolist() == held.tolist()
            assert every.rows[dataset].tolist() == every.sets[0].of_examples(train, windows="all").tolist()
    assert one.digest != every.digest
    assert every.ids["NewsQA"].to_pylist() == [f"NewsQA train {row}" for row in range(40)]
    assert list(every.ids) == ["SQuAD", "NewsQA"] and list(one.ids) == ["NewsQA"]
    tokenizer = SimpleNamespace(pad_token_id=3, model_input_names=["input_ids"])
    trained_on = every.for_model(tokenizer)
    assert (trained_on.datasets, trained_on.vocabulary) == (("SQuAD", "NewsQA"), Vocabulary(3, False))
    assert (trained_on.rows, trained_on.validation) == (every.rows, every.validation)
    key = "l"
    assert cell_data.training_data(config, parse("minilm.mt.bmt.s0"), Path()).digest != every.digest


def test_dev_questions_are_scored_up_to_the_cap() -> None:
    features: Any = SimpleNamespace(examples=range(5))
    counts = {cap: len(cell_data.dev_examples(features, DataSettings(dev_cap=cap))) for cap in (None, 3, 9)}
    assert counts == {None: 5, 3: 3, 9: 5}


def made_features(dataset: str, split: str, count: int = 5) -> Any:
    """Features of `count` examples: of each a window without an answer and then two with one."""
    columns: dict[str, list[Any]] = {name: [] for name in WINDOWS.names}
    for example in range(count):
        for spans in ([], [4, 4], [5, 5]):
            columns["example"].append(example)
            columns["input_ids"].append([1, 7, 2, 10, 11, 12, 2])
            columns["context_start"].append(3)
            columns["offsets"].append([0, 1, 1, 2, 2, 3])
            columns["spans"].append(spans)
    ids = [f"{dataset} {split} {row}" for row in range(count)]
    examples = {"id": ids, "context_id": ids, "context": ids, "answers": [[one] for one in ids]}
    meta = {"key": f"k {dataset} {split}", "inputs": {"file_sha256": f"f {dataset} {split}"}}
    return SimpleNamespace(windows=pa.table(columns, schema=WINDOWS), examples=pa.table(examples), meta=meta)


@pytest.mark.parametrize(
    ("negatives", "windows", "kept"),
    [("keep", "all", [0, 1, 2]), ("drop", "all", [1, 2]), ("drop", "one", [1]), ("keep", "one", [1])],
)
def test_a_cell_trains_on_the_windows_that_its_settings_keep(
    negatives: str, windows: str, kept: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = load(ROOT / "profiles" / "sample.yaml")
    data = replace(
        config.data,
        train=["SQuAD"],
        negatives=negatives,
        windows=windows,
        train_cap=None,
        validation_cap=0,
        val_source="train",
    )
    monkeypatch.setattr(
        cell_data, "read_features", lambda folder, name, split, data: made_features(name, split)
    )
    of = cell_data.training_data(replace(config, data=data), parse("minilm.mt.bmt.s0"), Path())
    assert sorted(of.rows["SQuAD"].tolist()) == [3 * example + row for example in range(5) for row in kept]
    assert of.sha256 == {"SQuAD.train": "f SQuAD train"}


def test_validation_on_fewer_dev_questions_than_the_cap_is_on_all_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = load(ROOT / "profiles" / "sample.yaml")
    data = replace(config.data, train=["SQuAD"], val_source="dev", validation_cap=9)
    read: list[tuple[Path, str, str]] = []

    def features(folder: Path, name: str, split: str, data: DataSettings) -> Any:
        read.append((folder, name, split))
        return made_features(name, split)

    monkeypatch.setattr(cell_data, "read_features", features)
    of = cell_data.training_data(replace(config, data=data), parse("minilm.mt.bmt.s0"), Path("here"))
    assert of.validation[0].examples.tolist() == [0, 1, 2, 3, 4]
    assert of.ids["SQuAD"].to_pylist()[0] == "SQuAD train 0"
    assert read == [(Path("here"), "SQuAD", "train"), (Path("here"), "SQuAD", "dev")]


def test_dev_questions_are_of_each_dataset_with_every_window_of_theirs() -> None:
    features = {name: made_features(name, "dev") for name in ("DROP", "SQuAD")}
    parts = cell_data.dev_questions(features, DataSettings(dev_cap=2))
    assert list(parts) == ["DROP", "SQuAD"]
    for name, part in parts.items():
        assert part.windows.dataset == name and part.examples.tolist() == [0, 1]
        assert part.rows.tolist() == [0, 1, 2, 3, 4, 5] and part.contexts[1] == f"{name} dev 1"
    assert cell_data.file_digests(features) == {"DROP": "f DROP dev", "SQuAD": "f SQuAD dev"}
    assert isinstance(parts["DROP"].windows, Windows)


def test_dev_files_that_were_prepared_are_read_in_the_order_that_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = DataSettings()
    with pytest.raises(DataError, match=rf"^{tmp_path}: no dev features of theirs$"):
        cell_data.dev_features(tmp_path, ["DROP"], data, "of theirs")
    for name in ("SQuAD.dev", "DROP.dev", "RACE.dev"):
        (tmp_path / name).mkdir()
    for name in ("SQuAD.dev", "DROP.dev"):
        (tmp_path / name / "features.json").write_text("{}")
    monkeypatch.setattr(cell_data, "read_features", lambda *given: given)
    assert list(cell_data.dev_features(tmp_path, ["RACE", "DROP", "BioASQ", "SQuAD"], data, "").items()) == [
        ("DROP", (tmp_path, "DROP", "dev", data)),
        ("SQuAD", (tmp_path, "SQuAD", "dev", data)),
    ]


def test_features_that_cannot_be_read_say_how_to_make_them(tmp_path: Path) -> None:
    (tmp_path / "SQuAD.dev").mkdir()
    (tmp_path / "SQuAD.dev" / "features.json").write_text("{")
    with pytest.raises(DataError, match=r"SQuAD\.dev.* with `python -m benchmark\.prepare`$"):
        cell_data.read_features(tmp_path, "SQuAD", "dev", DataSettings())


def test_with_validation_on_dev_files_the_train_file_is_named_and_both_decide_the_digest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = load(ROOT / "profiles" / "sample.yaml")
    config = replace(config, data=replace(config.data, train=["SQuAD"], val_source="dev"))
    other = ""

    def features(folder: Path, name: str, split: str, data: DataSettings) -> Any:
        made = made_features(name, split)
        made.meta["key"] += " of another file" if split == other else ""
        return made

    monkeypatch.setattr(cell_data, "read_features", features)

    def read() -> cell_data.SourceData:
        return cell_data.training_data(config, parse("minilm.mt.bmt.s0"), Path())

    first = read()
    assert first.sha256 == {"SQuAD.train": "f SQuAD train"}
    for split in ("train", "dev"):
        other = split
        assert read().digest != first.digest, split
