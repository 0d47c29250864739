"""The scoring of a trained cell, its model replaced: which questions, which answers, what is written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from benchmark.config.cells import parse
from benchmark.config.params import Config, load
from benchmark.runs import evaluation_run
from bmt.errors import ModelError
from bmt.qa.decoding import Prediction
from bmt.runtime.files import write_json
from bmt.runtime.ranks import Ranks
from tests.support.repository import ROOT

CELL = parse("minilm.mt.bmt.s0")
TRAINED = {
    "cell": "minilm.mt.bmt.s0",
    "seconds": 3.0,
    "tokens_per_second": 100.0,
    "data": {},
    "environment": {},
    "mlflow_run_id": "the trained run",
    "budget": {"steps": 9, "best_step": 6},
    "mask": {"union_density": 0.5, "p_f": 0.25},
    "deviation": {"total": {"l2": 2.0, "relative": 0.01}, "layer/layer_00": {"relative": 0.5}},
}


class Scene:
    """A cell with adapters for SQuAD, scored on a question of SQuAD and two of DROP."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("BMT_ROOT", str(root))
        config = load(ROOT / "profiles" / "sample.yaml")
        data = replace(config.data, evaluate=["SQuAD", "DROP", "RACE"])
        self.config: Config = replace(config, data=data)
        self.told: list[Any] = []
        self.written: list[Any] = []
        self.folder = root / "runs" / "sample" / CELL.name
        write_json(self.folder / "training.json", TRAINED)
        model = SimpleNamespace(name="of SQuAD", to=lambda device: self.told.append(("to", device)))
        features = {
            name: SimpleNamespace(
                examples=pa.table({"id": ids, "context_id": ids, "answers": [[one] for one in ids]}),
                meta={"inputs": {"file_sha256": name[0] * 64}},
            )
            for name, ids in (("SQuAD", ["s0"]), ("DROP", ["d0", "d1"]))
        }

        def part(name: str, count: int) -> Any:
            return SimpleNamespace(
                name=name, examples=pa.array(range(count)).to_numpy(), shared=lambda ranks: range(3 * count)
            )

        parts = {"SQuAD": part("SQuAD", 1), "DROP": part("DROP", 2)}
        tracker = SimpleNamespace(
            data_input=lambda name, source, digest, context: self.told.append(
                (name, source, digest, context)
            ),
            log=lambda values, step: self.told.append(("log", values["f1/avg_ood"], step)),
        )

        @contextmanager
        def tracked(*given: Any) -> Iterator[Any]:
            self.told.append(("tracked", *given[1:]))
            yield tracker

        @contextmanager
        def progress(name: str, *, total: int, unit: str, shown: bool) -> Iterator[Any]:
            self.told.append((name, total, unit, shown))
            yield SimpleNamespace(advance=lambda count, note: self.told.append(("advance", count, note)))

        def answers(model: Any, part: Any, vocabulary: Any, plan: Any, advance: Any, ranks: Ranks) -> Any:
            advance(4, "loss")
            self.told.append((model.name, "answers", part.name, ranks))
            return [Prediction(row, f"{part.name[0].lower()}0", 0, 2, -0.5) for row in part.examples.tolist()]

        patch = monkeypatch.setattr
        patch(evaluation_run, "use_threads", lambda config: None)
        patch(evaluation_run, "load_model", lambda folder: (model, SimpleNamespace(pad_token_id=0)))
        patch(evaluation_run, "rank_device", lambda: "device")
        patch(evaluation_run, "dev_features", self._features(features))
        patch(evaluation_run, "dev_questions", lambda *_: parts)
        patch(evaluation_run, "datasets_of", lambda model: ("SQuAD", "NewsQA"))
        patch(evaluation_run, "zero_shot", lambda model: SimpleNamespace(name="their mean"))
        patch(evaluation_run, "tracked_run", tracked)
        patch(evaluation_run, "progress", progress)
        patch(evaluation_run, "answers", answers)
        patch(evaluation_run, "write_results", lambda *given: self.written.append(given))

    def _features(self, features: Any) -> Any:
        def read(folder: Path, names: list[str], data: Any, otherwise: str) -> Any:
            assert folder.parts[-4:] == ("data", "features", "sample", "minilm")
            assert names == ["SQuAD", "DROP", "RACE"] and data is self.config.data
            return features

        return read


def test_each_question_is_answered_by_its_dataset_s_adapter_or_their_mean_and_scored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    scene = Scene(tmp_path, monkeypatch)
    evaluation_run.evaluate_cell(scene.config, CELL, "p.yaml")
    raw, alone = str(tmp_path / "data" / "raw" / "sample"), Ranks()
    assert scene.told == [
        ("to", "device"),
        ("tracked", CELL, scene.folder, "the trained run", {}, {}),
        (f"evaluate {CELL.name}", 9, "windows", True),
        ("advance", 4, "SQuAD"),
        ("of SQuAD", "answers", "SQuAD", alone),
        ("SQuAD.dev", raw, "S" * 32, "evaluation"),
        ("advance", 4, "DROP"),
        ("their mean", "answers", "DROP", alone),
        ("DROP.dev", raw, "D" * 32, "evaluation"),
        ("log", 50.0, 9),
    ]
    ((config, cell, trained, scores, params, more),) = scene.written
    assert (config, cell, trained, params, more) == (scene.config, CELL, TRAINED, "p.yaml", {"K": None})
    assert {name: (entry["em"], entry["data_sha256"]) for name, entry in scores.datasets.items()} == {
        "SQuAD": (100.0, "S" * 64),
        "DROP": (50.0, "D" * 64),
    }
    assert scores.missing == ["RACE"]
    assert json.loads((scene.folder / "metrics.json").read_text()) == {
        "f1": {"in_domain": 100.0, "out_of_domain": 50.0},
        "em": {"in_domain": 100.0, "out_of_domain": 50.0},
        "relative_deviation": 0.01,
        "union_density": 0.5,
    }
    assert capsys.readouterr().out.splitlines()[0] == CELL.name


def test_a_rank_that_is_not_the_first_answers_its_share_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    scene, ranks = Scene(tmp_path, monkeypatch), Ranks(1, 2)
    evaluation_run.evaluate_cell(scene.config, CELL, None, ranks)
    assert [entry for entry in scene.told if entry[0] != "advance"] == [
        ("to", "device"),
        (f"evaluate {CELL.name}", 9, "windows", False),
        ("of SQuAD", "answers", "SQuAD", ranks),
        ("their mean", "answers", "DROP", ranks),
    ]
    assert scene.written == [] and not (scene.folder / "metrics.json").exists()
    assert capsys.readouterr().out == ""


def test_a_cell_that_was_not_trained_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(tmp_path, monkeypatch)

    def absent(folder: Path) -> Any:
        raise ModelError(f"{folder}: no trained model there")

    monkeypatch.setattr(evaluation_run, "load_model", absent)
    words = rf"^{scene.folder}: no trained model there: train the cell, or `dvc pull` its outputs$"
    with pytest.raises(ModelError, match=words):
        evaluation_run.evaluate_cell(scene.config, CELL)
