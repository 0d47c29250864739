"""The most memory that one piece of work has had."""

from __future__ import annotations

import torch

from benchmark.tracking.environment import peak_memory_mb


class DeviceMemory:
    """Counts from the moment it is made: what was allocated on a GPU before is left out. On a CPU it is the
    most that the process has had.
    """

    def __init__(self, device: torch.device) -> None:
        self._device, self._before = device, 0
        if device.type == "cuda":
            torch.cuda.synchronize(device)
            torch.cuda.reset_peak_memory_stats(device)
            self._before = torch.cuda.memory_allocated(device)

    def peak(self) -> float:
        """Bytes."""
        if self._device.type != "cuda":
            return peak_memory_mb() * (1 << 20)
        return float(torch.cuda.max_memory_allocated(self._device) - self._before)
