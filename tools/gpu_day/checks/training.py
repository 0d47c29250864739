"""The training loop on the device: the weights of the CPU's, and bf16's losses beside float32's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from bmt.masks import Masks
from bmt.random_mask import RandomMask
from bmt.runtime.checkpoints import Checkpoints
from bmt.runtime.control import RunControl, unheard
from bmt.runtime.stopping import Stop, never
from bmt.settings import SamplingSettings, TrainingSettings
from bmt.training.loop import train
from bmt.training.plan import Plan
from tools.gpu_day.checks.closeness import Tensors, error, largest, relative_error
from tools.gpu_day.checks.subjects import (
    CheckScale,
    placed,
    random_masks,
    small_model,
    training_data,
    values,
)
from tools.performance.figures import Measurement

SETTINGS = TrainingSettings(
    batch=12,
    micro_batch=8,
    padding=None,
    lr=1e-3,
    head_lr=1e-3,
    eps=1e-5,
    precision="fp32",
    patience=100,
)
"""An epsilon of 1e-5: with Adam's 1e-8 a weight whose gradient is rounding alone moves as far as any other.
"""
WAY, LOSS = 1e-4, 1e-5
"""Rounding of 1e-7 in a gradient, over an epsilon of 1e-5 where it is small, at each of some steps: on a CPU
float32 is 3e-6 from float64, and its losses 2e-7.
"""
BF16_LOSS = 1e-2
"""As a single loss in bf16 (`masked_gradients`); on a CPU 2e-3 after 12 steps."""
KINDS = ("no mask", "six masks", "random mask")


def masks_of(kind: str, model: nn.Module) -> Masks | RandomMask | None:
    """The masks of a kind."""
    if kind == "six masks":
        return random_masks(model)
    return RandomMask(0.5, seed=14) if kind == "random mask" else None


def trained(
    model: nn.Module,
    kind: str,
    training: TrainingSettings,
    steps: int,
    *,
    folder: Path | None = None,
    progress: Any = unheard,
    stop: Stop = never,
) -> list[float]:
    """Train a model where it is; the losses as they were read.

    Args:
        folder: of checkpoints.
    """
    read: list[float] = []

    def report(step: int, metrics: dict[str, float]) -> None:
        if "train/loss" in metrics:
            read.append(metrics["train/loss"])

    checkpoints = None if folder is None else Checkpoints(folder, kind)
    control = RunControl(report, progress, checkpoints, stop=stop)
    # Uniform draws: eq. 15's would follow the scores of answers that rounding can turn.
    plan = Plan(training, sampling=SamplingSettings(kind="uniform"))
    train(model, training_data(), plan, steps=steps, seed=14, masks=masks_of(kind, model), control=control)
    return read


def loop(scale: CheckScale) -> Measurement:
    """The same training on the device and on the CPU in float32; on the device in bf16."""
    figures, curves = [], {}
    # one evaluation, at the end: the last weights are the best, and every loss is read
    settings = replace(SETTINGS, evaluate_every=scale.steps)
    for kind in KINDS:
        start = small_model("RoBERTa", scale)
        models = [placed(start, scale.device), small_model("RoBERTa", scale)]
        losses = [trained(model, kind, settings, scale.steps) for model in models]
        if kind != "random mask" or scale.device.type == "cpu":  # a GPU draws other random masks than a CPU
            apart = relative_error(
                way(values(models[0]), values(start)), way(values(models[1]), values(start))
            )
            figures.append(error(f"{kind}: way of the weights, relative in the 2-norm", apart, WAY))
            figures.append(
                error(f"{kind}: losses, largest relative difference", _loss_difference(*losses), LOSS)
            )
        half = trained(placed(start, scale.device), kind, replace(settings, precision="bf16"), scale.steps)
        figures.append(
            error(
                f"{kind}: losses in bf16, largest relative difference",
                _loss_difference(half, losses[0]),
                BF16_LOSS,
            )
        )
        curves[kind] = {"float32": losses[0], "CPU": losses[1], "bf16": half}
    notes = (
        f"{scale.steps} steps of the loop, {SETTINGS.batch} windows each, AdamW, clipped; a RoBERTa of "
        f"{scale.layers} layers of {scale.hidden} without dropout. The way of a weight is how far it went "
        "from its start.",
    )
    return Measurement("Training loop", figures, notes, {"losses": curves})


def way(after: Tensors, start: Tensors) -> dict[str, Any]:
    """How far each weight went, in float64."""
    return {name: value.double() - start[name].double() for name, value in after.items()}


def _loss_difference(losses: list[float], right: list[float]) -> float:
    return largest(abs(a / b - 1) for a, b in zip(losses, right, strict=True))
