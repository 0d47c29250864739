"""Zero-shot transfer (section 4.6.1): the mean of the adapters answers for a dataset that none is of."""

from __future__ import annotations

from typing import TypeVar

from torch import nn

from bmt.qa.adapters import adapters_of, averaged

M = TypeVar("M", bound=nn.Module)


def zero_shot(model: M) -> M:
    """The model that answers questions of a dataset that was not trained on: the uniform mean of adapters and
    heads.

    A model without adapters is its own.
    """
    return model if adapters_of(model) is None else averaged(model)
