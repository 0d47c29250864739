r"""The hard-concrete gate of eq. 10-11: a relaxed Bernoulli gate with mass at exactly 0 and exactly 1.

    u ~ U(0, 1)
    v = sigmoid((log u - log(1 - u) + alpha) / beta)                        eq. 10
    s = clip(v (zeta - gamma) + gamma, 0, 1)

    P(s > x) = sigmoid(alpha - beta logit((x - gamma) / (zeta - gamma)))    for 0 <= x < 1
    P(s > 0) = sigmoid(alpha - beta log(-gamma / zeta))                     eq. 11; E||delta||_0 is its sum

          P(s = 0)                    P(s = 1)
             |    density on (0, 1)      |
             |  ____----------------____ |
             +---------------------------+
             0             s             1

Every function of the gate is element-wise, works on float64, float32 and bfloat16 (computed in float32
inside) and makes no host synchronisation. A gate holds one weight, a row, a column or a whole tensor: its
tensor has the weight's number of dimensions, with 1 where it is shared, so that it broadcasts over the
weight. A vector is a matrix of one column:

    (out, in)   element (out, in)   row (out, 1)   column (1, in)   tensor (1, 1)
    (n,)        element (n,)        row (n,)       column (1,)      tensor (1,)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bmt.errors import ConfigError
from bmt.settings import GRANULARITIES, MaskSettings

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(64)  # for E[s] on (0, 1); exact to 1e-12 where beta <= 4


class GateError(ConfigError, ValueError):
    """A gate whose parameters allow no gate.

    A `ValueError` too, so that library callers can catch it as one.
    """


def _wide(x: Tensor) -> Tensor:
    """Half precisions as float32; float32 and float64 as they are."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x


def gate_shape(shape: Sequence[int], granularity: str) -> tuple[int, ...]:
    """Shape of the gates over a weight of `shape`.

    Raises ConfigError for a granularity that does not exist.
    """
    if granularity not in GRANULARITIES:
        raise ConfigError(f"granularity: {granularity!r} is not allowed: one of {', '.join(GRANULARITIES)}")
    sizes = tuple(shape)
    if granularity == "element" or not sizes:
        return sizes
    if granularity == "tensor":
        return (1,) * len(sizes)
    if granularity == "row":
        return (sizes[0], *([1] * (len(sizes) - 1)))
    return (*([1] * (len(sizes) - 1)), sizes[-1] if len(sizes) > 1 else 1)


def weights_per_gate(weights: Tensor, gates: Tensor) -> int:
    """How many weights of a tensor one gate holds."""
    return weights.numel() // max(1, gates.numel())


