"""The loop against a slow plain one, bit for bit: draws, masks, clipping, eq. 15, best weights, patience."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bmt.masks import Masks
from bmt.qa.batches import collate
from bmt.qa.cpu_dropout import quick_dropout
from bmt.qa.model import batch_loss, span_logits, span_nll
from bmt.random_mask import RandomMask
from bmt.runtime.checkpoints import Checkpoints
from bmt.runtime.control import RunControl, unheard
from bmt.runtime.keyed_random import choice, key_number, permutation
from bmt.settings import FewShotSettings, SamplingSettings, TrainingSettings, TuningSettings
from bmt.training.data import TrainingData
from bmt.training.loop import TrainingOutcome, train
from bmt.training.plan import Plan
from bmt.training.sampling import Sampler
from bmt.training.source_masks import warm_up_head
from bmt.training.validation import evaluate
from bmt.transfer.protocol import FewShotProtocol
from bmt.transfer.target_tuning import TuningOutcome, mean_loss, tune
from tests.support import tiny
from tests.support.random_masks import masks_for

# One pass per step, its windows in order of falling length; some clipping.
PLAN = Plan(
    TrainingSettings(batch=8, lr=2e-3, head_lr=4e-3, evaluate_every=3, patience=4, padding=None),
    TuningSettings(clip=0.5, compact_state=False),
    SamplingSettings(floor=0.0),
)
NAMES = ("A", "B")
Pick = tuple[int, int]


def data(validation: int = 15) -> TrainingData:
    sets = [tiny.windows("A", 60, 0, cue=7), tiny.windows("B", 60, 1, cue=8)]
    rows = {"A": np.arange(30), "B": np.arange(45)}
    return tiny.training_data(sets, rows, np.arange(60 - validation, 60))


def plain_step(
    model: Any, optimizer: Any, source: TrainingData, picks: list[Pick], mask: Any, key: Any
) -> None:
    """One update: the mask between the backward pass and the clipping."""
    torch.manual_seed(key_number(key))
    lengths = [len(source.sets[which].input_ids[row]) for which, row in picks]
    ordered = [picks[place] for place in np.argsort([-length for length in lengths], kind="stable")]
    batch = collate(source.sets, ordered, source.vocabulary)
    with quick_dropout(model):
        (span_nll(*span_logits(model, batch), batch).sum() / len(picks)).backward()
    for name, parameter in model.named_parameters():
        if parameter.grad is not None and (opened := mask(name, parameter)) is not None:
            parameter.grad.mul_(opened)
    torch.nn.utils.clip_grad_norm_(model.parameters(), PLAN.tuning.clip or 0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def plain_optimizer(model: Any, lr: float, head_lr: float) -> torch.optim.AdamW:
    head = [p for name, p in model.named_parameters() if name.startswith("qa_outputs")]
    encoder = [p for name, p in model.named_parameters() if not name.startswith("qa_outputs")]
    groups = [{"params": encoder, "lr": lr}, {"params": head, "lr": head_lr}]
    return torch.optim.AdamW(groups, eps=PLAN.training.eps, weight_decay=0.0, fused=True)


def copied(model: Any) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


def put_back(model: Any, weights: dict[str, torch.Tensor]) -> None:
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(weights[name])


def mask_at(masks: Any, step: int) -> Any:
    """(name, parameter) -> the mask of a step, or None."""
    if isinstance(masks, RandomMask):
        return lambda name, p: masks.draw(name, p.shape, step) if not name.startswith("qa_") else None
    if isinstance(masks, Masks):
        return lambda name, p: masks.mask("A", name) if name in masks.shapes else None
    return lambda name, p: None


def plain_training(model: Any, source: TrainingData, steps: int, masks: Any) -> dict[str, Any]:
    """Training as section 3 has it, with nothing kept, shared or resumed."""
    optimizer = plain_optimizer(model, PLAN.training.lr, PLAN.training.head_lr)
    weights, given, before = np.array([0.5, 0.5]), [0, 0], None
    best, best_f1, best_step, without_gain, course = copied(model), -1.0, 0, 0, []
    model.train()
    for step in range(steps):
        picks = []
        for which in np.sort(choice(weights, 8, (0, "dataset", step))).tolist():
            name = NAMES[which]
            passes, at = divmod(given[which], len(source.rows[name]))
            order = permutation(len(source.rows[name]), (0, "order", name, passes))
            picks.append((which, int(source.rows[name][order[at]])))
            given[which] += 1
        plain_step(model, optimizer, source, picks, mask_at(masks, step), (0, "train", step))
        if (step + 1) % PLAN.training.evaluate_every and step + 1 < steps:
            continue
        scores = evaluate(model, source.validation, tiny.VOCAB, PLAN)
        course.append((step + 1, weights.tolist(), {name: f1 for name, (_, f1) in scores.items()}))
        now = np.array([em + f1 for em, f1 in scores.values()])
        if before is not None and (moved := np.abs(now - before)).sum() > 0:  # eq. 15
            shares = moved / moved.sum()
            weights = shares / shares.sum()
        before = now
        without_gain += 1
        if (macro := float(np.mean([f1 for _, f1 in scores.values()]))) > best_f1:
            best, best_f1, best_step, without_gain = copied(model), macro, step + 1, 0
        if without_gain == PLAN.training.patience:
            break
    put_back(model, best)
    return {"steps": step + 1, "best_step": best_step, "best_f1": best_f1, "course": course}


def masks_named(kind: str) -> Any:
    return {"random": RandomMask(0.4, 3), "one": masks_for(tiny.bert(layers=1), 0.3, "A")}.get(kind)


def trained(kind: str, steps: int, checkpoints: Checkpoints | None = None) -> tuple[Any, TrainingOutcome]:
    model = tiny.bert(dropout=True, layers=1)
    control = RunControl(checkpoints=checkpoints)
    return model, train(model, data(), PLAN, steps=steps, seed=0, masks=masks_named(kind), control=control)


@pytest.mark.parametrize("kept", [False, True], ids=["in memory", "in files"])
@pytest.mark.parametrize("kind", ["none", "random", "one"])
def test_training_is_the_plain_loop(kind: str, kept: bool, tmp_path: Path) -> None:
    plain = tiny.bert(dropout=True, layers=1)
    want = plain_training(plain, data(), 40, masks_named(kind))
    model, outcome = trained(kind, 40, Checkpoints(tmp_path, "f") if kept else None)
    assert (outcome.step, outcome.best_step, outcome.best_f1) == (
        want["steps"],
        want["best_step"],
        want["best_f1"],
    )
    assert want["best_step"] < want["steps"]  # the best weights are not the last ones
    assert [row["step"] for row in outcome.curve] == [step for step, _, _ in want["course"]]
    for row, (_, shares, f1) in zip(outcome.curve, want["course"], strict=True):
        assert [row["weight/A"], row["weight/B"]] == pytest.approx(shares, abs=1e-12)
        assert {name: row[f"f1/{name}"] for name in NAMES} == f1
    for (name, p), q in zip(model.named_parameters(), plain.parameters(), strict=True):
        assert torch.equal(p, q), name


def plain_tuning(model: Any, source: TrainingData, plan: Plan, settings: FewShotSettings, masks: Any) -> Any:
    """Few-shot updates in whole epochs: the best by F1, of equals by loss, of equals the earliest."""
    [rows], [held] = source.rows.values(), source.validation
    optimizer = plain_optimizer(model, settings.lr, settings.lr)
    per_epoch = -(-len(rows) // settings.batch)
    best: tuple[float, float] = (-1.0, 0.0)
    weights, best_step, without_gain, curve = copied(model), 0, 0, []
    model.train()
    for step in range(settings.steps + 1):
        if step % per_epoch == 0 or step == settings.steps:
            f1 = evaluate(model, [held], tiny.VOCAB, plan)["T"][1]
            loss = mean_loss(model, held.windows, held.rows, tiny.VOCAB, plan)
            curve.append((step, f1))
            without_gain = 0 if f1 > best[0] else without_gain + 1
            if (f1, -loss) > best:
                best, weights, best_step = (f1, -loss), copied(model), step
            if without_gain == settings.patience:
                break
        if step == settings.steps:
            break
        epoch, at = divmod(step, per_epoch)
        order = permutation(len(rows), (5, "order", epoch))[at * settings.batch : (at + 1) * settings.batch]
        picks = [(0, int(rows[place])) for place in order]
        plain_step(model, optimizer, source, picks, mask_at(masks, step), (5, "train", step))
    put_back(model, weights)
    return {"steps": step, "best_step": best_step, "best_f1": best[0], "curve": curve}


def tuned(kind: str, settings: FewShotSettings, report: Any = unheard) -> tuple[Any, TuningOutcome]:
    model = tiny.bert(dropout=True, layers=1)
    plan = FewShotProtocol(tiny.VOCAB, PLAN, settings).target_plan
    control = RunControl(report)
    return model, tune(model, target(), plan, settings, seed=5, masks=masks_named(kind), control=control)


def target() -> TrainingData:
    """Twenty training windows of one dataset, and eight questions."""
    return tiny.training_data([tiny.windows("T", 60, 9)], {"T": np.arange(3, 23)}, np.arange(40, 48))


@pytest.mark.parametrize(("steps", "patience"), [(31, 100), (90, 3)])
@pytest.mark.parametrize("kind", ["none", "random", "one"])
def test_few_shot_is_the_plain_loop(kind: str, steps: int, patience: int) -> None:
    settings = FewShotSettings(steps=steps, patience=patience, lr=2e-3)
    plain, plan = tiny.bert(dropout=True, layers=1), FewShotProtocol(tiny.VOCAB, PLAN, settings).target_plan
    want = plain_tuning(plain, target(), plan, settings, masks_named(kind))
    model, outcome = tuned(kind, settings)
    assert (outcome.steps, outcome.best_step, outcome.best_f1) == (
        want["steps"],
        want["best_step"],
        want["best_f1"],
    )
    assert [(row["step"], row["f1"]) for row in outcome.curve] == want["curve"]
    assert outcome.steps_per_epoch == 3 and (patience == 100 or outcome.steps < steps)
    for (name, p), q in zip(model.named_parameters(), plain.parameters(), strict=True):
        assert torch.equal(p, q), name


def test_the_warm_up_of_the_head_is_the_plain_loop() -> None:
    model, plain = tiny.bert(dropout=True, layers=1), tiny.bert(dropout=True, layers=1)
    warm_up_head(model, data(), PLAN, steps=4, seed=2)
    head = [plain.qa_outputs.weight, plain.qa_outputs.bias]
    optimizer = torch.optim.AdamW(head, lr=PLAN.training.head_lr, eps=PLAN.training.eps, weight_decay=0.0)
    sampler = Sampler(data().rows, PLAN.training.batch, SamplingSettings(kind="uniform"), 2)
    plain.train()
    for step in range(4):
        torch.manual_seed(key_number((2, "head warm-up", step)))
        loss = batch_loss(plain, collate(data().sets, sampler.draw(step), tiny.VOCAB))
        head[0].grad, head[1].grad = torch.autograd.grad(loss, head)
        optimizer.step()
    for (name, p), q in zip(model.named_parameters(), plain.parameters(), strict=True):
        assert torch.equal(p, q), name
