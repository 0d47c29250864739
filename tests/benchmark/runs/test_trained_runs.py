"""Trained runs by name, and what their training says of itself."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmark import ask
from benchmark.runs import trained_runs
from benchmark.runs.trained_runs import answer_of, find_run
from benchmark.runs.training_record import read_training
from bmt.errors import ConfigError, DataError, ModelError
from bmt.qa import adapters, answering

CELL = "minilm.mt.bmt.s0"


def test_a_run_is_found_by_its_cell_where_one_profile_alone_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BMT_ROOT", str(tmp_path))
    with pytest.raises(ModelError, match=f"{CELL}: no trained run there; there are none yet"):
        find_run(CELL)
    runs = tmp_path / "runs"
    (runs / "mini" / CELL / "model").mkdir(parents=True)
    (runs / "mini" / "minilm.mt.none.s0").mkdir()  # begun, and without a model yet
    assert find_run(CELL) == find_run(f"mini/{CELL}") == runs / "mini" / CELL
    assert find_run(str(runs / "mini" / CELL)) == runs / "mini" / CELL
    with pytest.raises(ModelError, match=rf"no trained run there; there are mini/{CELL}$"):
        find_run("minilm.mt.none.s0")
    (runs / "sample" / CELL / "model").mkdir(parents=True)
    with pytest.raises(ConfigError, match=f"say which, mini/{CELL} or sample/{CELL}$"):
        find_run(CELL)
    assert find_run(f"sample/{CELL}") == runs / "sample" / CELL


@pytest.mark.parametrize("text", [None, '{"cell": '])
def test_a_training_without_a_whole_record_is_an_error(text: str | None, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "training.json").write_text(text)
    with pytest.raises(
        DataError, match=r"training\.json: cannot be read \((FileNotFound|JSONDecode)Error\): train"
    ):
        read_training(tmp_path)
    whole = {
        "cell": "c",
        "mask": None,
        "deviation": {"total": {"relative": 0.5}},
        "budget": {"steps": 3},
        "seconds": 1.5,
        "tokens_per_second": 2.0,
        "data": {},
        "environment": {},
        "mlflow_run_id": None,
        "more": [1],
    }
    (tmp_path / "training.json").write_text(json.dumps(whole))
    assert read_training(tmp_path) == whole
    for damaged, line in (
        ([], "the whole file: [] is not allowed: keys and values"),
        (whole | {"budget": {"steps": "3"}}, "budget.steps: '3' is not allowed: a whole number, at least 0"),
        (whole | {"deviation": {}}, "deviation.total: missing: keys and values"),
    ):
        (tmp_path / "training.json").write_text(json.dumps(damaged))
        with pytest.raises(DataError) as refused:
            read_training(tmp_path)
        remedy = "train the cell again, or `dvc pull` its outputs"
        assert str(refused.value) == f"{tmp_path / 'training.json'}: {line}: {remedy}"


@pytest.mark.parametrize(
    ("adapter", "datasets", "asked"),
    [
        (None, (), "whole"),
        (None, ("SQuAD",), "whole"),
        (None, ("SQuAD", "NewsQA"), "mean of whole"),
        ("SQuAD", ("SQuAD", "NewsQA"), "whole"),
    ],
)
def test_a_run_with_adapters_answers_with_their_mean_unless_one_is_named(
    adapter: str | None, datasets: tuple[str, ...], asked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Any] = []

    def load(folder: Path, *, adapter: str | None) -> Any:
        opened.append((folder, adapter))
        return SimpleNamespace(name="whole"), "tokenizer"

    def averaged(model: Any) -> Any:
        return SimpleNamespace(name=f"mean of {model.name}")

    monkeypatch.setattr(answering, "load", load)
    monkeypatch.setattr(answering, "answer", lambda model, *given: (model.name, *given))
    monkeypatch.setattr(adapters, "datasets_of", lambda model: datasets)
    monkeypatch.setattr(adapters, "averaged", averaged)
    said: Any = answer_of(Path("run"), "who?", "They.", adapter)
    assert said == (asked, "tokenizer", "who?", "They.") and opened == [(Path("run"), adapter)]


def test_a_folder_without_a_model_says_to_train_it(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no trained model there .*: train the cell, or `dvc pull`"):
        answer_of(tmp_path, "who?", "They.", None)


def test_a_model_s_own_folder_is_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BMT_ROOT", str(tmp_path / "elsewhere"))
    (tmp_path / "config.json").write_text("{}")
    assert find_run(str(tmp_path)) == tmp_path


@pytest.mark.parametrize(
    ("words", "context"),
    [
        ([], "piped"),
        (["--context", "They."], "They."),
        (["--context", ""], ""),  # an unset variable: the text is not what happens to be piped
    ],
)
def test_the_text_is_the_option_s_where_there_is_one_and_else_what_is_piped(
    words: list[str], context: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[Any] = []

    def answers(*given: Any) -> answering.Answer:
        asked.append(given)
        return answering.Answer("They", 0, 4, -0.25)

    monkeypatch.setattr(sys, "stdin", io.StringIO("piped"))
    monkeypatch.setattr(trained_runs, "find_run", lambda name: Path("at", name))
    monkeypatch.setattr(trained_runs, "answer_of", answers)
    assert ask.main([CELL, "--question", "Who?", "--adapter", "SQuAD", *words]) == 0
    assert capsys.readouterr().out == "They\n  characters 0 to 4, log-probability -0.250\n"
    assert ask.main([CELL, "--question", "Who?", "--json", "--context", "."]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown == {"text": "They", "start": 0, "end": 4, "score": -0.25}
    assert asked == [(Path("at", CELL), "Who?", context, "SQuAD"), (Path("at", CELL), "Who?", ".", None)]
