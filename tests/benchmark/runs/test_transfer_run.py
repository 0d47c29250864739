"""Few-shot transfer of a trained cell: what it takes up of an earlier call."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from benchmark.config.cells import parse
from benchmark.config.folders import Places
from benchmark.config.params import Config, load
from benchmark.runs import cell_data, transfer_run
from bmt.errors import ConfigError, DataError, ModelError
from bmt.random_mask import RandomMask
from bmt.runtime.checkpoints import Checkpoints
from tests.support import tiny
from tests.support.random_masks import learned_masks
from tests.support.repository import ROOT

CELL = parse("minilm.mt.bmt.s0")


def test_transfers_are_of_the_cell_s_settings_the_code_its_trained_weights_and_the_targets_data(
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
    monkeypatch.setattr(transfer_run, "stage_code", lambda stage, traits: {stage: sorted(traits)})
    others.append(kept())
    monkeypatch.setattr(transfer_run, "cell_traits", lambda config, cell: {"other"})
    others.append(kept())
    assert len({checkpoints.fingerprint for checkpoints in (first, *others)}) == 6


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


def record_of(dataset: str, k: int, seed: int, **more: Any) -> dict[str, Any]:
    """A transfer's record, as `few_shot_runs` gives it."""
    return {
        "dataset": dataset,
        "k": k,
        "seed": seed,
        "losses": [1.5],
        "weights": [1.0],
        "windows": 8,
        "steps": 4,
        "steps_per_epoch": 2,
        "best_step": 2,
        "best_f1": 50.0,
        "curve": [],
        "test": [2, 0],
        "predictions": [{"example": 0, "text": "x0", "start": 0, "end": 2, "score": -1.0}],
    } | more


def transfer_of(root: Path, config: Config | None = None, cell: Any = CELL) -> transfer_run.TransferRun:
    """The run of a trained cell, with three examples of each target."""
    config = config or load(ROOT / "profiles" / "sample.yaml")
    ids = ["e0", "e1", "e2"]
    features: Any = {
        name: SimpleNamespace(
            examples=pa.table({"id": ids, "context_id": ids, "answers": [["x0"], ["x1"], ["x2"]]}),
            meta={"inputs": {"file_sha256": name[0] * 64}},
        )
        for name in ("BioASQ", "DROP")
    }
    trained = {"mlflow_run_id": "the trained run"}
    return transfer_run.TransferRun(config, cell, Places(root, "sample"), trained, features, "p.yaml")


