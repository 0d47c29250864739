"""Binary Mask Tuning (Gong et al., Knowledge-Based Systems 2025): learn a sparse gate a dataset, then tune
while it masks the gradient.

from bmt import learn_masks, mask_updates, span_model
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bmt.gates import HardConcrete
    from bmt.mask_learning import learn_masks
    from bmt.mask_updates import mask_updates
    from bmt.masks import Masks
    from bmt.qa.answering import Answer, answer, load
    from bmt.qa.model import span_model
    from bmt.random_mask import RandomMask

_HOMES = {
    "Answer": "bmt.qa.answering",
    "HardConcrete": "bmt.gates",
    "Masks": "bmt.masks",
    "RandomMask": "bmt.random_mask",
    "answer": "bmt.qa.answering",
    "learn_masks": "bmt.mask_learning",
    "load": "bmt.qa.answering",
    "mask_updates": "bmt.mask_updates",
    "span_model": "bmt.qa.model",
}

__all__ = [
    "Answer",
    "HardConcrete",
    "Masks",
    "RandomMask",
    "answer",
    "learn_masks",
    "load",
    "mask_updates",
    "span_model",
]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import a public name on its first use, so that `import bmt.qa.mrqa` needs no torch."""
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'bmt' has no attribute {name!r}")
