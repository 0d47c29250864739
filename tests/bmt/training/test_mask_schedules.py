"""Masks that change while theta is tuned: refresh, alternating, per_batch, resampled."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import bmt.training.mask_schedules
from bmt.deviation import pretrained_copy
from bmt.errors import ConfigError
from bmt.gates import HardConcrete
from bmt.masked_updates import mask_updates
from bmt.masks import Masks
from bmt.runtime.checkpoints import Checkpoints
from bmt.runtime.control import RunControl
from bmt.runtime.keyed_random import key_number
from bmt.settings import MaskSettings, TrainingSettings
from bmt.training.data import TrainingData
from bmt.training.loop import train
from bmt.training.mask_schedules import Refresh, mask_schedule
from bmt.training.plan import Plan
from bmt.training.source_masks import source_masks
from tests.support import tiny

PLAN = Plan(TrainingSettings(batch=8, lr=3e-3, head_lr=3e-3, evaluate_every=5, patience=50))
NAMES = ("A", "B")  # 40 windows each: an epoch is 10 steps
KINDS = {
    "refresh": {"schedule": "refresh", "steps": 3, "density": 0.3},
    "alternating": {"schedule": "alternating"},
    "alternating global": {"schedule": "alternating", "scope": "global", "density": 0.4},
    "per_batch": {"schedule": "alternating", "scope": "per_batch", "steps": 2, "density": 0.2},
    "resampled": {"gate": "resampled", "steps": 3},
    "resampled soft global": {"gate": "resampled", "steps": 3, "binarise": "none", "scope": "global"},
}


def settings(kind: str) -> MaskSettings:
    return MaskSettings(alpha0=0.0, batch=4, alpha_lr=0.1, w_lr=1e-3, **KINDS[kind])  # type: ignore[arg-type]


def data(names: tuple[str, str] = NAMES, rows: int = 40) -> TrainingData:
    sets = [tiny.windows(names[0], 60, 1, 7), tiny.windows(names[1], 60, 2, 8)]
    return tiny.training_data(sets, dict.fromkeys(names, np.arange(rows)), np.arange(45, 60))


def kept_in(folder: Path) -> RunControl:
    return RunControl(checkpoints=Checkpoints(folder, "f"))


def run(
    kind: str,
    folder: Path,
    steps: int = 9,
    stop_at: int | None = None,
    plan: Plan = PLAN,
    names: tuple[str, str] = NAMES,
) -> tuple[Any, Any, Any]:
    """Train with an evaluation every third step, 24 windows per dataset: an epoch is six steps of eight."""
    source = data(names, 24)
    plan = replace(plan, training=replace(plan.training, evaluate_every=3))
    model = tiny.bert(dropout=True, layers=1)
    schedule = mask_schedule(model, source, settings(kind), plan, seed=0, control=kept_in(folder))
    seen: list[int] = []

    class CutOffError(Exception):
        pass

    def report(step: int, values: dict[str, float]) -> None:
        seen.append(step)
        if stop_at is not None and step >= stop_at:
            raise CutOffError

    try:
        control = RunControl(report, checkpoints=Checkpoints(folder, "f"))
        outcome = train(model, source, plan, steps=steps, seed=0, masks=schedule, control=control)
    except CutOffError:
        return model, schedule, None
    return model, schedule, outcome


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("batch", [8, 1])
def test_a_run_that_was_cut_ends_bit_for_bit_as_one_that_was_not(
    kind: str, batch: int, tmp_path: Path
) -> None:
    """A batch of one has rows of one dataset only, and weight decay moves what is open for the other: its
    mask is the one drawn last.
    """
    plan = replace(PLAN, training=replace(PLAN.training, batch=batch, weight_decay=0.1))
    whole, schedule, outcome = run(kind, tmp_path / "whole", plan=plan)
    run(kind, tmp_path / "cut", stop_at=8, plan=plan)
    resumed, again, second = run(kind, tmp_path / "cut", plan=plan)
    assert second.curve == outcome.curve
    for (name, p), (_, q) in zip(whole.named_parameters(), resumed.named_parameters(), strict=True):
        assert torch.equal(p, q), name
    assert again.masks().equals(schedule.masks())


@pytest.mark.parametrize("kind", ["alternating", "resampled"])
def test_a_run_is_resumed_whatever_its_datasets_are_called(kind: str, tmp_path: Path) -> None:
    names = ("A/alpha", "A")
    whole, _, outcome = run(kind, tmp_path / "whole", names=names)
    run(kind, tmp_path / "cut", stop_at=8, names=names)
    resumed, _, second = run(kind, tmp_path / "cut", names=names)
    assert second.curve == outcome.curve
    assert all(torch.equal(p, q) for p, q in zip(whole.parameters(), resumed.parameters(), strict=True))


def test_a_refresh_learns_at_the_present_theta_each_epoch_and_closed_weights_stay(tmp_path: Path) -> None:
    model, _, _ = run("refresh", tmp_path, steps=12)
    kept = sorted(tmp_path.glob("masks-*.safetensors"))
    assert [path.name for path in kept] == ["masks-0000.safetensors", "masks-0001.safetensors"]
    first, second = (Masks.load(path, model) for path in kept)
    fresh = source_masks(
        "learned", tiny.bert(dropout=True, layers=1), data(rows=24), settings("refresh"), PLAN, seed=0
    )
    assert first.equals(fresh) and not second.equals(first)
    start = pretrained_copy(tiny.bert(dropout=True, layers=1))
    either = [first.union(), second.union()]
    for name, p in model.named_parameters():
        if name in first.shapes:
            closed = ~(either[0].mask("union", name) | either[1].mask("union", name))
            assert torch.equal(p[closed], start[name][closed]), name


@pytest.mark.parametrize("kind", ["alternating", "per_batch"])
def test_masks_follow_the_batches_and_theta_is_left_to_the_optimizer(kind: str, tmp_path: Path) -> None:
    model = tiny.bert(layers=1)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    schedule = mask_schedule(model, data(), settings(kind), PLAN, seed=0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with mask_updates(optimizer, model, schedule.start(0)) as handle:
        seen = [schedule.masks()]
        for step in range(3):
            schedule.before(step, [(0, step), (0, step + 1)], handle)
            seen.append(schedule.masks())
    for name, p in model.named_parameters():  # only alpha and w were learned
        assert torch.equal(p, before[name]) and p.requires_grad and p.grad is None
    if kind == "alternating":  # dataset B was in no batch: its gates have not moved
        learners = schedule.learners  # type: ignore[attr-defined]
        assert [learners["A"].steps, learners["B"].steps] == [3, 0]
        assert all(bool((alpha == 0).all()) for alpha in learners["B"].alpha.values())
    else:
        assert seen[1].datasets == ("all",) and seen[1].density("all") == pytest.approx(0.2, abs=1e-3)
    assert not seen[1].equals(seen[2]) and not seen[2].equals(seen[3])


def test_resampled_masks_are_bernoulli_draws_of_gates_learned_once(tmp_path: Path) -> None:
    model = tiny.bert(layers=1)
    made = settings("resampled")
    schedule = mask_schedule(model, data(), made, PLAN, seed=0, control=kept_in(tmp_path))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with mask_updates(optimizer, model, schedule.start(0)) as handle:
        drawn = []
        for step in range(40):
            schedule.before(step, [(0, 1), (1, 2)], handle)
            drawn.append(schedule.masks())
    kept = load_file(tmp_path / "gates.safetensors")
    law, name = (
        HardConcrete(made.gamma, made.zeta, made.beta),
        "bert.encoder.layer.0.intermediate.dense.weight",
    )
    opened = law.prob_open(kept[f"A/{name}"])
    mean = torch.stack([masks.mask("A", name).float() for masks in drawn]).mean(0)
    error = ((mean - opened) / (opened * (1 - opened) / 40).sqrt()).square().mean()
    assert float(error) == pytest.approx(
        1, abs=0.1
    )  # 1 in expectation, for independent draws with these probabilities
    again = mask_schedule(model, data(), made, PLAN, seed=0, control=kept_in(tmp_path))
    assert again.start(17).equals(drawn[17]) and not drawn[17].equals(drawn[18])


def test_the_fixed_schedule_is_none_of_these() -> None:
    with pytest.raises(ConfigError, match=r"mask\.schedule: 'two_phase' has fixed masks"):
        mask_schedule(tiny.bert(layers=1), data(), MaskSettings(), PLAN, seed=0)


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_a_refresh_under_momentum_leaves_newly_closed_weights_where_they_are(
    decay: float, tmp_path: Path
) -> None:
    """An epoch is 10 steps: what the second epoch's masks close has moved, and its moments are not 0."""
    model, after = tiny.bert(dropout=True, layers=1), {}
    plan = replace(PLAN, training=replace(PLAN.training, weight_decay=decay))
    schedule = mask_schedule(model, data(), settings("refresh"), plan, seed=0, control=kept_in(tmp_path))
    start = {name: p.detach().clone() for name, p in model.named_parameters()}

    def progress(windows: int, note: str) -> None:
        if windows:
            after[len(after) + 1] = {name: p.detach().clone() for name, p in model.named_parameters()}

    train(model, data(), plan, steps=14, seed=0, masks=schedule, control=RunControl(progress=progress))
    first, second = (Masks.load(path, model) for path in sorted(tmp_path.glob("masks-*.safetensors")))
    moved = 0
    for name in first.shapes:
        before, now = first.union().mask("union", name), second.union().mask("union", name)
        closed = before & ~now
        moved += int((after[10][name][closed] != start[name][closed]).sum())
        for step in (11, 14):
            assert torch.equal(after[step][name][closed], after[10][name][closed]), (name, step)
        assert bool((after[14][name][now] != after[10][name][now]).any()) or not bool(now.any()), name
    assert moved > 100  # so that momentum would have carried them on


