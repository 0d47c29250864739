r"""The gates of many tensors in one vector, on accelerators: eq. 10 and its gradients in few kernels.

`HardConcrete.at` and `HardConcrete.gradients` are the same formulas written plainly, tensor by tensor; the
tests hold this file against them. A GPU gains by three things: alpha, w and what is made of them are one
vector each, of which the tensors are views, so that a kernel runs once and not once per tensor; v and s stay
from the perturbation to the gradients, where they turn into dalpha's slope and dw; model-sized lists (theta,
g) are met by multi-tensor kernels.

What a step moves, in streams (one pass over all weights in float32, read or written):

    perturb     copy theta 2, draw 1, logit 2, + alpha 3, sigmoid 2, stretch 2, clip 2, theta + s w 4     18
    gradients   w v (1 - v) 3, where 0 < s < 1 3, P 2, lambda P (1 - P) 2, + slope g 4, s g 3             17
    the rest    two norms 2, two clips 4, two AdamW 14                                                    20

RoBERTa-base's 124M weights at 3 TB/s take 0.166 ms per stream: 9.1 ms in all. A plain step's own clip and
AdamW, which mask learning does without, are 10 streams of these. Compiled, each of the two functions below is
one kernel, and the table is 10 + 13 + 20: 7.1 ms. Memory: three vectors beside alpha, w and their moments, 12
bytes per weight; the plain formulas keep one, 4 bytes per weight.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bmt.gates import HardConcrete
from bmt.runtime.keyed_random import Key, key_number

PLACE = 128
"""float32 values: a tensor begins at a multiple of 512 bytes, as one that is allocated alone."""
CLOSED = -1e4
"""Alpha between the tensors: gates that are closed for good, P = s = 0, so that nothing there has a gradient
or counts in a norm or in the density."""


@dataclass(frozen=True, slots=True)
class FlatLayout:
    """Where tensors lie in one vector.

    Attributes:
        shapes: of the tensors, by name.
        places: where each begins.
        size: of the vector.
    """

    shapes: dict[str, torch.Size]
    places: dict[str, int]
    size: int

    @staticmethod
    def of(tensors: Mapping[str, Tensor]) -> FlatLayout:
        """One behind the other."""
        places, size = {}, 0
        for name, tensor in tensors.items():
            places[name] = size
            size += -(-tensor.numel() // PLACE) * PLACE
        return FlatLayout({name: tensor.shape for name, tensor in tensors.items()}, places, size)

    def views(self, vector: Tensor) -> dict[str, Tensor]:
        """The tensors in a vector."""
        return {
            name: vector[place : place + self.shapes[name].numel()].view(self.shapes[name])
            for name, place in self.places.items()
        }

    def spread(self, moments: Mapping[str, Tensor], names: Sequence[str]) -> dict[str, Tensor]:
        """An optimizer's state over [vector, the other tensors], numbered as one over the tensors `names`.

        Args:
            moments: tensors named `<parameter number>.<name>` (`bmt.runtime.checkpoints`).
            names: of all tensors, in order.
        """
        others = [name for name in names if name not in self.places]
        number = {name: at for at, name in enumerate(names)}
        spread = {}
        for key, value in moments.items():
            at, kind = key.split(".", 1)
            if at != "0":
                spread[f"{number[others[int(at) - 1]]}.{kind}"] = value
                continue
            parts = self.views(value) if value.dim() else {name: value.clone() for name in self.places}
            spread |= {f"{number[name]}.{kind}": part for name, part in parts.items()}
        return spread

    def gathered(
        self, moments: Mapping[str, Tensor], names: Sequence[str], device: torch.device
    ) -> dict[str, Tensor]:
        """The inverse of `spread`, on `device`."""
        others = [name for name in names if name not in self.places]
        gathered: dict[str, Tensor] = {}
        for key, value in moments.items():
            at, kind = key.split(".", 1)
            name = names[int(at)]
            if name not in self.places:
                gathered[f"{1 + others.index(name)}.{kind}"] = value
            elif kind == "step":
                gathered[f"0.{kind}"] = value
            else:
                if f"0.{kind}" not in gathered:
                    gathered[f"0.{kind}"] = torch.zeros(self.size, dtype=value.dtype, device=device)
                place = self.places[name]
                gathered[f"0.{kind}"][place : place + value.numel()].copy_(value.view(-1))
        return gathered


def draw(into: Tensor, key: Key) -> None:
    """Fill a vector with draws from U[0, 1), by a generator that `key` alone seeds.

    Nothing keeps them off 0: logit and sigmoid of it are -infinity and 0, and the gate is closed.
    """
    into.uniform_(generator=torch.Generator(into.device).manual_seed(key_number(key)))


def perturb(
    law: HardConcrete, gamma: Tensor, alpha: Tensor, w: Tensor, v: Tensor, s: Tensor, weights: Tensor
) -> None:
    """Eq. 10 in place: u in `v` turns into v, s is written, s w added to `weights`. Vectors of one size.

    Args:
        gamma: the law's, a scalar on the device: so that stretching is one pass.
    """
    torch.logit(v, out=v).add_(alpha)
    if law.beta != 1:
        v.div_(law.beta)
    v.sigmoid_()
    torch.add(gamma, v, alpha=law.zeta - law.gamma, out=s).clamp_(0, 1)
    weights.addcmul_(s, w)


def slopes(
    law: HardConcrete, lam: Tensor, alpha: Tensor, w: Tensor, v: Tensor, s: Tensor, penalty: Tensor
) -> None:
    """What the gradient in alpha is made of but g, in place: v turns into w v (1 - v) where 0 < s < 1, else
    0, and `penalty` is written: lambda P (1 - P) with P = P(s > 0). Vectors of one size.

    Args:
        lam: a scalar on the device: the host need not know it.
    """
    # The backward formulas of two activations are one pass each where products and a mask would be five.
    torch.ops.aten.sigmoid_backward.grad_input(w, v, grad_input=v)
    torch.ops.aten.hardtanh_backward.grad_input(v, s, 0, 1, grad_input=v)
    if law.half_open:
        torch.sub(alpha, law.half_open, out=penalty).sigmoid_()
    else:
        torch.sigmoid(alpha, out=penalty)
    torch.ops.aten.sigmoid_backward.grad_input(lam, penalty, grad_input=penalty)


class FlatGate:
    """The gates of `law` over some tensors of a model: float32, contiguous, one gate per weight.

    Attributes:
        layout: where the tensors lie in the vectors.
        alpha, w: the vectors; what an optimizer steps.
        alphas, ws: the same by tensor name.
        perturbed: theta + s w by tensor name, from `perturb` to `gradients`.
        alpha_gradients, w_gradients: by tensor name, from `gradients` to the next `perturb`.
    """

    def __init__(
        self, law: HardConcrete, tensors: Mapping[str, Tensor], alpha0: float, *, compiled: bool = False
    ) -> None:
        device = next(iter(tensors.values())).device
        self.law, self.layout = law, FlatLayout.of(tensors)
        self.alpha, self.w, self._weights, self._v, self._s = (
            torch.full((self.layout.size,), value, dtype=torch.float32, device=device)
            for value in (CLOSED, 0.0, 0.0, 0.0, 0.0)
        )
        self.alphas, self.ws = self.layout.views(self.alpha), self.layout.views(self.w)
        for alpha in self.alphas.values():
            alpha.fill_(alpha0)
        # dalpha and dw are made where theta + s w and s were.
        self.perturbed = self.alpha_gradients = self.layout.views(self._weights)
        self.w_gradients = self.layout.views(self._s)
        self._slopes = list(self.layout.views(self._v).values())
        self._gamma = torch.tensor(law.gamma, dtype=torch.float32, device=device)
        self._formulas: tuple[Callable[..., None], Callable[..., None]] = (perturb, slopes)
        if compiled:
            # Whole or not at all: half of a formula in a kernel would say nothing about compiling.
            self._formulas = (torch.compile(perturb, fullgraph=True), torch.compile(slopes, fullgraph=True))

    def perturb(self, theta: Sequence[Tensor], key: Key) -> None:
        """`perturbed` = theta + s w, with s drawn under `key`; theta in the layout's order."""
        torch._foreach_copy_(list(self.perturbed.values()), list(theta))
        draw(self._v, key)
        self._formulas[0](self.law, self._gamma, self.alpha, self.w, self._v, self._s, self._weights)

    def draws(self, key: Key) -> dict[str, Tensor]:
        """The u that `perturb` draws under `key`, by tensor name: for those who compute the gates again."""
        u = torch.empty_like(self.alpha)
        draw(u, key)
        return self.layout.views(u)

    def interior(self) -> Tensor:
        """How many gates were drawn strictly between 0 and 1; between `perturb` and `gradients`."""
        return ((self._s > 0) & (self._s < 1)).sum()

    def gradients(self, g: Sequence[Tensor], lam: Tensor) -> None:
        """The gradients of alpha and w for the last draw, into their vectors' `grad`.

        Args:
            g: dL/d(theta + s w) of each tensor, in the layout's order.
            lam: of eq. 12, a float32 scalar on the device.
        """
        law, penalty = self.law, self._weights
        scale = (law.zeta - law.gamma) / law.beta
        self._formulas[1](law, lam, self.alpha, self.w, self._v, self._s, penalty)
        torch._foreach_addcmul_(list(self.alpha_gradients.values()), self._slopes, list(g), value=scale)
        torch._foreach_mul_(list(self.w_gradients.values()), list(g))
        self.alpha.grad, self.w.grad = penalty, self._s
