"""Phase 2, zero-shot and few-shot: what is drawn, weighed, stepped, stopped, kept and resumed, on tiny
models.
"""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import PreTrainedModel

import bmt.training.model_selection
import bmt.transfer.adapter_tuning
import bmt.transfer.few_shot
import bmt.transfer.target_tuning
import bmt.transfer.transfer_runs
from bmt.errors import ConfigError, ModelError
from bmt.layers import in_encoder
from bmt.masks import Masks
from bmt.qa.adapters import AVERAGE, adapter_size, adapters_of, datasets_of
from bmt.qa.batches import collate
from bmt.qa.model import span_logits, span_nll
from bmt.random_mask import RandomMask
from bmt.runtime.checkpoints import Checkpoints
from bmt.runtime.control import RunControl, unheard
from bmt.runtime.stopping import Stop, StoppedError, never
from bmt.settings import FewShotSettings, MaskSettings
from bmt.training.data import TrainingData
from bmt.training.step import Stepper
from bmt.training.validation import Questions, evaluate
from bmt.transfer.adapter_tuning import TunedAdapter, tune_adapters
from bmt.transfer.few_shot import FewShot, adapter_losses, few_shot, loss_weights
from bmt.transfer.target_masks import target_masks
from bmt.transfer.target_split import Split, draw, those_of
from bmt.transfer.target_tuning import TuningOutcome, mean_loss, tune
from bmt.transfer.transfer_runs import few_shot_runs
from bmt.transfer.zero_shot import zero_shot
from tests.support import tiny
from tests.support.tiny_transfer import FEW, NAMES, PLAN, model_with, protocol, questions, source_like, values


def tiny_bert() -> PreTrainedModel:
    return tiny.bert(dropout=True, layers=1)


def run_few(k: int = 16, seed: int = 7, settings: FewShotSettings = FEW, **options: Any) -> FewShot:
    return few_shot(model_with(), questions(), k, seed, protocol(settings), **options)


def tune_on(
    model: PreTrainedModel, target: Questions, split: Split, settings: FewShotSettings, report: Any = unheard
) -> TuningOutcome:
    """Update on a split's training examples."""
    name, held = target.windows.dataset, those_of(target, split.validation)
    data = TrainingData([target.windows], {name: split.train}, [held], tiny.VOCAB)
    return tune(model, data, protocol(settings).target_plan, settings, seed=1, control=RunControl(report))


# ---------------------------------------------------------------- what is drawn


def test_k_examples_are_halved_and_left_out_of_the_test() -> None:
    target = questions(count=80)
    for k in (2, 16, 64):
        split = draw(target, k, 7)
        assert len(split.train) == len(split.validation) == k // 2 and len(split.test) == 80 - k
        assert sorted([*split.train, *split.validation, *split.test]) == list(range(80))
        assert split.test.tolist() == sorted(split.test.tolist())
        assert draw(target, k, 7, "entire_dev").test.tolist() == list(range(80))
        assert np.array_equal(draw(target, k, 7, "entire_dev").train, split.train)


def test_under_one_seed_small_k_are_part_of_large_ones_on_the_same_sides() -> None:
    small, large = draw(questions(), 16, 19), draw(questions(), 64, 19)
    assert np.array_equal(large.train[:8], small.train) and np.array_equal(
        large.validation[:8], small.validation
    )
    assert set(draw(questions(), 16, 29).train) != set(small.train)
    assert set(draw(questions("U"), 16, 19).train) != set(small.train)


def test_only_examples_with_an_answer_are_drawn_and_all_are_tested() -> None:
    target = questions(count=20)
    starts = np.minimum(target.windows.spans.starts, 2 * 12)  # the last eight windows hold no span
    windows = replace(target.windows, spans=replace(target.windows.spans, starts=starts))
    split = draw(replace(target, windows=windows), 12, 7)
    assert sorted([*split.train, *split.validation]) == list(range(12)) and split.test.tolist() == list(
        range(12, 20)
    )
    with pytest.raises(
        ConfigError, match=r"14 examples of T are asked for, which has 12 to give \(12 of its 20 questions"
    ):
        draw(replace(target, windows=windows), 14, 7)