def test_a_refresh_keeps_its_masks_until_the_epoch_ends_and_learns_with_a_seed_of_its_own(
    tmp_path: Path,
) -> None:
    learned: list[int] = []
    masks = source_masks("learned", tiny.bert(layers=1), data(), settings("refresh"), PLAN, seed=0)

    def learn(epoch: int) -> Masks:
        learned.append(epoch)
        return masks

    schedule = Refresh(tiny.bert(layers=1), learn, 10, tmp_path)
    used: list[int] = []

    class Handle:
        def paused(self) -> Any:
            return nullcontext()

        def use(self, given: Any, settle: bool = False) -> None:
            assert settle
            used.append(len(given))

    schedule.start(0)
    for step in range(25):
        schedule.before(step, [], Handle())  # type: ignore[arg-type]
    assert learned == [0, 1, 2] and used == [2, 2]
    assert [schedule.in_files(step) for step in (24, 29, 30)] == [False, False, True]
    again = Refresh(
        tiny.bert(layers=1), learn, 10, tmp_path
    )  # a resume at the first step of an epoch: still the old ones
    assert again.start(20).equals(masks) and again.in_files(20) and learned == [0, 1, 2]


class Handle:
    """Stands for the masked updates in force: notes the masks that it is given."""

    def __init__(self) -> None:
        self.used: list[dict[str, dict[str, torch.Tensor]]] = []

    def paused(self) -> Any:
        return nullcontext()

    def use(self, masks: Any, settle: bool = False) -> None:
        self.used.append(masks)