def test_each_k_and_seed_is_a_result_of_its_own_on_every_target(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = load(ROOT / "profiles" / "sample.yaml")
    data = replace(config.data, evaluate=["SQuAD", "DROP", "BioASQ", "RACE"])
    settings = replace(config.fewshot, sizes=[2, 16], seeds=[7], test="rest", mask="union")
    config = replace(config, data=data, fewshot=settings)
    run = transfer_of(tmp_path, config, parse("minilm.mt.bmt.adapter.s0"))
    records = [
        record_of("BioASQ", 16, 7, best_f1=40.0),
        record_of("DROP", 16, 7, steps=6, test=[1]),
    ]
    written: list[Any] = []
    asked: list[Any] = []
    logged: list[Any] = []

    @contextmanager
    def tracked(*given: Any) -> Iterator[Any]:
        asked.append(given[1:])
        log = lambda values, step: logged.append((values, step))  # noqa: E731
        yield SimpleNamespace(reference="a run of its own", log=log)

    half = run.places.results / ".minilm.mt.bmt.adapter.k16.s7.json.1.part"
    half.parent.mkdir(parents=True)
    half.touch()
    monkeypatch.setattr(transfer_run, "write_results", lambda *given: written.append(given))
    monkeypatch.setattr(transfer_run, "tracked_run", tracked)
    monkeypatch.setattr(transfer_run, "interrupted", lambda folder: f"left open in {folder.name}")
    transfer_run._write_one(run, 16, 7, records)
    name = "minilm.mt.bmt.adapter.k16.s7"
    ((_, cell, trained, scores, params, more),) = written
    assert (cell, trained, params) == (run.cell, run.trained, "p.yaml")
    kept = ("losses", "weights", "windows", "steps", "steps_per_epoch", "best_step", "best_f1")
    assert more == {
        "cell": name,
        "seed": 7,
        "K": 16,
        "source_cell": "minilm.mt.bmt.adapter.s0",
        "source_run_id": "the trained run",
        "mlflow_run_id": "a run of its own",
        "few_shot": {
            "settings": {"test": "rest", "mask": "union"},
            "runs": {one["dataset"]: {key: one[key] for key in kept} for one in records},
        },
    }
    rows = scores.predictions.select(["dataset", "example_id", "prediction"]).to_pylist()
    assert [tuple(row.values()) for row in rows] == [
        ("BioASQ", "e2", ""),
        ("BioASQ", "e0", "x0"),
        ("DROP", "e1", ""),
    ]
    assert (scores.missing, scores.datasets["DROP"]["data_sha256"]) == (["RACE"], "D" * 64)
    folder = run.places.run(run.cell) / "transfer" / "k16.s7"
    known = {"K": 16, "seed": 7}
    assert asked == [(run.cell, folder, "left open in k16.s7", known, {"stage": "transfer"}, name)]
    few = {"windows": 8.0, "steps_per_epoch": 2.0, "best_step": 2.0}
    bio, drop = few | {"steps": 4.0, "best_f1": 40.0}, few | {"steps": 6.0, "best_f1": 50.0}
    assert logged == [
        ({f"few_shot/{key}/BioASQ": value for key, value in bio.items()}, 4),
        ({f"few_shot/{key}/DROP": value for key, value in drop.items()}, 6),
        (scores.metrics(), 6),
    ]
    assert not half.exists()
    out = capsys.readouterr().out.splitlines()
    assert out[0] == name and out[-1] == "  updates: 4 on 1 datasets, 6 on 1 datasets"


def test_a_transfer_of_a_cell_writes_one_result_for_each_size_and_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BMT_ROOT", str(tmp_path))
    config = load(ROOT / "profiles" / "sample.yaml")
    settings = replace(config.fewshot, sizes=[2, 4], seeds=[7, 9])
    records = [record_of(name, k, seed) for name in ("BioASQ", "DROP") for k in (2, 4) for seed in (7, 9)]
    written: list[Any] = []
    model = SimpleNamespace(to=lambda device: written.append(device))
    patch = monkeypatch.setattr
    patch(transfer_run, "use_threads", lambda config: None)
    patch(transfer_run, "load_model", lambda folder: (model, SimpleNamespace(pad_token_id=0)))
    patch(transfer_run, "read_training", lambda folder: {"cell": folder.name})
    patch(transfer_run, "rank_device", lambda: "device")
    patch(transfer_run, "target_features", lambda *_: {})

    def transferred(run: Any, model: Any, protocol: Any) -> Any:
        assert (run.trained, run.params) == ({"cell": CELL.name}, "p.yaml")
        assert (protocol.settings, protocol.data) == (settings, config.data)
        return records

    patch(transfer_run, "_transferred", transferred)
    patch(transfer_run, "_write_one", lambda run, k, seed, of: written.append((k, seed, of)))
    transfer_run.transfer_cell(config, CELL, settings, "p.yaml")
    assert written == [
        "device",
        *(
            (k, seed, [record_of(name, k, seed) for name in ("BioASQ", "DROP")])
            for k in (2, 4)
            for seed in (7, 9)
        ),
    ]


@pytest.mark.parametrize("kept", [True, False])
def test_a_target_s_masks_are_of_the_arm_the_transfer_s_seed_and_the_masks_that_training_kept(
    kept: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = load(ROOT / "profiles" / "sample.yaml")
    arms = config.arms | {"mask": replace(config.arms["mask"], p_f=0.4, rescale=True)}
    config = replace(config, arms=arms, mask=replace(config.mask, targets=["query"]))
    asked: list[Any] = []
    monkeypatch.setattr(transfer_run, "target_masks", lambda *given, **more: asked.append((given, more)))
    source = learned_masks(0.3, 0, tiny.bert())
    for name in ("minilm.mt.bmt.s0", "minilm.mt.mask.s0"):
        run = transfer_of(tmp_path, config, parse(name))
        if kept:
            source.save(run.places.run(run.cell) / "masks" / "masks.safetensors")
        checkpoints = Checkpoints(tmp_path / "kept", "f")
        transfer_run._masks_of_seed(run, "protocol", lambda: True)(7, checkpoints)  # type: ignore[arg-type]
    (given, learned), (_, drawn) = asked
    assert given == ("learned", config.mask, "protocol")
    assert (learned["seed"], learned["random"], learned["control"].checkpoints) == (7, None, checkpoints)
    assert learned["control"].stop()
    assert learned["source"].equals(source) if kept else learned["source"] is None
    assert drawn["random"] == RandomMask(0.4, 7, ["query"], True)


def test_transfers_are_all_counted_and_told_where_a_loss_is_not_finite(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = load(ROOT / "profiles" / "sample.yaml")
    settings = replace(config.fewshot, sizes=[2, 4], seeds=[7, 8, 9])
    run = transfer_of(tmp_path, config)
    model = run.places.run(CELL) / "model" / "model.safetensors"
    model.parent.mkdir(parents=True)
    model.write_bytes(b"weights")
    for name, entry in run.features.items():
        entry.meta["key"] = name
    told: list[Any] = []

    @contextmanager
    def progress(name: str, *, total: int, unit: str) -> Iterator[Any]:
        told.append((name, total, unit))
        yield SimpleNamespace(advance=lambda count, note: told.append((count, note)))

    def runs(model: Any, parts: Any, protocol: Any, kept: Any, *, masks: Any, done: Any, stop: Any) -> Any:
        done({"dataset": "DROP", "k": 4})
        assert masks == "masks" and stop() is False
        raise transfer_run.nonfinite.NonFiniteLossError("no loss", 5, float("nan"), [])

    monkeypatch.setattr(transfer_run, "progress", progress)
    monkeypatch.setattr(transfer_run, "few_shot_runs", runs)
    monkeypatch.setattr(transfer_run, "_masks_of_seed", lambda *_: "masks")
    parts = {name: name for name in run.features}
    monkeypatch.setattr(transfer_run, "dev_questions", lambda features, data: parts)
    with pytest.raises(ModelError, match="no loss; its examples"):
        transfer_run._transferred(run, None, SimpleNamespace(settings=settings))  # type: ignore[arg-type]
    assert told == [(f"transfer {CELL.name}", 12, "transfers"), (1, "DROP K=4")]
    assert (run.places.run(CELL) / "transfer" / "nonfinite.json").is_file()
