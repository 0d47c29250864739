"""The loop on a tiny model: it learns, it resumes exactly, its masks hold, its files are the ones it says."""

from __future__ import annotations

import json
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from bmt.deviation import deviations, pretrained_copy
from bmt.errors import ConfigError, ModelError
from bmt.masked_updates import mask_updates
from bmt.masks import Masks
from bmt.qa.adapters import add_adapters
from bmt.random_mask import RandomMask
from bmt.runtime.checkpoints import Checkpoints
from bmt.runtime.control import RunControl
from bmt.settings import MaskSettings, TrainingSettings, TuningSettings
from bmt.training.loop import Anchor, TrainingOutcome, train
from bmt.training.mask_batches import in_order, mixture_batches
from bmt.training.microbatches import Limits, micro_batches
from bmt.training.plan import Plan, planned_steps, total_steps
from bmt.training.source_masks import source_masks, warm_up_head
from bmt.training.step import Stepper
from bmt.training.validation import evaluate
from tests.support import tiny
from tests.support.random_masks import masks_for
from tests.support.tiny_training import NAMES, PLAN, data, run, sets


def same(a: Any, b: Any) -> bool:
    return all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))


def test_it_learns_and_says_what_it_did() -> None:
    logged: list[tuple[int, dict[str, float]]] = []
    model, outcome = run(
        steps=150,
        plan=Plan(TrainingSettings(batch=8, lr=1e-3, head_lr=1e-3, evaluate_every=5, patience=50)),
        report=lambda step, metrics: logged.append((step, metrics)),
    )
    assert outcome.step == 150 and outcome.windows == 1200
    own = [tiny.as_questions(windows, np.arange(45, 60)) for windows in sets()]
    untrained = evaluate(tiny.bert(dropout=True, layers=1), own, tiny.VOCAB, PLAN)
    assert np.mean([f1 for _, f1 in untrained.values()]) < 30 and outcome.best_f1 > 80
    assert outcome.best_f1 == max(row["macro_f1"] for row in outcome.curve)
    assert [row["step"] for row in outcome.curve] == list(range(5, 151, 5))
    assert outcome.curve[0]["weight/A"] == outcome.curve[1]["weight/A"] == 0.5
    assert any(
        abs(row["weight/A"] - 0.5) > 0.01 for row in outcome.curve[2:]
    )  # eq. 15 leaves uniform after two evaluations
    assert {
        "train/loss",
        "validation/f1/macro",
        "validation/em/A",
        "sampling/weight/B",
        "weights/deviation_l2",
        "perf/tokens_per_s",
        "perf/padding_waste",
    } <= {key for _, metrics in logged for key in metrics}
    again = evaluate(model, own, tiny.VOCAB, PLAN)
    assert np.mean([f1 for _, f1 in again.values()]) == pytest.approx(
        outcome.best_f1
    )  # the best weights are the ones returned


def test_a_resumed_run_ends_bit_for_bit_as_one_that_was_not_cut(tmp_path: Path) -> None:
    masks = RandomMask(0.5, 3)
    whole, outcome = run(masks=masks, checkpoints=Checkpoints(tmp_path / "whole", "f"))

    class CutOffError(Exception):
        pass

    def cut(step: int, metrics: dict[str, float]) -> None:
        if step == 13:
            raise CutOffError

    plan = Plan(TrainingSettings(batch=8, lr=3e-3, head_lr=3e-3, evaluate_every=5, patience=50))
    with pytest.raises(CutOffError):
        run(
            masks=masks,
            checkpoints=Checkpoints(tmp_path / "cut", "f"),
            plan=Plan(plan.training),
            report=lambda s, m: cut(s + 3, m),
        )
    assert sorted(path.name for path in (tmp_path / "cut").iterdir()) == ["step-0000005"]
    resumed, again = run(masks=masks, checkpoints=Checkpoints(tmp_path / "cut", "f"))
    assert same(whole, resumed)
    assert again.curve == outcome.curve and again.tokens == outcome.tokens
    assert sorted(path.name for path in (tmp_path / "cut").iterdir()) == ["step-0000015", "step-0000020"]