def test_each_refresh_has_a_seed_and_a_place_of_its_own_and_the_place_before_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = source_masks("magnitude", tiny.bert(layers=1), data(), MaskSettings(density=0.5), PLAN, seed=0)
    asked: list[tuple[Any, ...]] = []

    def learn(kind: str, model: Any, *given: Any, seed: int, control: RunControl) -> Masks:
        assert control.checkpoints is not None and control.stop is stop and given[2] is PLAN
        control.checkpoints.folder.mkdir(parents=True)
        places = sorted(path.name for path in tmp_path.iterdir() if path.is_dir())
        asked.append((kind, seed, control.checkpoints.folder.name, control.checkpoints.fingerprint, places))
        return made

    def stop() -> bool:
        return False

    monkeypatch.setattr(bmt.training.mask_schedules, "source_masks", learn)
    control = RunControl(checkpoints=Checkpoints(tmp_path, "f"), stop=stop)
    schedule = mask_schedule(tiny.bert(layers=1), data(), settings("refresh"), PLAN, seed=7, control=control)
    schedule.start(0)
    for step in range(21):  # an epoch is ten steps of eight windows
        schedule.before(step, [], Handle())  # type: ignore[arg-type]
    seeds = [7, key_number((7, "refresh", 1)), key_number((7, "refresh", 2))]
    assert asked == [
        ("learned", seeds[0], "learning-0000", "f", ["learning-0000"]),
        ("learned", seeds[1], "learning-0001", "f", ["learning-0000", "learning-0001"]),
        ("learned", seeds[2], "learning-0002", "f", ["learning-0001", "learning-0002"]),
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "learning-0002",
        *(f"masks-000{epoch}.safetensors" for epoch in range(3)),
    ]


