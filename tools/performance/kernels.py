"""What a step does on a GPU by torch's profiler: its kernels, and the host's work that starts them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

TOP = 10
"""Kernels and operations that are named."""
NAME_LENGTH = 120
"""Characters of a kernel's name that are kept: templates fill pages."""


@dataclass(frozen=True, slots=True)
class ProfileRow:
    """A kernel, or an operation on the host: milliseconds of its own and calls, per step."""

    name: str
    ms: float
    calls: float


@dataclass(frozen=True, slots=True)
class StepProfile:
    """A step by the profiler.

    Attributes:
        busy: seconds of kernels and copies on the GPU per step; 0 without one.
        launches: of them, per step.
        kernels, operations: those that take longest, the longest first.
    """

    busy: float
    launches: float
    kernels: list[ProfileRow]
    operations: list[ProfileRow]

    def record(self) -> dict[str, object]:
        """What the JSON file keeps of it."""
        rows = {"kernels": self.kernels, "operations": self.operations}
        return {
            "busy_seconds": self.busy,
            "launches": self.launches,
            **{
                name: [{"name": row.name, "ms": row.ms, "calls": row.calls} for row in of]
                for name, of in rows.items()
            },
        }


def profiled(
    work: Callable[[], object], device: torch.device, *, calls: int = 1, steps: int = 1
) -> StepProfile:
    """Profile some calls of `work`, which takes `steps` steps; they are slower than others: of times the
    GPU's alone are to be used.
    """
    activities = [ProfilerActivity.CPU]
    if device.type == "cuda":
        activities.append(ProfilerActivity.CUDA)
        torch.cuda.synchronize(device)
    with profile(activities=activities) as profiler:
        for _ in range(calls):
            work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
    return step_profile(profiler.key_averages(), calls * steps)


def step_profile(averages: Iterable[Any], steps: int) -> StepProfile:
    """What the profiler's averages by name say of one of `steps` steps."""
    kernels, operations = [], []
    for one in averages:
        if one.device_type == DeviceType.CUDA:
            # an annotation spans kernels that are counted themselves
            if not getattr(one, "is_user_annotation", False):
                kernels.append(_row(one, one.self_device_time_total, steps))
        else:
            operations.append(_row(one, one.self_cpu_time_total, steps))
    for rows in (kernels, operations):
        rows.sort(key=lambda row: -row.ms)
    return StepProfile(
        sum(row.ms for row in kernels) / 1e3,
        sum(row.calls for row in kernels),
        kernels[:TOP],
        operations[:TOP],
    )


def _row(one: Any, microseconds: float, steps: int) -> ProfileRow:
    return ProfileRow(one.key[:NAME_LENGTH], microseconds / 1e3 / steps, one.count / steps)
