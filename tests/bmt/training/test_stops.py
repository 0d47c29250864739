"""Stopping between any two steps and going on: weights, sampler, losses, reports and gates are those of a run
in one piece.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import bmt.mask_learning
from bmt.errors import ModelError
from bmt.mask_learning import learn_masks
from bmt.masks import Masks
from bmt.random_mask import RandomMask
from bmt.runtime.checkpoints import Checkpoints
from bmt.runtime.control import RunControl
from bmt.runtime.stopping import Stop, StoppedError, never, until
from bmt.settings import FewShotSettings, MaskSettings, TrainingSettings
from bmt.training.data import TrainingData
from bmt.training.loop import train
from bmt.training.losses import NonFiniteLossError
from bmt.training.mask_schedules import mask_schedule
from bmt.training.plan import Plan
from bmt.training.source_masks import source_masks, warm_up_head
from bmt.transfer.protocol import FewShotProtocol
from bmt.transfer.target_masks import target_masks
from bmt.transfer.transfer_runs import few_shot_runs
from tests.support import tiny
from tests.support.planted_support import TOY, Regression, planted

PLAN = Plan(TrainingSettings(batch=8, lr=3e-3, head_lr=3e-3, evaluate_every=20, patience=50))
STEPS = 26  # more than two epochs of twelve
ROWS = {"A": np.arange(45), "B": np.arange(45)}
CHANGING = {
    "refresh": MaskSettings(alpha0=0.0, batch=4, steps=3, density=0.3, schedule="refresh"),
    "alternating": MaskSettings(alpha0=0.0, batch=4, density=0.3, schedule="alternating"),
    "per_batch": MaskSettings(alpha0=0.0, batch=4, steps=1, density=0.3, scope="per_batch"),
    "resampled": MaskSettings(alpha0=0.0, batch=4, steps=3, gate="resampled"),
}


def after(count: int) -> Stop:
    """A stop that is asked for at the call number `count`, from 0 on."""
    calls = iter(range(10**9))
    return lambda: next(calls) >= count


def data() -> TrainingData:
    sets = [tiny.windows("A", 60, 1, cue=7), tiny.windows("B", 60, 2, cue=8)]
    return tiny.training_data(sets, ROWS, np.arange(45, 60))


def run(kind: str, folder: Path, stop: Stop = never, steps: int = STEPS, plan: Plan = PLAN) -> dict[str, Any]:
    """Train in `folder`: weights, masks, curve, reported losses, and the last checkpoint's draws."""
    model = tiny.bert(dropout=True, layers=1)
    logged: dict[int, float] = {}
    masks: Any = RandomMask(0.5, 3) if kind == "random" else None
    if kind in CHANGING:
        learning = RunControl(checkpoints=Checkpoints(folder, ""), stop=stop)
        masks = mask_schedule(model, data(), CHANGING[kind], plan, seed=0, control=learning)

    def report(step: int, metrics: dict[str, float]) -> None:
        if "train/loss" in metrics:
            logged[step] = metrics["train/loss"]

    control = RunControl(report, checkpoints=Checkpoints(folder, "f"), stop=stop)
    outcome = train(model, data(), plan, steps=steps, seed=0, masks=masks, control=control)
    last = json.loads((folder / f"step-{outcome.step:07d}" / "state.json").read_text())["state"]
    return {
        "weights": {name: value.detach().clone() for name, value in model.named_parameters()},
        "masks": masks.masks() if kind in CHANGING else None,
        "curve": outcome.curve,
        "counts": (outcome.step, outcome.best_step, outcome.windows, outcome.tokens, outcome.padded),
        "draws": last["draws"],
        "logged": logged,
    }


def same(one: dict[str, Any], two: dict[str, Any]) -> None:
    for name, value in one["weights"].items():
        assert torch.equal(value, two["weights"][name]), name
    assert (one["curve"], one["counts"], one["draws"]) == (two["curve"], two["counts"], two["draws"])
    assert one["masks"] is None or one["masks"].equals(two["masks"])
    assert two["logged"].items() <= one["logged"].items()


def goes_on(
    kind: str, folder: Path, counts: list[int], plan: Plan = PLAN
) -> tuple[dict[str, Any], list[str]]:
    """Stop at each count of asking, then go on to the end: what the last one gives, and the messages."""
    told = []
    for count in counts:
        with pytest.raises(StoppedError) as stopped:
            run(kind, folder, after(count), plan=plan)
        told.append(str(stopped.value))
    return run(kind, folder, plan=plan), told


