"""What a machine can do at most: matrix products, copies, launches. What is measured elsewhere is held
against it.

Operands are random: a GPU multiplies zeros faster than it ever multiplies numbers. Every figure is the best
of a few tries, as a limit is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch.nn.functional import scaled_dot_product_attention

TRIES = 5
BUFFERS = 4
"""Copied in turn."""


def best_seconds(device: torch.device, work: Callable[[], object], times: int, tries: int = TRIES) -> float:
    """Seconds of one `work`, by the fastest try of `times` in a row after one that does not count.

    On a GPU its own clock counts (events in its queue), elsewhere the wall's.
    """
    work()
    return min(_seconds(device, work, times) for _ in range(tries)) / times


def _seconds(device: torch.device, work: Callable[[], object], times: int) -> float:
    if device.type != "cuda":
        began = time.perf_counter()
        for _ in range(times):
            work()
        return time.perf_counter() - began
    first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize(device)
    first.record()
    for _ in range(times):
        work()
    last.record()
    torch.cuda.synchronize(device)
    return first.elapsed_time(last) / 1e3


@contextmanager
def fp32_products(tf32: bool) -> Iterator[None]:
    """A block in which products of fp32 are taken with ten bits of each fraction (tf32), or exactly; after it
    as before.
    """
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def matrix_peak(
    device: torch.device,
    size: int,
    dtype: torch.dtype = torch.bfloat16,
    *,
    tf32: bool = False,
    times: int = 10,
) -> float:
    """FLOPs per second of a product of two square matrices of `size` rows, two per multiplication.

    Args:
        tf32: fp32's products by tf32.
        times: products per try.
    """
    left, right, product = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(3))
    with fp32_products(tf32):
        return 2 * size**3 / best_seconds(device, lambda: torch.matmul(left, right, out=product), times)


def copy_bandwidth(device: torch.device, size: int) -> float:
    """Bytes per second that a copy within the device's memory reads and writes.

    Args:
        size: bytes of one buffer; `BUFFERS` of them should be larger than every cache.
    """
    held = [torch.empty(size, dtype=torch.uint8, device=device) for _ in range(BUFFERS)]
    for number, one in enumerate(held):
        one.fill_(number)

    def once_round() -> None:
        for number in range(BUFFERS):
            held[number].copy_(held[number - 1])

    return 2 * size * BUFFERS / best_seconds(device, once_round, 2)


def transfer_bandwidth(device: torch.device, size: int) -> tuple[float, float]:
    """Bytes per second from pinned memory to the device, and back."""
    there = torch.empty(size, dtype=torch.uint8, device=device).fill_(1)
    here = torch.ones(size, dtype=torch.uint8, pin_memory=device.type == "cuda")
    to = best_seconds(device, lambda: there.copy_(here, non_blocking=True), 2)
    back = best_seconds(device, lambda: here.copy_(there, non_blocking=True), 2)
    return size / to, size / back


def launch_seconds(device: torch.device, launches: int = 1000) -> float:
    """Seconds from one small kernel to the next where nothing else is done: what a step of many small kernels
    waits for.
    """
    one = torch.zeros(1, device=device)
    return best_seconds(device, lambda: one.add_(1.0), launches)


def attention_speed(device: torch.device, shape: tuple[int, int, int, int]) -> float:
    """FLOPs per second of attention in bf16 without masks or dropout, forward alone: four per element of a
    head, pair of tokens and multiplication.

    Args:
        shape: windows, heads, tokens, elements per head.
    """
    query, key, value = (torch.randn(shape, device=device, dtype=torch.bfloat16) for _ in range(3))
    windows, heads, tokens, elements = shape
    seconds = best_seconds(device, lambda: scaled_dot_product_attention(query, key, value), 10)
    return 4 * windows * heads * tokens**2 * elements / seconds