@dataclass(frozen=True, slots=True)
class HardConcrete:
    """The gate with stretch (gamma, zeta) and temperature beta.

    Raises:
        GateError: unless gamma < 0, zeta > 1 and beta > 0.
    """

    gamma: float = -1.5
    zeta: float = 1.5
    beta: float = 1.0

    def __post_init__(self) -> None:
        if not (self.gamma < 0 and self.zeta > 1):
            raise GateError(f"gamma {self.gamma} and zeta {self.zeta}: the gate needs gamma < 0 < 1 < zeta")
        if not self.beta > 0:
            raise GateError(f"beta {self.beta}: the gate's temperature must be above 0")

    @staticmethod
    def of(settings: MaskSettings) -> HardConcrete:
        """The gate of some settings."""
        return HardConcrete(settings.gamma, settings.zeta, settings.beta)

    @property
    def half_open(self) -> float:
        """The alpha at which P(s > 0) = 1/2: beta log(-gamma / zeta)."""
        return self.beta * math.log(-self.gamma / self.zeta)

    def relaxed(self, alpha: Tensor, u: Tensor) -> Tensor:
        """v of eq. 10 at the uniform draws `u` (same shape as `alpha`, kept off 0 and 1)."""
        tiny = torch.finfo(u.dtype).eps / 4
        u = u.clamp(tiny, 1 - 2 * tiny)
        if self.beta == 1:  # sigmoid(logit u + alpha) without its two logarithms
            below = torch.exp(-alpha).mul_(1 - u).add_(u)
            return torch.div(u, below, out=below)
        return torch.sigmoid((torch.log(u) - torch.log1p(-u) + alpha) / self.beta)

    def at(self, alpha: Tensor, u: Tensor) -> Tensor:
        """s of eq. 10 at given uniform draws, in alpha's dtype."""
        v = self.relaxed(_wide(alpha), _wide(u))
        return v.mul_(self.zeta - self.gamma).add_(self.gamma).clamp_(0, 1).to(alpha.dtype)

    def sample(self, alpha: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """One draw of s per element (eq. 10)."""
        wide = _wide(alpha)
        u = torch.rand(alpha.shape, generator=generator, dtype=wide.dtype, device=alpha.device)
        return self.at(alpha, u)

    def deterministic(self, alpha: Tensor) -> Tensor:
        """Louizos' test-time gate, clip(sigmoid(alpha) (zeta - gamma) + gamma, 0, 1).

        It is not E[s]: see `mean`.
        """
        return (
            (torch.sigmoid(_wide(alpha)) * (self.zeta - self.gamma) + self.gamma).clamp_(0, 1).to(alpha.dtype)
        )

    def prob_above(self, alpha: Tensor, x: float) -> Tensor:
        """P(s > x) for 0 <= x < 1."""
        v = (x - self.gamma) / (self.zeta - self.gamma)
        return torch.sigmoid(_wide(alpha) - self.beta * float(np.log(v) - np.log1p(-v))).to(alpha.dtype)

    def prob_open(self, alpha: Tensor) -> Tensor:
        """P(s > 0), eq. 11's summand."""
        return torch.sigmoid(_wide(alpha) - self.half_open).to(alpha.dtype)

    def expected_l0(self, alpha: Tensor) -> Tensor:
        """E||delta||_0, eq. 11: the sum of P(s > 0), a float64 scalar on alpha's device."""
        return self.prob_open(_wide(alpha)).sum(dtype=torch.float64)

    def mean(self, alpha: Tensor) -> Tensor:
        """E[s] = integral of P(s > x) over (0, 1), by 64-point Gauss-Legendre quadrature, an element at a
        time: no model-sized table.
        """
        wide = _wide(alpha)
        total = torch.zeros_like(wide)
        for node, weight in zip(_NODES, _WEIGHTS, strict=True):
            total += float(weight) / 2 * self.prob_above(wide, (float(node) + 1) / 2)
        return total.clamp_(0, 1).to(alpha.dtype)

    def gradients(
        self, g: Tensor, alpha: Tensor, w: Tensor, u: Tensor, lam: float | Tensor = 0.0
    ) -> tuple[Tensor, Tensor]:
        """Closed-form gradients of L(theta + s w) + lam sum P(s > 0) in alpha and w, given g = dL/d(theta + s
        w).

            dL/dw = g s          dL/dalpha = g w ds/dalpha + lam P (1 - P)
            ds/dalpha = v (1 - v) (zeta - gamma) / beta where 0 < s < 1, else 0

        Shapes: all alike, `lam` a scalar; returns (dL/dalpha, dL/dw).
        """
        v = self.relaxed(_wide(alpha), _wide(u))
        s = (v * (self.zeta - self.gamma)).add_(self.gamma).clamp_(0, 1)
        slope = v.mul_(1 - v).mul_((self.zeta - self.gamma) / self.beta)
        grad_alpha = slope.mul_((s > 0) & (s < 1)).mul_(w).mul_(g)
        if isinstance(lam, Tensor):  # on an accelerator: the host does not know it
            open_ = self.prob_open(_wide(alpha))
            grad_alpha.add_(open_.mul_(1 - open_).mul_(lam))
        elif lam:
            open_ = self.prob_open(_wide(alpha))
            grad_alpha.add_(open_.mul_(1 - open_), alpha=lam)
        return grad_alpha.to(alpha.dtype), s.mul_(g).to(w.dtype)
