"""What an arm's mask is on a target dataset, which has none from the source training."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from bmt.errors import ConfigError
from bmt.masks import Masks
from bmt.random_mask import RandomMask
from bmt.runtime.control import RunControl
from bmt.settings import MaskSettings
from bmt.training.data import TrainingData
from bmt.training.mask_schedules import mask_schedule
from bmt.training.source_masks import source_masks
from bmt.transfer.few_shot import TargetMasks
from bmt.transfer.protocol import FewShotProtocol

if TYPE_CHECKING:
    from bmt.training.applied_masks import UpdateMasks


def target_masks(
    kind: str,
    mask: MaskSettings,
    protocol: FewShotProtocol,
    *,
    seed: int,
    random: RandomMask | None = None,
    source: Masks | None = None,
    control: RunControl | None = None,
) -> TargetMasks | None:
    """What holds the updates of an arm back on a target dataset.

    Args:
        kind: of the arm: "none"; "random": `random` itself; "learned" and its controls "fixed_random",
            "fisher", "magnitude": made at the model that the updates start from, on the training examples,
            or, of "learned" and "fixed_random" with `fewshot.mask: union`, the union of the `source` masks.
        mask: how masks are learned; a schedule other than two_phase goes on during the updates.
        source: the source datasets' masks as training kept them (already permuted for "fixed_random").
        control: of the learning (bmt.mask_learning.learn_masks), on one target.

    Raises:
        ConfigError: the union is asked for and there are no source masks.
    """
    if kind == "none":
        return None
    if kind == "random":
        return lambda model, data: random
    if protocol.settings.mask == "union" and kind in ("learned", "fixed_random"):
        if source is None:
            raise ConfigError(
                "fewshot.mask: 'union' needs the masks of the source training, which this run did not keep: "
                "use relearn"
            )
        union = source.union()
        return lambda model, data: union
    control = control or RunControl()

    def made(model: nn.Module, data: TrainingData) -> UpdateMasks:
        plan = protocol.target_plan
        if kind == "learned" and (mask.schedule != "two_phase" or mask.gate == "resampled"):
            return mask_schedule(model, data, mask, plan, seed=seed, control=control)
        learned = "learned" if kind == "fixed_random" else kind
        masks = source_masks(learned, model, data, mask, plan, seed=seed, control=control)
        return masks.permuted(seed) if kind == "fixed_random" else masks

    return made
