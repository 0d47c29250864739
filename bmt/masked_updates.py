"""Masked updates, eq. 14 and eq. 16, on any torch optimizer and any model.

    theta <- theta - optimizer( sum over datasets d of  M_d * g_d )

with g_d the gradient of the batch's rows from dataset d. One mask multiplies each gradient as soon as it is
accumulated, so that clipping and the optimizer's moments see the masked gradient. Several masks need to know
which row of a batch is whose: `masked.rows(...)`; `bmt.row_gradients` then splits the gradients inside ONE
backward pass. A weight that is closed in every mask keeps its value bit for bit, whatever the optimizer's
weight decay or momentum.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from bmt.compact_state import compact_state
from bmt.errors import ConfigError, ModelError
from bmt.layers import target_names
from bmt.masks import Masks
from bmt.random_mask import RandomDraws, RandomMask
from bmt.row_gradients import RowGroups, split_gradients
from bmt.runtime.finite_gradients import FiniteGradients

Optimizer = torch.optim.Optimizer


class MaskedUpdates:
    """The handle that `mask_updates` gives: says whose the rows are, changes masks, counts steps.

    Attributes:
        datasets: that there are masks for; empty for the random mask.
        step: number of optimizer steps taken, `first_step` at the start; it keys the random mask.
        groups: whose the rows of the present batch are; None while nobody has said.
        active: whether backward passes are masked.
        trained: the parameters that the optimizer has, by name.
        unpacked: M_d by parameter name, (datasets, *weight); empty for the random mask.
        norm: of all of the model's gradients before the next step. A loop that clips puts here what clipping
            gave it, and no other is computed for the look at whether they are finite; a forward pass that
            needs gradients forgets it.
    """

    def __init__(
        self, optimizer: Optimizer, model: nn.Module, masks: Masks | RandomMask, first_step: int
    ) -> None:
        parameters = dict(model.named_parameters())
        of_optimizer = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
        self.datasets = masks.datasets if isinstance(masks, Masks) else ()
        self.step = first_step
        self.groups: RowGroups | None = None
        self.active = True
        self.trained = {name: value for name, value in parameters.items() if id(value) in of_optimizer}
        self.unpacked = masks.unpacked(parameters) if isinstance(masks, Masks) else {}
        self.norm: Tensor | None = None
        self._optimizer = optimizer
        self._fresh = False  # whether rows were said since the last forward pass
        self._on_change: list[Callable[[], None]] = []
        self._finite = FiniteGradients("step", "lower the learning rate, or use fp32 where it is bf16")

    def rows(self, datasets: Sequence[str] | Sequence[int] | Tensor) -> None:
        """Say which dataset each row of the next batch is from: names, or indices into `datasets`, one entry
        per row. Not needed with one mask, where it does nothing.

        Raises:
            ModelError: a dataset without a mask.
        """
        if len(self.datasets) < 2:
            return
        entries = datasets.tolist() if isinstance(datasets, Tensor) else datasets
        device = next(iter(self.unpacked.values())).device
        self.groups = RowGroups.of([self._index(entry) for entry in entries], device)
        self._fresh = True

    def _index(self, entry: str | int) -> int:
        if isinstance(entry, str) and entry in self.datasets:
            return self.datasets.index(entry)
        if isinstance(entry, int) and 0 <= entry < len(self.datasets):
            return entry
        raise ModelError(
            f"the batch has a row of dataset {entry!r}, which has no mask: there are masks for "
            f"{', '.join(self.datasets)}"
        )

    def use_rows(self) -> None:
        """Check, at a forward pass that needs gradients, that its rows were said, and not for an earlier one.

        Raises:
            ModelError: they were not.
        """
        if not self._fresh:
            raise ModelError(
                f"there are masks for {len(self.datasets)} datasets ({', '.join(self.datasets)}) and the "
                "batch does not say whose its rows are: call masked.rows(…) before each forward pass (in "
                "a Trainer: a column `dataset`, and remove_unused_columns=False)"
            )
        self._fresh = False

    @contextmanager
    def paused(self) -> Iterator[None]:
        """While the block runs, backward passes are not masked (and `rows` need not be said)."""
        self.active, groups, self.groups = False, self.groups, None
        try:
            yield
        finally:
            self.active, self.groups = True, groups

    def settle(self) -> None:
        """Wait, on a GPU, until the last steps' gradients are known to be finite: before a checkpoint.

        Raises:
            ModelError: one of them is not.
        """
        self._finite.settle()

    def check_finite(self) -> None:
        """Look at the gradients of the step that is about to be taken.

        Raises:
            ModelError: one is not finite; on a GPU it is known some steps later.
        """
        norm, self.norm = self.norm, None
        self._finite.look(self.trained, self.step, norm=norm)

    @property
    def masked(self) -> dict[str, Tensor]:
        """The parameters that the optimizer has and some dataset's mask is over, by name."""
        return {name: self.trained[name] for name in self.unpacked if name in self.trained}

    def opened(self, name: str) -> Tensor:
        """The weights of a tensor that some dataset's mask opens now, bool."""
        return self.unpacked[name].any(0)

    @torch.no_grad()
    def use(self, masks: Mapping[str, Mapping[str, Tensor]], settle: bool = False) -> None:
        """Put new masks in the place of datasets' old ones, from the next backward pass on.

        Args:
            masks: {dataset: {parameter name: bool tensor}}, over the tensors that are masked.
            settle: whether the optimizer's moments become 0 where a weight is closed in every mask, so that
                momentum no longer moves it.

        Raises:
            ModelError: a dataset without a mask.
        """
        for dataset, by_name in masks.items():
            index = self._index(dataset)
            for name, mask in by_name.items():
                self.unpacked[name][index].copy_(mask)
        if settle:
            # A moment decays by a constant factor per step and keeps moving its weight for as long, whatever
            # the gradient: 1 / (1 - beta) = 10 steps' worth under Adam's first moment.
            for name, parameter in self.masked.items():
                for value in self._optimizer.state.get(parameter, {}).values():
                    if isinstance(value, Tensor) and value.shape == parameter.shape:
                        value.mul_(self.opened(name))
        for changed in self._on_change:
            changed()

    def on_change(self, function: Callable[[], None]) -> None:
        """Call a function whenever `use` has put in new masks."""
        self._on_change.append(function)


