"""One dataset's alpha and w, and one step of eq. 12 on them, theta and phi fixed.

    perturb   u <- key(seed, dataset, step, tensor);  the model's weight <- theta + s(alpha, u) w
    measure   loss(model).backward()                                     g = dL/d(theta + s w)
    learn     the same u again;  dalpha, dw in closed form;  each clipped;  AdamW on alpha, AdamW on w

Autograd never sees the gates. Model-sized memory beyond theta and its gradient: alpha, w, their four moments
and the perturbed copy, which is used again for dalpha. Four kinds of tensors:

    plain       the formulas of `HardConcrete`, on any device and for gates of any granularity;
                the oracle of the others
    fused       `bmt.fused_gate`: on a CPU, one gate per weight
    embedding   as fused, but only for the rows that the batch looks up: the loss depends on no other,
                whose g is exactly 0
    flat        `bmt.flat_gate`: on an accelerator, one gate per weight; all tensors in one vector
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn

from bmt.errors import ModelError
from bmt.flat_gate import FlatGate
from bmt.fused_gate import FusedGate
from bmt.gates import HardConcrete, gate_shape, weights_per_gate
from bmt.runtime.checkpoints import load_optimizer_tensors, optimizer_tensors
from bmt.runtime.devices import seed_generators
from bmt.runtime.finite_gradients import FiniteGradients
from bmt.runtime.keyed_random import Key, key_number, uniform
from bmt.settings import MaskSettings

# The proportional part of an augmented Lagrangian, in units of lam_lr: without it Adam's even steps carry the
# density past its target and back.
DAMPING = 30.0

Kernel = Literal["plain", "fused", "flat", "compiled"]
"""How gates of single float32 weights are computed ("compiled": flat, its formulas through torch.compile);
all others plainly."""


@dataclass(slots=True)
class _LookedUp:
    """An embedding's rows that the present batch looks up.

    Attributes:
        rows: bool per row of the table.
        groups: the same rows as indices, in the order in which they were looked up, with the key of their
            draws; a model may read its table twice.
    """

    rows: Tensor
    groups: list[tuple[Tensor, Key]] = field(default_factory=list)


class GateLearner:
    """Alpha and w over the parameters `names` of a model. `step` learns; theta comes back bit for bit.

    Args:
        kernel: None: fused on a CPU, flat elsewhere.

    Attributes:
        law: the gate.
        alpha: gate parameters by tensor name, float32 in their granularity's shape.
        w: what the gates let through, float32 in the weight's shape.
        gate_sizes: weights per gate, by tensor name.
        steps: taken so far.
    """

    def __init__(
        self,
        model: nn.Module,
        names: Sequence[str],
        settings: MaskSettings,
        key: Key,
        *,
        kernel: Kernel | None = None,
    ) -> None:
        parameters = dict(model.named_parameters())
        masked = {name: parameters[name] for name in names}
        self.model, self.settings, self.key, self.steps = model, settings, key, 0
        self.law = HardConcrete.of(settings)
        self._parameters, self._masked = parameters, masked
        device = next(iter(masked.values())).device
        # On the device: where lambda follows the density, the host need not wait for it.
        self._lam = torch.tensor(settings.lam, dtype=torch.float64, device=device)
        self._multiplier = self._lam
        kind = settings.granularity
        kernel = kernel or ("fused" if device.type == "cpu" else "flat")
        single = {
            name: value
            for name, value in masked.items()
            if kind == "element"
            and (value.dtype, value.device) == (torch.float32, device)
            and value.is_contiguous()
        }
        self._fused = set(single) if kernel == "fused" and device.type == "cpu" else set()
        flat = {name: value.data for name, value in single.items() if kernel in ("flat", "compiled")}
        self._flat = (
            FlatGate(self.law, flat, settings.alpha0, compiled=kernel == "compiled") if flat else None
        )
        self.alpha, self.w, self._perturbed = {}, {}, {}
        for name, value in masked.items():
            if self._flat is not None and name in flat:
                alpha, w, perturbed = (
                    part[name] for part in (self._flat.alphas, self._flat.ws, self._flat.perturbed)
                )
            else:
                shape = gate_shape(value.shape, kind)
                alpha = torch.full(shape, settings.alpha0, dtype=torch.float32, device=value.device)
                w = torch.zeros_like(value, dtype=torch.float32)
                perturbed = torch.empty_like(value.data)
            self.alpha[name], self.w[name], self._perturbed[name] = alpha, w, perturbed
        self.gate_sizes = {name: weights_per_gate(w, self.alpha[name]) for name, w in self.w.items()}
        one_kernel = True if {value.device.type for value in masked.values()} <= {"cpu", "cuda"} else None
        self._alphas, self._ws = self.alpha, self.w
        if self._flat is not None:
            self._alphas, self._ws = (
                {"": vector} | {name: part[name] for name in masked if name not in flat}
                for vector, part in ((self._flat.alpha, self.alpha), (self._flat.w, self.w))
            )
        self._alpha_optimizer = torch.optim.AdamW(
            list(self._alphas.values()),
            lr=settings.alpha_lr,
            eps=settings.alpha_eps,
            weight_decay=0.0,
            fused=one_kernel,
        )
        self._w_optimizer = torch.optim.AdamW(
            list(self._ws.values()), lr=settings.w_lr, weight_decay=0.0, fused=one_kernel
        )
        self._embeddings = {
            name: _LookedUp(torch.zeros(masked[name].shape[0], dtype=torch.bool))
            for name in self._fused_embeddings()
        }
        self._kernel = FusedGate.of(self.law)
        self._finite = FiniteGradients(
            "mask-learning step", "lower w_lr, or use fp32 where precision is bf16"
        )

    @property
    def total(self) -> int:
        """Number of weights under the gates."""
        return sum(value.numel() for value in self._masked.values())

    @property
    def lam(self) -> float:
        """Lambda of eq. 12; with `density_by: lagrangian` it follows the density. The host waits for it."""
        return float(self._lam)

    def density(self) -> float:
        """Expected share of open weights: E||delta||_0 of eq. 11 over the number of weights."""
        return float(self._density())

    def _density(self) -> Tensor:
        """As `density`, in float64 on the device."""
        opened = (
            self.law.expected_l0(alpha) * self.gate_sizes.get(name, 1) for name, alpha in self._alphas.items()
        )
        return torch.as_tensor(sum(opened)) / self.total

    def alpha_mean(self) -> float:
        """Mean of alpha over the weights."""
        sums = (alpha.sum(dtype=torch.float64) * self.gate_sizes[name] for name, alpha in self.alpha.items())
        return float(sum(sums)) / self.total

    def step(self, loss: Callable[[], Tensor], count: bool = True) -> tuple[Tensor, Tensor]:
        """One step of eq. 12.

        Args:
            loss: computes the loss of a batch with the model as it stands.
            count: whether to count the gates between 0 and 1.

        Returns:
            the loss, and the share of the drawn gates that were strictly between 0 and 1 (both on the
            device).

        Raises:
            ModelError: a masked parameter got no gradient, or one that is not finite (tensor and step named;
                on a GPU some steps late).
        """
        with ExitStack() as stack:
            stack.enter_context(self._only_masked_gradients())
            stack.enter_context(self._perturbed_weights())
            # Dropout too is keyed by the step: a resumed run drops what the run in one piece did.
            seed_generators(key_number((*self.key, self.steps, "dropout")), self._lam.device)
            value = loss()
            value.backward()
            # Inside the block still: the gradients need this step's u, and write into the perturbed copy.
            interior = self._gradients(value.device, count)
        # Two norms and two optimizers. Under a common clip the larger gradient would use up the other's norm:
        # at the start w = 0, so the data give alpha no gradient at all and w all of it.
        flat = self._flat
        self._clip(self._ws, self.settings.clip, {} if flat is None else flat.w_gradients)
        self._clip(self._alphas, self.settings.alpha_clip, {} if flat is None else flat.alpha_gradients)
        self._alpha_optimizer.step()
        self._w_optimizer.step()
        for tensor in (*self._masked.values(), *self._alphas.values(), *self._ws.values()):
            tensor.grad = None
        if self.settings.density is not None and self.settings.density_by == "lagrangian":
            # Too dense: lambda rises by lam_lr times what is too much, for good, and by 30 times that while
            # it lasts.
            error = self._density() - self.settings.density
            self._multiplier = self._multiplier + self.settings.lam_lr * error
            self._lam = self._multiplier + DAMPING * self.settings.lam_lr * error
        self.steps += 1
        return value.detach(), interior

    def draws(self, step: int) -> dict[str, Tensor]:
        """u of the gates at a step, by tensor name, for those who compute eq. 10 again. Fused tensors are
        left out: the draws of their rows depend on the batch.
        """
        flat = {} if self._flat is None else self._flat.draws((*self.key, step))
        return {
            name: flat[name] if name in flat else uniform(alpha.shape, (*self.key, step, name), alpha.device)
            for name, alpha in self.alpha.items()
            if name not in self._fused
        }

    def settle(self) -> None:
        """Wait for what steps have left to be looked at. Raises ModelError as `step` does."""
        self._finite.settle()

    def tensors(self) -> dict[str, Tensor]:
        """Everything that learning goes on from: alpha, w, both optimizers' state, lambda and the number of
        steps.
        """
        groups = {
            "alpha": self.alpha,
            "w": self.w,
            "alpha_optimizer": self._moments(self._alpha_optimizer),
            "w_optimizer": self._moments(self._w_optimizer),
        }
        state = {f"{group}/{name}": value for group, part in groups.items() for name, value in part.items()}
        state["lam"] = torch.stack([self._lam, self._multiplier])
        return state | {"steps": torch.tensor(self.steps)}

    @torch.no_grad()
    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from `tensors`; those of w and the optimizers may be left out where no step follows."""
        groups: dict[str, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            group, _, name = key.partition("/")
            groups.setdefault(group, {})[name] = value
        for name, value in groups["alpha"].items():
            self.alpha[name].copy_(value)
        for name, value in groups.get("w", {}).items():
            self.w[name].copy_(value)
        for group, optimizer in (
            ("alpha_optimizer", self._alpha_optimizer),
            ("w_optimizer", self._w_optimizer),
        ):
            moments = groups.get(group, {})
            if self._flat is not None:
                moments = self._flat.layout.gathered(moments, list(self.alpha), self._flat.alpha.device)
            load_optimizer_tensors(optimizer, moments)
        self._lam, self._multiplier = tensors["lam"].to(self._lam.device).clone()
        self.steps = int(tensors["steps"])

    def _moments(self, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
        """An optimizer's state by tensor, also where the optimizer has many in one vector."""
        moments = optimizer_tensors(optimizer)
        return moments if self._flat is None else self._flat.layout.spread(moments, list(self.alpha))

    @contextmanager
    def _only_masked_gradients(self) -> Iterator[None]:
        """While the block runs, the masked parameters take gradients and no other does: phi is fixed."""
        wanted = {name: parameter.requires_grad for name, parameter in self._parameters.items()}
        try:
            for name, parameter in self._parameters.items():
                parameter.grad = None
                parameter.requires_grad_(name in self._masked)
            yield
        except BaseException:
            for parameter in self._parameters.values():
                parameter.grad = None
            raise
        finally:
            for name, parameter in self._parameters.items():
                parameter.requires_grad_(wanted[name])

    @contextmanager
    def _perturbed_weights(self) -> Iterator[None]:
        """While the block runs, the model's weights are theta + s w.

        The parameters point to another tensor and back: nothing is added to theta and taken off again, which
        would not give the same bits.
        """
        theta = {name: parameter.data for name, parameter in self._masked.items()}
        hooks = []
        try:
            flat = {} if self._flat is None else self._flat.layout.shapes
            if self._flat is not None:
                self._flat.perturb([theta[name] for name in flat], (*self.key, self.steps))
            for name, parameter in self._masked.items():
                if name not in flat:
                    self._perturb(name, theta[name])
                parameter.data = self._perturbed[name]
            hooks = [
                module.register_forward_pre_hook(self._row_hook(name, theta[name]))
                for module in (self.model.modules() if self._embeddings else ())
                if isinstance(module, nn.Embedding)
                for name in self._embeddings
                if module.weight is self._masked[name]
            ]
            yield
        finally:
            for hook in hooks:
                hook.remove()
            for looked_up in self._embeddings.values():
                looked_up.rows.zero_()
                looked_up.groups.clear()
            for name, parameter in self._masked.items():
                parameter.data = theta[name]

    def _perturb(self, name: str, theta: Tensor) -> None:
        """theta + s w of one tensor."""
        alpha, w, to, key = self.alpha[name], self.w[name], self._perturbed[name], self._key_of_draw(name)
        if name in self._embeddings:
            to.copy_(theta)  # rows are perturbed as they are looked up
        elif name in self._fused:
            self._kernel.perturb(theta, alpha, w, key, to)
        else:
            s = self.law.at(alpha, uniform(alpha.shape, key, alpha.device))
            torch.addcmul(theta, s.to(to.dtype), w.to(to.dtype), out=to)

    def _key_of_draw(self, name: str) -> Key:
        return (*self.key, self.steps, name)

    def _row_hook(self, name: str, theta: Tensor) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        """Before an embedding's forward pass: perturb the rows that it will read for the first time."""
        looked_up = self._embeddings[name]

        def perturb(module: nn.Module, args: tuple[Tensor, ...]) -> None:
            rows = torch.unique(args[0])
            rows = rows[~looked_up.rows[rows]]
            if not len(rows):
                return
            looked_up.rows[rows] = True
            key = (*self._key_of_draw(name), len(looked_up.groups))
            looked_up.groups.append((rows, key))
            changed = torch.empty(len(rows), theta.shape[1])
            self._kernel.perturb(theta[rows], self.alpha[name][rows], self.w[name][rows], key, changed)
            self._perturbed[name][rows] = changed

        return perturb

    def _gradients(self, device: torch.device, count: bool) -> Tensor:
        """Turn each parameter's g into the gradients of alpha and w."""
        interior, drawn = torch.zeros((), device=device), 0
        lam = self.lam if device.type == "cpu" else self._lam.float()
        gradients = {name: self._gradient(name) for name in self._masked}
        if self._flat is not None:
            in_vector = [gradients.pop(name) for name in self._flat.layout.shapes]
            drawn += sum(g.numel() for g in in_vector)
            if count:
                interior += self._flat.interior()
            self._flat.gradients(in_vector, self._lam.float())
        for name, g in gradients.items():
            alpha, w, out = self.alpha[name], self.w[name], self._perturbed[name]
            if name in self._embeddings:
                self._kernel.penalty(alpha, float(lam), out)
                for rows, key in self._embeddings[name].groups:
                    by_w, by_alpha = g[rows], torch.empty(len(rows), g.shape[1])
                    interior += self._kernel.gradients(
                        by_w, alpha[rows], w[rows], key, float(lam), by_alpha, count
                    )
                    out[rows], g[rows] = by_alpha, by_w
                    drawn += by_w.numel()
                alpha.grad, w.grad = out, g
            elif name in self._fused:
                interior += self._kernel.gradients(
                    g, alpha, w, self._key_of_draw(name), float(lam), out, count
                )
                drawn += alpha.numel()
                alpha.grad, w.grad = out, g
            else:
                u = uniform(alpha.shape, self._key_of_draw(name), alpha.device)
                alpha.grad, w.grad = self._plain_gradients(g, alpha, w, u, lam)
                if count:
                    s = self.law.at(alpha, u)
                    interior += ((s > 0) & (s < 1)).sum()
                drawn += alpha.numel()
        return interior / max(1, drawn)

    def _gradient(self, name: str) -> Tensor:
        g = self._masked[name].grad
        if g is None:
            raise ModelError(
                f"tensor {name} got no gradient at mask-learning step {self.steps}: the loss does not "
                "use it; leave it out with targets="
            )
        return g

    def _plain_gradients(
        self, g: Tensor, alpha: Tensor, w: Tensor, u: Tensor, lam: float | Tensor
    ) -> tuple[Tensor, Tensor]:
        """As `HardConcrete.gradients`, for gates that several weights may share: their parts add up."""
        wide = g.float()
        by_w = torch.mul(wide, self.law.at(alpha, u))
        by_s = torch.mul(wide, w).sum_to_size(alpha.shape)  # dL/ds of each gate
        by_alpha, _ = self.law.gradients(
            by_s, alpha, torch.ones_like(alpha), u, lam * weights_per_gate(w, alpha)
        )
        return by_alpha, by_w

    def _clip(self, tensors: Mapping[str, Tensor], clip: float | None, parts: Mapping[str, Tensor]) -> None:
        norm = self._finite.look(tensors, self.steps, parts)
        if clip is not None and norm is not None:
            torch.nn.utils.clip_grads_with_norm_(list(tensors.values()), clip, norm)

    def _fused_embeddings(self) -> list[str]:
        """The fused tensors that are weights of plain `nn.Embedding`s and of nothing else."""
        elsewhere = {
            id(parameter)
            for module in self.model.modules()
            if type(module) is not nn.Embedding or module.max_norm is not None
            for parameter in module._parameters.values()
        }
        return [name for name in self._fused if id(self._masked[name]) not in elsewhere]
