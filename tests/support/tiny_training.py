"""A training of a tiny BERT on two datasets."""

from __future__ import annotations

from typing import Any

import numpy as np

from bmt.masks import Masks
from bmt.qa.batches import Windows
from bmt.random_mask import RandomMask
from bmt.runtime.checkpoints import Checkpoints
from bmt.runtime.control import RunControl, unheard
from bmt.settings import TrainingSettings
from bmt.training.data import TrainingData
from bmt.training.loop import TrainingOutcome, train
from bmt.training.plan import Plan
from tests.support import tiny

PLAN = Plan(TrainingSettings(batch=8, lr=3e-3, head_lr=3e-3, evaluate_every=5, patience=50))
NAMES = ("A", "B")


def sets() -> list[Windows]:
    """The two datasets, 60 windows each."""
    return [tiny.windows("A", 60, 0, cue=7), tiny.windows("B", 60, 1, cue=8)]


def data() -> TrainingData:
    """Two datasets of 45 training windows and 15 validation questions each."""
    return tiny.training_data(sets(), dict.fromkeys(NAMES, np.arange(45)), np.arange(45, 60))


def run(
    steps: int = 20,
    plan: Plan = PLAN,
    masks: Masks | RandomMask | None = None,
    checkpoints: Checkpoints | None = None,
    model: Any = None,
    report: Any = None,
) -> tuple[Any, TrainingOutcome]:
    """Train on `data()`, a tiny BERT with dropout unless `model` is given; the model and what came of it."""
    model = tiny.bert(dropout=True, layers=1) if model is None else model
    control = RunControl(report or unheard, checkpoints=checkpoints)
    outcome = train(model, data(), plan, steps=steps, seed=0, masks=masks, control=control)
    return model, outcome
