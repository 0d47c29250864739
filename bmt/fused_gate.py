"""The gate on a CPU, fused by blocks: eq. 10 and its closed-form gradients on pieces that stay in the cache,
in buffers that are reused.

`HardConcrete.at` and `HardConcrete.gradients` are the same formulas written plainly; the tests hold this file
against them. Three things make the difference: temporaries of BLOCK weights instead of the tensor's size;
uniform draws from raw 64-bit words, two to a word (torch's generator takes four times as long); and v without
logarithms where beta is 1:

    v = sigmoid(log u - log(1 - u) + alpha) = u / (u + (1 - u) exp(-alpha))
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from bmt.gates import HardConcrete
from bmt.runtime.keyed_random import Key, words

BLOCK = 1 << 17  # weights at a time: a float32 buffer is 512 KB


def blocks(tensor: Tensor) -> tuple[Tensor, ...]:
    """The flattened tensor in views of at most BLOCK weights."""
    return tensor.view(-1).split(BLOCK)


def draws(key: Key, count: int) -> Iterator[Tensor]:
    """U(0, 1) draws for `count` weights, block by block, kept off 0 and 1; the same for the same key."""
    for number, begin in enumerate(range(0, count, BLOCK)):
        raw = torch.from_numpy(words(min(BLOCK, count - begin), (*key, number)))
        yield raw.to(torch.float32).mul_(2.0**-32).add_(0.5).clamp_(2.0**-25, 1 - 2.0**-24)


@dataclass(frozen=True, slots=True)
class FusedGate:
    """The gate `law` on CPU tensors, float32 and contiguous, all of one shape."""

    law: HardConcrete
    buffers: tuple[Tensor, ...]

    @staticmethod
    def of(law: HardConcrete) -> FusedGate:
        """With buffers of its own."""
        return FusedGate(law, tuple(torch.empty(BLOCK) for _ in range(2)))

    def perturb(self, theta: Tensor, alpha: Tensor, w: Tensor, key: Key, out: Tensor) -> None:
        """out = theta + s w, with s drawn under `key`."""
        for u, base, a, b, to in zip(
            draws(key, theta.numel()), *map(blocks, (theta, alpha, w, out)), strict=True
        ):
            s = self._relaxed(u, a).mul_(self.law.zeta - self.law.gamma).add_(self.law.gamma).clamp_(0, 1)
            torch.addcmul(base, s, b, out=to)

    def gradients(
        self, g: Tensor, alpha: Tensor, w: Tensor, key: Key, lam: float, out: Tensor, count: bool = True
    ) -> Tensor:
        """The gradient in alpha into `out` and that in w into `g`, in place of dL/d(theta + s w), for the
        draws under `key`.

        Returns:
            with `count`, how many gates were strictly between 0 and 1, a scalar tensor; else 0.
        """
        law, interior = self.law, torch.zeros(())
        stretch = law.zeta - law.gamma
        low, high = -law.gamma / stretch, (1 - law.gamma) / stretch  # 0 < s < 1 where v is between them
        for u, slope, a, b, to in zip(draws(key, g.numel()), *map(blocks, (g, alpha, w, out)), strict=True):
            v = self._relaxed(u, a)
            torch.addcmul(v, v, v, value=-1, out=to)
            # v (1 - v) where 0 < s < 1, 0 elsewhere: one pass, where a mask would be a second buffer
            torch.ops.aten.hardtanh_backward.grad_input(to, v, low, high, grad_input=to)
            if count:
                interior += torch.count_nonzero(to)
            to.mul_(b).mul_(slope).mul_(stretch / law.beta)
            if lam:
                self._add_penalty(a, lam, to)
            slope.mul_(v.mul_(stretch).add_(law.gamma).clamp_(0, 1))
        return interior

    def penalty(self, alpha: Tensor, lam: float, out: Tensor) -> None:
        """out = lam P (1 - P) with P = P(s > 0): the gradient of lam times eq. 11."""
        out.zero_()
        for a, to in zip(blocks(alpha), blocks(out), strict=True):
            self._add_penalty(a, lam, to)

    def _add_penalty(self, alpha: Tensor, lam: float, out: Tensor) -> None:
        p = torch.sub(alpha, self.law.half_open, out=self._buffer(1, len(alpha))).sigmoid_()
        out.add_(p, alpha=lam).addcmul_(p, p, value=-lam)

    def _relaxed(self, u: Tensor, alpha: Tensor) -> Tensor:
        """v of eq. 10; u is used up."""
        if self.law.beta == 1:
            below = torch.neg(alpha, out=self._buffer(0, len(u))).exp_()
            below.addcmul_(below, u, value=-1).add_(u)
            return torch.div(u, below, out=u)
        return torch.logit(u, out=u).add_(alpha).div_(self.law.beta).sigmoid_()

    def _buffer(self, number: int, size: int) -> Tensor:
        return self.buffers[number][:size]
