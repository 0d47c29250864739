"""Other ways to stay near the pretrained weights, as arms beside BMT; theta_0 is the pretrained value of
theta.

    mixout      each step, each weight of the encoder's linear maps is theta_0's with probability p (Lee et
    al. 2020):
                W = ((1 - m) theta + m theta_0 - p theta_0) / (1 - p),  m ~ Bernoulli(p)
    l2_sp       the loss gets  strength / 2 ||theta - theta_0||^2  over the encoder (Li et al. 2018)
    noisy_tune  before the first step theta += U(-strength/2, strength/2) std(theta), tensor by tensor (Wu et
    al. 2022)

The loop calls `start` once, `before` each step's first forward pass, and `after` its last backward pass,
before gradients are clipped.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from bmt.errors import ConfigError
from bmt.runtime.keyed_random import bernoulli, uniform
from bmt.settings import REGULARIZERS


class Regularizer:
    """What the loop calls; this one does nothing."""

    def start(self) -> None:
        """Once, before the first step of a run (not after a resume)."""

    def before(self, step: int) -> None:
        """Before the first forward pass of a step."""

    def after(self, step: int) -> None:
        """After the last backward pass of a step."""


def regularizer(
    kind: str, strength: float | None, model: nn.Module, pretrained: Mapping[str, Tensor], seed: int
) -> Regularizer | None:
    """The regularizer of an arm, or None.

    Args:
        pretrained: theta_0 by name, as `bmt.deviation.pretrained_copy` gives it.

    Raises:
        ConfigError: a kind that does not exist, no strength, or one that is not allowed.
    """
    if kind not in REGULARIZERS:
        raise ConfigError(f"regularizer: {kind!r} is not allowed: one of {', '.join(REGULARIZERS)}")
    if kind == "none":
        return None
    if strength is None or strength <= 0 or (kind == "mixout" and strength >= 1):
        raise ConfigError(
            f"strength: {strength!r} is not allowed: above 0{' and below 1' if kind == 'mixout' else ''} "
            f"for {kind}"
        )
    parameters = {name: parameter for name, parameter in model.named_parameters() if name in pretrained}
    if kind == "l2_sp":
        return _L2SP(strength, parameters, pretrained)
    if kind == "noisy_tune":
        return _NoisyTune(strength, parameters, seed)
    linear = {f"{where}.weight" for where, module in model.named_modules() if isinstance(module, nn.Linear)}
    parameters = {name: parameter for name, parameter in parameters.items() if name in linear}
    return _Mixout(strength, parameters, pretrained, seed)


class _L2SP(Regularizer):
    def __init__(
        self, strength: float, parameters: Mapping[str, nn.Parameter], pretrained: Mapping[str, Tensor]
    ) -> None:
        self.strength, self.parameters, self.pretrained = strength, parameters, pretrained

    @torch.no_grad()
    def after(self, step: int) -> None:
        for name, parameter in self.parameters.items():
            if parameter.grad is not None:
                parameter.grad.add_(parameter - self.pretrained[name], alpha=self.strength)


class _NoisyTune(Regularizer):
    def __init__(self, strength: float, parameters: Mapping[str, nn.Parameter], seed: int) -> None:
        self.strength, self.parameters, self.seed = strength, parameters, seed

    @torch.no_grad()
    def start(self) -> None:
        for name, parameter in self.parameters.items():
            if parameter.numel() > 1:
                draw = uniform(parameter.shape, (self.seed, "noisy tune", name), parameter.device) - 0.5
                parameter.add_(draw.to(parameter.dtype), alpha=self.strength * float(parameter.std()))


class _Mixout(Regularizer):
    def __init__(
        self, p: float, parameters: Mapping[str, nn.Parameter], pretrained: Mapping[str, Tensor], seed: int
    ) -> None:
        self.p, self.parameters, self.pretrained, self.seed = p, parameters, pretrained, seed
        self.theta: dict[str, Tensor] = {}

    def _drawn(self, name: str, step: int) -> Tensor:
        parameter = self.parameters[name]
        return bernoulli(parameter.shape, self.p, (self.seed, "mixout", step, name), parameter.device)

    @torch.no_grad()
    def before(self, step: int) -> None:
        for name, parameter in self.parameters.items():
            self.theta[name], start = parameter.data, self.pretrained[name]
            mixed = torch.where(self._drawn(name, step), start, parameter.data)
            parameter.data = mixed.sub_(start, alpha=self.p).div_(1 - self.p)

    @torch.no_grad()
    def after(self, step: int) -> None:
        for name, parameter in self.parameters.items():
            parameter.data = self.theta.pop(name)
            if parameter.grad is not None:
                parameter.grad.mul_(~self._drawn(name, step)).div_(1 - self.p)