def test_settings_that_are_not_allowed_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"fewshot.test: 'half' is not allowed: one of minus_k, entire_dev"):
        run_few(settings=replace(FEW, test="half"))


@pytest.mark.parametrize("k", [0, 1, 7, -2])
def test_an_odd_k_is_refused(k: int) -> None:
    with pytest.raises(ConfigError, match=rf"fewshot.sizes: {k} is not allowed: an even number from 2 on"):
        draw(questions(), k, 7)


def test_a_k_larger_than_the_dataset_is_refused_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(
        ConfigError,
        match=r"256 examples of T are asked for, which has 79 to give .*lower K, or leave the dataset out",
    ):
        draw(questions(count=80), 256, 7)
    with pytest.raises(
        ConfigError,
        match=r"80 examples of T are asked for, which has 79 to give .*one at least is left to test on",
    ):
        draw(questions(count=80), 80, 7)
    assert len(draw(questions(count=80), 80, 7, "entire_dev").train) == 40
    monkeypatch.setattr(bmt.transfer.transfer_runs, "few_shot", lambda *_, **__: pytest.fail("trained"))
    settings = replace(FEW, sizes=[16, 256])
    with pytest.raises(ConfigError, match="256 examples of T"):
        few_shot_runs(model_with(), [questions()], protocol(settings), Checkpoints(tmp_path, "f"))


# ---------------------------------------------------------------- losses and weights


def test_weights_are_the_softmax_of_minus_the_losses() -> None:
    weights = loss_weights({"A": 1.0, "B": 2.0, "C": 0.5})
    total = math.exp(-1) + math.exp(-2) + math.exp(-0.5)
    assert weights == pytest.approx(
        {"A": math.exp(-1) / total, "B": math.exp(-2) / total, "C": math.exp(-0.5) / total}, rel=1e-12
    )
    assert sum(loss_weights({"A": 5000.0, "B": 5001.0}).values()) == pytest.approx(1)
    assert loss_weights({"A": 5000.0, "B": 5001.0})["A"] == pytest.approx(1 / (1 + math.exp(-1)))
    with pytest.raises(ModelError, match="must be finite"):
        loss_weights({"A": 1.0, "B": float("nan")})


def test_each_adapter_is_measured_on_all_k_examples() -> None:
    model, target = model_with(), questions()
    split = draw(target, 16, 7)
    examples = np.concatenate([split.train, split.validation])
    run = run_few(settings=replace(FEW, steps=1))
    assert list(run.losses) == list(NAMES)
    model.eval()
    for name in NAMES:
        total = 0.0
        for row in examples.tolist():
            with torch.no_grad(), adapters_of(model).only(name):  # type: ignore[union-attr]
                batch = collate([target.windows], [(0, row)], tiny.VOCAB)
                total += float(span_nll(*span_logits(model, batch), batch).sum())
        assert run.losses[name] == pytest.approx(total / 16, rel=1e-5)
    assert (
        run.weights == loss_weights(run.losses) and len({round(loss, 6) for loss in run.losses.values()}) == 3
    )
    assert adapter_losses(tiny_bert(), target.windows, examples, protocol()) == {}


# ---------------------------------------------------------------- updates


def counted(k: int, settings: FewShotSettings, count: int = 300) -> FewShot:
    return few_shot(model_with(), questions(count=count), k, 7, protocol(settings))


def test_sixteen_examples_are_eight_to_train_on_and_one_update_per_epoch() -> None:
    run = counted(16, replace(FEW, steps=12))
    assert run.tuned.windows == 8 and run.tuned.steps_per_epoch == 1 and run.tuned.steps == 12
    assert [row["step"] for row in run.tuned.curve] == list(range(13))  # the start, and every epoch


