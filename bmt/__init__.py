"""Binary Mask Tuning (Gong et al., Knowledge-Based Systems 2025): learn a sparse gate a dataset, then tune while it masks the gradient.

from bmt import learn_masks, mask_updates, span_model
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bmt.answering import Answer, answer, load
    from bmt.gates import HardConcrete
    from bmt.learning import learn_masks
    from bmt.masks import Masks
    from bmt.model import span_model
    from bmt.sources import RandomMask
    from bmt.tuning import mask_updates

_HOMES = {
    "Answer": "bmt.answering",
    "HardConcrete": "bmt.gates",
    "Masks": "bmt.masks",
    "RandomMask": "bmt.sources",
    "answer": "bmt.answering",
    "learn_masks": "bmt.learning",
    "load": "bmt.answering",
    "mask_updates": "bmt.tuning",
    "span_model": "bmt.model",
}

__all__ = ["Answer", "HardConcrete", "Masks", "RandomMask", "answer", "learn_masks", "load", "mask_updates", "span_model"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import a public name on its first use, so that `import bmt.mrqa` needs no torch."""
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'bmt' has no attribute {name!r}")
