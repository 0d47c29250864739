"""What one cell's training goes on from: checkpoints of the same settings, data and pretrained weights."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from benchmark.config.backbones import Located
from benchmark.config.cells import parse
from benchmark.config.folders import Places
from benchmark.config.params import load
from benchmark.runs import adapters, cell_masks, training_run
from benchmark.runs import cell_run as cell_runs
from benchmark.runs.cell_run import CellRun
from bmt.errors import ModelError
from bmt.masks import Masks
from bmt.random_mask import RandomMask
from bmt.runtime.checkpoints import Checkpoints
from bmt.runtime.control import RunControl
from bmt.runtime.ranks import Ranks
from bmt.training.loop import TrainingOutcome
from bmt.transfer.adapter_tuning import TunedAdapter
from tests.support import tiny
from tests.support.cell_run import cell_run
from tests.support.random_masks import learned_masks
from tests.support.repository import ROOT


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
        made_masks.append(learned_masks(0.3, len(made_masks), model))
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
    name = next(iter(learned_masks(0.3, 0, tiny.bert()).shapes))

    def learn(run: CellRun, model: Any, *_: object) -> Masks:
        masks = learned_masks(0.3, 0, model)
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


def with_windows(run: CellRun, **training: Any) -> CellRun:
    """The run over 30 windows of SQuAD and 20 of NewsQA, with other settings of training."""
    rows = {"SQuAD": np.arange(30), "NewsQA": np.arange(20)}
    sets = [tiny.windows(name, len(chosen)) for name, chosen in rows.items()]
    config = replace(run.config, training=replace(run.config.training, **training))
    return replace(run, config=config, data=replace(run.data, sets=sets, rows=rows))


def test_a_run_s_steps_are_of_its_windows_and_the_epochs_of_its_regime(tmp_path: Path) -> None:
    given = {"epochs_mt": 1.5, "epochs_st": 3.0, "batch": 4, "batch_tokens": None}
    run = with_windows(cell_run(tmp_path), **given)
    assert (run.windows, run.epochs, run.steps, run.trained_windows) == (50, 1.5, 19, 76)
    single = with_windows(cell_run(tmp_path, "minilm.st-SQuAD.none.s0"), **given)
    assert (single.epochs, single.steps, single.trained_windows) == (3.0, 38, 152)
    by_tokens = with_windows(cell_run(tmp_path), **given | {"batch_tokens": 64})
    assert by_tokens.trained_windows == 75 and by_tokens.steps != 19


def test_a_run_is_where_its_places_are_and_has_its_arm_and_its_settings(tmp_path: Path) -> None:
    run = cell_run(tmp_path, "minilm.mt.mask_p30.s0")
    assert run.folder == tmp_path / "runs" / "sample" / "minilm.mt.mask_p30.s0"
    assert run.arm is run.config.arms["mask_p30"]
    plan, config = run.plan, run.config
    assert (plan.training, plan.tuning, plan.sampling, plan.loss, plan.decode) == (
        config.training,
        config.tuning,
        config.sampling,
        config.loss,
        config.decode,
    )


def test_a_run_opens_its_backbone_with_its_own_seed_head_and_dropout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, opened = cell_run(tmp_path, "minilm.mt.bmt.s5"), list[Any]()
    minilm = replace(run.config.backbones["minilm"], head="span_decoder")
    config = replace(
        run.config,
        backbones={"minilm": minilm},
        training=replace(run.config.training, dropout=0.25),
        data=replace(run.config.data, special_tokens=["[A]"]),
    )
    run = replace(run, config=config, backbone=Located("hub/name", "commit", "w"))
    moved: list[Any] = []
    model = SimpleNamespace(to=moved.append)

    def open_model(source: Any, **given: Any) -> Any:
        opened.append((source, given))
        return model, "tokenizer"

    monkeypatch.setattr(cell_runs, "span_model", open_model)
    monkeypatch.setattr(cell_runs, "rank_device", lambda: "this rank's")
    assert run.open_model() == (model, "tokenizer") and moved == ["this rank's"]
    given = {
        "revision": "commit",
        "markers": ["[A]"],
        "seed": 5,
        "dropout": 0.25,
        "head": "span_decoder",
    }
    assert opened == [("hub/name", given)]


@pytest.mark.parametrize(("rank", "shown"), [(0, True), (1, False)])
def test_the_first_rank_alone_shows_a_bar(
    rank: int, shown: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cell_runs, "progress", lambda *given, shown: (*given, shown))
    run = replace(cell_run(tmp_path), ranks=Ranks(rank, 2))
    assert run.bar("masks", 9) == ("masks minilm.mt.bmt.s0", 9, "windows", shown)


def test_a_run_reads_its_own_backbone_s_features_and_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BMT_ROOT", str(tmp_path))
    config = load(ROOT / "profiles" / "sample.yaml")
    held = replace(config, profile="held")  # stands for the one with the single-task scores
    asked: list[Any] = []
    monkeypatch.setattr(cell_runs, "with_reference", lambda *given: asked.append(given) or held)
    monkeypatch.setattr(cell_runs, "use_threads", asked.append)
    monkeypatch.setattr(cell_runs, "locate", lambda *given: given)
    monkeypatch.setattr(cell_runs, "training_data", lambda *given: given)
    cell, ranks = parse("minilm.mt.bmt.s0"), Ranks(1, 2)
    run: Any = CellRun.of(config, cell, ranks)
    places = Places(tmp_path, "sample")
    assert asked == [(config, cell, places), held]
    assert (run.config, run.cell, run.places, run.ranks) == (held, cell, places, ranks)
    assert run.backbone == ("minilm", config.backbones["minilm"])
    assert run.data == (held, cell, tmp_path / "data" / "features" / "sample" / "minilm")


# ---- the masks of an arm


def masks_under(run: CellRun, **mask: Any) -> Any:
    """The masks of a run with other settings of masks."""
    run = replace(run, config=replace(run.config, mask=replace(run.config.mask, **mask)))
    return cell_masks.masks_of_cell(run, tiny.bert(), None, fresh=False, control=RunControl())


def test_an_arm_without_masks_has_none_and_a_random_one_is_drawn_as_it_says(tmp_path: Path) -> None:
    assert masks_under(cell_run(tmp_path, "minilm.mt.none.s0")) is None
    run = cell_run(tmp_path, "minilm.mt.mask_p30.s4")
    arms = run.config.arms | {"mask_p30": replace(run.arm, rescale=True)}
    run = replace(run, config=replace(run.config, arms=arms))
    assert masks_under(run, targets=["query"]) == RandomMask(0.3, 4, ["query"], True)
    assert not list(tmp_path.iterdir())  # nothing is kept of either


@pytest.mark.parametrize("change", [{"schedule": "refresh"}, {"gate": "resampled"}])
def test_learned_masks_that_change_go_on_with_theta_and_are_not_kept(
    change: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def schedule(model: Any, data: Any, mask: Any, plan: Any, *, seed: int, control: RunControl) -> str:
        asked.append((mask, seed, control.stop))
        return "changing"

    monkeypatch.setattr(cell_masks, "mask_schedule", schedule)
    monkeypatch.setattr(cell_masks, "stop_alone", lambda control: "alone")
    run = cell_run(tmp_path, "minilm.mt.bmt.s2")
    assert masks_under(run, **change) == "changing"
    assert asked == [(replace(run.config.mask, **change), 2, "alone")]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "kind", "scope", "sets"),
    [
        ("minilm.mt.bmt.s2", "learned", "per_dataset", 2),
        ("minilm.mt.bmt.s2", "learned", "global", 1),
        ("minilm.mt.fixed_random.s2", "learned", "per_dataset", 2),
        ("minilm.mt.fisher.s2", "fisher", "per_dataset", 2),
        ("minilm.mt.magnitude.s2", "magnitude", "global", 1),
    ],
)
def test_masks_that_take_steps_are_made_as_the_settings_say_and_kept(
    name: str, kind: str, scope: str, sets: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = with_windows(cell_run(tmp_path, name))
    mask = replace(run.config.mask, scope=scope, steps=5, batch=3, keep_delta=kind != "learned")
    run = replace(run, config=replace(run.config, mask=mask))
    path = run.places.masks(run.config, run.cell, "d", "w")
    made_masks, bars, model = learned_masks(0.3, 0, tiny.bert()), list[Any](), tiny.bert()
    kept = Checkpoints(tmp_path / "kept", "of the cell")

    def learn(*given: Any, seed: int, control: RunControl) -> Masks:
        assert given == (kind, model, run.data, mask, run.plan) and seed == 2
        assert control.checkpoints == Checkpoints(tmp_path / "kept" / f"learning-{path.stem}", path.stem)
        control.checkpoints.write(1, {}, {})
        control.progress(4, "")
        return made_masks

    monkeypatch.setattr(cell_masks, "source_masks", learn)
    monkeypatch.setattr(
        cell_runs, "progress", lambda name, total, unit, shown: bars.append((name, total)) or Bars()
    )
    control = RunControl(checkpoints=kept)
    masks: Any = cell_masks.masks_of_cell(run, model, run.data, fresh=False, control=control)
    assert bars == [(f"masks {name}", sets * 15)] and Bars.advanced.pop() == (4, "")
    assert masks.equals(made_masks.permuted(2) if "fixed_random" in name else made_masks)
    assert Masks.load(path).equals(made_masks)  # the learned ones, whoever permutes them
    assert not kept.folder.exists() or not list(kept.folder.iterdir())  # what was learned on the way is gone
    assert not list(tmp_path.rglob("*.theta.safetensors"))


class Bars:
    """A bar that notes what it was told."""

    advanced: ClassVar[list[tuple[int, str]]] = []

    def __enter__(self) -> Bars:
        return self

    def __exit__(self, *_: object) -> None: ...

    def advance(self, count: int, note: str) -> None:
        self.advanced.append((count, note))


def test_the_other_ranks_read_what_a_fresh_first_one_has_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Ranks, "wait", lambda self: None)
    monkeypatch.setattr(cell_masks, "_learn", lambda *_: learned_masks(0.3, 0, tiny.bert()))
    first, second = (replace(cell_run(tmp_path), ranks=Ranks(rank, 2)) for rank in (0, 1))

    def masks(run: CellRun) -> Any:
        return cell_masks.masks_of_cell(run, tiny.bert(), None, fresh=True, control=RunControl())

    learned = masks(first)
    monkeypatch.setattr(cell_masks, "_learn", lambda run, *_: pytest.fail("the second rank learned too"))
    assert masks(second).equals(learned)


@pytest.mark.parametrize(("age", "there"), [(3000, True), (4000, False)])
def test_masks_that_another_cell_may_be_writing_are_left_alone_for_an_hour(
    age: int, there: bool, tmp_path: Path
) -> None:
    path, theta = tmp_path / "m.safetensors", tmp_path / "m.theta.safetensors"
    half = tmp_path / ".m.safetensors.1.part"
    half.touch()
    os.utime(half, (time.time() - age,) * 2)
    model = tiny.bert()
    cell_masks._keep(learned_masks(0.3, 0, model), model, path, None)
    assert half.exists() == there and path.is_file() and not theta.exists()


@pytest.mark.parametrize(
    ("name", "keep_delta", "expected"),
    [
        ("minilm.mt.bmt.s2", False, ["warm up 3", "masks", "theta_0"]),
        ("minilm.mt.bmt.s2", True, ["warm up 3", "theta_0", "masks"]),
        ("minilm.mt.fixed_random.s2", False, ["masks", "theta_0"]),
        ("minilm.mt.none.s2", False, ["masks", "theta_0"]),
        ("minilm.mt.mixout.s2", False, ["masks", "theta_0", "mixout"]),
    ],
)
def test_theta_0_is_as_before_masks_that_move_it_and_only_learned_ones_warm_the_head_up(
    name: str, keep_delta: bool, expected: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, told = cell_run(tmp_path, name), list[str]()
    mask = replace(run.config.mask, keep_delta=keep_delta, head_warmup=3)
    run = replace(run, config=replace(run.config, mask=mask))
    control, fresh = RunControl(stop=lambda: True), name.endswith("none.s2")

    def warm_up(*given: Any, steps: int, seed: int, stop: Any) -> None:
        assert given == ("model", "data", run.plan) and seed == 2 and stop is control.stop
        told.append(f"warm up {steps}")

    def masks(*given: Any, fresh: bool, control: RunControl) -> str:
        assert given == (run, "model", "data") and fresh == name.endswith("none.s2")
        control.report("SQuAD", 7, {"loss": 1.5, "open": 0.5})
        told.append("masks")
        return "masks"

    def regularizer(kind: str, *given: Any) -> str:
        assert given == (run.arm.strength, "model", "theta_0", 2)
        told.append(kind)
        return kind

    monkeypatch.setattr(cell_masks, "warm_up_head", warm_up)
    monkeypatch.setattr(cell_masks, "masks_of_cell", masks)
    monkeypatch.setattr(cell_masks, "pretrained_copy", lambda model: told.append("theta_0") or "theta_0")
    monkeypatch.setattr(cell_masks, "regularizer", regularizer)
    logged: list[Any] = []
    tracker = SimpleNamespace(log=lambda values, step: logged.append((values, step)))
    given_masks, anchor = cell_masks.masks_and_anchor(
        run,
        "model",
        "data",
        tracker,
        fresh=fresh,
        control=control,
    )
    assert told == expected
    assert (given_masks, anchor.pretrained) == ("masks", "theta_0")
    assert anchor.regularizer == ("mixout" if "mixout" in name else None)
    assert logged == [({"mask_learning/loss/SQuAD": 1.5, "mask_learning/open/SQuAD": 0.5}, 7)]


# ---- the second phase of a cell with adapters


def test_adapters_are_tuned_for_their_own_epochs_and_told_of_by_dataset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = with_windows(cell_run(tmp_path, "minilm.mt.bmt.adapter.s6"), epochs_adapter=2.5, epochs_mt=1.0)
    course = {"step": 9, "windows": 36, "tokens": 400, "seconds": 1.5}
    outcomes = [
        TunedAdapter("SQuAD", 40.0, True, TrainingOutcome(best_f1=42.5, best_step=3, **course)),
        TunedAdapter("NewsQA", 40.0, False, TrainingOutcome(best_f1=39.0, **course | {"step": 4})),
    ]
    bars: list[Any] = []

    def tune(*given: Any, epochs: float, seed: int, control: RunControl) -> list[TunedAdapter]:
        assert given == ("model", "data", run.plan) and (epochs, seed) == (2.5, 6)
        assert control.stop is stop
        control.progress(5, "loss")
        return outcomes

    def stop() -> bool:
        return False

    monkeypatch.setattr(adapters, "tune_adapters", tune)
    monkeypatch.setattr(adapters, "adapter_size", lambda model: 77)
    monkeypatch.setattr(
        cell_runs, "progress", lambda name, total, unit, shown: bars.append((name, total)) or Bars()
    )
    record = adapters.second_phase(run, "model", "data", RunControl(stop=stop))
    assert bars == [("adapters minilm.mt.bmt.adapter.s6", 125)] and Bars.advanced.pop() == (5, "loss")
    said = {"windows": 36, "tokens": 400, "seconds": 1.5}
    assert record == {
        "parameters": 77,
        "epochs": 2.5,
        "tuned": {
            "SQuAD": {"before": 40.0, "after": 42.5, "kept": True, "steps": 9, **said},
            "NewsQA": {"before": 40.0, "after": 40.0, "kept": False, "steps": 4, **said},
        },
    }