def test_a_run_with_fixed_masks_and_compact_state_resumes_bit_for_bit(tmp_path: Path) -> None:
    settings = MaskSettings(alpha0=0.0, steps=3, batch=8, density=0.1)
    masks = source_masks("learned", tiny.bert(dropout=True, layers=1), data(), settings, PLAN, seed=0)
    whole, outcome = run(masks=masks, checkpoints=Checkpoints(tmp_path / "whole", "f"))

    def cut(step: int, metrics: dict[str, float]) -> None:
        if step == 12:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        run(masks=masks, checkpoints=Checkpoints(tmp_path / "cut", "f"), report=cut)
    resumed, again = run(masks=masks, checkpoints=Checkpoints(tmp_path / "cut", "f"))
    assert same(whole, resumed) and again.curve == outcome.curve
    moments = sum(
        v.numel()
        for k, v in load_file(tmp_path / "cut" / "step-0000020" / "optimizer.safetensors").items()
        if k.endswith("exp_avg")
    )
    assert moments < 0.6 * sum(p.numel() for p in whole.parameters())


def test_a_damaged_checkpoint_is_passed_over_and_a_foreign_one_refused(tmp_path: Path) -> None:
    whole, _ = run(checkpoints=Checkpoints(tmp_path / "a", "f"))
    damaged = tmp_path / "a" / "step-0000020" / "model.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:-100])
    again, _ = run(checkpoints=Checkpoints(tmp_path / "a", "f"))
    assert same(whole, again)
    state = json.loads((tmp_path / "a" / "step-0000020" / "state.json").read_text())
    assert state["step"] == 20 and set(state["digests"]) == {
        f"{name}.safetensors" for name in ("model", "optimizer", "more", "best")
    }
    with pytest.raises(ModelError, match="made with another configuration"):
        run(checkpoints=Checkpoints(tmp_path / "a", "g"))


def test_micro_batches_give_the_gradient_of_the_whole_batch() -> None:
    plan = Plan(TrainingSettings(batch=8, micro_batch=3, lr=3e-3, head_lr=3e-3, evaluate_every=5))
    a, _ = run(steps=1, plan=PLAN, model=tiny.bert(layers=1))
    b, _ = run(steps=1, plan=plan, model=tiny.bert(layers=1))
    start = tiny.bert(layers=1)
    for p, q, r in zip(a.parameters(), b.parameters(), start.parameters(), strict=True):
        moved = (p - r).abs() > 2.9e-3  # Adam's first step has size lr wherever the gradient is not tiny
        assert (p - q)[moved].abs().max() < 1e-4 if bool(moved.any()) else True
    own = sets()
    picks = [(0, row) for row in range(5)] + [(1, row) for row in range(3)]
    parts = micro_batches(own, picks, Limits(rows=3))
    assert sorted(pick for part in parts for pick in part) == picks and sorted(
        len(part) for part in parts
    ) == [2, 3, 3]


def one_gradient(
    training: TrainingSettings, masks: Masks | RandomMask | None, picks: list[tuple[int, int]]
) -> tuple[float, Any]:
    """Loss and gradients of one step on `picks`, as the optimizer sees them."""
    own, model = sets(), tiny.bert(layers=1)
    optimizer, seen = torch.optim.SGD(model.parameters(), lr=0.0), {}

    def keep(*_: object) -> None:
        seen.update({name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None})

    optimizer.register_step_pre_hook(keep)
    plan = Plan(training, TuningSettings(clip=None))
    with nullcontext() if masks is None else mask_updates(optimizer, model, masks) as masked:
        taken = Stepper(model, optimizer, data(), plan, 0, masked).take(0, picks)
    assert taken.tokens == sum(len(own[which].input_ids[row]) for which, row in picks)
    assert 1 - taken.tokens / taken.padded <= (training.padding or 1)
    return float(taken.loss), seen


@pytest.mark.parametrize("kind", ["none", "random", "several"])
def test_the_gradient_is_that_of_one_padded_batch(kind: str) -> None:
    picks = [(0, row) for row in range(9)] + [(1, row) for row in range(7)]
    kinds = {"none": None, "random": RandomMask(0.5, 3), "several": masks_for(tiny.bert(layers=1), 0.4, "AB")}
    want_loss, want = one_gradient(TrainingSettings(padding=None), kinds[kind], picks)
    for training in (
        TrainingSettings(),
        TrainingSettings(padding=0.0),
        TrainingSettings(padding=0.3, micro_tokens=60),
    ):
        loss, found = one_gradient(training, kinds[kind], picks)
        assert loss == pytest.approx(want_loss, abs=1e-5) and found.keys() == want.keys()
        for name, gradient in want.items():
            assert (found[name] - gradient).norm() <= 1e-5 * gradient.norm() + 1e-7, name


