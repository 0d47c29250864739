"""Masks that change while theta is tuned: refresh, alternating, per_batch, resampled."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from bmt.deviation import pretrained_copy
from bmt.errors import ConfigError
from bmt.gates import HardConcrete
from bmt.mask_updates import mask_updates
from bmt.masks import Masks
from bmt.runtime.checkpoints import Checkpoints
from bmt.settings import MaskSettings, TrainingSettings
from bmt.training.loop import Plan, train
from bmt.training.source_masks import mask_schedule, source_masks
from tests.support import tiny

PLAN = Plan(TrainingSettings(batch=8, lr=3e-3, head_lr=3e-3, evaluate_every=5, patience=50))
ROWS = {name: np.arange(40) for name in ("A", "B")}  # an epoch is 10 steps
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


def run(
    kind: str, folder: Path, steps: int = 15, stop_at: int | None = None, plan: Plan = PLAN
) -> tuple[Any, Any, Any]:
    own, model = [tiny.windows("A", 60, 1, 7), tiny.windows("B", 60, 2, 8)], tiny.bert(dropout=True)
    schedule = mask_schedule(model, own, ROWS, tiny.VOCAB, settings(kind), plan, seed=0, folder=folder)
    seen: list[int] = []

    class CutOffError(Exception):
        pass

    def report(step: int, values: dict[str, float]) -> None:
        seen.append(step)
        if stop_at is not None and step >= stop_at:
            raise CutOffError

    try:
        outcome = train(
            model,
            own,
            ROWS,
            [tiny.as_questions(w, np.arange(45, 60)) for w in own],
            tiny.VOCAB,
            plan,
            steps=steps,
            seed=0,
            masks=schedule,
            checkpoints=Checkpoints(folder, "f"),
            report=report,
        )
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
    run(kind, tmp_path / "cut", stop_at=13, plan=plan)
    resumed, again, second = run(kind, tmp_path / "cut", plan=plan)
    assert second.curve == outcome.curve
    for (name, p), (_, q) in zip(whole.named_parameters(), resumed.named_parameters(), strict=True):
        assert torch.equal(p, q), name
    assert again.masks().equals(schedule.masks())


def test_a_refresh_learns_at_the_present_theta_each_epoch_and_closed_weights_stay(tmp_path: Path) -> None:
    own = [tiny.windows("A", 60, 1, 7), tiny.windows("B", 60, 2, 8)]
    model, _, _ = run("refresh", tmp_path, steps=20)
    kept = sorted(tmp_path.glob("masks-*.safetensors"))
    assert [path.name for path in kept] == ["masks-0000.safetensors", "masks-0001.safetensors"]
    first, second = (Masks.load(path, model) for path in kept)
    fresh = source_masks(
        "learned", tiny.bert(dropout=True), own, ROWS, tiny.VOCAB, settings("refresh"), PLAN, seed=0
    )
    assert first.equals(fresh) and not second.equals(first)
    start = pretrained_copy(tiny.bert(dropout=True))
    either = [first.union(), second.union()]
    for name, p in model.named_parameters():
        if name in first.shapes:
            closed = ~(either[0].mask("union", name) | either[1].mask("union", name))
            assert torch.equal(p[closed], start[name][closed]), name


@pytest.mark.parametrize("kind", ["alternating", "per_batch"])
def test_masks_follow_the_batches_and_theta_is_left_to_the_optimizer(kind: str, tmp_path: Path) -> None:
    own, model = [tiny.windows("A", 60, 1, 7), tiny.windows("B", 60, 2, 8)], tiny.bert()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    schedule = mask_schedule(model, own, ROWS, tiny.VOCAB, settings(kind), PLAN, seed=0)
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
    own, model = [tiny.windows("A", 60, 1, 7), tiny.windows("B", 60, 2, 8)], tiny.bert()
    made = settings("resampled")
    schedule = mask_schedule(model, own, ROWS, tiny.VOCAB, made, PLAN, seed=0, folder=tmp_path)
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
    again = mask_schedule(model, own, ROWS, tiny.VOCAB, made, PLAN, seed=0, folder=tmp_path)
    assert again.start(17).equals(drawn[17]) and not drawn[17].equals(drawn[18])


def test_the_fixed_schedule_is_none_of_these() -> None:
    with pytest.raises(ConfigError, match=r"mask\.schedule: 'two_phase' has fixed masks"):
        mask_schedule(tiny.bert(), [], {}, tiny.VOCAB, MaskSettings(), PLAN, seed=0)
