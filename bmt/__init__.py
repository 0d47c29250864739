"""Binary Mask Tuning (Gong et al., Knowledge-Based Systems 2025): learn a sparse gate per dataset, then tune
while its mask lies on the gradient.

    from bmt import learn_masks, mask_updates

    masks = learn_masks(model, batches_by_dataset, steps=200, density=0.3)
    with mask_updates(optimizer, model, masks) as masked: …

What is not in `__all__` is internal.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bmt.deviation import deviations, pretrained_copy
    from bmt.errors import BMTError, ConfigError, DataError, ModelError
    from bmt.gates import HardConcrete
    from bmt.mask_learning import learn_masks
    from bmt.masked_updates import mask_updates
    from bmt.masks import Masks
    from bmt.qa.adapters import add_adapters
    from bmt.qa.answering import Answer, answer, load
    from bmt.qa.model import span_model
    from bmt.qa.mrqa import read_mrqa, validate_mrqa
    from bmt.random_mask import RandomMask
    from bmt.runtime.checkpoints import Checkpoints
    from bmt.runtime.control import RunControl
    from bmt.runtime.stopping import StoppedError
    from bmt.settings import MaskSettings

__all__ = [
    "Answer",
    "BMTError",
    "Checkpoints",
    "ConfigError",
    "DataError",
    "HardConcrete",
    "MaskSettings",
    "Masks",
    "ModelError",
    "RandomMask",
    "RunControl",
    "StoppedError",
    "add_adapters",
    "answer",
    "deviations",
    "learn_masks",
    "load",
    "mask_updates",
    "pretrained_copy",
    "read_mrqa",
    "span_model",
    "validate_mrqa",
]
__version__ = "0.1.0"

_HOMES = {
    "deviation": ("deviations", "pretrained_copy"),
    "errors": ("BMTError", "ConfigError", "DataError", "ModelError"),
    "gates": ("HardConcrete",),
    "mask_learning": ("learn_masks",),
    "masked_updates": ("mask_updates",),
    "masks": ("Masks",),
    "qa.adapters": ("add_adapters",),
    "qa.answering": ("Answer", "answer", "load"),
    "qa.model": ("span_model",),
    "qa.mrqa": ("read_mrqa", "validate_mrqa"),
    "random_mask": ("RandomMask",),
    "runtime.checkpoints": ("Checkpoints",),
    "runtime.control": ("RunControl",),
    "runtime.stopping": ("StoppedError",),
    "settings": ("MaskSettings",),
}


def __getattr__(name: str) -> Any:
    """Import a public name on its first use, so that `import bmt.qa.mrqa` needs no torch."""
    for module, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f"bmt.{module}"), name)
    raise AttributeError(f"module 'bmt' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
