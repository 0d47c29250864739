"""The small rules of transfer, one at a time: what is drawn, under which key, by which settings, what is
kept.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import bmt.transfer.adapter_tuning
import bmt.transfer.few_shot
import bmt.transfer.target_masks
import bmt.transfer.target_tuning
import bmt.transfer.transfer_runs
from bmt.errors import ConfigError, ModelError
from bmt.layers import in_encoder
from bmt.qa.adapters import adapters_of, banks
from bmt.runtime.checkpoints import Checkpoints
from bmt.runtime.control import RunControl
from bmt.runtime.keyed_random import key_number, permutation
from bmt.runtime.stopping import StoppedError
from bmt.settings import DataSettings, LossSettings, MaskSettings, TrainingSettings, TuningSettings
from bmt.training.data import TrainingData
from bmt.training.loop import TrainingOutcome
from bmt.training.plan import Plan
from bmt.transfer.adapter_tuning import only_adapter, tune_adapters
from bmt.transfer.few_shot import FewShot, adapter_losses, few_shot, loss_weights
from bmt.transfer.protocol import FewShotProtocol
from bmt.transfer.target_masks import target_masks
from bmt.transfer.target_split import Split, draw, those_of
from bmt.transfer.target_tuning import EpochOrder, TuningOutcome, mean_loss, tune
from bmt.transfer.transfer_runs import few_shot_runs
from bmt.transfer.zero_shot import zero_shot
from tests.support import tiny
from tests.support.tiny_transfer import (
    FEW,
    NAMES,
    PLAN,
    model_with,
    protocol,
    questions,
    source_like,
    values,
)


def test_an_epoch_s_order_is_keyed_by_seed_and_epoch_and_any_step_can_be_drawn_first() -> None:
    rows = np.array([5, 3, 8, 1, 9])
    order = EpochOrder(rows, 2, 4)
    for epoch in range(3):
        want = [int(rows[place]) for place in permutation(5, (4, "order", epoch))]
        for at, taken in enumerate((want[:2], want[2:4], want[4:])):
            assert order.draw(3 * epoch + at) == [(0, row) for row in taken]
    assert EpochOrder(rows, 2, 5).draw(0) + EpochOrder(rows, 2, 5).draw(1) != order.draw(0) + order.draw(1)


def test_the_target_s_plan_is_the_source_s_with_few_shot_batch_and_one_learning_rate() -> None:
    training = TrainingSettings(
        batch=3, batch_tokens=500, lr=1.0, head_lr=2.0, micro_batch=2, weight_decay=0.1
    )
    source = Plan(training, TuningSettings(clip=0.5), loss=LossSettings(spans="first"))
    own = FewShotProtocol(tiny.VOCAB, source, replace(FEW, batch=7, lr=0.25)).target_plan
    changed = replace(training, batch=7, batch_tokens=None, lr=0.25, head_lr=0.25)
    assert own == replace(source, training=changed)


def test_training_windows_are_taken_as_the_data_s_settings_say() -> None:
    asked: list[tuple[Any, dict[str, str]]] = []

    class Noted:
        def of_examples(self, examples: Any, **options: str) -> np.ndarray:
            asked.append((examples, options))
            return np.arange(2)

    data = DataSettings(negatives="drop", windows="one")
    own = FewShotProtocol(tiny.VOCAB, PLAN, FEW, data)
    own.rows(Noted(), np.arange(3))  # type: ignore[arg-type]
    [(examples, options)] = asked
    assert examples.tolist() == [0, 1, 2] and options == {"negatives": "drop", "windows": "one"}
    assert FewShotProtocol(tiny.VOCAB, PLAN, FEW).data == DataSettings()


def test_the_mean_loss_is_over_windows_and_not_over_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    model, target, rows = tiny.bert(), questions(), np.array([3, 8, 1, 40, 41, 42, 43])
    each = [mean_loss(model, target.windows, rows[i : i + 1], tiny.VOCAB, PLAN) for i in range(7)]
    for size in (1, 3, 32):
        plan = replace(PLAN, training=replace(PLAN.training, evaluation_batch=size))
        mean = mean_loss(model, target.windows, rows, tiny.VOCAB, plan)
        assert mean == pytest.approx(sum(each) / 7, rel=1e-6)
    said: list[str] = []

    def precision(name: str, device: torch.device) -> Any:
        said.append(f"{name} on {device.type}")
        return nullcontext

    monkeypatch.setattr(bmt.transfer.target_tuning, "autocast_for", precision)

    def first(start: Any, end: Any, batch: Any, spans: str) -> torch.Tensor:
        said.append(spans)
        return torch.ones(len(start))

    monkeypatch.setattr(bmt.transfer.target_tuning, "span_nll", first)
    training = replace(PLAN.training, precision="bf16")
    plan = replace(PLAN, training=training, loss=LossSettings(spans="first"))
    assert mean_loss(model.eval(), target.windows, rows, tiny.VOCAB, plan) == 1.0
    assert said == ["bf16 on cpu", "first"] and not model.training


def test_an_update_s_row_of_the_curve_is_reported_and_em_and_f1_are_what_they_are(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A run that is not stopped keeps no checkpoint."""
    scores = iter([(40.0, 50.0), (10.0, 60.0)])
    monkeypatch.setattr(bmt.transfer.target_tuning, "evaluate", lambda *_: {"T": next(scores)})
    monkeypatch.setattr(bmt.transfer.target_tuning, "mean_loss", lambda *_: 1.5)
    target, told = questions(), []
    split = draw(target, 4, 7)
    data = TrainingData(
        [target.windows], {"T": split.train}, [those_of(target, split.validation)], tiny.VOCAB
    )
    control = RunControl(
        lambda step, row: told.append((step, row)), checkpoints=Checkpoints(tmp_path / "kept", "f")
    )
    settings = replace(FEW, steps=1)
    tuned = tune(tiny.bert(), data, protocol(settings).target_plan, settings, seed=1, control=control)
    first, second = tuned.curve
    loss = second.pop("loss")
    assert first == {"step": 0.0, "em": 40.0, "f1": 50.0, "validation_loss": 1.5}
    assert second == {"step": 1.0, "em": 10.0, "f1": 60.0, "validation_loss": 1.5} and loss > 0
    assert [step for step, _ in told] == [0, 1]
    assert told[1][1] == {f"few_shot/{key}": value for key, value in (second | {"loss": loss}).items()}
    assert (tuned.windows, tuned.steps, tuned.steps_per_epoch) == (2, 1, 1)
    assert (tuned.best_step, tuned.best_f1) == (1, 60.0) and not list(tmp_path.rglob("step-*"))


