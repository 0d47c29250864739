"""Part 1: every limit is measured, whatever the driver refuses to tell."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tools.gpu_day import machine
from tools.gpu_day.machine import TINY, clocks, described, driver_readings, matrix_products, measure
from tools.gpu_day.part_run import PartRun

CPU = torch.device("cpu")


def test_every_limit_is_there(tmp_path: Path) -> None:
    run = PartRun("machine", tmp_path, tmp_path, True, time.monotonic() + 600)
    measure(run)
    run.end()
    record = json.loads((tmp_path / "machine.json").read_text())
    assert (record["state"], record["errors"]) == ("done", [])
    figures = {one["name"]: one for each in record["measurements"] for one in each["figures"]}
    assert {name: one["unit"] for name, one in figures.items()} == {
        "bf16": "TFLOP/s",
        "tf32": "TFLOP/s",
        "fp32": "TFLOP/s",
        "within the memory, read and written": "GB/s",
        "to it from pinned memory": "GB/s",
        "from it to pinned memory": "GB/s",
        "one small kernel after another": "µs",
        "attention, forward": "TFLOP/s",
    }
    assert all(one["value"] > 0 for one in figures.values())
    assert record["measurements"][0]["record"]["cores"] >= 1
    assert clocks(CPU) is None


def test_peaks_are_of_the_sizes_and_kinds_stated(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []

    def peak(
        device: torch.device, size: int, dtype: torch.dtype = torch.bfloat16, *, tf32: bool = False
    ) -> float:
        taken.append((size, dtype, tf32))
        return 3e12

    monkeypatch.setattr(machine, "matrix_peak", peak)
    made = matrix_products(CPU, machine.MachineSizes())
    assert [figure.value for figure in made.figures] == [3.0, 3.0, 3.0]
    assert taken == [
        (8192, torch.bfloat16, False),
        (8192, torch.float32, True),
        (4096, torch.float32, False),
    ]
    assert TINY.matrix == 128


NVML = {
    "NVML_CLOCK_SM": 1,
    "NVML_CLOCK_MEM": 2,
    "NVML_TEMPERATURE_GPU": 0,
    "nvmlInit": lambda: None,
    "nvmlDeviceGetHandleByIndex": lambda index: index,
    "nvmlSystemGetDriverVersion": lambda: b"580.1",
    "nvmlDeviceGetClockInfo": lambda handle, kind: 1000 * kind,
    "nvmlDeviceGetMaxClockInfo": lambda handle, kind: 1980,
    "nvmlDeviceGetPowerUsage": lambda handle: 250_000,
    "nvmlDeviceGetEnforcedPowerLimit": lambda handle: 700_000,
    "nvmlDeviceGetTemperature": lambda handle, kind: 40,
    "nvmlDeviceGetCurrentClocksThrottleReasons": lambda handle: 0,
}
READINGS = {
    "driver": "580.1",
    "sm_clock_mhz": 1000,
    "memory_clock_mhz": 2000,
    "largest_sm_clock_mhz": 1980,
    "power_watts": 250.0,
    "power_limit_watts": 700.0,
    "temperature": 40,
    "throttled": 0,
}


def test_what_the_driver_refuses_is_left_out_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", SimpleNamespace(**NVML))
    assert driver_readings() == READINGS
    without = {name: value for name, value in NVML.items() if "Power" not in name}
    monkeypatch.setitem(sys.modules, "pynvml", SimpleNamespace(**without))
    assert driver_readings() == {name: value for name, value in READINGS.items() if "power" not in name}
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert driver_readings() == {}


def test_a_gpu_is_described_by_torch_and_its_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    known: dict[str, Any] = {"name": "H100", "major": 9, "minor": 0, "multi_processor_count": 132}
    sizes = {"total_memory": 80 << 30, "L2_cache_size": 50 << 20}
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(**known, **sizes))
    monkeypatch.setattr(machine, "driver_readings", lambda: READINGS)
    made = described(torch.device("cuda"))
    assert {name: made.record[name] for name in ("gpu", "capability", "multiprocessors", "l2_mb")} == {
        "gpu": "H100",
        "capability": "9.0",
        "multiprocessors": 132,
        "l2_mb": 50,
    }
    assert made.record["gpu_memory_mb"] == 81920 and made.record["driver"] == "580.1"
    assert made.notes[0].startswith("H100, driver 580.1, CUDA ")
    after = clocks(torch.device("cuda"))
    assert after is not None and "sm clock mhz 1000, memory clock mhz 2000" in after.notes[0]