@contextmanager
def mask_updates(
    optimizer: Optimizer,
    model: nn.Module,
    masks: Masks | RandomMask,
    *,
    apply: str = "gradient",
    first_step: int = 0,
    row_key: str = "dataset",
    compact: bool = False,
    before_clip: bool = True,
) -> Iterator[MaskedUpdates]:
    """While the block runs, every backward pass on `model` and every step of `optimizer` is masked.

    Args:
        optimizer: any torch optimizer over (some of) the model's parameters; others and the head are left
            alone.
        masks: one mask, or one per dataset (`Masks`), or the random control (`RandomMask`).
        apply: "gradient" (before the moments) or "update" (what the optimizer would add); the latter for one
            mask only.
        first_step: steps taken before, after a resume; it keys the random mask.
        row_key: a model input of this name is taken as `masked.rows(…)` and not passed on (HF Trainer).
        compact: whether the optimizer keeps state for open weights alone (bmt.compact_state); for masks that
            stay, and without a GradScaler.
        before_clip: whether a gradient is masked as soon as it is accumulated; else when the optimizer steps,
            after whatever the loop does to the whole gradient before (clipping); for one mask only.

    Yields:
        the handle; with several masks call its `rows` before each forward pass.

    Raises:
        ModelError: masks for another model, rows that were not said, a dataset without mask, a module whose
            gradient cannot be split.
        ConfigError: `apply` is not one of the two, or "update" or not `before_clip` with several masks.
    """
    _check(model, masks, apply, before_clip)
    while isinstance(inner := getattr(optimizer, "optimizer", None), Optimizer):  # accelerate's wrapper
        optimizer = inner
    handle = MaskedUpdates(optimizer, model, masks, first_step)
    with ExitStack() as stack:
        if len(handle.datasets) > 1:
            stack.enter_context(split_gradients(model, handle.unpacked, handle))
            _compact(stack, optimizer, handle, compact)
        else:
            if isinstance(masks, RandomMask):
                mask = _StepMask.drawn(masks, model, handle.trained)
            else:
                mask = _StepMask.fixed(handle.unpacked)
            if apply == "gradient":
                _mask_gradients(stack, optimizer, mask, handle, before_clip)
            _compact(stack, optimizer, handle, compact)
            if apply == "update":
                _mask_steps(stack, optimizer, mask, handle)
        _keep_closed(stack, optimizer, handle)
        _hook(stack, optimizer.register_step_pre_hook(lambda *_: handle.check_finite()))
        _hook(stack, optimizer.register_step_post_hook(lambda *_: setattr(handle, "step", handle.step + 1)))
        _hook(stack, model.register_forward_pre_hook(_row_taker(handle, row_key), with_kwargs=True))
        yield handle
        handle.settle()


