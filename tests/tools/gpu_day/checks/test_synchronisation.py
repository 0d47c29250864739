"""What makes the host wait is seen, counted and placed."""

from __future__ import annotations

import traceback
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from bmt.training.step import Stepper
from tests.support.checked_figures import SCALE, beyond, bounded
from tools.gpu_day.checks import synchronisation
from tools.gpu_day.checks.synchronisation import (
    STEP,
    HostWait,
    TimedEvent,
    WaitingOperations,
    calls_of_events,
    noted_warnings,
    place_in,
    wait_of_warning,
    waits_of_events,
)

SYNCHRONIZING = (
    "called a synchronizing CUDA operation (Triggered internally at /p/c10/cuda/CUDAFunctions.cpp:150.)"
)


def frame(path: str, line: int, name: str) -> traceback.FrameSummary:
    return traceback.FrameSummary(path, line, name, lookup_line=False, line="")


STACK = [
    frame("/x/tools/gpu_day/agreement.py", 3, "measure"),
    frame("/x/bmt/training/step.py", 40, "take"),
    frame("/x/bmt/masked_updates.py", 7, "look"),
    frame("/y/torch/_tensor.py", 9, "item"),
]


def test_a_place_is_the_innermost_line_of_bmt() -> None:
    assert place_in(STACK) == "bmt/masked_updates.py:7 in look"
    assert place_in(STACK[:1]) == "agreement.py:3 in measure"


def test_a_warning_of_a_wait_is_read_and_others_are_not() -> None:
    wait = HostWait("called a synchronizing CUDA operation", "bmt/masked_updates.py:7 in look")
    assert wait_of_warning(SYNCHRONIZING, STACK) == wait
    assert wait_of_warning("Synchronization debug mode is a prototype feature", STACK) is None


def test_waits_are_noted_each_time_and_other_warnings_pass_by() -> None:
    with noted_warnings() as noted:
        for _ in range(3):
            warnings.warn(SYNCHRONIZING, stacklevel=1)
            warnings.warn("something else", stacklevel=1)
    assert len(noted) == 3 and "test_synchronisation.py" in noted[0].place


def test_calls_that_wait_count_in_steps_and_pageable_copies_everywhere() -> None:
    events = [
        TimedEvent(STEP, 100, 200),
        TimedEvent(STEP, 110, 400, on_gpu=True),
        TimedEvent("cudaStreamSynchronize", 150, 160),
        TimedEvent("cudaStreamSynchronize", 199, 300),
        TimedEvent("cudaDeviceSynchronize", 201, 202),  # the profile's own, behind the step
        TimedEvent("cudaLaunchKernel", 110, 111),
        TimedEvent("cudaMemcpyAsync", 120, 121),
        TimedEvent("Memcpy DtoH (Device -> Pinned)", 130, 131),
        TimedEvent("Memcpy DtoH (Device -> Pageable)", 400, 401),
        TimedEvent("Memcpy HtoD (Pageable -> Device)", 140, 141),
        TimedEvent("aten::item", 150, 151),
        TimedEvent(STEP, 500, 600),
        TimedEvent("cudaMemcpy", 550, 551),
    ]
    assert waits_of_events(events) == {
        "cudaStreamSynchronize": 2,
        "Memcpy DtoH (Device -> Pageable)": 1,
        "Memcpy HtoD (Pageable -> Device)": 1,
        "cudaMemcpy": 1,
    }
    assert calls_of_events(events)["cudaLaunchKernel"] == 1 and "aten::item" not in calls_of_events(events)


@pytest.mark.parametrize(
    ("operation", "name"),
    [
        (lambda x: float(x.sum()), "aten::_local_scalar_dense"),
        (lambda x: bool((x > 0).all()), "aten::_local_scalar_dense"),
        (lambda x: x.nonzero(), "aten::nonzero"),
        (lambda x: x[x > 0], "aten::index"),
        (lambda x: torch.unique(x), "aten::_unique2"),
        (lambda x: x.masked_select(x > 0), "aten::masked_select"),
        (lambda x: torch.equal(x, x), "aten::equal"),
        (lambda x: x.index_put_((x > 0,), torch.ones(())), "aten::index_put_"),
    ],
)
def test_operations_that_wait_are_seen(operation: Callable[[Any], object], name: str) -> None:
    with WaitingOperations() as operations:
        operation(torch.arange(4.0))
    assert [wait.what for wait in operations.waits] == [name]


def test_operations_that_do_not_wait_are_not_seen() -> None:
    x = torch.arange(4.0, requires_grad=True)
    with WaitingOperations() as operations:
        y = x[torch.tensor([0, 1])].masked_fill(torch.tensor([True, False]), 0).sum()
        (y + x.max() + torch.where(x > 1, x, 0).sum()).backward()
        x.index_select(0, torch.tensor([1]))
    assert operations.waits == []


def test_the_debug_mode_is_on_for_the_steps_and_as_before_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    modes: list[object] = []
    monkeypatch.setattr(torch.cuda, "get_sync_debug_mode", lambda: 0)
    monkeypatch.setattr(torch.cuda, "set_sync_debug_mode", modes.append)

    def take(step: int) -> None:
        assert modes == ["warn"]
        if step == 2:
            warnings.warn(SYNCHRONIZING, stacklevel=1)

    assert len(synchronisation.warned_waits(take, range(1, 4))) == 1 and modes == ["warn", 0]
    with pytest.raises(ZeroDivisionError):
        synchronisation.warned_waits(lambda step: 1 // 0, range(1))
    assert modes == ["warn", 0, "warn", 0]


def test_a_profile_holds_the_steps_and_what_was_called_in_them() -> None:
    events = synchronisation.profiled(lambda step: torch.ones(3).sum(), range(2))
    steps = [event for event in events if event.name == STEP]
    sums = [event for event in events if event.name == "aten::sum"]
    assert len(steps) == 2 and all(step.start < step.end for step in steps)
    assert all(any(step.start <= event.start <= event.end <= step.end for step in steps) for event in sums)
    assert waits_of_events([*events, replace(sums[0], name="cudaEventSynchronize")]).total() == 1


def test_no_kind_of_step_waits() -> None:
    measurement = synchronisation.step_waits(SCALE)
    assert len(bounded(measurement)) == 14 and not beyond(measurement)
    assert len(measurement.notes) == 1 and len(measurement.record) == 7


def test_a_step_that_waits_is_seen_with_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    real = Stepper._pass

    def waiting(self: Stepper, *given: Any) -> Any:
        loss = real(self, *given)
        assert float(loss) > 0
        return loss

    monkeypatch.setattr(Stepper, "_pass", waiting)
    tuned = ["random mask", "six masks, compact state"]
    subjects = synchronisation.subjects_of(SCALE)
    few = {name: subjects[name] for name in (*tuned, "mask learning")}
    monkeypatch.setattr(synchronisation, "subjects_of", lambda scale: few)
    measurement = synchronisation.step_waits(SCALE)
    assert beyond(measurement) == [f"{name}: waits, the dispatcher" for name in tuned]
    assert all("aten::_local_scalar_dense at bmt/training/step.py:" in note for note in measurement.notes[1:])
    assert len(measurement.notes) == 1 + len(tuned)
