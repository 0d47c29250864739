"""A machine's limits: the arithmetic of each, with a clock that is made up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from tools.performance import machine_limits as limits

CPU = torch.device("cpu")


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Every piece of work takes half a second; how often it was done per try."""
    counted: list[int] = []

    def half_a_second(device: torch.device, work: Callable[[], object], times: int, tries: int = 5) -> float:
        work()
        counted.append(times)
        return 0.5

    monkeypatch.setattr(limits, "best_seconds", half_a_second)
    return counted


def test_flops_and_bytes_per_second(calls: list[int]) -> None:
    assert limits.matrix_peak(CPU, 8, times=3) == 2 * 8**3 / 0.5
    assert limits.copy_bandwidth(CPU, 100) == 2 * 4 * 100 / 0.5
    assert limits.transfer_bandwidth(CPU, 100) == (200, 200)
    assert limits.launch_seconds(CPU, 7) == 0.5
    assert limits.attention_speed(CPU, (2, 3, 8, 4)) == 4 * 2 * 3 * 8 * 8 * 4 / 0.5
    assert calls == [3, 2, 2, 2, 7, 10]


@pytest.fixture
def precision() -> Iterator[None]:
    """As it is, when the test is over."""
    kept = torch.get_float32_matmul_precision()
    yield
    torch.set_float32_matmul_precision(kept)


@pytest.mark.parametrize("before", ["highest", "high", "medium"])
def test_products_of_fp32_are_exact_or_tf32_and_afterwards_as_before(
    before: str, precision: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = []

    def peek(*given: Any) -> float:
        taken.append(torch.get_float32_matmul_precision())
        return 1.0

    monkeypatch.setattr(limits, "best_seconds", peek)
    torch.set_float32_matmul_precision(before)
    for tf32 in (True, False):
        limits.matrix_peak(CPU, 8, torch.float32, tf32=tf32)
    assert taken == ["high", "highest"]
    assert torch.get_float32_matmul_precision() == before
    with pytest.raises(KeyError), limits.fp32_products(tf32=True):
        raise KeyError
    assert torch.get_float32_matmul_precision() == before


def test_the_best_of_the_tries_counts_and_the_first_work_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter([0.0, 9.0, 10.0, 14.0, 20.0, 26.0])
    monkeypatch.setattr(limits.time, "perf_counter", lambda: next(ticks))
    done: list[int] = []
    assert limits.best_seconds(CPU, lambda: done.append(1), 2, tries=3) == 2.0
    assert len(done) == 1 + 2 * 3


def test_on_a_gpu_its_own_clock_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Events around the work, read once the queue is empty."""
    said: list[str] = []

    class Event:
        def __init__(self, enable_timing: bool) -> None:
            assert enable_timing

        def record(self) -> None:
            said.append("event")

        def elapsed_time(self, other: Event) -> float:
            said.append("read")
            return 3000.0  # ms

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: said.append("wait"))
    assert limits.best_seconds(torch.device("cuda"), lambda: said.append("work"), 2, tries=1) == 1.5
    assert said == ["work", "wait", "event", "work", "work", "event", "wait", "read"]


def test_copied_buffers_hold_what_was_copied() -> None:
    """Every buffer is another's: nothing is left out as it would be where source and target were one."""
    assert limits.copy_bandwidth(CPU, 1 << 12) > 0
    assert limits.launch_seconds(CPU, 3) > 0