def test_without_a_place_a_refresh_keeps_nothing() -> None:
    learned: list[int] = []
    made = source_masks("magnitude", tiny.bert(layers=1), data(), MaskSettings(density=0.5), PLAN, seed=0)

    def learn(epoch: int) -> Masks:
        learned.append(epoch)
        return made

    schedule = Refresh(tiny.bert(layers=1), learn, 0, None)  # an epoch has a step at least
    assert schedule.start(3) is made and learned == [2] and schedule.in_files(3)
    handle = Handle()
    schedule.before(3, [], handle)  # type: ignore[arg-type]
    assert learned == [2, 3] and schedule.masks() is made and schedule.tensors() == {}
    assert {dataset: set(masks) for dataset, masks in handle.used[0].items()} == {"all": set(made.shapes)}


@pytest.mark.parametrize("kind", ["alternating", "alternating global", "per_batch", "resampled"])
def test_masks_that_are_drawn_say_how_they_were_made(kind: str) -> None:
    made = settings(kind)
    schedule = mask_schedule(tiny.bert(layers=1), data(), replace(made, steps=1), PLAN, seed=3)
    about = schedule.start(0).about
    assert about == {"kind": "learned", "seed": 3, **asdict(replace(made, steps=1))}
    assert schedule.masks().datasets == (NAMES if made.scope == "per_dataset" else ("all",))


def test_windows_are_under_their_dataset_s_mask_or_all_under_one() -> None:
    picks = [(0, 3), (1, 5), (0, 4)]
    apart, together = (
        mask_schedule(tiny.bert(layers=1), data(), settings(kind), PLAN, seed=0)
        for kind in ("alternating", "alternating global")
    )
    assert apart.by_dataset(picks) == {"A": [(0, 3), (0, 4)], "B": [(1, 5)]}  # type: ignore[attr-defined]
    assert together.by_dataset(picks) == {"all": picks}  # type: ignore[attr-defined]


def test_gates_of_a_batch_are_fresh_and_learn_as_many_steps_as_the_settings_say(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    learned: list[tuple[Any, int, int]] = []
    made = settings("per_batch")

    def learn(self: Any, learner: Any, steps: int, picks: Any, handle: Any) -> None:
        learned.append((learner.key, steps, len(picks)))

    monkeypatch.setattr(bmt.training.mask_schedules._LearnedOnBatches, "learn", learn)
    for steps in (4, 0):
        schedule = mask_schedule(tiny.bert(layers=1), data(), replace(made, steps=steps), PLAN, seed=3)
        schedule.start(0)
        for step in (0, 1):
            schedule.before(step, [(0, 1), (1, 2)], Handle())  # type: ignore[arg-type]
    keys = [(3, "mask", "batch", step) for step in (0, 1)]
    assert learned == [(key, steps, 2) for steps in (4, 1) for key in keys]


def test_gates_that_are_drawn_from_count_the_windows_that_they_learn_on(tmp_path: Path) -> None:
    counted: list[int] = []
    control = RunControl(
        progress=lambda windows, note: counted.append(windows), checkpoints=Checkpoints(tmp_path, "f")
    )
    schedule = mask_schedule(
        tiny.bert(layers=1), data(), settings("resampled"), PLAN, seed=0, control=control
    )
    schedule.start(0)
    assert counted == [4] * 3 * 2  # three steps of four windows for each dataset
    assert (tmp_path / "learning").is_dir() and (tmp_path / "gates.safetensors").is_file()
    handle = Handle()
    schedule.before(5, [(1, 2)], handle)  # type: ignore[arg-type]
    assert [list(masks) for masks in handle.used] == [["B"]]
    assert {name: int(at) for name, at in schedule.tensors().items()} == {"A": 0, "B": 5}
