"""The few lines and numbers that a training and an evaluation end with."""

from __future__ import annotations

import csv
import hashlib
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmark.config.backbones import Located
from benchmark.config.cells import parse
from benchmark.config.folders import Places
from benchmark.config.params import load
from benchmark.runs import training_outputs
from benchmark.runs.cell_data import SourceData
from benchmark.runs.cell_run import CellRun
from benchmark.runs.evaluation_run import headline
from benchmark.runs.training_outputs import (
    CellOutcome,
    _write_curve,
    describe_masks,
    summary,
    training_record,
    write_outputs,
)
from benchmark.tracking import environment
from bmt.deviation import Deviation
from bmt.random_mask import RandomMask
from bmt.runtime.ranks import Ranks
from bmt.training.loop import TrainingOutcome
from tests.support import tiny
from tests.support.random_masks import learned_masks
from tests.support.repository import ROOT

RUN: Any = SimpleNamespace(cell=parse("minilm.mt.bmt.s0"))
OUTCOME = TrainingOutcome(
    step=9,
    best_step=6,
    best_f1=41.26,
    windows=72,
    tokens=5000,
    padded=6000,
    seconds=2.0,
    deviation={"total": Deviation(1, 0.01234, 1, 1)},
)


@pytest.mark.parametrize(("density", "inactive"), [(0.3, False), (0.8, True)])
def test_a_training_ends_with_its_scores_and_densities_and_says_where_masks_mask_next_to_nothing(
    density: float, inactive: bool
) -> None:
    masks = learned_masks(density, 0, tiny.bert())  # three: open together 1 - (1 - density)^3
    first, second = summary(RUN, CellOutcome(None, None, masks, OUTCOME, None, None, None)).splitlines()
    assert first == (
        "minilm.mt.bmt.s0: validation macro F1 41.3 at step 6 of 9, relative deviation 0.0123, 2,500 tokens/s"
    )
    shares = ", ".join(f"{name} {masks.density(name):.3f}" for name in "ABC")
    assert masks.union_density() == pytest.approx(1 - (1 - density) ** 3, abs=0.01)
    said = f"mask density: {shares}; union {masks.union_density():.3f}"
    assert second == said + (" — mask nearly inactive" if inactive else "")


def test_without_masks_that_stay_there_are_no_densities() -> None:
    for masks in (None, RandomMask(0.4, 3, ["encoder"], False)):
        lines = summary(RUN, CellOutcome(None, None, masks, OUTCOME, None, None, None))
        assert "\n" not in lines
    assert describe_masks(None) is None
    assert describe_masks(masks) == {"kind": "random", "p_f": 0.4, "seed": 3}


@pytest.mark.parametrize(
    ("mask", "share"),
    [(None, 1.0), ({"kind": "random", "p_f": 0.4}, 0.4), ({"kind": "learned", "union_density": 0.6}, 0.6)],
)
def test_the_headline_of_an_evaluation(mask: dict[str, Any] | None, share: float) -> None:
    scores: Any = SimpleNamespace(averages={"all": {"em": 30.0, "f1": 40.0}})
    trained = {"mask": mask, "deviation": {"total": {"l2": 1.0, "relative": 0.01}}}
    assert headline(scores, trained) == {
        "f1": {"all": 40.0},
        "em": {"all": 30.0},
        "relative_deviation": 0.01,
        "union_density": share,
    }