@pytest.mark.parametrize(
    ("k", "steps", "per_epoch", "looks"),
    [(64, 10, 4, [0, 4, 8, 10]), (18, 5, 2, [0, 2, 4, 5]), (2, 3, 1, [0, 1, 2, 3])],
)
def test_n_windows_make_n_over_batch_updates_per_epoch(
    k: int, steps: int, per_epoch: int, looks: list[int]
) -> None:
    run = counted(k, replace(FEW, steps=steps))
    assert run.tuned.steps == steps and run.tuned.steps_per_epoch == per_epoch == math.ceil(k / 2 / 8)
    assert [row["step"] for row in run.tuned.curve] == looks


def test_the_default_protocol_is_three_hundred_updates_at_batch_eight() -> None:
    settings = FewShotSettings()
    assert (
        settings.sizes,
        settings.seeds,
        settings.steps,
        settings.batch,
        settings.lr,
        settings.patience,
    ) == (
        [16, 64, 256],
        [7, 19, 29],
        300,
        8,
        1e-5,
        10,
    )
    training = protocol(settings).target_plan.training
    assert training.batch == 8 and training.lr == training.head_lr == 1e-5
    assert (
        counted(256, replace(settings, steps=17, patience=99)).tuned.steps_per_epoch == 16
    )  # 128 windows: 18.75 epochs are 300 updates