@pytest.mark.parametrize("kind", ["none", "random", *CHANGING])
def test_a_run_that_is_stopped_between_evaluations_goes_on_from_that_step(kind: str, tmp_path: Path) -> None:
    """Evaluations come after steps 20 and 26, looks at the loss every second step: 7 and 13 are in both."""
    whole = run(kind, tmp_path / "whole")
    learning = {"refresh": 6, "resampled": 6}.get(kind, 0)  # these ask before each of their own steps too
    again = 6 if kind == "refresh" else 0  # at step 12, where the second epoch begins
    resumed, told = goes_on(kind, tmp_path / "cut", [learning + 7, again + 6])
    assert [text.partition(";")[0] for text in told] == [
        "stopped at step 7 of 26",
        "stopped at step 13 of 26",
    ]
    same(whole, resumed)
    assert (
        min(resumed["logged"]) == 14 and resumed["logged"][14] == whole["logged"][14]
    )  # the mean of steps 13 and 14
    assert sorted(path.name for path in (tmp_path / "cut").glob("step-*")) == ["step-0000020", "step-0000026"]


def test_a_stop_in_an_evaluation_or_while_masks_are_learned_again_keeps_the_step(tmp_path: Path) -> None:
    whole = run("refresh", tmp_path / "whole")
    # 90 windows are an epoch of 12 steps: 6 + 12 times asked, then in the second of the six steps of the
    # second epoch's masks (one is kept); then in the other five, before the eight steps to 20, and in the
    # evaluation of the first dataset
    resumed, told = goes_on("refresh", tmp_path / "cut", [6 + 12 + 1 + 1, 5 + 8])
    assert [text.partition(";")[0] for text in told] == [
        "stopped at step 12 of 26",
        "stopped at step 20 of 26",
    ]
    same(whole, resumed)


def test_the_best_model_comes_from_the_checkpoint_that_is_gone_on_from(tmp_path: Path) -> None:
    """The newest checkpoint, which had a better model, is truncated, and the run does not get to its step
    again.
    """
    plan = Plan(replace(PLAN.training, evaluate_every=5))
    whole = run("none", tmp_path / "whole", steps=7, plan=plan)
    folder = tmp_path / "cut"
    with pytest.raises(StoppedError):  # asked before each of ten steps, and twice in each of two evaluations
        run("none", folder, after(14), plan=plan)
    assert sorted(path.name for path in folder.iterdir()) == ["step-0000005", "step-0000010"]
    first, second = (
        json.loads((folder / f"step-{step:07d}" / "state.json").read_text())["digests"] for step in (5, 10)
    )
    assert (
        second["best.safetensors"]
        == second["model.safetensors"]
        != first["best.safetensors"]
        == first["model.safetensors"]
    )
    damaged = folder / "step-0000010" / "optimizer.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:-7])
    same(whole, run("none", folder, steps=7, plan=plan))
    assert sorted(path.name for path in folder.iterdir()) == [
        "step-0000005",
        "step-0000007",
    ]  # the damaged one went
    for path in folder.rglob("state.json"):
        path.write_text(path.read_text()[:-7])
    assert Checkpoints(folder, "f").newest() is None
    same(whole, run("none", folder, steps=7, plan=plan))  # from the start


def test_a_loss_that_is_not_finite_names_its_step_and_its_examples(tmp_path: Path) -> None:
    plan = Plan(replace(PLAN.training, lr=1e30, head_lr=1e30, evaluate_every=60))
    sets = [tiny.windows("A", 60, 1, cue=7), tiny.windows("B", 60, 2, cue=8)]
    with pytest.raises(
        NonFiniteLossError,
        match=r"the training loss is (nan|inf) at step \d, on 8 windows of A, B: lower training\.lr",
    ) as caught:
        run("none", tmp_path / "a", plan=plan)
    error = caught.value
    assert [batch.step for batch in error.batches] == [1, 2, 3, 4, 5, 6] and 1 < error.step <= 6
    finite = [bool(np.isfinite(batch.loss)) for batch in error.batches]
    assert finite.index(False) == error.step - 1 and all(finite[: error.step - 1])
    for batch in error.batches:
        assert sum(map(len, batch.windows.values())) == 8
        assert {
            name: [int(sets["AB".index(name)].example[row]) for row in rows]
            for name, rows in batch.windows.items()
        } == batch.examples
    with pytest.raises(NonFiniteLossError) as stopped:  # a stop keeps nothing of it
        run("none", tmp_path / "b", after(error.step), plan=plan)
    assert (stopped.value.step, len(stopped.value.batches)) == (error.step, error.step) and not (
        tmp_path / "b"
    ).exists()


def learned(
    folder: Path | None,
    stop: Stop = never,
    fingerprint: str = "f",
    report: Callable[..., None] | None = None,
    **changes: Any,
) -> tuple[Masks, list[Any]]:
    """Masks of two planted regressions, and what was reported."""
    seen: list[Any] = []
    checkpoints = None if folder is None else Checkpoints(folder, fingerprint)
    masks = learn_masks(
        Regression(),
        {"a/b": planted(0)[1], "c": [planted(1)[1](step) for step in range(7)]},
        **{**TOY, "steps": 40, "density": 0.1, **changes},
        control=RunControl(report or (lambda *row: seen.append(row)), checkpoints=checkpoints, stop=stop),
    )
    return masks, seen