def test_a_run_by_tokens_resumes_counts_and_keeps_to_its_budget(tmp_path: Path) -> None:
    plan = Plan(TrainingSettings(batch_tokens=100, lr=3e-3, head_lr=3e-3, evaluate_every=5, patience=50))
    whole, outcome = run(plan=plan, checkpoints=Checkpoints(tmp_path / "whole", "f"))
    assert outcome.tokens <= 20 * 100 and outcome.tokens > 20 * 75 and 20 < outcome.windows < 200
    assert 0 < outcome.padding_waste <= 0.08 and outcome.padded == pytest.approx(
        outcome.tokens / (1 - outcome.padding_waste)
    )

    def cut(step: int, metrics: dict[str, float]) -> None:
        if step == 13:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        run(
            plan=plan,
            checkpoints=Checkpoints(tmp_path / "cut", "f"),
            report=lambda step, metrics: cut(step + 3, metrics),
        )
    resumed, again = run(plan=plan, checkpoints=Checkpoints(tmp_path / "cut", "f"))
    assert same(whole, resumed) and again.curve == outcome.curve
    assert (again.windows, again.tokens, again.padded) == (outcome.windows, outcome.tokens, outcome.padded)


def test_windows_that_fit_no_step_or_no_pass_are_named() -> None:
    with pytest.raises(
        ConfigError,
        match=r"^training\.batch_tokens: 20 is not allowed: at least 23, .* of the longest window of A",
    ):
        run(plan=Plan(TrainingSettings(batch_tokens=20)))
    with pytest.raises(
        ConfigError,
        match=r"training\.micro_tokens: 20 is not allowed: at least 23, the tokens of A's longest training w",
    ):
        run(plan=Plan(TrainingSettings(micro_tokens=20)))


def test_learned_masks_hold_in_training() -> None:
    model = tiny.bert(dropout=True, layers=1)
    before = pretrained_copy(model)
    settings = MaskSettings(alpha0=0.0, steps=6, batch=8, density=0.2)
    masks = source_masks("learned", model, data(), settings, PLAN, seed=0)
    assert masks.datasets == NAMES and masks.densities() == pytest.approx({"A": 0.2, "B": 0.2}, abs=1e-4)
    assert 0.2 < masks.union_density() < 0.4
    _, outcome = run(masks=masks, model=model)
    union = masks.union()
    for name, parameter in model.named_parameters():
        if name in masks.shapes:
            closed = ~union.mask("union", name)
            assert torch.equal(parameter[closed], before[name][closed])
    assert outcome.deviation["total"].changed <= masks.union_density()
    again = source_masks("learned", tiny.bert(dropout=True, layers=1), data(), settings, PLAN, seed=0)
    assert again.equals(masks)
    mixture = MaskSettings(alpha0=0.0, steps=3, batch=8, scope="global")
    one = source_masks("learned", tiny.bert(layers=1), data(), mixture, PLAN, seed=0)
    assert one.datasets == ("all",)
    run(steps=2, masks=one)


def test_em_and_f1_together_move_the_shares_and_macro_f1_alone_chooses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    course = [
        {"A": (10.0, 20.0), "B": (10.0, 20.0)},
        {"A": (40.0, 20.0), "B": (10.0, 30.0)},  # EM + F1 moved by 30 and 10; macro F1 is 25
        {"A": (95.0, 10.0), "B": (95.0, 39.0)},  # macro F1 is 24.5
    ]
    scores, reported = iter(course), []
    monkeypatch.setattr("bmt.training.model_selection.evaluate", lambda *_: next(scores))
    plan = Plan(replace(PLAN.training, evaluate_every=2))
    _, outcome = run(steps=6, plan=plan, report=lambda step, metrics: reported.append((step, metrics)))
    assert [row["weight/A"] for row in outcome.curve] == [0.5, 0.5, 0.75]
    assert [row["macro_f1"] for row in outcome.curve] == [20.0, 25.0, 24.5] and outcome.best_step == 4
    shares = [metrics["sampling/weight/B"] for _, metrics in reported if "sampling/weight/B" in metrics]
    assert shares == pytest.approx([0.5, 0.25, 94 / (45 + 94)])  # of the steps to come


def test_early_stopping_counts_evaluations_without_gain() -> None:
    plan = Plan(TrainingSettings(batch=8, lr=1e-12, head_lr=1e-12, evaluate_every=2, patience=3))
    _, outcome = run(steps=100, plan=plan)
    assert outcome.step == 8 and outcome.best_step == 2  # first evaluation, then three without a gain


def test_a_loss_that_is_not_finite_stops_the_run() -> None:
    with pytest.raises(ModelError, match=r"the training loss is (nan|inf) at step"):
        run(steps=60, plan=Plan(TrainingSettings(batch=8, lr=1e30, head_lr=1e30, evaluate_every=20)))


