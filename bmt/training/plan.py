"""The settings of a training, and what follows from them for a step."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from bmt.errors import ConfigError
from bmt.qa.batches import Windows
from bmt.settings import DecodeSettings, LossSettings, SamplingSettings, TrainingSettings, TuningSettings
from bmt.training.microbatches import Limits
from bmt.training.sampling import TokenBudget

PASS_PRICE = 16_000.0
"""Tokens that a forward and backward pass costs on a GPU beside its own: its kernels wait to be started.

A pass of RoBERTa-base starts some thousand kernels, about 20 ms of the host's time. An H100 computes 0.55
GFLOP per token (6 * 85M weights, and attention) at about 400 TFLOP/s: in 20 ms some 15,000 tokens. An
estimate, not a reading.
"""


@dataclass(frozen=True, slots=True)
class Plan:
    """The settings that the loop reads."""

    training: TrainingSettings = field(default_factory=TrainingSettings)
    tuning: TuningSettings = field(default_factory=TuningSettings)
    sampling: SamplingSettings = field(default_factory=SamplingSettings)
    loss: LossSettings = field(default_factory=LossSettings)
    decode: DecodeSettings = field(default_factory=DecodeSettings)


def total_steps(windows: int, epochs: float, batch: int) -> int:
    """Steps of a run: every window `epochs` times on average, `batch` per step; at least 1."""
    return max(1, math.ceil(windows * epochs / batch))


def planned_steps(
    sets: Sequence[Windows], rows: Mapping[str, np.ndarray], epochs: float, training: TrainingSettings
) -> int:
    """Steps of a run over the windows `rows`, every one of them `epochs` times on average, by their number or
    by their tokens.

    Raises:
        ConfigError: a window that does not fit `training.batch_tokens`, or a dataset without windows.
    """
    size = step_size(sets, training)
    if isinstance(size, TokenBudget):
        return size.steps(rows, epochs)
    return total_steps(sum(len(chosen) for chosen in rows.values()), epochs, size)


def step_size(sets: Sequence[Windows], training: TrainingSettings) -> int | TokenBudget:
    """Windows per step, or its budget of tokens."""
    if training.batch_tokens is None:
        return training.batch
    return TokenBudget(training.batch_tokens, {windows.dataset: windows.lengths for windows in sets})


def pass_limits(
    sets: Sequence[Windows],
    rows: Mapping[str, np.ndarray],
    training: TrainingSettings,
    device: torch.device | None = None,
) -> Limits:
    """What the passes of a step may be.

    Args:
        device: where they are computed: on a GPU a pass has a price. None: a CPU.

    Raises:
        ConfigError: a training window of more than `training.micro_tokens` tokens.
    """
    for windows in sets:
        longest = int(windows.lengths[rows[windows.dataset]].max(initial=0))
        if training.micro_tokens is not None and longest > training.micro_tokens:
            raise ConfigError(
                f"training.micro_tokens: {training.micro_tokens} is not allowed: at least {longest}, the "
                f"tokens of {windows.dataset}'s longest training window"
            )
    price = PASS_PRICE if device is not None and device.type == "cuda" else 0.0
    return Limits(training.padding, training.micro_batch, training.micro_tokens, price)


def autocast_for(precision: str, device: torch.device) -> Callable[[], AbstractContextManager[Any]]:
    """The context of a forward pass: bf16 by autocast, or nothing."""
    if precision == "bf16" or (precision == "auto" and device.type == "cuda"):
        return lambda: torch.autocast(device.type, dtype=torch.bfloat16)
    return nullcontext