@pytest.mark.parametrize(
    "changes",
    [{}, {"density_by": "lagrangian"}, {"keep_delta": True}],
    ids=["top_k", "lagrangian", "keep_delta"],
)
def test_mask_learning_goes_on_inside_a_dataset(changes: dict[str, Any], tmp_path: Path) -> None:
    """The second dataset's batches are a list, run through again and again: they must come in order."""
    whole, course = learned(None, **changes)
    told = []
    for count in (13, 40, 10):  # step 13 of the first; then 27 more and 13 of the second; then 10 more
        with pytest.raises(StoppedError) as stopped:
            learned(tmp_path, after(count), **changes)
        told.append(str(stopped.value))
    assert told == [f"stopped at step {step} of 40 of mask learning" for step in (13, 13, 23)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a%2Fb", "c"]
    resumed, rest = learned(tmp_path, **changes)
    assert (
        resumed.equals(whole) and resumed.about == whole.about and resumed.mask("c", "encoder.weight").any()
    )
    assert rest == course[-len(rest) :] and 0 < len(rest) < 20
    assert learned(tmp_path, **changes)[1] == []  # all is there
    with pytest.raises(ModelError, match="made with another configuration"):
        learned(tmp_path, fingerprint="g", **changes)


def test_mask_learning_keeps_a_checkpoint_now_and_then_and_passes_over_a_truncated_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, _ = learned(None)
    monkeypatch.setattr(bmt.mask_learning, "SAVE_SECONDS", -1.0)

    class CutOffError(Exception):
        pass

    def cut(dataset: str, step: int, values: dict[str, float]) -> None:
        if step == 20:
            raise CutOffError

    with pytest.raises(CutOffError):
        learned(tmp_path, report=cut)
    folder = tmp_path / "a%2Fb"
    assert [path.name for path in sorted(folder.iterdir())] == ["step-0000019", "step-0000020"]
    gates = folder / "step-0000020" / "gates.safetensors"
    gates.write_bytes(gates.read_bytes()[:-1])
    saved = Checkpoints(folder, "f").newest()
    assert saved is not None and saved.step == 19
    resumed, _ = learned(tmp_path)
    assert resumed.equals(whole) and resumed.about == whole.about


def test_masks_without_checkpoints_stop_between_two_steps(tmp_path: Path) -> None:
    model = tiny.bert(layers=1)
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    with pytest.raises(StoppedError, match="stopped during the Fisher masks"):
        fisher = MaskSettings(steps=3, batch=4, density=0.1)
        source_masks("fisher", model, data(), fisher, PLAN, seed=0, control=RunControl(stop=after(2)))
    with pytest.raises(StoppedError, match="stopped during the head's warm-up"):
        warm_up_head(tiny.bert(layers=1), data(), PLAN, steps=3, seed=0, stop=after(2))
    assert all(torch.equal(value, before[name]) for name, value in model.named_parameters())


@pytest.mark.parametrize("kind", ["two_phase", *CHANGING])
def test_few_shot_goes_on_from_the_update_that_it_was_stopped_at(kind: str, tmp_path: Path) -> None:
    mask = CHANGING.get(kind, MaskSettings(alpha0=0.0, batch=4, steps=3, density=0.3))
    settings = FewShotSettings(sizes=[20], seeds=[7], steps=9, patience=100, lr=3e-3)
    protocol = FewShotProtocol(tiny.VOCAB, PLAN, settings)
    target = tiny.as_questions(tiny.windows("T", 60, 9), np.arange(60))

    def go(folder: Path, stop: Stop = never) -> list[dict[str, Any]]:
        def masks(seed: int, checkpoints: Checkpoints) -> Any:
            control = RunControl(checkpoints=checkpoints, stop=stop)
            return target_masks("learned", mask, protocol, seed=seed, control=control)

        kept = Checkpoints(folder, "f")
        return few_shot_runs(
            tiny.bert(dropout=True, layers=1), [target], protocol, kept, masks=masks, stop=stop
        )

    whole = go(tmp_path / "whole")
    assert whole[0]["steps"] == 9 and whole[0]["steps_per_epoch"] == 2
    stops = 0
    for count in (3, 5, 4, 3, 3, 3, 3, 3, 3, 3, 3, 3):
        try:
            go(tmp_path / "cut", after(count))
        except StoppedError:
            stops += 1
    assert stops >= 4
    assert go(tmp_path / "cut") == whole
    assert [path.name for path in (tmp_path / "cut").iterdir()] == [
        path.name for path in (tmp_path / "whole").iterdir()
    ]
    damaged = next((tmp_path / "cut").iterdir())
    damaged.write_text(damaged.read_text()[:100])
    assert go(tmp_path / "cut") == whole  # made again


def test_until_ends_what_reports_progress() -> None:
    seen: list[int] = []
    advance = until(after(1), lambda count, note: seen.append(count))
    assert advance is not None and until(never) is None
    advance(3, "")
    with pytest.raises(StoppedError, match="stopped during an evaluation, which starts again"):
        advance(4, "")
    assert seen == [3, 4]
