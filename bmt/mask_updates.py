"""Masked updates, eq. 14 and eq. 16, on any torch optimizer and any model.

    theta <- theta - optimizer( sum over datasets d of  M_d * g_d )            g_d: gradient of the batch's
    rows from dataset d

One mask multiplies each gradient as soon as it is accumulated, so that clipping and the optimizer's moments
see the masked gradient.
Several masks need to know which row of a batch is whose: `masked.rows(...)`; `bmt.row_gradients` then splits
the gradients inside ONE backward pass.
A weight that is closed in every mask keeps its value bit for bit, whatever the optimizer's weight decay or
momentum.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from bmt.compact_state import compact_state
from bmt.errors import ConfigError, ModelError
from bmt.masks import Masks
from bmt.random_mask import Drawn, Fixed, RandomMask, Source
from bmt.row_gradients import RowGroups, split_gradients
from bmt.runtime.finite_gradients import FiniteGradients


class MaskedUpdates:
    """The handle that `mask_updates` gives: says whose the rows are, and counts steps.

    Attributes:
        step: number of optimizer steps taken, `first_step` at the start; it keys the random mask.
    """

    def __init__(self, datasets: Sequence[str], first_step: int, optimizer: torch.optim.Optimizer) -> None:
        self.datasets = tuple(datasets)
        self._optimizer = optimizer
        self._targets: dict[str, Tensor] = {}
        self.step = first_step
        self.groups: RowGroups | None = None
        self.active = True
        self._fresh = False
        self._unpacked: dict[str, Tensor] = {}
        self._changed: list[Callable[[], None]] = []
        self._finite = FiniteGradients("step", "lower the learning rate, or use fp32 where it is bf16")

    def rows(self, datasets: Sequence[str] | Sequence[int] | Tensor) -> None:
        """Say which dataset each row of the next batch is from: names, or indices into `datasets`; one entry
        a row.

        Not needed with one mask, where it does nothing.

        Raises:
            ModelError: a dataset without a mask.
        """
        if len(self.datasets) < 2:
            return
        indices = [
            self._index(entry) for entry in (datasets.tolist() if isinstance(datasets, Tensor) else datasets)
        ]
        self.groups = RowGroups.of(indices, next(iter(self._unpacked.values())).device)
        self._fresh = True

    def _index(self, entry: str | int) -> int:
        if isinstance(entry, str) and entry in self.datasets:
            return self.datasets.index(entry)
        if isinstance(entry, int) and 0 <= entry < len(self.datasets):
            return entry
        raise ModelError(
            f"the batch has a row of dataset {entry!r}, which has no mask: there are masks for {', '.join(self.datasets)}"
        )

    def use_rows(self) -> None:
        """Check, at a forward pass that needs gradients, that its rows were said for it and not for an
        earlier batch.
        """
        if not self._fresh:
            raise ModelError(
                f"there are masks for {len(self.datasets)} datasets ({', '.join(self.datasets)}) "
                "and the batch does not say whose its rows are: "
                "call masked.rows(…) before each forward pass (in a Trainer: a column `dataset`, and remove_unused_columns=False)"
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
        for dataset, own in masks.items():
            index = self._index(dataset)
            for name, mask in own.items():
                self._unpacked[name][index].copy_(mask)
        if settle:
            for name, parameter in self._targets.items():
                for value in self._optimizer.state.get(parameter, {}).values():
                    if isinstance(value, Tensor) and value.shape == parameter.shape:
                        value.mul_(self._unpacked[name].any(0))
        for changed in self._changed:
            changed()


@contextmanager
def mask_updates(
    optimizer: torch.optim.Optimizer,
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
        masks: one mask or one a dataset (`Masks`), or the random control (`RandomMask`).
        apply: "gradient" (before the moments) or "update" (what the optimizer would add); the latter for one
            mask only.
        first_step: steps taken before, after a resume; it keys the random mask.
        row_key: a model input of this name is taken as `masked.rows(…)` and not passed on (HF Trainer).
        compact: whether the optimizer keeps state for open weights alone (bmt.compact_state); for masks that
            stay, and without a GradScaler.
        before_clip: whether a gradient is masked as soon as it is accumulated; else when the optimizer steps,
            after whatever the loop does
            to the whole gradient before (clipping); for one mask only.

    Yields:
        the handle; with several masks call its `rows` before each forward pass.

    Raises:
        ModelError: masks for another model, rows that were not said, a dataset without mask, a module whose
            gradient cannot be split.
        ConfigError: `apply` is not one of the two, or "update" or not `before_clip` with several masks.
    """
    if apply not in ("gradient", "update"):
        raise ConfigError(f"apply: {apply!r} is not allowed: one of gradient, update")
    several = isinstance(masks, Masks) and len(masks.datasets) > 1
    if several and apply == "update":
        raise ConfigError(
            "apply: 'update' needs one mask: with several, one optimizer step mixes the datasets; use 'gradient', or masks.union()"
        )
    if several and not before_clip:
        raise ConfigError(
            "before_clip: false needs one mask: with several, each row's gradient is masked within the backward pass; use true, or "
            "masks.union()"
        )
    if isinstance(masks, Masks):
        masks.check_fits(model)
        for name, parameter in model.named_parameters():
            if name in masks.shapes and not parameter.requires_grad:
                raise ModelError(
                    f"tensor {name} is masked but takes no gradient (requires_grad is False): unfreeze it, or learn masks without it"
                )
    while isinstance(
        inner := getattr(optimizer, "optimizer", None), torch.optim.Optimizer
    ):  # accelerate's wrapper
        optimizer = inner
    parameters = dict(model.named_parameters())
    trained = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    handle = MaskedUpdates(masks.datasets if isinstance(masks, Masks) else (), first_step, optimizer)
    if isinstance(masks, Masks):
        handle._unpacked.update(masks.unpacked(parameters))
        handle._targets.update(
            {name: parameters[name] for name in masks.shapes if id(parameters[name]) in trained}
        )
    with ExitStack() as stack:
        if compact and isinstance(masks, Masks):
            opened = {name: handle._unpacked[name].any(0) for name in handle._targets}
            stack.enter_context(compact_state(optimizer, handle._targets, opened))
        if several:
            stack.enter_context(split_gradients(model, handle._unpacked, handle))
        else:
            source: Source = Fixed(handle._unpacked) if isinstance(masks, Masks) else Drawn(masks, model)
            targets = {name: parameter for name, parameter in parameters.items() if id(parameter) in trained}
            if apply == "gradient":
                maskers = {name: _gradient_masker(source, name, handle) for name in targets}
                soft = isinstance(masks, Masks) and bool(masks.levels)
                for name, parameter in targets.items():
                    # What is not 0 or 1 must meet a gradient once, before it is added to what the step's
                    # earlier backward passes have left.
                    if source.scale != 1 or (soft and before_clip):
                        stack.enter_context(
                            _hook(parameter.register_hook(_scaler(source, name, parameter, handle, soft)))
                        )
                    if before_clip and not soft:
                        stack.enter_context(
                            _hook(parameter.register_post_accumulate_grad_hook(maskers[name]))
                        )
                if not before_clip:
                    stack.enter_context(
                        _hook(optimizer.register_step_pre_hook(_all_maskers(maskers, targets)))
                    )
            else:
                stack.enter_context(_masked_steps(optimizer, targets, source, handle))
        if isinstance(masks, Masks):
            stack.enter_context(_kept_closed(optimizer, handle._targets, handle))
        looked_at = {name: parameter for name, parameter in parameters.items() if id(parameter) in trained}
        stack.enter_context(_hook(optimizer.register_step_pre_hook(_finite_gradients(looked_at, handle))))
        stack.enter_context(
            _hook(optimizer.register_step_post_hook(lambda *_: setattr(handle, "step", handle.step + 1)))
        )
        stack.enter_context(
            _hook(model.register_forward_pre_hook(_row_taker(handle, row_key), with_kwargs=True))
        )
        yield handle
        handle.settle()


