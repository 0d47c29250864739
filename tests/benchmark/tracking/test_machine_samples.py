"""The machine's readings: at the start, while a run lives, and at its end."""

from __future__ import annotations

import threading
from itertools import count
from types import SimpleNamespace

import pytest

from benchmark.tracking import machine_samples
from benchmark.tracking.machine_samples import next_pause, sampled


def test_pauses_grow_with_the_run_from_five_seconds_to_thirty() -> None:
    assert [next_pause(elapsed) for elapsed in (0, 5, 8, 29, 30, 86_400)] == [5, 5, 8, 29, 30, 30]


def test_a_short_block_is_sampled_at_its_start_and_end() -> None:
    samples: list[str] = []
    with sampled(lambda: samples.append("sample")):
        samples.append("work")
    assert samples == ["sample", "work", "sample"]


def test_a_block_that_fails_is_sampled_at_its_end() -> None:
    samples: list[str] = []
    with pytest.raises(KeyError), sampled(lambda: samples.append("sample")):
        raise KeyError
    assert samples == ["sample"] * 2


def test_a_long_block_is_sampled_by_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_samples, "PAUSES", (0.001, 0.001))
    samples = threading.Semaphore(0)
    with sampled(samples.release):
        assert all(samples.acquire(timeout=60) for _ in range(4))


def test_a_pause_is_as_long_as_the_block_is_old_whatever_the_clock_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ages: list[float] = []

    def pause(elapsed: float) -> float:
        ages.append(elapsed)
        return 0.001

    monkeypatch.setattr(machine_samples, "next_pause", pause)
    monkeypatch.setattr(machine_samples, "time", SimpleNamespace(monotonic=count(70_000).__next__))
    samples = threading.Semaphore(0)
    with sampled(samples.release):
        assert all(samples.acquire(timeout=60) for _ in range(4))
    assert ages[:3] == [1, 2, 3]
