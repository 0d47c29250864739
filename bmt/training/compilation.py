"""A model whose forward and backward passes run through `torch.compile` while a block runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

NONE = "none"


@contextmanager
def compiled(model: nn.Module, backend: str) -> Iterator[None]:
    """While the block runs, calls of `model` are compiled by a torch.compile backend, for windows of any
    number and length.

    Names, weights and checkpoints stay what they are. Kernels round differently than torch's own: a run goes
    on with the same bits only
    where the same kernels are made again.

    Args:
        backend: "none": nothing is compiled.
    """
    if backend == NONE:
        yield
        return
    before = model._compiled_call_impl
    model.compile(backend=backend, dynamic=True)
    try:
        yield
    finally:
        model._compiled_call_impl = before