@contextmanager
def _hook(handle: Any) -> Iterator[None]:
    try:
        yield
    finally:
        handle.remove()


def _finite_gradients(targets: Mapping[str, Tensor], handle: MaskedUpdates) -> Any:
    """Before each step: raise for a gradient that is not finite."""

    def look(*_: Any) -> None:
        handle._finite.look(targets, handle.step)

    return look


def _row_taker(handle: MaskedUpdates, row_key: str) -> Any:
    def take(module: nn.Module, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        if row_key in kwargs:
            rows = kwargs.pop(row_key)
            if torch.is_grad_enabled():
                handle.rows(rows)
        if handle.active and torch.is_grad_enabled() and len(handle.datasets) > 1:
            handle.use_rows()
        return args, kwargs

    return take


def _scaler(source: Source, name: str, parameter: Tensor, handle: MaskedUpdates, soft: bool) -> Any:
    def scale(grad: Tensor) -> Tensor:
        if not source.masks(name) or not handle.active:
            return grad
        opened = source.open(name, parameter, handle.step) if soft else None
        return grad * (source.scale if opened is None else opened.to(grad.dtype) * source.scale)

    return scale


def _gradient_masker(source: Source, name: str, handle: MaskedUpdates) -> Any:
    @torch.no_grad()
    def mask(parameter: Tensor) -> None:
        opened = source.open(name, parameter, handle.step) if handle.active else None
        if opened is not None and parameter.grad is not None:
            parameter.grad.mul_(opened)

    return mask


def _all_maskers(maskers: Mapping[str, Callable[[Tensor], None]], targets: Mapping[str, Tensor]) -> Any:
    def mask(*_: Any) -> None:
        for name, parameter in targets.items():
            maskers[name](parameter)

    return mask


@contextmanager
def _masked_steps(
    optimizer: torch.optim.Optimizer, targets: Mapping[str, Tensor], source: Source, handle: MaskedUpdates
) -> Iterator[None]:
    """`apply="update"`: each step goes the mask's part of its way; closed weights stay what they were, bit
    for bit.
    """
    before: dict[str, Tensor] = {}

    @torch.no_grad()
    def keep(*_: Any) -> None:
        before.update({name: parameter.detach().clone() for name, parameter in targets.items()})

    @torch.no_grad()
    def restore(*_: Any) -> None:
        for name, parameter in targets.items():
            opened = source.open(name, parameter, handle.step)
            if opened is not None:
                parameter.copy_(
                    torch.lerp(before[name], parameter, opened.to(parameter.dtype))
                )  # exact where opened is 0 or 1
        before.clear()

    with _hook(optimizer.register_step_pre_hook(keep)), _hook(optimizer.register_step_post_hook(restore)):
        yield


@contextmanager
def _kept_closed(
    optimizer: torch.optim.Optimizer, targets: Mapping[str, Tensor], handle: MaskedUpdates
) -> Iterator[None]:
    """Weights closed in every mask go back to their value at entry after each step, where weight decay could
    move them.

    Without decay a gradient of exactly 0 leaves moments and weight as they are, and no copy is held.
    """
    if not any(group.get("weight_decay", 0) for group in optimizer.param_groups):
        yield
        return
    closed: dict[str, Tensor] = {}
    values: dict[str, Tensor] = {}

    def take() -> None:
        for name, parameter in targets.items():
            closed[name] = ~handle._unpacked[name].any(0)
            values[name] = parameter.detach()[closed[name]].clone()

    take()
    handle._changed.append(take)

    @torch.no_grad()
    def restore(*_: Any) -> None:
        for name, parameter in targets.items():
            parameter.masked_scatter_(
                closed[name], values[name]
            )  # indexing by a mask would wait for its count on a GPU

    with _hook(optimizer.register_step_post_hook(restore)):
        yield
