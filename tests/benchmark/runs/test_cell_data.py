"""The features that a cell reads: prepared, and with today's settings and code."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmark.runs import cell_data
from bmt.errors import DataError
from bmt.qa import features
from bmt.settings import DataSettings


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