def _check(model: nn.Module, masks: Masks | RandomMask, apply: str, before_clip: bool) -> None:
    """Raise what `mask_updates` raises before it changes anything."""
    if apply not in ("gradient", "update"):
        raise ConfigError(f"apply: {apply!r} is not allowed: one of gradient, update")
    if not isinstance(masks, Masks):
        return
    if len(masks.datasets) > 1 and apply == "update":
        raise ConfigError(
            "apply: 'update' needs one mask: with several, one optimizer step mixes the datasets; use "
            "'gradient', or masks.union()"
        )
    if len(masks.datasets) > 1 and not before_clip:
        raise ConfigError(
            "before_clip: false needs one mask: with several, each row's gradient is masked within the "
            "backward pass; use true, or masks.union()"
        )
    masks.check_fits(model)
    for name, parameter in model.named_parameters():
        if name in masks.shapes and not parameter.requires_grad:
            raise ModelError(
                f"tensor {name} is masked but takes no gradient (requires_grad is False): unfreeze it, "
                "or learn masks without it"
            )


@dataclass(frozen=True, slots=True)
class _StepMask:
    """One mask over tensors.

    Attributes:
        names: of the tensors.
        at: (name, parameter, step) -> the mask in the tensor's shape, bool, or in [0, 1] where it is soft.
        scale: what a masked gradient is multiplied with.
    """

    names: Collection[str]
    at: Callable[[str, Tensor, int], Tensor]
    scale: float = 1.0
    soft: bool = False

    @staticmethod
    def fixed(unpacked: Mapping[str, Tensor]) -> _StepMask:
        """The same at every step, (1, *weight) by name; what is written into it holds from then on."""
        soft = any(mask.is_floating_point() for mask in unpacked.values())
        return _StepMask(unpacked.keys(), lambda name, *_: unpacked[name][0], soft=soft)

    @staticmethod
    def drawn(mask: RandomMask, model: nn.Module, trained: Mapping[str, Tensor]) -> _StepMask:
        """A random mask over those of its tensors that are trained: the same in all backward passes of a
        step.
        """
        names = set(target_names(model, mask.targets))
        draws = RandomDraws(mask, {name: value for name, value in trained.items() if name in names})
        scale = 1 / mask.p_f if mask.rescale else 1.0
        return _StepMask(names, lambda name, _, step: draws.at(name, step), scale)


def _hook(stack: ExitStack, handle: Any) -> None:
    """Remove a hook when the block ends."""
    stack.callback(handle.remove)


def _compact(stack: ExitStack, optimizer: Optimizer, handle: MaskedUpdates, wanted: bool) -> None:
    """Where it is wanted and the masks are fixed, let the optimizer keep state for open weights alone.

    After the hooks that mask a whole gradient at the step: what it takes of it must be masked. Before those
    that put weights back: they must see what the step has made of them.
    """
    if wanted and handle.unpacked:
        opened = {name: handle.opened(name) for name in handle.masked}
        stack.enter_context(compact_state(optimizer, handle.masked, opened))