def test_an_epoch_takes_every_window_once(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[list[int]] = []
    real = Stepper.take

    def noted(self: Any, step: int, picks: Any) -> Any:
        taken.append([row for _, row in picks])
        return real(self, step, picks)

    monkeypatch.setattr(Stepper, "take", noted)
    run = counted(42, replace(FEW, steps=6))  # 21 windows: 8 + 8 + 5
    assert [len(rows) for rows in taken] == [8, 8, 5] * 2
    first, second = ([row for rows in part for row in rows] for part in (taken[:3], taken[3:]))
    assert sorted(first) == sorted(second) == sorted(run.split.train.tolist()) and first != second


def test_it_stops_after_patience_epochs_without_a_higher_f1() -> None:
    run = counted(16, replace(FEW, steps=300, lr=1e-12, patience=10))
    assert run.tuned.steps == 10  # one update an epoch
    run = counted(64, replace(FEW, steps=300, lr=1e-12, patience=3))
    assert run.tuned.steps == 12


def test_of_equal_f1_the_lowest_loss_is_best_and_patience_counts_f1(monkeypatch: pytest.MonkeyPatch) -> None:
    """F1 by epoch 50 50 60 60 60 50 60 60 60; loss where it is measured: all but at the 50 after a 60."""
    f1s = iter([50.0, 50.0, 60.0, 60.0, 60.0, 50.0, 60.0, 60.0, 60.0])
    losses = iter([5.0, 6.0, 4.0, 3.0, 3.0, 3.5, 2.0, 9.0])
    monkeypatch.setattr(bmt.transfer.target_tuning, "evaluate", lambda *_: {"T": (0.0, next(f1s))})
    monkeypatch.setattr(bmt.transfer.target_tuning, "mean_loss", lambda *_: next(losses))
    model, target = tiny_bert(), questions()
    seen: dict[int, torch.Tensor] = {}
    settings = replace(FEW, steps=50, patience=6)

    def keep(step: int, metrics: dict[str, float]) -> None:
        seen[step] = model.qa_outputs.weight.detach().clone()

    split = draw(target, 16, 7)
    tuned = tune_on(model, target, split, settings, keep)
    assert (
        tuned.steps == 8 and tuned.best_step == 7 and tuned.best_f1 == 60
    )  # F1 rose last at epoch 2, then six without a gain
    assert torch.equal(model.qa_outputs.weight, seen[7]) and not torch.equal(seen[7], seen[8])
    assert [row.get("validation_loss") for row in tuned.curve] == [
        5.0,
        6.0,
        4.0,
        3.0,
        3.0,
        None,
        3.5,
        2.0,
        9.0,
    ]


def test_of_equal_f1_and_loss_the_earliest_is_best(monkeypatch: pytest.MonkeyPatch) -> None:
    f1s, losses = iter([50.0, 60.0, 60.0, 60.0]), iter([5.0, 3.0, 3.0, 4.0])
    monkeypatch.setattr(bmt.transfer.target_tuning, "evaluate", lambda *_: {"T": (0.0, next(f1s))})
    monkeypatch.setattr(bmt.transfer.target_tuning, "mean_loss", lambda *_: next(losses))
    target = questions()
    tuned = tune_on(tiny_bert(), target, draw(target, 16, 7), replace(FEW, steps=3))
    assert (tuned.steps, tuned.best_step, tuned.best_f1) == (3, 1, 60.0)


def test_the_best_epoch_outlives_a_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """F1 is 60 after the first update and 40 from then on; the run is cut before the third."""
    settings, target = replace(FEW, steps=4), questions()
    split = draw(target, 16, 7)
    data = TrainingData(
        [target.windows], {"T": split.train}, [those_of(target, split.validation)], tiny.VOCAB
    )
    monkeypatch.setattr(bmt.transfer.target_tuning, "mean_loss", lambda *_: 1.0)

    def go(
        f1s: list[float], stop: Stop = never, kept: Checkpoints | None = None
    ) -> tuple[Any, TuningOutcome]:
        scores, model = iter(f1s), tiny_bert()
        monkeypatch.setattr(bmt.transfer.target_tuning, "evaluate", lambda *_: {"T": (0.0, next(scores))})
        control = RunControl(checkpoints=kept, stop=stop)
        plan = protocol(settings).target_plan
        return model, tune(model, data, plan, settings, seed=1, control=control)

    whole, outcome = go([50.0, 60.0, 40.0, 40.0, 40.0])
    asked, kept = iter(range(9)), Checkpoints(tmp_path, "f")
    with pytest.raises(StoppedError, match=r"^stopped at update 2 of 4 on T$"):
        go([50.0, 60.0, 40.0], lambda: next(asked) >= 2, kept)
    resumed, again = go([40.0, 40.0], kept=kept)
    assert again == outcome and outcome.best_step == 1
    assert all(torch.equal(p, q) for p, q in zip(whole.parameters(), resumed.parameters(), strict=True))


def test_where_nothing_is_gained_the_averaged_model_itself_is_tested() -> None:
    model, target = model_with(), questions()
    ruinous = replace(FEW, lr=0.5, steps=3)
    run = few_shot(model, target, 16, 7, protocol(ruinous))
    averaged_model = bmt.transfer.few_shot.averaged(model, run.weights)
    f1 = evaluate(averaged_model, [those_of(target, run.split.validation)], tiny.VOCAB, PLAN)["T"][1]
    assert run.tuned.curve[0]["f1"] == pytest.approx(f1) and run.tuned.best_f1 >= f1


def test_all_three_kinds_of_parameters_are_tuned_and_the_source_model_is_not() -> None:
    model, target = model_with(), questions(count=300)
    before = values(model)
    start = bmt.transfer.few_shot.averaged(model, dict.fromkeys(NAMES, 1 / 3))
    first, split = values(start), draw(target, 128, 7)
    settings = replace(FEW, steps=56, lr=5e-3)
    tuned = tune_on(start, target, split, settings)
    assert tuned.best_step > 0 and tuned.best_f1 > tuned.curve[0]["f1"] + 20
    for name, parameter in start.named_parameters():
        if "key.bias" not in name:
            assert not torch.equal(parameter, first[name]), name
    run_few(settings=replace(FEW, steps=2))
    assert all(torch.equal(parameter, before[name]) for name, parameter in model.named_parameters())


def test_a_model_without_adapters_is_tuned_as_it_is() -> None:
    model = tiny_bert()
    before = values(model)
    run = few_shot(model, questions(), 16, 7, protocol(replace(FEW, steps=4)))
    assert run.losses == run.weights == {} and run.tuned.steps == 4 and len(run.predictions) == 64
    assert all(torch.equal(parameter, before[name]) for name, parameter in model.named_parameters())
    assert zero_shot(model) is model and datasets_of(zero_shot(model_with())) == (AVERAGE,)


def test_the_same_dataset_k_and_seed_give_the_same_answers() -> None:
    one, two, other = run_few(), run_few(), run_few(seed=19)
    assert one.predictions == two.predictions and one.tuned == two.tuned and one.losses == two.losses
    assert [prediction.example for prediction in one.predictions] == one.split.test.tolist()
    assert other.split.train.tolist() != one.split.train.tolist() and other.tuned.curve != one.tuned.curve


# ---------------------------------------------------------------- masks

LEARN = MaskSettings(alpha0=0.0, steps=3, batch=8, density=0.2)


@pytest.mark.parametrize("kind", ["learned", "fixed_random", "fisher", "magnitude"])
def test_a_mask_made_on_the_training_examples_holds(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[tuple[Any, Any]] = []
    make = target_masks(kind, LEARN, protocol(), seed=7)
    assert make is not None

    def noted(model: Any, data: TrainingData) -> Any:
        made = make(model, data)
        given.append((made, data.rows["T"]))
        return made

    ends: list[dict[str, torch.Tensor]] = []
    real = bmt.transfer.few_shot.tune

    def watched(model: Any, *arguments: Any, **options: Any) -> Any:
        ends.append(values(model))
        done = real(model, *arguments, **options)
        ends.append(values(model))
        return done

    monkeypatch.setattr(bmt.transfer.few_shot, "tune", watched)
    run = run_few(k=32, settings=replace(FEW, steps=20, lr=3e-3), masks=noted)
    (masks, rows), (before, after) = given[0], ends
    assert isinstance(masks, Masks) and len(masks.datasets) == 1 and np.array_equal(rows, run.split.train)
    assert masks.density(masks.datasets[0]) == pytest.approx(0.2, abs=1e-3)
    assert masks.about["kind"] == kind
    assert run.tuned.best_step > 0
    for name, start in before.items():
        if in_encoder(name):
            closed = ~masks.mask(masks.datasets[0], name)
            assert torch.equal(after[name][closed], start[closed]), name
    moved = sum(int((after[name] != start).sum()) for name, start in before.items() if in_encoder(name))
    assert moved > 0


def test_the_union_of_the_source_masks_fits_the_averaged_model() -> None:
    masks, union = source_like(model_with()), replace(FEW, mask="union")
    make = target_masks("learned", LEARN, protocol(union), seed=7, source=masks)
    assert make is not None
    made = make(tiny_bert(), tiny.training_data([questions().windows], {"T": np.arange(3)}))
    assert (
        isinstance(made, Masks)
        and made.datasets == ("union",)
        and made.union_density() == pytest.approx(0.271, abs=0.01)
    )
    assert run_few(masks=make, settings=replace(union, steps=3)).tuned.steps == 3
    with pytest.raises(ConfigError, match="'union' needs the masks of the source training"):
        target_masks("learned", LEARN, protocol(union), seed=7)
    with pytest.raises(ConfigError, match=r"masks of A, B, C: one is needed for T: use masks.union"):
        run_few(masks=lambda *_: masks)


def test_other_arms_have_no_mask_or_a_random_one() -> None:
    assert target_masks("none", LEARN, protocol(), seed=7) is None
    make = target_masks("random", LEARN, protocol(), seed=7, random=RandomMask(0.3, 7))
    assert make is not None and make(
        tiny_bert(), tiny.training_data([questions().windows], {"T": np.arange(3)})
    ) == RandomMask(0.3, 7)
    assert run_few(masks=make).tuned.curve != run_few().tuned.curve
    mask = replace(LEARN, density=None, schedule="alternating")
    alternating = target_masks("learned", mask, protocol(), seed=7)
    assert run_few(masks=alternating, settings=replace(FEW, steps=3)).tuned.steps == 3


# ---------------------------------------------------------------- all of them


def test_runs_are_kept_one_file_each_and_finished_ones_are_not_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, targets, model = (
        replace(FEW, sizes=[4, 8], seeds=[7, 19], steps=2),
        [questions("T"), questions("U")],
        model_with(),
    )
    finished: list[dict[str, Any]] = []

    def go(fingerprint: str = "f", own: FewShotSettings = settings) -> list[dict[str, Any]]:
        kept = Checkpoints(tmp_path, fingerprint)
        return few_shot_runs(model, targets, protocol(own), kept, done=finished.append)

    first = go()
    assert [(run["dataset"], run["k"], run["seed"]) for run in first] == [
        (d, k, s) for d in "TU" for k in (4, 8) for s in (7, 19)
    ]
    files = sorted(tmp_path.iterdir())
    assert sorted(path.name.rpartition("-")[0] for path in files) == sorted(
        f"{d}.k{k}.s{s}" for d in "TU" for k in (4, 8) for s in (7, 19)
    )
    assert finished == first and [run["steps"] for run in first] == [2] * 8
    assert [json.loads(path.read_text()) for path in files] == sorted(
        first, key=lambda run: (run["dataset"], run["k"], str(run["seed"]))
    )
    assert set(first[0]["predictions"][0]) == {"example", "text", "start", "end", "score"}
    assert len(first[0]["predictions"]) == len(first[0]["test"]) == 76 and len(first[0]["train"]) == 2

    ran: list[tuple[int, int]] = []
    real = bmt.transfer.transfer_runs.few_shot

    def noted(*arguments: Any, **options: Any) -> FewShot:
        ran.append(arguments[2:4])
        return real(*arguments, **options)

    monkeypatch.setattr(bmt.transfer.transfer_runs, "few_shot", noted)
    assert go() == first and ran == []
    next(path for path in files if path.name.startswith("U.k8.s19")).unlink()
    assert go() == first and ran == [(8, 19)]  # the one that was missing, and it comes out the same
    more = go(own=replace(settings, seeds=[7, 19, 29]))  # another seed leaves the others' files as they are
    assert ran == [(8, 19), (4, 29), (8, 29), (4, 29), (8, 29)] and len(more) == 12
    go(fingerprint="g")  # another model: nothing of the first is taken up
    assert len(ran) == 13
    go(own=replace(settings, steps=1))
    assert len(ran) == 21


def test_a_dataset_of_any_name_is_kept_within_the_folder(tmp_path: Path) -> None:
    settings, folder = replace(FEW, sizes=[4], seeds=[7], steps=1), tmp_path / "runs"
    targets = [questions("../../up"), questions("a/b")]
    runs = few_shot_runs(model_with(), targets, protocol(settings), Checkpoints(folder, "f"))
    assert [run["dataset"] for run in runs] == ["../../up", "a/b"]
    names = [path.name.rpartition("-")[0] for path in folder.iterdir()]
    assert sorted(names) == ["%2E.%2F..%2Fup.k4.s7", "a%2Fb.k4.s7"]
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


# ---------------------------------------------------------------- phase 2


def phase_two(
    model: PreTrainedModel, folder: Path | None = None, names: tuple[str, ...] = NAMES, **options: Any
) -> list[TunedAdapter]:
    sets = [tiny.windows(name, 40, seed, cue=7 + seed) for seed, name in enumerate(names)]
    data = tiny.training_data(sets, dict.fromkeys(names, np.arange(30)), np.arange(30, 40))
    plan = replace(PLAN, training=replace(PLAN.training, **options.pop("training", {})))
    control = RunControl(checkpoints=None if folder is None else Checkpoints(folder, "f"), **options)
    return tune_adapters(model, data, plan, epochs=2, seed=0, control=control)


def test_phase_two_tunes_each_pair_on_its_dataset_and_leaves_theta_bit_identical(tmp_path: Path) -> None:
    model, logged = model_with(), []
    before = values(model)
    tuned = phase_two(
        model,
        tmp_path,
        training={"head_lr": 1e-2, "weight_decay": 0.1},
        report=lambda step, metrics: logged.append((step, metrics)),
    )
    assert [one.dataset for one in tuned] == list(NAMES) and any(one.kept for one in tuned)
    assert [one.outcome.step for one in tuned] == [8] * 3  # 30 windows, 2 epochs, batch 8
    for name, parameter in model.named_parameters():
        if in_encoder(name):
            assert torch.equal(parameter, before[name]), name
        else:
            moved = [bool((parameter[row] != before[name][row]).any()) for row in range(3)]
            assert moved == [one.kept for one in tuned], name
        assert parameter.requires_grad
    assert all(one.outcome.deviation["total"].l2 == 0 for one in tuned)
    assert "phase_2/B/validation/f1/B" in {key for _, metrics in logged for key in metrics}
    kept = load_file(tmp_path / "phase-2-A" / "step-0000008" / "best.safetensors")
    assert (
        sum(value.numel() for value in kept.values()) == adapter_size(model) + 2 * 32 + 2
    )  # theta is in no checkpoint

    again = model_with()  # all is there already: nothing is trained, everything is taken up
    assert phase_two(again, tmp_path, training={"head_lr": 1e-2, "weight_decay": 0.1}) == tuned
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), model.parameters(), strict=True))


