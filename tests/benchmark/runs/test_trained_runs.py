"""Trained runs by name, and what their training says of itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmark.runs.trained_runs import find_run
from benchmark.runs.training_record import read_training
from bmt.errors import ConfigError, DataError, ModelError

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
    (tmp_path / "training.json").write_text('{"cell": "c"}')
    assert read_training(tmp_path) == {"cell": "c"}
