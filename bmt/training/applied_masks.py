"""The masks that a run's updates are under, whatever their kind: none, fixed, random, or changing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from bmt.masked_updates import MaskedUpdates, mask_updates
from bmt.masks import Masks
from bmt.random_mask import RandomMask
from bmt.runtime.ranks import Ranks
from bmt.settings import TuningSettings

if TYPE_CHECKING:
    from bmt.training.mask_schedules import Schedule

    UpdateMasks = Masks | RandomMask | Schedule
    """Learned masks (eq. 14), the random control (eq. 16), or masks that change while theta is tuned."""


class AppliedMasks:
    """The masks of one run.

    Args:
        masks: None: every weight is updated.
        ranks: of the processes that run together; what a schedule keeps in files the first makes alone.
    """

    def __init__(self, masks: UpdateMasks | None, ranks: Ranks) -> None:
        self._ranks = ranks
        self._schedule: Schedule | None = None
        self._masks: Masks | RandomMask | None = None
        self._handle: MaskedUpdates | None = None
        if masks is None or isinstance(masks, Masks | RandomMask):
            self._masks = masks
        else:
            self._schedule = masks

    def start(self, step: int, restored: Mapping[str, Tensor] | None) -> None:
        """Make the masks to begin with, at step 0 or, with what a checkpoint has `restored`, later."""
        if self._schedule is None:
            return
        with self._ranks.first_before_others():
            self._masks = self._schedule.start(step)
        if restored is not None:
            self._schedule.restore(restored)
            self._masks = self._schedule.masks()

    @contextmanager
    def on(
        self, optimizer: torch.optim.Optimizer, model: nn.Module, tuning: TuningSettings, step: int
    ) -> Iterator[MaskedUpdates | None]:
        """While the block runs, the optimizer's steps from number `step` on are under the masks."""
        if self._masks is None:
            yield None
            return
        with mask_updates(
            optimizer,
            model,
            self._masks,
            apply=tuning.apply,
            first_step=step,
            compact=tuning.compact_state and self._schedule is None,
            before_clip=tuning.clip_order == "mask_then_clip",
        ) as self._handle:
            yield self._handle

    def before(self, step: int, picks: Sequence[tuple[int, int]]) -> None:
        """Bring masks that change up to date for the step that trains on `picks`.

        Raises:
            StoppedError: the run is to end while they are learned.
        """
        if self._schedule is not None and self._handle is not None:
            with self._ranks.first_before_others(self._schedule.in_files(step)):
                self._schedule.before(step, picks, self._handle)

    def settle(self) -> None:
        """Wait, on a GPU, until the last gradients are known to be finite. Raises ModelError: one is not."""
        if self._handle is not None:
            self._handle.settle()

    def tensors(self) -> dict[str, Tensor]:
        """What a checkpoint keeps of masks that change."""
        return {} if self._schedule is None else self._schedule.tensors()