def test_phase_two_keeps_a_dataset_of_any_name_within_the_folder(tmp_path: Path) -> None:
    names = ("/../..", "a/b", "C")
    phase_two(model_with(names), tmp_path / "kept", names)
    kept = sorted(path.name for path in (tmp_path / "kept").iterdir())
    assert kept == ["phase-2-%2F..%2F..", "phase-2-C", "phase-2-a%2Fb"]
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_a_phase_two_that_was_cut_ends_as_one_that_was_not(tmp_path: Path) -> None:
    whole, cut = model_with(), model_with()
    training = {"head_lr": 1e-2}
    tuned = phase_two(whole, tmp_path / "whole", training=training)

    def stop(step: int, metrics: dict[str, float]) -> None:
        if step == 6 and "phase_2/B/train/loss" in metrics:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        phase_two(cut, tmp_path / "cut", training=training, report=stop)
    resumed = model_with()
    again = phase_two(resumed, tmp_path / "cut", training=training)
    assert [(one.dataset, one.before, one.kept, one.outcome.curve) for one in again] == [
        (one.dataset, one.before, one.kept, one.outcome.curve) for one in tuned
    ]
    assert all(torch.equal(a, b) for a, b in zip(resumed.parameters(), whole.parameters(), strict=True))


def test_phase_two_never_leaves_a_lower_validation_score_than_it_found() -> None:
    model = model_with()
    before = values(model)
    tuned = phase_two(model, training={"head_lr": 1e-12})
    assert not any(one.kept for one in tuned) and all(one.outcome.best_f1 <= one.before for one in tuned)
    assert all(torch.equal(parameter, before[name]) for name, parameter in model.named_parameters())
    with pytest.raises(ModelError, match="dataset 'C' has no adapter"):
        phase_two(model_with(("A", "B")))


def test_an_adapter_that_tuning_made_worse_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bmt.transfer.adapter_tuning, "evaluate", lambda *_: dict.fromkeys(NAMES, (0.0, 50.0)))
    scores = {"A": (0.0, 49.0), "B": (0.0, 51.0), "C": (0.0, 50.0)}
    monkeypatch.setattr(
        bmt.training.model_selection,
        "evaluate",
        lambda model, questions, *_: {questions[0].windows.dataset: scores[questions[0].windows.dataset]},
    )
    model = model_with()
    before = values(model)
    tuned = phase_two(model, training={"head_lr": 1e-2})
    assert [one.kept for one in tuned] == [False, True, False]
    for name, parameter in model.named_parameters():
        if not in_encoder(name):
            rows = [bool((parameter[row] != before[name][row]).any()) for row in range(3)]
            assert rows == [False, True, False], name


def test_mean_loss_is_without_dropout_and_leaves_the_mode() -> None:
    model, target = tiny_bert().train(), questions()
    one = mean_loss(model, target.windows, np.arange(9), tiny.VOCAB, PLAN)
    assert model.training and one == mean_loss(model, target.windows, np.arange(9), tiny.VOCAB, PLAN)
    assert isinstance(draw(target, 4, 7), Split)
