"""Few-shot transfer of a trained cell: what it takes up of an earlier call."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmark.config.cells import parse
from benchmark.config.folders import Places
from benchmark.config.params import Config, load
from benchmark.runs import cell_data, transfer_run
from bmt.errors import ConfigError, DataError
from tests.support.project import ROOT

CELL = parse("minilm.mt.bmt.s0")


def test_transfers_are_of_the_cell_s_settings_its_trained_weights_and_the_targets_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = load(ROOT / "profiles" / "sample.yaml")
    places = Places(tmp_path, config.profile)
    model = places.run(CELL) / "model" / "model.safetensors"
    model.parent.mkdir(parents=True)
    model.write_bytes(b"weights")
    monkeypatch.setattr(transfer_run, "few_shot_runs", lambda model, targets, protocol, kept, **_: kept)
    monkeypatch.setattr(transfer_run, "dev_questions", lambda *_: {})

    def kept(settings: Config = config, data: str = "k") -> Any:
        features: Any = {"BioASQ": SimpleNamespace(examples={"id": []}, meta={"key": data})}
        run = transfer_run.TransferRun(settings, CELL, places, {}, features, None)
        protocol: Any = SimpleNamespace(settings=settings.fewshot)
        return transfer_run._transferred(run, None, protocol)

    first = kept()
    assert first.folder == tmp_path / ".checkpoints" / "transfer" / CELL.name
    assert kept() == first
    others = [kept(data="l"), kept(replace(config, training=replace(config.training, lr=1.0)))]
    model.write_bytes(b"weighty")
    others.append(kept())
    assert len({checkpoints.fingerprint for checkpoints in (first, *others)}) == 4


def test_an_arm_with_a_regularizer_has_no_transfer(monkeypatch: pytest.MonkeyPatch) -> None:
    config = load(ROOT / "profiles" / "sample.yaml")
    monkeypatch.setattr(transfer_run, "load_model", lambda folder: pytest.fail("the model was opened"))
    monkeypatch.setattr(transfer_run, "use_threads", lambda config: None)
    name = next(name for name, arm in config.arms.items() if arm.regularizer == "mixout")
    with pytest.raises(ConfigError, match=r"\(mixout\) has no few-shot transfer: name another"):
        transfer_run.transfer_cell(config, parse(f"minilm.mt.{name}.s0"), config.fewshot)


def test_targets_are_the_prepared_datasets_out_of_domain_that_the_profile_scores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = load(ROOT / "profiles" / "sample.yaml")
    config = replace(config, data=replace(config.data, evaluate=["SQuAD", "DROP", "BioASQ"]))
    places = Places(tmp_path, config.profile)
    monkeypatch.setattr(cell_data, "read_features", lambda folder, name, split, data: f"{name}.{split}")
    with pytest.raises(DataError, match=r"no dev features of BioASQ, DROP: name some in data\.evaluate"):
        transfer_run.target_features(config, places, CELL)
    for name in ("SQuAD.dev", "DROP.dev", "RACE.dev", "BioASQ.train"):
        (places.features("minilm") / name).mkdir(parents=True)
        (places.features("minilm") / name / "features.json").write_text("{}")
    features: dict[str, Any] = transfer_run.target_features(config, places, CELL)  # type: ignore[assignment]
    assert features == {"DROP": "DROP.dev"}