def test_a_course_with_rows_of_an_older_state_keeps_every_column(tmp_path: Path) -> None:
    path = tmp_path / "curve.csv"
    _write_curve(path, [{"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.5, "macro_f1": 3.0}])
    with path.open(encoding="utf-8", newline="") as stream:
        assert list(csv.DictReader(stream)) == [
            {"step": "1", "loss": "2.0", "macro_f1": ""},
            {"step": "2", "loss": "1.5", "macro_f1": "3.0"},
        ]


def test_a_course_that_cannot_be_written_leaves_the_older_one_whole(tmp_path: Path) -> None:
    path = tmp_path / "curve.csv"
    _write_curve(path, [{"step": 1, "loss": 2.0}])
    before = path.read_bytes()

    class Broken(dict[str, float]):
        def get(self, *_: object) -> Any:
            raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        _write_curve(path, [{"step": 1, "loss": 1.0}, Broken(step=2, loss=1.0)])
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def run_of(root: Path, name: str = "minilm.mt.bmt.s3") -> CellRun:
    """A run of the sample profile without windows, by two ranks."""
    config = load(ROOT / "profiles" / "sample.yaml")
    data = SourceData([], {}, [], "d", {"SQuAD.train": {"inputs": {"file_sha256": "f"}}}, {})
    located = Located(root, None, "sha256:w")
    return CellRun(config, parse(name), Places(root, config.profile), located, data, Ranks(0, 2))


def outcome_of(run: CellRun, masks: Any = None) -> CellOutcome:
    """What a training of two evaluations has come to; the first was the better one."""
    curve = [
        {"step": 6.0, "em/SQuAD": 40.0, "f1/SQuAD": 41.26},
        {"step": 9.0, "em/SQuAD": 30.0, "f1/SQuAD": 31.0},
    ]
    parts = {"total": Deviation(1, 0.01234, 1, 1), "layer/layer_00": Deviation(0.5, 0.25, 0.125, 0.75)}
    outcome = replace(OUTCOME, curve=curve, deviation=parts)
    params = run.places.root / "p.yaml"
    params.write_bytes(b"params")
    return CellOutcome(None, None, masks, outcome, {"epochs": 2.0}, str(params), "the tracker's run")


def test_training_json_says_all_of_a_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "describe", lambda: {"device": "d"})
    monkeypatch.setattr(environment, "peak_memory_mb", lambda: 7.5)
    run, masks = run_of(tmp_path), learned_masks(0.3, 0, tiny.bert())
    record = training_record(run, outcome_of(run, masks))
    assert record == {
        "cell": "minilm.mt.bmt.s3",
        "backbone": "minilm",
        "regime": "mt",
        "arm": "bmt",
        "adapter": False,
        "seed": 3,
        "profile": "sample",
        "backbone_revision": "sha256:w",
        "p_f": None,
        "mask": {
            "kind": "learned",
            "density": masks.densities(),
            "union_density": masks.union_density(),
            "overlap": masks.overlaps(),
            "by_layer": masks.density_by("layer"),
            "by_kind": masks.density_by("kind"),
            "about": masks.about,
        },
        "regularizer": None,
        "deviation": {
            "total": {"l2": 1, "relative": 0.01234, "changed": 1, "cosine": 1},
            "layer/layer_00": {"l2": 0.5, "relative": 0.25, "changed": 0.125, "cosine": 0.75},
        },
        "budget": {
            "steps": 9,
            "best_step": 6,
            "windows": 72,
            "tokens": 5000,
            "epochs": run.config.training.epochs_mt,
            "mask_steps": run.config.mask.steps,
        },
        "validation_f1": 41.26,
        "validation": {"SQuAD": {"em": 40.0, "f1": 41.26}},
        "sampling": training_outputs.asdict(run.config.sampling),
        "seconds": 2.0,
        "tokens_per_second": 2500.0,
        "padding_waste": OUTCOME.padding_waste,
        "ranks": 2,
        "adapters": {"epochs": 2.0},
        "peak_memory_mb": 7.5,
        "data": {"SQuAD.train": "f"},
        "params_sha256": hashlib.sha256(b"params").hexdigest(),
        "environment": {"device": "d"},
        "mlflow_run_id": "the tracker's run",
    }


@pytest.mark.parametrize(
    ("name", "p_f", "regularizer", "mask_steps"),
    [
        ("minilm.mt.none.s0", None, None, False),
        ("minilm.mt.mask_p30.s0", 0.3, None, False),
        ("minilm.mt.magnitude.s0", None, None, False),
        ("minilm.mt.fisher.s0", None, None, True),
        ("minilm.mt.fixed_random.s0", None, None, True),
        ("minilm.mt.mixout.s0", None, "mixout", False),
    ],
)
def test_training_json_has_what_its_arm_has(
    name: str, p_f: float | None, regularizer: str | None, mask_steps: bool, tmp_path: Path
) -> None:
    run = run_of(tmp_path, name)
    trained = outcome_of(run)
    record = training_record(run, replace(trained, outcome=replace(trained.outcome, seconds=0.0)))
    assert (record["p_f"], record["mask"], record["tokens_per_second"]) == (p_f, None, 0.0)
    strength = run.config.arms[regularizer].strength if regularizer else None
    expected = {"kind": regularizer, "strength": strength} if regularizer else None
    assert record["regularizer"] == expected
    assert record["budget"]["mask_steps"] == (run.config.mask.steps if mask_steps else 0)
    single = training_record(run_of(tmp_path, "minilm.st-SQuAD.none.s0"), trained)
    assert (single["sampling"], single["regime"]) == (None, "st-SQuAD")
    assert single["budget"]["epochs"] == run.config.training.epochs_st != run.config.training.epochs_mt


class Saved:
    """A model, or a tokenizer, that is saved as one file."""

    def __init__(self, name: str) -> None:
        self.name, self.config = name, SimpleNamespace()

    def save_pretrained(self, folder: Path) -> None:
        (folder / self.name).write_text(self.name)


def test_the_outputs_are_model_masks_course_and_record_and_those_of_an_older_run_are_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "describe", dict)
    run, masks = run_of(tmp_path), learned_masks(0.3, 0, tiny.bert())
    model, tokenizer = Saved("model.safetensors"), Saved("tokenizer.json")
    for masked in (masks, None):
        trained = replace(outcome_of(run, masked), model=model, tokenizer=tokenizer)
        write_outputs(run, trained)
        files = {path.relative_to(run.folder).as_posix() for path in run.folder.rglob("*") if path.is_file()}
        kept = {"masks/masks.safetensors"} if masked else set()
        assert files == {
            "model/model.safetensors",
            "model/tokenizer.json",
            "masks/masks.json",
            "curve.csv",
            "training.json",
            *kept,
        }
        described = json.loads((run.folder / "masks" / "masks.json").read_text())
        assert described == json.loads(json.dumps(describe_masks(masked)))
    assert json.loads((run.folder / "training.json").read_text())["cell"] == "minilm.mt.bmt.s3"
    data = run.config.data
    assert model.config.bmt == {
        "cell": "minilm.mt.bmt.s3",
        "profile": "sample",
        "backbone": "sha256:w",
        "window": data.window,
        "overlap": data.overlap,
        "question": data.question,
        "decode": training_outputs.asdict(run.config.decode),
    }
    assert len({data.window, data.overlap, data.question}) == 3

    def full(folder: Path) -> None:
        (folder / "half").touch()
        raise OSError("no space left")

    monkeypatch.setattr(model, "save_pretrained", full)
    with pytest.raises(OSError, match="no space left"):
        write_outputs(run, trained)
    assert {path.name for path in (run.folder / "model").iterdir()} == {"model.safetensors", "tokenizer.json"}
