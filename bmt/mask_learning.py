"""Learning one binary mask per dataset: eq. 12, theta and phi fixed (`bmt.gate_learner` has a step of it).

min over alpha, w of  E_u E_batch[ L(theta + s w, phi) ] + lambda sum P(s > 0)        s = gate(alpha, u)
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from bmt.errors import ConfigError
from bmt.gate_learner import GateLearner
from bmt.gates import HardConcrete, weights_per_gate
from bmt.layers import target_names
from bmt.mask_selection import gate_masks, top_density, top_share
from bmt.masks import Masks
from bmt.runtime.checkpoints import KEEP, Checkpoints
from bmt.runtime.control import RunControl
from bmt.runtime.keyed_random import Key
from bmt.runtime.stopping import StoppedError
from bmt.settings import MaskSettings, check_mask, check_settings

Batch = Any  # what the loss takes: a mapping of model inputs for the default loss
Batches = Callable[[int], Batch] | Iterable[Batch]
Loss = Callable[[nn.Module, Batch], Tensor]

GLOBAL = "all"  # the dataset name of a mask that is for the whole mixture
# Seconds between two checkpoints inside a dataset: alpha, w and four moments are six times the model.
SAVE_SECONDS = 60.0
_ALPHA_BINS = 60


@dataclass(frozen=True, slots=True)
class LearnedGates:
    """What learning leaves for one dataset.

    Attributes:
        law: the gate.
        alpha: by tensor name, in the shape of its gates.
        w: what the gates let through, by tensor name, in the weights' shapes.
        key: of the draws and ties that make the mask.
        course: about twenty rows {step, loss, density, alpha_mean, interior}.
    """

    law: HardConcrete
    alpha: dict[str, Tensor]
    w: dict[str, Tensor]
    key: Key
    course: list[dict[str, float]] = field(default_factory=list)

    @property
    def gate_sizes(self) -> dict[str, int]:
        """Weights per gate, by tensor name."""
        return {name: weights_per_gate(w, self.alpha[name]) for name, w in self.w.items()}

    def mask(self, settings: MaskSettings) -> dict[str, Tensor]:
        """The mask in the weights' shapes: the top `density` of alpha, or what `gate` and `binarise` make of
        the gates.
        """
        if (density := top_density(settings)) is not None:
            chosen = top_share(self.alpha, density, self.key, self.gate_sizes)
        else:
            chosen = gate_masks(self.law, self.alpha, settings.gate, settings.binarise, (*self.key, "final"))
        return {name: mask.expand(self.w[name].shape) for name, mask in chosen.items()}


def model_loss(model: nn.Module, batch: Batch) -> Tensor:
    """The loss that a transformers model returns for a batch with labels."""
    loss: Tensor | None = model(**batch).loss
    if loss is None:
        raise ConfigError(
            f"{type(model).__name__} returned no loss for a batch with {', '.join(batch)}: add its labels, "
            "or pass loss="
        )
    return loss


def learn_masks(
    model: nn.Module,
    batches_by_dataset: Mapping[str, Batches],
    *,
    settings: MaskSettings | None = None,
    seed: int = 0,
    loss: Loss = model_loss,
    control: RunControl | None = None,
    **changes: Any,
) -> Masks:
    """Learn one mask per dataset at the model's present weights, which are given back bit for bit.

    With `keep_delta` they are not: the model then ends at theta plus the datasets' mean of M_d w_d.

    Args:
        model: any torch module; its encoder tensors are masked, or those that `targets` names.
        batches_by_dataset: for each dataset a function step -> batch, or an iterable of batches, which is run
            through again when it ends. `{"all": …}` over the mixture gives one global mask.
        settings: gamma, zeta, lam, steps, density, granularity, targets and so on; `changes` are fields of
            it: `learn_masks(…, steps=200)`.
        seed: of every draw.
        loss: (model, batch) -> scalar; default: the loss that a transformers model returns.
        control: its `report` is called with (dataset, step, {loss, density, alpha_mean, interior}) about
            twenty times per dataset, its `progress` with (1, note) after each step, its `stop` before each.
            Its `checkpoints` keep each dataset's learned gates, and every minute those that are being
            learned, to go on from; the fingerprint is of everything that decides them, theta and the seed
            included. To be removed by the caller, who has the masks.

    Raises:
        GateError: gamma, zeta or beta allow no gate.
        ConfigError: a value that is not allowed, no steps, no dataset.
        ModelError: a masked parameter got no gradient, or one that is not finite (tensor and step are named),
            or a checkpoint of another configuration.
        StoppedError: `stop` asked; the checkpoint is written.
    """
    settings = mask_settings(settings, changes)
    parts: list[Masks] = []
    expected, counts, cuts, courses = {}, {}, {}, {}
    delta: dict[str, Tensor] = {}
    # Adam moves alpha by at most about its learning rate per step: no alpha lies outside these edges.
    reach = min(20.0, settings.alpha_lr * settings.steps)
    edges = torch.linspace(settings.alpha0 - reach, settings.alpha0 + reach, _ALPHA_BINS + 1).tolist()
    learned = gates_by_dataset(model, batches_by_dataset, settings, seed=seed, loss=loss, control=control)
    for dataset, gates in learned:
        mask = gates.mask(settings)
        parts.append(Masks.of({dataset: mask}, model))
        if settings.keep_delta:
            for name, opened in mask.items():
                total = delta.setdefault(name, torch.zeros_like(gates.w[name]))
                total.add_(opened * gates.w[name], alpha=1 / len(batches_by_dataset))
        counts[dataset] = _alpha_counts(gates, edges[0], edges[-1])
        if top_density(settings) is not None:
            cuts[dataset] = min(
                float(torch.where(mask[name], alpha, torch.inf).min())
                for name, alpha in gates.alpha.items()
                if bool(mask[name].any())
            )
        expected[dataset], courses[dataset] = gates.course[-1]["density"], gates.course
        del gates, mask  # model-sized, and not needed while the next dataset's are learned
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name in delta:
                parameter.add_(delta[name])
    about = {"kind": "learned", "seed": seed, **asdict(settings)}
    about |= {"expected_density": expected, "course": courses}
    about |= {"alpha": {"edges": edges, "counts": counts, "cuts": cuts}}
    return Masks.joined(parts, about)


def gates_by_dataset(
    model: nn.Module,
    batches_by_dataset: Mapping[str, Batches],
    settings: MaskSettings,
    *,
    seed: int = 0,
    loss: Loss = model_loss,
    control: RunControl | None = None,
) -> Iterator[tuple[str, LearnedGates]]:
    """(dataset, its learned gates), one after the other; the arguments and errors of `learn_masks`."""
    control = control or RunControl()
    if settings.steps < 1:
        raise ConfigError(f"steps: {settings.steps!r} is not allowed: at least 1")
    if not batches_by_dataset:
        raise ConfigError("batches_by_dataset is empty: give at least one dataset")
    names = target_names(model, settings.targets)
    for dataset, batches in batches_by_dataset.items():
        checkpoints = control.checkpoints
        inside = replace(
            control,
            report=partial(control.report, dataset),
            checkpoints=None if checkpoints is None else checkpoints.within(dataset),
        )
        batch_at, key = batch_function(batches, dataset), (seed, "mask", dataset)
        yield dataset, learn_gates(model, batch_at, names, settings, key=key, loss=loss, control=inside)


def mask_settings(settings: MaskSettings | None, changes: Mapping[str, Any]) -> MaskSettings:
    """`settings` (default: the paper's scale) with `changes`, checked.

    Raises:
        GateError: gamma, zeta or beta allow no gate. ConfigError: a name that is no setting, a value that is
            not allowed.
    """
    known = [entry.name for entry in fields(MaskSettings)]
    for name in changes:
        if name not in known:
            raise ConfigError(f"learn_masks: {name!r} is not known: one of {', '.join(known)}")
    chosen = replace(settings or MaskSettings(), **changes)
    HardConcrete.of(chosen)
    check_settings(chosen, "mask")
    check_mask(chosen)
    return chosen


def _alpha_counts(gates: LearnedGates, low: float, high: float) -> list[int]:
    """Weights by their gate's alpha in equal bins from `low` to `high`; what lies outside counts in the
    outermost bins.
    """
    total = torch.zeros(_ALPHA_BINS, dtype=torch.float64)
    for name, per_gate in gates.gate_sizes.items():
        alpha = gates.alpha[name].clamp(low, high)
        total += torch.histc(alpha, _ALPHA_BINS, low, high).double().cpu() * per_gate
    return [int(count) for count in total]


def batch_function(batches: Batches, dataset: str) -> Callable[[int], Batch]:
    """step -> batch, from a function or from an iterable that starts again when it ends."""
    if callable(batches):
        return batches
    iterator: Iterator[Batch] = iter(())

    def following(step: int) -> Batch:
        nonlocal iterator
        batch = next(iterator, None)
        if batch is None:
            iterator = iter(batches)
            batch = next(iterator, None)
        if batch is None:
            raise ConfigError(
                f"batches_by_dataset[{dataset!r}] is empty, or an iterator that cannot start again: give a "
                "list or a function step -> batch"
            )
        return batch

    return following


def learn_gates(
    model: nn.Module,
    batch_at: Callable[[int], Batch],
    names: Sequence[str],
    settings: MaskSettings,
    *,
    key: Key,
    loss: Loss,
    control: RunControl,
) -> LearnedGates:
    """Learn alpha and w of one dataset over the parameters `names`; the model leaves as it came.

    Args:
        key: of every draw.
        control: as `learn_masks` has it, of this dataset alone: `report` gets (step, row).
    """
    learner = GateLearner(model, names, settings, key)
    course = _restored(learner, control.checkpoints)
    began, last, steps = learner.steps, time.monotonic(), settings.steps
    every = max(1, steps // 20)
    if began:
        control.progress(began, f"resumed at step {began}")
    for step in range(began if began < steps else 0):
        batch_at(step)  # batches may have to be asked for in order

    def loss_at(step: int) -> Tensor:
        return loss(model, batch_at(step))

    for step in range(began, steps):
        if control.stop():
            if step > began:
                _keep(learner, course, control.checkpoints)
            raise StoppedError(f"stopped at step {step} of {steps} of mask learning")
        reporting = step % every == 0 or step == steps - 1
        value, interior = learner.step(partial(loss_at, step), count=reporting)
        if reporting:
            row = {"loss": float(value), "density": learner.density()}
            row |= {"alpha_mean": learner.alpha_mean(), "interior": float(interior)}
            course.append({"step": float(step), **row})
            control.report(step, row)
        control.progress(1, "")
        if step == steps - 1 or time.monotonic() - last > SAVE_SECONDS:
            _keep(learner, course, control.checkpoints)
            last = time.monotonic()
    return LearnedGates(learner.law, learner.alpha, learner.w, key, course)


def _keep(learner: GateLearner, course: list[dict[str, float]], checkpoints: Checkpoints | None) -> None:
    """Write a checkpoint; after the last step only of what the masks are made of: nothing goes on from it."""
    learner.settle()  # what is broken is no checkpoint
    if checkpoints is None:
        return
    tensors, done = learner.tensors(), learner.steps == learner.settings.steps
    if done:
        left_out = ("alpha_optimizer/", "w_optimizer/", *(() if learner.settings.keep_delta else ("w/",)))
        tensors = {name: value for name, value in tensors.items() if not name.startswith(left_out)}
    checkpoints.write(learner.steps, {"gates": tensors}, {"course": course}, keep=1 if done else KEEP)


def _restored(learner: GateLearner, checkpoints: Checkpoints | None) -> list[dict[str, float]]:
    """Bring a learner to its newest checkpoint, if there is one: the course up to there."""
    saved = None if checkpoints is None else checkpoints.newest()
    if saved is None:
        return []
    learner.restore(saved.tensors("gates"))
    course: list[dict[str, float]] = saved.state["course"]
    return course