TUNED = TuningOutcome(2, 1, 1, 0, 50.0, [])


def test_a_few_shot_run_s_updates_are_keyed_by_its_seed_dataset_and_k(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And its masks are made at the model that the updates start from, on the K/2 training examples."""
    given: list[dict[str, Any]] = []

    def noted(model: Any, data: Any, plan: Any, settings: Any, **options: Any) -> TuningOutcome:
        given.append({"model": model, "data": data, "plan": plan, "settings": settings} | options)
        return TUNED

    monkeypatch.setattr(bmt.transfer.few_shot, "tune", noted)
    answered: list[tuple[Any, ...]] = []

    def answers(model: Any, asked: Any, vocabulary: Any, plan: Any, progress: Any) -> Any:
        answered.append((model, vocabulary, plan))
        return [asked.examples]

    monkeypatch.setattr(bmt.transfer.few_shot, "answers", answers)
    made: list[tuple[Any, Any]] = []

    def masks(model: Any, data: Any) -> Any:
        made.append((model, data))
        return "masks"

    model, control, own = model_with(), RunControl(), protocol()
    for name, k, seed in (("T", 4, 7), ("T", 8, 7), ("T", 4, 8), ("U", 4, 7)):
        target = questions(name)
        run = few_shot(model, target, k, seed, own, masks=masks, control=control)
        call = given[-1]
        assert answered[-1] == (call["model"], own.vocabulary, own.plan)
        assert call["seed"] == key_number((seed, "few-shot", name, k))
        assert call["masks"] == "masks" and call["control"] is control and call["settings"] is FEW
        assert call["plan"] == protocol().target_plan and made[-1] == (call["model"], call["data"])
        assert call["model"] is not model
        split, data = draw(target, k, seed), call["data"]
        assert data.rows[name].tolist() == split.train.tolist()
        assert data.validation[0].examples.tolist() == split.validation.tolist()
        assert run.predictions[0].tolist() == split.test.tolist()  # type: ignore[attr-defined]
        assert (run.dataset, run.k, run.seed, run.tuned) == (name, k, seed, TUNED)


def test_the_weights_of_adapters_sum_to_one_in_their_order_and_a_loss_that_is_none_is_named() -> None:
    weights = loss_weights({"B": 3.0, "A": 1.0})
    assert list(weights) == ["B", "A"] and weights["A"] > weights["B"]
    assert loss_weights({"A": 2.5}) == {"A": 1.0} and loss_weights({}) == {}
    for bad in (float("inf"), float("-inf"), float("nan")):
        with pytest.raises(ModelError, match="must be finite; train the model again"):
            loss_weights({"A": bad, "B": 1.0})


def test_adapters_are_measured_on_the_windows_that_are_trained_on(monkeypatch: pytest.MonkeyPatch) -> None:
    target, asked = questions(), []
    own = FewShotProtocol(tiny.VOCAB, PLAN, FEW, DataSettings(negatives="drop"))
    starts = np.minimum(
        target.windows.spans.starts, 2 * 12
    )  # the windows from the thirteenth on hold no span
    windows = replace(target.windows, spans=replace(target.windows.spans, starts=starts))
    model = model_with()
    handle = adapters_of(model)

    def noted(*given: Any) -> float:
        assert handle is not None
        asked.append((handle.index(NAMES[len(asked)]), given[2].tolist()))
        return float(len(asked))

    monkeypatch.setattr(bmt.transfer.few_shot, "mean_loss", noted)
    losses = adapter_losses(model, windows, np.array([11, 12, 3]), own)
    assert losses == {"A": 1.0, "B": 2.0, "C": 3.0} and [rows for _, rows in asked] == [[11, 3]] * 3


def test_zero_shot_is_the_uniform_mean_of_adapters_and_leaves_the_model() -> None:
    model = model_with()
    before = values(model)
    mean = zero_shot(model)
    for one, other in zip(banks(model), banks(mean), strict=True):
        for (name, whole), (_, part) in zip(one.named_parameters(), other.named_parameters(), strict=True):
            torch.testing.assert_close(part[0], whole.mean(0), rtol=1e-5, atol=1e-6, msg=name)
    assert all(torch.equal(value, before[name]) for name, value in model.named_parameters())


def test_a_stop_while_the_test_is_answered_keeps_what_was_tuned(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The updates are not made again; their weights and curve are those that were kept."""
    tuned, stops = TuningOutcome(2, 5, 1, 3, 51.0, [{"step": 0.0, "f1": 1.0}]), [True]
    moved: list[Any] = []

    def once(model: Any, *_: Any, **__: Any) -> TuningOutcome:
        assert not moved
        with torch.no_grad():
            moved.extend(parameter.add_(1.0) for parameter in model.parameters())
        return tuned

    def answers(model: Any, asked: Any, vocabulary: Any, plan: Any, progress: Any) -> Any:
        progress(1, "")
        return list(model.parameters())

    monkeypatch.setattr(bmt.transfer.few_shot, "tune", once)
    monkeypatch.setattr(bmt.transfer.few_shot, "answers", answers)
    model, target, kept = tiny.bert(), questions(), Checkpoints(tmp_path, "f")
    control = RunControl(checkpoints=kept, stop=lambda: bool(stops))
    with pytest.raises(StoppedError, match="stopped during an evaluation"):
        few_shot(model, target, 4, 7, protocol(), control=control)
    newest = kept.newest()
    assert newest is not None and newest.step == FEW.steps + 1
    stops.clear()
    run = few_shot(model, target, 4, 7, protocol(), control=control)
    assert run.tuned == tuned
    for parameter, now in zip(moved, run.predictions, strict=True):
        assert torch.equal(parameter, now)  # type: ignore[arg-type]


def test_a_checkpoint_of_the_updates_themselves_is_gone_on_from_by_the_updates(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A stop before they were over: only what is kept after them stands for them."""
    given: list[Any] = []

    def goes_on(model: Any, *_: Any, control: RunControl, **__: Any) -> TuningOutcome:
        given.append(control.checkpoints)
        return TUNED

    monkeypatch.setattr(bmt.transfer.few_shot, "tune", goes_on)
    monkeypatch.setattr(bmt.transfer.few_shot, "answers", lambda *_: [])
    kept = Checkpoints(tmp_path, "f")
    kept.write(2, {"model": {}}, {"course": {}})
    run = few_shot(tiny.bert(), questions(), 4, 7, protocol(), control=RunControl(checkpoints=kept))
    assert given == [kept] and run.tuned == TUNED


# ---------------------------------------------------------------- what the updates are under

LEARN = MaskSettings(alpha0=0.0, steps=3, batch=8, density=0.2)


class Made:
    """Stands for masks; `permuted` says with which seed."""

    def __init__(self, kind: str) -> None:
        self.kind, self.seeds = kind, list[int]()

    def permuted(self, seed: int) -> Made:
        self.seeds.append(seed)
        return self


@pytest.mark.parametrize("setting", ["relearn", "union"])
@pytest.mark.parametrize(
    ("kind", "mask", "how"),
    [
        ("learned", LEARN, "learned"),
        ("fixed_random", LEARN, "learned"),
        ("fisher", LEARN, "fisher"),
        ("magnitude", LEARN, "magnitude"),
        ("learned", replace(LEARN, schedule="alternating"), "schedule"),
        ("learned", replace(LEARN, schedule="refresh"), "schedule"),
        ("learned", replace(LEARN, gate="resampled", density=None), "schedule"),
        ("fixed_random", replace(LEARN, schedule="refresh"), "learned"),
        ("fisher", replace(LEARN, schedule="refresh"), "fisher"),
    ],
)
def test_masks_of_an_arm_are_made_as_its_kind_and_settings_say(
    kind: str, mask: MaskSettings, how: str, setting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Any] = []

    def learn(kind: str, *given: Any, **options: Any) -> Made:
        calls.append((kind, given, options))
        return Made(kind)

    def schedule(*given: Any, **options: Any) -> Made:
        calls.append(("schedule", given, options))
        return Made("schedule")

    monkeypatch.setattr(bmt.transfer.target_masks, "source_masks", learn)
    monkeypatch.setattr(bmt.transfer.target_masks, "mask_schedule", schedule)
    own, control = protocol(replace(FEW, mask=setting, batch=5)), RunControl(progress=lambda *_: None)
    source = source_like(model_with())
    make = target_masks(kind, mask, own, seed=31, source=source, control=control)
    assert make is not None
    made: Any = make("model", "data")  # type: ignore[arg-type]
    if setting == "union" and kind in ("learned", "fixed_random"):
        assert made.equals(source.union()) and calls == []
        return
    assert calls == [(how, ("model", "data", mask, own.target_plan), {"seed": 31, "control": control})]
    assert made.kind == how and made.seeds == ([31] if kind == "fixed_random" else [])


def test_only_arms_that_take_the_union_need_the_source_s_masks() -> None:
    union = protocol(replace(FEW, mask="union"))
    for kind in ("none", "random", "fisher", "magnitude"):
        target_masks(kind, LEARN, union, seed=7)
    for kind in ("learned", "fixed_random"):
        assert target_masks(kind, LEARN, protocol(), seed=7) is not None
        with pytest.raises(
            ConfigError, match=r"^fewshot\.mask: 'union' needs the masks of the source training"
        ):
            target_masks(kind, LEARN, union, seed=7)


# ---------------------------------------------------------------- the files of runs


def small_run(target: Any, k: int, seed: int) -> FewShot:
    return FewShot(target.windows.dataset, k, seed, {}, {}, draw(target, k, seed), TUNED, [])


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Runs that take no time; what each was called with."""
    calls: list[dict[str, Any]] = []

    def run(model: Any, target: Any, k: int, seed: int, own: Any, **options: Any) -> FewShot:
        calls.append({"k": k, "seed": seed, "dataset": target.windows.dataset} | options)
        for part in (options["control"].checkpoints, calls[-1].get("masks")):
            if isinstance(part, Checkpoints):
                part.write(1, {}, {})
        return small_run(target, k, seed)

    monkeypatch.setattr(bmt.transfer.transfer_runs, "few_shot", run)
    return calls


def test_a_run_keeps_its_masks_and_updates_apart_while_it_is_under_way_and_one_file_afterwards(
    quick: list[dict[str, Any]], tmp_path: Path
) -> None:
    settings, asked = replace(FEW, sizes=[4], seeds=[7, 8]), []

    def masks(seed: int, checkpoints: Checkpoints) -> Any:
        asked.append((seed, checkpoints.folder))
        return checkpoints

    left = tmp_path / "half"
    stop: Callable[[], bool] = lambda: False  # noqa: E731
    kept = Checkpoints(tmp_path, "f")
    few_shot_runs(tiny.bert(), [questions()], protocol(settings), kept, masks=masks, stop=stop)
    files = sorted(tmp_path.iterdir())
    assert [path.name.rpartition("-")[0] for path in files] == ["T.k4.s7", "T.k4.s8"]
    for call, path, (seed, folder) in zip(quick, files, asked, strict=True):
        control = call["control"]
        assert control.stop is stop and call["seed"] == seed
        assert control.checkpoints.folder == path.with_suffix("") / "updates"
        assert folder == path.with_suffix("") / "masks"
        assert control.checkpoints.fingerprint == path.stem.rpartition("-")[2]
    left = tmp_path / f".{files[0].name}.99.part"
    left.write_text("half")
    files[0].unlink()
    few_shot_runs(tiny.bert(), [questions()], protocol(settings), kept, masks=masks, stop=stop)
    assert not left.exists() and sorted(tmp_path.iterdir()) == files and len(quick) == 3
    few_shot_runs(tiny.bert(), [questions()], protocol(replace(settings, sizes=[6])), kept)
    assert quick[-1]["masks"] is None


def test_a_record_has_the_keys_that_are_promised_and_all_are_json(
    quick: list[dict[str, Any]], tmp_path: Path
) -> None:
    settings, done = replace(FEW, sizes=[4], seeds=[7]), []
    [record] = few_shot_runs(
        tiny.bert(), [questions()], protocol(settings), Checkpoints(tmp_path, "f"), done=done.append
    )
    keys = (
        "dataset k seed losses weights train validation test windows steps steps_per_epoch best_step best_f1 "
        "curve predictions"
    )
    assert set(record) == set(keys.split()) and done == [record]
    split = draw(questions(), 4, 7)
    assert isinstance(split, Split)
    for side in ("train", "validation", "test"):
        assert record[side] == getattr(split, side).tolist()
    [path] = tmp_path.iterdir()
    assert json.loads(path.read_text()) == record
    path.write_text('{"dataset": "T"')
    assert few_shot_runs(tiny.bert(), [questions()], protocol(settings), Checkpoints(tmp_path, "f")) == [
        record
    ]
    assert len(quick) == 2


def test_every_setting_of_the_source_s_plan_is_in_the_name_of_a_run_s_file(
    quick: list[dict[str, Any]], tmp_path: Path
) -> None:
    settings = replace(FEW, sizes=[4], seeds=[7])

    def name(plan: Plan) -> str:
        folder = tmp_path / str(len(quick))
        own = FewShotProtocol(tiny.VOCAB, plan, settings)
        few_shot_runs(tiny.bert(), [questions()], own, Checkpoints(folder, "f"))
        [path] = folder.iterdir()
        return path.name

    plans = [
        PLAN,
        replace(PLAN, decode=replace(PLAN.decode, mode="greedy")),
        replace(PLAN, decode=replace(PLAN.decode, max_answer_tokens=9)),
        replace(PLAN, loss=LossSettings(spans="first")),
        replace(PLAN, tuning=replace(PLAN.tuning, apply="update")),
        replace(PLAN, tuning=replace(PLAN.tuning, clip_order="clip_then_mask")),
        replace(PLAN, training=replace(PLAN.training, precision="bf16")),
        replace(PLAN, training=replace(PLAN.training, dropout=0.0)),
    ]
    assert len({name(plan) for plan in plans}) == len(plans) and name(PLAN) == name(PLAN)


# ---------------------------------------------------------------- phase 2


def test_each_adapter_is_tuned_under_a_key_folder_and_name_of_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    calls: list[dict[str, Any]] = []

    def trained(model: Any, data: Any, plan: Any, **options: Any) -> TrainingOutcome:
        [name] = data.datasets
        calls.append({"name": name, "plan": plan, "rows": data.rows} | options)
        options["control"].report(3, {"train/loss": 2.0})
        handle = adapters_of(model)
        assert handle is not None and handle.datasets == (name,)
        with torch.no_grad():
            for bank in banks(model):
                for parameter in bank.parameters():
                    parameter.add_(1.0)
        outcome = TrainingOutcome.__new__(TrainingOutcome)
        object.__setattr__(outcome, "best_f1", 60.0)
        return outcome

    monkeypatch.setattr(bmt.transfer.adapter_tuning, "train", trained)
    befores = {"A": (99.0, 59.0), "B": (0.0, 60.0), "C": (0.0, 61.0)}
    monkeypatch.setattr(bmt.transfer.adapter_tuning, "evaluate", lambda *_: befores)
    model, told = model_with(), []
    before = values(model)
    sets = [tiny.windows(name, 20, seed) for seed, name in enumerate(NAMES)]
    rows = {"A": np.arange(3), "B": np.arange(8), "C": np.arange(10)}
    data = tiny.training_data(sets, rows, np.arange(10, 20))
    control = RunControl(lambda step, row: told.append((step, row)), checkpoints=Checkpoints(tmp_path, "f"))
    plan = replace(PLAN, training=replace(PLAN.training, batch=4, lr=1.0, head_lr=0.5))
    tuned = tune_adapters(model, data, plan, epochs=1.5, seed=11, control=control)
    assert [one.dataset for one in tuned] == list(NAMES)
    assert [(one.before, one.kept) for one in tuned] == [(59.0, True), (60.0, False), (61.0, False)]
    head_plan = replace(plan, training=replace(plan.training, lr=0.5))
    for call, steps in zip(calls, (2, 3, 4), strict=True):  # 1.5 epochs of 3, 8 and 10 windows at batch 4
        name = call["name"]
        assert call["seed"] == key_number((11, "phase 2", name)) and call["steps"] == steps
        assert call["plan"] == head_plan and list(call["rows"]) == [name]
        assert call["control"].checkpoints == Checkpoints(tmp_path / f"phase-2-{name}", "f")
        assert call["control"].stop is control.stop
    assert told == [(3, {f"phase_2/{name}/train/loss": 2.0}) for name in NAMES]
    for name, parameter in model.named_parameters():
        want = before[name].clone()
        if not in_encoder(name):
            want[0] += 1.0
        assert torch.equal(parameter, want), name


def test_in_phase_two_only_one_pair_takes_a_gradient_and_none_is_left_over() -> None:
    model = model_with()
    model.bert.embeddings.LayerNorm.bias.requires_grad_(False)
    wanted = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    with only_adapter(model, "B") as handle:
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        in_banks = [parameter for bank in banks(model) for parameter in bank.parameters()]
        assert {id(parameter) for parameter in trained} == {id(parameter) for parameter in in_banks}
        assert all(parameter.shape[0] == 1 for parameter in trained) and handle.datasets == ("B",)
        assert all(parameter.grad is None for parameter in model.parameters())
    assert {name: parameter.requires_grad for name, parameter in model.named_parameters()} == wanted
    handle_after = adapters_of(model)
    assert handle_after is not None and handle_after.datasets == NAMES
    with pytest.raises(ModelError), only_adapter(tiny.bert(), "B"):
        pass
