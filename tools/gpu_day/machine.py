"""Part 1, what the machine is: names and clocks as its driver tells them, and its limits, measured."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from benchmark.tracking import environment
from tools.gpu_day.part_run import PartRun
from tools.performance.figures import MeasuredFigure, Measurement
from tools.performance.machine_limits import (
    attention_speed,
    copy_bandwidth,
    launch_seconds,
    matrix_peak,
    transfer_bandwidth,
)

MB = 1 << 20


@dataclass(frozen=True, slots=True)
class MachineSizes:
    """Rows of the square matrices, bytes of a copied buffer, launches in a row, shape of attention."""

    matrix: int = 8192
    copied: int = 2 << 30
    transferred: int = 1 << 30
    launches: int = 2000
    attention: tuple[int, int, int, int] = (48, 12, 384, 64)


TINY = MachineSizes(128, 1 << 20, 1 << 20, 50, (2, 2, 32, 16))


def measure(run: PartRun) -> None:
    """Every limit apart, so that one that fails leaves the others."""
    device, sizes = run.device, TINY if run.rehearsal else MachineSizes()
    measurements: dict[str, Callable[[], Measurement | None]] = {
        "The machine": partial(described, device),
        "Matrix products": partial(matrix_products, device, sizes),
        "Clocks after the products": partial(clocks, device),
        "Copies": partial(copies, device, sizes),
        "Launches and attention": partial(launches_and_attention, device, sizes),
    }
    for title, one in measurements.items():
        run.attempt(title, one)


def described(device: torch.device) -> Measurement:
    """Names, versions and sizes; on a GPU also what its driver tells."""
    said = environment.describe()
    record: dict[str, Any] = {"cpu": said["cpu"], "cores": said["cpu_count"], "memory_mb": said["memory_mb"]}
    notes = [f"{said['cpu']}, {said['cpu_count']} cores, {(said['memory_mb'] or 0) / 1024:,.0f} GB."]
    figures = []
    if device.type == "cuda":
        known = torch.cuda.get_device_properties(device)
        record |= {
            "gpu": known.name,
            "capability": f"{known.major}.{known.minor}",
            "multiprocessors": known.multi_processor_count,
            "gpu_memory_mb": known.total_memory / MB,
            "l2_mb": getattr(known, "L2_cache_size", 0) / MB,
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(),
            **driver_readings(),
        }
        notes.insert(0, f"{known.name}, driver {record.get('driver', 'unknown')}, CUDA {record['cuda']}.")
        figures = [
            MeasuredFigure("multiprocessors", known.multi_processor_count, unit="n"),
            MeasuredFigure("memory of the GPU", known.total_memory / 1e6, unit="MB"),
            MeasuredFigure("its second-level cache", record["l2_mb"] * MB / 1e6, unit="MB"),
        ]
    notes.append(f"torch {torch.__version__}, Python {said['python']}.")
    return Measurement("The machine", figures, notes, record)


def driver_readings() -> dict[str, Any]:
    """What nvidia-ml-py reads of the first GPU, each reading on its own: a machine may refuse any of them."""
    try:
        import pynvml as nvml

        nvml.nvmlInit()
        handle = nvml.nvmlDeviceGetHandleByIndex(0)
    except Exception:  # no package, no driver, no permission: the binding has an error class for each
        return {}
    readings: dict[str, Callable[[], Any]] = {
        "driver": nvml.nvmlSystemGetDriverVersion,
        "sm_clock_mhz": lambda: nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_SM),
        "memory_clock_mhz": lambda: nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_MEM),
        "largest_sm_clock_mhz": lambda: nvml.nvmlDeviceGetMaxClockInfo(handle, nvml.NVML_CLOCK_SM),
        "power_watts": lambda: nvml.nvmlDeviceGetPowerUsage(handle) / 1000,
        "power_limit_watts": lambda: nvml.nvmlDeviceGetEnforcedPowerLimit(handle) / 1000,
        "temperature": lambda: nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU),
        "throttled": lambda: nvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle),
    }
    known = {}
    for name, read in readings.items():
        with suppress(Exception):  # a reading is never worth a measurement
            value = read()
            known[name] = value.decode() if isinstance(value, bytes) else value
    return known


def matrix_products(device: torch.device, sizes: MachineSizes) -> Measurement:
    """The peaks in bf16, tf32 and fp32; fp32's matrices have half as many rows: it is the slowest."""
    size, half = sizes.matrix, sizes.matrix // 2
    peaks = {
        "bf16": matrix_peak(device, size),
        "tf32": matrix_peak(device, size, torch.float32, tf32=True),
        "fp32": matrix_peak(device, half, torch.float32),
    }
    figures = [MeasuredFigure(name, peak / 1e12, unit="TFLOP/s") for name, peak in peaks.items()]
    notes = (f"Square matrices of {size:,} rows (fp32: {half:,}) of random numbers, best of five tries.",)
    return Measurement("Matrix products", figures, notes)


def copies(device: torch.device, sizes: MachineSizes) -> Measurement:
    """Bandwidths within the device's memory, and to it and from it."""
    size = sizes.copied
    if device.type == "cuda":  # five such buffers, on a small GPU too
        size = min(size, torch.cuda.get_device_properties(device).total_memory // 16)
    within = copy_bandwidth(device, size)
    to, back = transfer_bandwidth(device, sizes.transferred)
    figures = [
        MeasuredFigure("within the memory, read and written", within / 1e9, unit="GB/s"),
        MeasuredFigure("to it from pinned memory", to / 1e9, unit="GB/s"),
        MeasuredFigure("from it to pinned memory", back / 1e9, unit="GB/s"),
    ]
    notes = (f"Four buffers of {size / 1e6:,.0f} MB copied in turn; best of five tries.",)
    return Measurement("Copies", figures, notes)


def launches_and_attention(device: torch.device, sizes: MachineSizes) -> Measurement:
    """From one small kernel to the next, and attention of RoBERTa-base's shape in bf16."""
    launch, speed = launch_seconds(device, sizes.launches), attention_speed(device, sizes.attention)
    figures = [
        MeasuredFigure("one small kernel after another", launch * 1e6, unit="µs"),
        MeasuredFigure("attention, forward", speed / 1e12, unit="TFLOP/s"),
    ]
    windows, heads, tokens, elements = sizes.attention
    notes = (
        f"{sizes.launches:,} additions to one number in a row; attention of {windows} windows, {heads} heads,"
        f" {tokens} tokens, {elements} elements per head, bf16.",
    )
    return Measurement("Launches and attention", figures, notes)


def clocks(device: torch.device) -> Measurement | None:
    """The driver's readings right after work; None without a GPU."""
    if device.type != "cuda":
        return None
    readings = driver_readings()
    notes = [", ".join(f"{name.replace('_', ' ')} {value}" for name, value in readings.items()) + "."]
    return Measurement("Clocks after the products", (), notes, readings)
