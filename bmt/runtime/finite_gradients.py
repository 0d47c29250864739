"""Gradients that must be finite, looked at by their norm, which a GPU gives without the host waiting for it
(bmt.runtime.devices).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from bmt.errors import ModelError
from bmt.runtime.devices import HostReads

MOST_PENDING = 8
"""Norms on their way from a GPU, at most: so many looks later an error is known."""


class FiniteGradients:
    """Raises for a gradient that is not finite: at once on a CPU, up to `MOST_PENDING` looks later on a GPU.

    Args:
        of: what the steps are of, in the error's words.
        advice: what to do about such a gradient.
    """

    def __init__(self, of: str, advice: str) -> None:
        self._of, self._advice = of, advice
        self._norms: HostReads[int] = HostReads(MOST_PENDING)

    @torch.no_grad()
    def look(
        self,
        tensors: Mapping[str, Tensor],
        step: int,
        parts: Mapping[str, Tensor] | None = None,
        norm: Tensor | None = None,
    ) -> Tensor | None:
        """The norm of all gradients of `tensors`, None where they have none.

        Args:
            parts: views of a gradient that is many tensors' in one, by the names that an error uses.
            norm: where it is known already, of these gradients and perhaps more.

        Raises:
            ModelError: this norm, or one of an earlier look, is not finite; the step is named, and the tensor
                if its gradient still is not.
        """
        if norm is None:
            grads = [tensor.grad for tensor in tensors.values() if tensor.grad is not None]
            if not grads:
                return None
            norm = torch.nn.utils.get_total_norm(grads)
        self._norms.put(norm, step)
        self._check(self._norms.arrived(), tensors, parts or {})
        return norm

    def settle(self) -> None:
        """Wait for the norms that have not come yet. Raises ModelError as `look` does."""
        self._check(self._norms.arrived(all_of_them=True), {}, {})

    def _check(
        self,
        arrived: Sequence[tuple[Tensor, int]],
        tensors: Mapping[str, Tensor],
        parts: Mapping[str, Tensor],
    ) -> None:
        for norm, step in arrived:
            if not math.isfinite(float(norm)):
                grads = [*parts.items(), *((name, tensor.grad) for name, tensor in tensors.items())]
                bad = (
                    name for name, grad in grads if grad is not None and not bool(torch.isfinite(grad).all())
                )
                raise ModelError(
                    f"tensor {next(bad, 'all of them together')}: the gradient is not finite at {self._of} "
                    f"{step}: {self._advice}"
                )
