"""What one cell's training goes on from: checkpoints of the same settings, data and pretrained weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmark.config.backbones import Located
from benchmark.config.cells import parse
from benchmark.config.folders import Places
from benchmark.config.params import load
from benchmark.runs import cell_masks, training_run
from benchmark.runs.cell_data import SourceData
from benchmark.runs.cell_run import CellRun
from bmt.errors import ModelError
from bmt.masks import Masks
from bmt.runtime.control import RunControl
from bmt.runtime.ranks import Ranks
from tests.bmt.test_masks import made
from tests.support import tiny
from tests.support.project import ROOT


def cell_run(root: Path, name: str = "minilm.mt.bmt.s0", weights: str = "w", data: str = "d") -> CellRun:
    """A run whose data are a digest alone."""
    config = load(ROOT / "profiles" / "sample.yaml")
    source = SourceData([], {}, [], data, {}, {})
    located = Located(root, None, weights)
    return CellRun(config, parse(name), Places(root, config.profile), located, source, Ranks())


def save(run: CellRun) -> None:
    run.checkpoints.write(1, {}, {})


def test_a_checkpoint_is_of_its_settings_data_and_pretrained_weights(tmp_path: Path) -> None:
    run = cell_run(tmp_path)
    save(run)
    saved = run.checkpoints.newest()
    assert saved is not None and saved.step == 1
    with pytest.raises(ModelError, match="made with another configuration"):
        cell_run(tmp_path, weights="v").checkpoints.newest()
    assert cell_run(tmp_path, data="e").checkpoints.newest() is None
    config = replace(run.config, training=replace(run.config.training, lr=1.0))
    assert replace(run, config=config).checkpoints.newest() is None


@pytest.mark.parametrize("fresh", [False, True])
def test_a_fresh_training_takes_up_no_checkpoint(
    fresh: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = cell_run(tmp_path)
    save(run)
    monkeypatch.setattr(training_run.CellRun, "of", staticmethod(lambda *_: run))

    def stop(self: CellRun) -> None:
        raise ModelError("far enough")

    monkeypatch.setattr(training_run.CellRun, "open_model", stop)
    with pytest.raises(ModelError, match="far enough"):
        training_run.train_cell(run.config, run.cell, fresh=fresh)
    assert (run.checkpoints.newest() is None) == fresh


def test_kept_masks_are_read_again_but_made_anew_in_a_fresh_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, made_masks = tiny.bert(), []

    def learn(*_: object) -> Masks:
        made_masks.append(made(0.3, len(made_masks), model))
        return made_masks[-1]

    monkeypatch.setattr(cell_masks, "_learn", learn)

    def masks(fresh: bool = False, name: str = "minilm.mt.bmt.s0") -> Masks:
        run = cell_run(tmp_path, name)
        masks = cell_masks.masks_of_cell(run, model, None, fresh=fresh, control=RunControl())
        assert isinstance(masks, Masks)
        return masks

    first, again, permuted, anew = (
        masks(),
        masks(),
        masks(name="minilm.mt.fixed_random.s0"),
        masks(fresh=True),
    )
    assert len(made_masks) == 2
    assert first.equals(made_masks[0]) and again.equals(first) and permuted.equals(first.permuted(0))
    assert anew.equals(made_masks[1]) and masks().equals(anew)


@pytest.mark.parametrize("fresh", [False, True])
def test_a_fresh_training_is_a_run_of_its_own_for_the_tracker(
    fresh: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_run, "interrupted", lambda folder: "20260101T000000-00000000")
    monkeypatch.setattr(training_run.tracking, "start", lambda name, **given: given["run_id"])
    monkeypatch.setattr(training_run.CellRun, "steps", 3)
    run = cell_run(tmp_path)
    params = str(ROOT / "profiles" / "sample.yaml")
    assert training_run._tracked(run, params, fresh) == (None if fresh else "20260101T000000-00000000")


def test_masks_that_move_the_model_are_kept_with_the_weights_that_they_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, learned = cell_run(tmp_path), []
    run = replace(run, config=replace(run.config, mask=replace(run.config.mask, keep_delta=True)))
    name = next(iter(made(0.3, 0, tiny.bert()).shapes))

    def learn(run: CellRun, model: Any, *_: object) -> Masks:
        masks = made(0.3, 0, model)
        with torch.no_grad():
            model.get_parameter(name).add_(1.0)
        learned.append(masks)
        return masks

    monkeypatch.setattr(cell_masks, "_learn", learn)

    def moved() -> bool:
        model = tiny.bert()
        cell_masks.masks_of_cell(run, model, None, fresh=False, control=RunControl())
        return torch.equal(model.get_parameter(name), tiny.bert().get_parameter(name) + 1.0)

    assert moved() and moved() and len(learned) == 1  # the second read both files
    (theta,) = tmp_path.rglob("*.theta.safetensors")
    theta.unlink()  # a kill between the two writes: the masks alone are not taken up
    assert moved() and len(learned) == 2 and theta.is_file()


def test_a_rank_that_does_not_see_the_first_one_s_masks_says_so_and_learns_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cell_masks, "_learn", lambda *_: pytest.fail("it learned masks of its own"))
    monkeypatch.setattr(Ranks, "wait", lambda self: None)
    run = replace(cell_run(tmp_path), ranks=Ranks(1, 2))
    with pytest.raises(ModelError, match="rank 1 does not see it: let all ranks share the project's folder"):
        cell_masks.masks_of_cell(run, tiny.bert(), None, fresh=False, control=RunControl())
