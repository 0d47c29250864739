"""Values that travel between the host and a GPU without either waiting for the other.

A plain `.to("cuda")` or `bool(value)` holds the host until the GPU has done all that it was given, and the
GPU idles while the host catches up. Hence pinned memory on the way there, and on the way back tensors that
are read once an event says that they have come.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

T = TypeVar("T")


def to_device(value: Tensor, device: torch.device) -> Tensor:
    """`value` on a device; to a GPU from pinned memory, so that nothing waits for the copy."""
    if value.device == device:
        return value
    return (value.pin_memory() if value.device.type == "cpu" and device.type == "cuda" else value).to(
        device, non_blocking=True
    )


def to_device_together(values: Sequence[Tensor], device: torch.device) -> list[Tensor]:
    """Whole numbers and booleans on a device, by one copy from one piece of pinned memory rather than one of
    each.
    """
    if all(value.device == device for value in values):
        return list(values)
    packed = to_device(torch.cat([value.reshape(-1).to(torch.int64) for value in values]), device)
    parts = packed.split([value.numel() for value in values])
    return [part.view(value.shape).to(value.dtype) for part, value in zip(parts, values, strict=True)]


def seed_generators(number: int, device: torch.device) -> None:
    """As torch.manual_seed, for the CPU and the kind of `device` alone.

    Of every other kind of accelerator torch would note the call's stack, for when there is one: up to a
    millisecond.
    """
    if device.type not in ("cpu", "cuda"):
        torch.manual_seed(number)
        return
    torch.default_generator.manual_seed(number)
    if device.type == "cuda":
        torch.cuda.manual_seed_all(number)


class HostReads(Generic[T]):
    """Tensors that are computed on a device and read on the host, each with a note, in the order in which
    they were put.

    Args:
        most: tensors that may be on their way; with more the host waits for the oldest.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._pending: deque[tuple[Tensor, Any, T]] = deque()

    def put(self, value: Tensor, note: T) -> None:
        """Send a tensor to the host."""
        event = None
        if value.device.type == "cuda":
            value = value.detach().to("cpu", non_blocking=True)  # pinned memory there
            event = torch.cuda.Event()
            event.record()
        self._pending.append((value, event, note))

    def arrived(self, all_of_them: bool = False) -> list[tuple[Tensor, T]]:
        """The tensors that have come, with their notes; only once each.

        Args:
            all_of_them: whether to wait for what has not come yet.
        """
        come = []
        while self._pending:
            value, event, note = self._pending[0]
            if event is not None and not event.query():
                if not all_of_them and len(self._pending) <= self._most:
                    break
                event.synchronize()
            self._pending.popleft()
            come.append((value, note))
        return come
