"""Learning a binary mask a dataset: eq. 12, with theta and phi fixed.

    min over alpha, w of  E_u E_batch[ L(theta + s w, phi) ] + lambda sum P(s > 0)          s = gate(alpha, u)

One backward pass at theta + s w gives g = dL/d(theta + s w); both gradients follow in closed form (`HardConcrete.gradients`), so autograd
never sees the gates. A step, tensor by tensor:

    perturb:  u <- key(seed, dataset, step, tensor);  model's weight <- theta + s(alpha, u) w
    measure:  loss(model, batch).backward()
    learn:    the same u again;  dalpha, dw;  clip each;  AdamW on alpha, AdamW on w

Model-sized memory beyond theta and its gradient: alpha, w, their four moments and the perturbed copy, which is reused for dalpha.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from bmt.errors import ConfigError, ModelError
from bmt.gates import HardConcrete
from bmt.layers import target_names
from bmt.masks import Masks
from bmt.noise import key_number, uniform

Batch = Any  # what the loss takes: a mapping of model inputs for the default loss
Batches = Callable[[int], Batch] | Iterable[Batch]
Loss = Callable[[nn.Module, Batch], Tensor]
Report = Callable[[str, int, dict[str, float]], None]

BLOCK = 1 << 16  # weights that a CPU handles at a time: their temporaries stay in its cache
GLOBAL = "all"  # the dataset name of a mask that is for the whole mixture


@dataclass(frozen=True, slots=True)
class LearnedGates:
    """What learning leaves for one dataset: alpha by tensor name, and the gate they belong to."""

    alpha: dict[str, Tensor]
    gate: HardConcrete
    key: tuple[int | str, ...]

    def mask(self, density: float | None = None, gate: str = "sampled") -> dict[str, Tensor]:
        """The binary mask: [s > 0] for one draw of s (or the deterministic gate), or the top `density` of alpha over all tensors."""
        if density is not None:
            return top_share(self.alpha, density, self.key)
        if gate == "deterministic":
            return {name: self.gate.deterministic(alpha) > 0 for name, alpha in self.alpha.items()}
        return {
            name: self.gate.at(alpha, uniform(alpha.shape, (*self.key, "final", name), alpha.device)) > 0
            for name, alpha in self.alpha.items()
        }


def model_loss(model: nn.Module, batch: Batch) -> Tensor:
    """The loss that a transformers model returns for a batch with labels."""
    loss: Tensor | None = model(**batch).loss
    if loss is None:
        raise ConfigError(f"{type(model).__name__} returned no loss for a batch with {', '.join(batch)}: add its labels, or pass loss=")
    return loss


def learn_masks(
    model: nn.Module,
    batches_by_dataset: Mapping[str, Batches],
    *,
    gamma: float = -1.5,
    zeta: float = 1.5,
    beta: float = 1.0,
    alpha0: float = 5.0,
    lam: float = 1.25e-7,
    alpha_lr: float = 0.1,
    alpha_eps: float = 1e-8,
    w_lr: float = 1e-5,
    clip: float | None = 1.0,
    steps: int = 2048,
    density: float | None = None,
    gate: str = "sampled",
    targets: Sequence[str] | None = None,
    seed: int = 0,
    loss: Loss = model_loss,
    report: Report | None = None,
    progress: Callable[[int, str], None] | None = None,
) -> Masks:
    """Learn one mask a dataset at the model's present weights, which are given back bit for bit.

    Args:
        model: any torch module; its encoder tensors are masked (`targets`: regular expressions, to choose others).
        batches_by_dataset: for each dataset a function step -> batch, or an iterable of batches, which is run through again when it ends.
            `{"all": …}` over the mixture gives one global mask.
        density: share of gates to leave open, by top-k of alpha; None: as the gates decide.
        report: called with (dataset, step, {loss, density, alpha_mean, interior}) about twenty times a dataset.
        progress: called with (1, note) after each step.

    Raises:
        GateError: gamma, zeta or beta allow no gate. ConfigError: a density outside (0, 1], no steps, no dataset.
        ModelError: a masked parameter got no gradient, or one that is not finite (tensor and step are named).
    """
    law = HardConcrete(gamma, zeta, beta)
    if density is not None and not 0 < density <= 1:
        raise ConfigError(f"density: {density!r} is not allowed: above 0 and at most 1")
    if steps < 1:
        raise ConfigError(f"steps: {steps!r} is not allowed: at least 1")
    if not batches_by_dataset:
        raise ConfigError("batches_by_dataset is empty: give at least one dataset")
    names = target_names(model, targets)
    masks, expected, counts, cuts = {}, {}, {}, {}
    reach = min(20.0, alpha_lr * steps)  # Adam moves alpha by at most about its learning rate a step
    edges = torch.linspace(alpha0 - reach, alpha0 + reach, 61).tolist()
    for dataset, batches in batches_by_dataset.items():
        gates = learn_gates(
            model, batch_function(batches, dataset), names, law, key=(seed, "mask", dataset), alpha0=alpha0, lam=lam, alpha_lr=alpha_lr,
            alpha_eps=alpha_eps, w_lr=w_lr, clip=clip, steps=steps, loss=loss,
            report=None if report is None else partial(report, dataset), progress=progress,
        )  # fmt: skip
        masks[dataset] = {name: mask.cpu() for name, mask in gates.mask(density, gate).items()}
        counts[dataset] = alpha_counts(gates.alpha, edges[0], edges[-1], len(edges) - 1)
        if density is not None:
            chosen = [gates.alpha[name].cpu()[mask] for name, mask in masks[dataset].items()]
            cuts[dataset] = min(float(values.min()) for values in chosen if len(values))
        expected[dataset] = float(sum(law.expected_l0(alpha) for alpha in gates.alpha.values())) / sum(
            a.numel() for a in gates.alpha.values()
        )
        del gates
    about: dict[str, Any] = {
        "kind": "learned", "seed": seed, "steps": steps, "gamma": gamma, "zeta": zeta, "beta": beta, "alpha0": alpha0, "lam": lam,
        "alpha_lr": alpha_lr, "alpha_eps": alpha_eps, "w_lr": w_lr, "clip": clip, "density": density, "gate": gate,
        "expected_density": expected,
    }  # fmt: skip
    about["alpha"] = {"edges": edges, "counts": counts, "cuts": cuts}
    return Masks.from_bool(masks, model, about)


def alpha_counts(alpha: Mapping[str, Tensor], low: float, high: float, bins: int) -> list[int]:
    """Gates by alpha in equal bins from `low` to `high`; what lies outside counts in the outermost bins."""
    total = torch.zeros(bins, dtype=torch.float64)
    for values in alpha.values():
        total += torch.histc(values.clamp(low, high), bins, low, high).double().cpu()
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
                f"batches_by_dataset[{dataset!r}] is empty, or an iterator that cannot start again: give a list or a function step -> batch"
            )
        return batch

    return following


def learn_gates(
    model: nn.Module,
    batch_at: Callable[[int], Batch],
    names: Sequence[str],
    law: HardConcrete,
    *,
    key: tuple[int | str, ...],
    alpha0: float,
    lam: float,
    alpha_lr: float,
    alpha_eps: float,
    w_lr: float,
    clip: float | None,
    steps: int,
    loss: Loss,
    report: Callable[[int, dict[str, float]], None] | None = None,
    progress: Callable[[int, str], None] | None = None,
) -> LearnedGates:
    """Learn alpha and w of one dataset over the parameters `names`; the model leaves as it came."""
    parameters = dict(model.named_parameters())
    masked = {name: parameters[name] for name in names}
    theta = {name: parameter.data for name, parameter in masked.items()}
    alpha = {name: torch.full_like(value, alpha0, dtype=torch.float32) for name, value in theta.items()}
    w = {name: torch.zeros_like(value, dtype=torch.float32) for name, value in theta.items()}
    perturbed = {name: torch.empty_like(value) for name, value in theta.items()}
    fused = all(value.device.type in ("cpu", "cuda") for value in theta.values())
    alpha_optimizer = torch.optim.AdamW(list(alpha.values()), lr=alpha_lr, eps=alpha_eps, weight_decay=0.0, fused=fused)
    w_optimizer = torch.optim.AdamW(list(w.values()), lr=w_lr, weight_decay=0.0, fused=fused)
    frozen = {name: parameter.requires_grad for name, parameter in parameters.items()}
    every = max(1, steps // 20)
    try:
        for name, parameter in parameters.items():
            parameter.grad = None
            parameter.requires_grad_(name in masked)
        for step in range(steps):
            torch.manual_seed(key_number((*key, step, "dropout")))
            for name, parameter in masked.items():
                draws = uniform_blocks((*key, step, name), theta[name])
                for u, base, a, b, out in zip(draws, *map(blocks, (theta[name], alpha[name], w[name], perturbed[name])), strict=True):
                    torch.addcmul(base, law.at(a, u), b, out=out)
                parameter.data = perturbed[name]
            value = loss(model, batch_at(step))
            value.backward()
            reporting = report is not None and (step % every == 0 or step == steps - 1)
            interior = torch.zeros((), device=value.device)
            for name, parameter in masked.items():
                if parameter.grad is None:
                    raise ModelError(
                        f"tensor {name} got no gradient at mask-learning step {step}: the loss does not use it; leave it out with targets="
                    )
                draws = uniform_blocks((*key, step, name), theta[name])
                for u, g, a, b, out in zip(draws, *map(blocks, (parameter.grad, alpha[name], w[name], perturbed[name])), strict=True):
                    grad_alpha, grad_w = law.gradients(g, a, b, u, lam)
                    if reporting:
                        s = law.at(a, u)
                        interior += ((s > 0) & (s < 1)).sum()
                    out.copy_(grad_alpha)
                    g.copy_(grad_w)
                alpha[name].grad, w[name].grad = perturbed[name], parameter.grad
            _clip(alpha.values(), clip, step)
            _clip(w.values(), clip, step)
            alpha_optimizer.step()
            w_optimizer.step()
            for parameter in masked.values():
                parameter.grad = None
            if reporting and report is not None:
                report(step, _course(law, alpha, value, interior))
            if progress is not None:
                progress(1, "")
    finally:
        for name, parameter in parameters.items():
            parameter.grad = None
            parameter.requires_grad_(frozen[name])
        for name, parameter in masked.items():
            parameter.data = theta[name]
    return LearnedGates(alpha, law, key)


def blocks(tensor: Tensor) -> tuple[Tensor, ...]:
    """The flattened tensor in views of at most BLOCK weights on a CPU, whole elsewhere."""
    flat = tensor.view(-1)
    return flat.split(BLOCK) if flat.device.type == "cpu" else (flat,)


def uniform_blocks(key: tuple[int | str, ...], like: Tensor) -> Iterator[Tensor]:
    """U(0, 1) draws for `blocks(like)`; the same for the same key."""
    for number, block in enumerate(blocks(like)):
        yield uniform(block.shape, (*key, number), block.device)


def _clip(tensors: Iterable[Tensor], clip: float | None, step: int) -> None:
    tensors = list(tensors)
    norm = torch.nn.utils.get_total_norm([tensor.grad for tensor in tensors if tensor.grad is not None])
    if not math.isfinite(float(norm)):
        raise ModelError(f"a gradient is not finite at mask-learning step {step}: lower w_lr, or use fp32 where precision is bf16")
    if clip is not None:
        torch.nn.utils.clip_grads_with_norm_(tensors, clip, norm)


def _course(law: HardConcrete, alpha: Mapping[str, Tensor], loss: Tensor, interior: Tensor) -> dict[str, float]:
    total = sum(value.numel() for value in alpha.values())
    return {
        "loss": float(loss.detach()),
        "density": float(sum(law.expected_l0(value) for value in alpha.values())) / total,
        "alpha_mean": float(sum(value.sum(dtype=torch.float64) for value in alpha.values())) / total,
        "interior": float(interior) / total,
    }


def top_share(scores: Mapping[str, Tensor], density: float, key: tuple[int | str, ...]) -> dict[str, Tensor]:
    """The `density` share of weights with the highest score over all tensors: exactly round(density n) of them, ties broken by `key`."""
    flat = torch.cat([score.reshape(-1) for score in scores.values()])
    count = max(1, round(density * flat.numel()))
    threshold = torch.kthvalue(flat, flat.numel() - count + 1).values
    chosen = flat > threshold
    tied = (flat == threshold).nonzero().reshape(-1)
    draw = uniform(tuple(tied.shape), (*key, "ties"), flat.device)
    chosen[tied[draw.argsort(stable=True)[: count - int(chosen.sum())]]] = True
    parts = chosen.split([score.numel() for score in scores.values()])
    return {name: part.reshape(score.shape) for (name, score), part in zip(scores.items(), parts, strict=True)}
