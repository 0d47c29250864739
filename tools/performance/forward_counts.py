"""What has passed a model: the windows of every forward pass, seen from outside, the same way for every side
of a comparison.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(slots=True)
class ForwardCounts:
    """Token ids and attention mask of every pass, (rows, tokens) each; no mask: nothing is padded."""

    passes: list[tuple[Tensor, Tensor | None]] = field(default_factory=list)

    def windows(self) -> list[tuple[int, ...]]:
        """The tokens of every window without its padding, sorted: equal for two sides that have seen the same
        windows.
        """
        windows: list[tuple[int, ...]] = []
        for ids, mask in self.passes:
            real = (
                torch.ones_like(ids, dtype=torch.bool) if mask is None else mask.reshape(len(ids), -1).bool()
            )
            windows += [tuple(row[there].tolist()) for row, there in zip(ids.cpu(), real.cpu(), strict=True)]
        return sorted(windows)

    @property
    def tokens(self) -> int:
        """Real tokens."""
        return sum(ids.numel() if mask is None else int(mask.sum()) for ids, mask in self.passes)

    @property
    def positions(self) -> int:
        """Tokens with their padding."""
        return sum(ids.numel() for ids, _ in self.passes)


@contextmanager
def watched(model: nn.Module) -> Iterator[ForwardCounts]:
    """While the block runs, what passes `model` is noted. Nothing is copied or waited for."""
    passed = ForwardCounts()

    def note(module: nn.Module, args: Any, kwargs: dict[str, Any]) -> None:
        passed.passes.append((kwargs["input_ids"], kwargs.get("attention_mask")))

    handle = model.register_forward_pre_hook(note, with_kwargs=True)
    try:
        yield passed
    finally:
        handle.remove()