def _mask_gradients(
    stack: ExitStack, optimizer: Optimizer, mask: _StepMask, handle: MaskedUpdates, before_clip: bool
) -> None:
    """`apply="gradient"`, one mask: g <- scale M g, as it is accumulated or, not `before_clip`, at the step.

    0 and 1 may meet a gradient any number of times. What is neither must meet it once, before it is added to
    what the step's earlier backward passes have left: a soft mask, and the scale.
    """
    masked = {name: parameter for name, parameter in handle.trained.items() if name in mask.names}

    def scaled(name: str, parameter: Tensor, grad: Tensor) -> Tensor:
        if not handle.active:
            return grad
        if mask.soft and before_clip:
            return grad * (mask.at(name, parameter, handle.step).to(grad.dtype) * mask.scale)
        return grad * mask.scale

    def multiply(name: str, parameter: Tensor) -> None:
        if handle.active and parameter.grad is not None:
            parameter.grad.mul_(mask.at(name, parameter, handle.step))

    for name, parameter in masked.items():
        if mask.scale != 1 or (mask.soft and before_clip):
            _hook(stack, parameter.register_hook(partial(scaled, name, parameter)))
        if before_clip and not mask.soft:
            _hook(stack, parameter.register_post_accumulate_grad_hook(partial(multiply, name)))
    if not before_clip:

        def multiply_all(*_: Any) -> None:
            for name, parameter in masked.items():
                multiply(name, parameter)

        _hook(stack, optimizer.register_step_pre_hook(multiply_all))


def _mask_steps(stack: ExitStack, optimizer: Optimizer, mask: _StepMask, handle: MaskedUpdates) -> None:
    """`apply="update"`: each step goes the mask's part of its way; closed weights keep their value bit for
    bit.
    """
    masked = {name: parameter for name, parameter in handle.trained.items() if name in mask.names}
    before: dict[str, Tensor] = {}

    @torch.no_grad()
    def keep(*_: Any) -> None:
        before.update({name: parameter.detach().clone() for name, parameter in masked.items()})

    @torch.no_grad()
    def go_part_of_the_way(*_: Any) -> None:
        for name, parameter in masked.items():
            share = mask.at(name, parameter, handle.step).to(parameter.dtype)
            parameter.copy_(torch.lerp(before[name], parameter, share))  # exact where the share is 0 or 1
        before.clear()

    _hook(stack, optimizer.register_step_pre_hook(keep))
    _hook(stack, optimizer.register_step_post_hook(go_part_of_the_way))


def _keep_closed(stack: ExitStack, optimizer: Optimizer, handle: MaskedUpdates) -> None:
    """Where weight decay could move them, weights closed in every mask go back to their value after each
    step.

    Without decay a gradient of exactly 0 leaves moments and weight as they are, and no copy is held.
    """
    if not any(group.get("weight_decay", 0) for group in optimizer.param_groups):
        return
    opened: dict[str, Tensor] = {}
    values: dict[str, Tensor] = {}

    def keep() -> None:
        for name, parameter in handle.masked.items():
            opened[name], values[name] = handle.opened(name), parameter.detach().clone()

    @torch.no_grad()
    def put_back(*_: Any) -> None:
        # a whole copy and one launch per tensor: to scatter the closed values alone takes a GPU several
        for name, parameter in handle.masked.items():
            torch.where(opened[name], parameter, values[name], out=parameter)

    keep()
    handle.on_change(keep)
    _hook(stack, optimizer.register_step_post_hook(put_back))


def _row_taker(handle: MaskedUpdates, row_key: str) -> Any:
    """A hook before each forward pass: takes the rows from the inputs, and checks that they were said."""

    def take(module: nn.Module, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        if row_key in kwargs:
            rows = kwargs.pop(row_key)
            if torch.is_grad_enabled():
                handle.rows(rows)
        if torch.is_grad_enabled():
            handle.norm = None  # of an earlier step, which a GradScaler may have left out
            if handle.active and len(handle.datasets) > 1:
                handle.use_rows()
        return args, kwargs

    return take
