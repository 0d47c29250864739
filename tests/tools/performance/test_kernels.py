"""tools.performance.kernels: what the profiler's averages say of a step; memory from a moment on."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.autograd import DeviceType

from tools.performance import device_memory
from tools.performance.device_memory import DeviceMemory
from tools.performance.kernels import NAME_LENGTH, TOP, profiled, step_profile


def average(key: str, count: int, cpu: float = 0.0, device: float = 0.0, **more: Any) -> SimpleNamespace:
    """An entry of `key_averages`, its times in microseconds."""
    kind = DeviceType.CUDA if device else DeviceType.CPU
    return SimpleNamespace(
        key=key,
        count=count,
        self_cpu_time_total=cpu,
        self_device_time_total=device,
        device_type=kind,
        **{"is_user_annotation": False} | more,
    )


def test_a_step_is_summed_by_hand() -> None:
    """An operation's own time on the device is that of its kernels, which stand in rows of their own; an
    annotation spans kernels.
    """
    averages = [
        average("aten::mm", 20, cpu=400.0),
        average("aten::add", 40, cpu=900.0),
        average("gemm", 20, device=3000.0),
        average("x" * 300, 4, device=5000.0),
        average("Optimizer.step", 2, device=7000.0, is_user_annotation=True),
    ]
    taken = step_profile(averages, 2)
    assert taken.busy == pytest.approx(0.004) and taken.launches == 12
    assert [(row.name, row.ms, row.calls) for row in taken.kernels] == [
        ("x" * NAME_LENGTH, 2.5, 2),
        ("gemm", 1.5, 10),
    ]
    assert [(row.name, row.ms, row.calls) for row in taken.operations] == [
        ("aten::add", 0.45, 20),
        ("aten::mm", 0.2, 10),
    ]
    record = taken.record()
    assert record["launches"] == 12 and record["kernels"][1] == {"name": "gemm", "ms": 1.5, "calls": 10}
    assert len(step_profile([average(str(i), 1, device=1.0) for i in range(30)], 1).kernels) == TOP


def test_operations_are_counted_per_step_on_a_cpu() -> None:
    a = torch.ones(4, 4)
    taken = profiled(lambda: [a @ a for _ in range(6)], torch.device("cpu"), calls=2, steps=3)
    assert {row.name: row.calls for row in taken.operations}["aten::mm"] == 2
    assert taken.busy == taken.launches == 0 and taken.kernels == []


def test_memory_is_counted_from_a_moment_on(monkeypatch: pytest.MonkeyPatch) -> None:
    did: list[str] = []
    for name, value in (
        ("synchronize", None),
        ("reset_peak_memory_stats", None),
        ("memory_allocated", 700),
        ("max_memory_allocated", 1000),
    ):
        monkeypatch.setattr(
            torch.cuda, name, lambda device, name=name, value=value: did.append(name) or value
        )
    assert DeviceMemory(torch.device("cuda")).peak() == 300.0
    assert did == ["synchronize", "reset_peak_memory_stats", "memory_allocated", "max_memory_allocated"]
    monkeypatch.setattr(device_memory, "peak_memory_mb", lambda: 2.0)
    assert DeviceMemory(torch.device("cpu")).peak() == 2 * 1024 * 1024
