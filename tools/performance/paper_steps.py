"""Steps of training at the paper's scale, of one kind beside another: what they are, and how fast."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import nn

from bmt.layers import in_encoder, kind_of
from bmt.masked_updates import mask_updates
from bmt.masks import Masks
from bmt.settings import SamplingSettings, TrainingSettings
from bmt.training.data import TrainingData
from bmt.training.microbatches import passes
from bmt.training.plan import PASS_PRICE, Plan, step_size
from bmt.training.sampling import Sampler
from bmt.training.step import Stepper, adamw
from tools.performance.core import random_masks, random_model
from tools.performance.same_windows import Pick

BUDGET = 16_384
"""Tokens of a large step."""


def step_flops(model: nn.Module, lengths: np.ndarray) -> float:
    """FLOPs that forward and backward on windows of these lengths need."""
    config: Any = model.config
    weights = sum(
        value.numel()
        for name, value in model.named_parameters()
        if in_encoder(name) and kind_of(name) not in ("embedding", "position")
    )
    return float(
        6 * weights * lengths.sum()
        + 12 * config.num_hidden_layers * config.hidden_size * (lengths.astype(np.float64) ** 2).sum()
    )


@dataclass(frozen=True, slots=True)
class PaperScale:
    """Where it is run, and how much.

    Attributes:
        shape: of `core.SHAPES`.
        matrix: rows of the matrix that finds the peak.
        budget: tokens of a large step.
        steps: of training per round.
        left: seconds left; with none no further round begins.
        backend: of torch.compile; None: nothing is compiled (a rehearsal).
        window: tokens of the longest windows.
        brief: of kinds that only differ in size the first alone (a rehearsal).
    """

    device: torch.device
    shape: str = "roberta-base"
    matrix: int = 8192
    budget: int = BUDGET
    steps: int = 12
    left: Callable[[], float] = lambda: math.inf
    backend: str | None = "inductor"
    window: int = 512
    brief: bool = False

    @property
    def title(self) -> str:
        """The shape, as a heading has it."""
        return f"{self.shape}'s shape"


@dataclass(frozen=True, slots=True)
class StepKind:
    """What is compared: the settings, six masks or none, the price of a pass (0: `training.padding`
    decides).
    """

    name: str
    training: TrainingSettings
    masked: bool = False
    price: float = PASS_PRICE


@cache
def six_masks(shape: str, device: torch.device) -> Masks:
    """Random ones of a shape; they take seconds."""
    return random_masks(random_model(shape, device))


@dataclass(slots=True)
class TrainingSteps:
    """A training of one kind under way.

    Attributes:
        stepper, sampler: its own.
        drawn: the windows of every step, by number.
        lengths: the same windows' tokens.
    """

    kind: StepKind
    model: nn.Module
    stepper: Stepper
    sampler: Sampler
    drawn: list[list[Pick]] = field(default_factory=list)
    lengths: list[np.ndarray] = field(default_factory=list)

    @staticmethod
    def of(kind: StepKind, source: TrainingData, scale: PaperScale, stack: ExitStack) -> TrainingSteps:
        """A fresh model; its masks are in force until the stack is closed."""
        model = random_model(scale.shape, scale.device, dropout=0.1)
        optimizer = adamw(model, kind.training)
        handle = None
        if kind.masked:
            handle = stack.enter_context(
                mask_updates(optimizer, model, six_masks(scale.shape, scale.device), compact=True)
            )
        stepper = Stepper(model, optimizer, source, Plan(training=kind.training), 0, handle)
        stepper.limits = replace(stepper.limits, price=kind.price)
        size = step_size(source.sets, kind.training)
        return TrainingSteps(kind, model, stepper, Sampler(source.rows, size, SamplingSettings(), 0))

    def take(self, steps: range) -> None:
        """Take these steps, numbered; a step that was taken before has the same windows again."""
        for step in steps:
            while len(self.drawn) <= step:
                picks = self.sampler.draw(len(self.drawn))
                self.drawn.append(picks)
                self.lengths.append(np.array([self.stepper.lengths[which][row] for which, row in picks]))
            self.stepper.take(step, self.drawn[step])

    def next(self, steps: int) -> None:
        """Take the next steps."""
        self.take(range(len(self.drawn), len(self.drawn) + steps))

    def speed(self, seconds: Sequence[float], steps: int, first: int) -> StepSpeed:
        """Of rounds of `steps` steps that took `seconds` each, from step `first` on."""
        rounds = [self.lengths[at : at + steps] for at in range(first, first + steps * len(seconds), steps)]
        every = [lengths for one in rounds for lengths in one]
        cut = [passes(lengths, self.stepper.limits) for lengths in every]
        tokens = [sum(int(lengths.sum()) for lengths in one) for one in rounds]
        return StepSpeed(
            sum(seconds) / len(every),
            sum(tokens) / len(every),
            step_flops(self.model, np.concatenate(every)) / len(every),
            [one / took for one, took in zip(tokens, seconds, strict=True)],
            sum(len(one.parts) for one in cut) / len(cut),
            1 - sum(tokens) / sum(one.padded for one in cut),
        )


@dataclass(frozen=True, slots=True)
class StepSpeed:
    """Steps of one kind: mean seconds, real tokens and FLOPs of a step, real tokens per second of each round,
    mean passes per step, share of padding.
    """

    seconds: float
    tokens: float
    flops: float
    tokens_per_second: list[float]
    passes: float
    padding: float