def test_the_head_warm_up_moves_the_head_alone() -> None:
    model, few = tiny.bert(layers=1), tiny.training_data(sets(), dict.fromkeys(NAMES, np.arange(9)))
    start = {name: p.detach().clone() for name, p in model.named_parameters()}
    warm_up_head(model, few, PLAN, steps=3, seed=0)
    moved = {name for name, p in model.named_parameters() if not torch.equal(p, start[name])}
    assert moved == {"qa_outputs.weight", "qa_outputs.bias"}
    batch = mixture_batches(few, 6, 0, torch.device("cpu"))(0)
    assert len(batch.owner) == 6


def test_small_arithmetic() -> None:
    assert total_steps(900, 3, 16) == 169
    assert total_steps(1, 1, 16) == 1
    own, taken = sets(), {name: np.arange(45) for name in NAMES}
    assert planned_steps(own, taken, 3, TrainingSettings(batch=16)) == total_steps(90, 3, 16) == 17
    by_tokens = planned_steps(own, taken, 3, TrainingSettings(batch_tokens=200))
    assert by_tokens > 3 * sum(int(windows.lengths[:45].sum()) for windows in own) / 200
    rows = np.arange(5) + 10
    order = in_order(rows, 0, 12, ("k",))
    assert (
        sorted(order[:5]) == sorted(order[5:10]) == rows.tolist()
        and in_order(rows, 3, 4, ("k",)) == order[3:7]
    )


def test_deviation_measures() -> None:
    model = tiny.bert(layers=1)
    before = pretrained_copy(model)
    assert "qa_outputs.weight" not in before
    with torch.no_grad():
        model.bert.embeddings.word_embeddings.weight[3, :4] += 0.5
    moved = deviations(model, before)
    norm = torch.cat([value.reshape(-1).double() for value in before.values()])
    assert moved["total"].l2 == pytest.approx(1.0, rel=1e-6)
    assert moved["total"].relative == pytest.approx(1.0 / float(norm.norm()), rel=1e-6)
    assert moved["total"].changed == pytest.approx(4 / norm.numel())
    now = torch.cat([model.get_parameter(name).detach().reshape(-1).double() for name in before])
    assert moved["total"].cosine == pytest.approx(float(now @ norm / now.norm() / norm.norm()), rel=1e-9)
    assert moved["layer/layer_00"].l2 == 0 and moved["kind/embedding"].l2 == pytest.approx(1.0, rel=1e-6)


def test_progress_begins_with_what_a_checkpoint_has_done_and_counts_every_window_once(tmp_path: Path) -> None:
    plan = Plan(replace(PLAN.training, evaluate_every=2))
    calls: list[tuple[int, str]] = []

    def go(steps: int) -> TrainingOutcome:
        control = RunControl(
            progress=lambda count, note: calls.append((count, note)), checkpoints=Checkpoints(tmp_path, "f")
        )
        return train(tiny.bert(layers=1), data(), plan, steps=steps, seed=0, control=control)

    first = go(2)
    assert [count for count, _ in calls] == [8, 0, 8, 0]  # a look at the loss after each step
    assert calls[3][1] == f"loss {first.curve[0]['loss']:.2f}"
    calls.clear()
    outcome = go(4)
    assert calls[0] == (16, "resumed at step 2") and sum(count for count, _ in calls) == outcome.windows == 32


def test_the_deviation_is_of_the_best_weights_from_theta_0() -> None:
    """Not of the last ones, and not from where the run began."""
    model = tiny.bert(dropout=True, layers=1)
    pretrained = pretrained_copy(model)
    with torch.no_grad():
        model.bert.embeddings.word_embeddings.weight[3, :4] += 0.5
    plan = Plan(replace(PLAN.training, evaluate_every=2, patience=2))
    outcome = train(model, data(), plan, steps=40, seed=0, anchor=Anchor(pretrained))
    rows = {row["step"]: row["deviation"] for row in outcome.curve}
    assert outcome.best_step < outcome.step and rows[outcome.best_step] > 1.0
    assert outcome.deviation["total"].l2 == rows[outcome.best_step] != rows[outcome.step]
    assert outcome.deviation == deviations(model, pretrained)


def test_a_model_with_adapters_is_trained_on_their_datasets_in_their_order_alone() -> None:
    model = tiny.bert(layers=1)
    add_adapters(model, ("B", "A"))
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    with pytest.raises(
        ModelError, match=r"^the model has adapters for B, A, and is trained on A, B: give the"
    ):
        run(steps=1, model=model)
    assert all(torch.equal(parameter, before[name]) for name, parameter in model.named_parameters())
