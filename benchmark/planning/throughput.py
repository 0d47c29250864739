"""Tokens per second of tuning, as runs on this machine measured them: of the arm itself, else of the runs
nearest to it, else assumed.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmark.config.cells import Cell
from benchmark.config.params import Config
from benchmark.tracking import environment

ASSUMED = {"CPU": (2_000.0, 90.9e6), "GPU": (100_000.0, 498.6e6)}
"""Tokens per second and bytes of the weights: MiniLM on two cores (docs/performance.md); RoBERTa-base on one
GPU, not measured.
"""


@dataclass(frozen=True, slots=True)
class SpeedRecord:
    """What one run measured."""

    profile: str
    cell: Cell
    device: str
    tokens_per_second: float


@dataclass(frozen=True, slots=True)
class Machine:
    """What runs are estimated for and from: the device as runs record it, and their measurements."""

    device: str
    gpu: bool
    records: Sequence[SpeedRecord]


@dataclass(frozen=True, slots=True)
class Speed:
    """Tokens per second and where the number is from. measured: not assumed."""

    tokens_per_second: float
    basis: str
    measured: bool = True


def this_device() -> tuple[str, bool]:
    """The device as runs record it, and whether it is a GPU. torch is imported only where a driver is."""
    if shutil.which("nvidia-smi") is None:
        return environment.cpu_name(), False
    described = environment.describe()
    return str(described["device"]), bool(described["gpu_count"])


def speed_records(root: Path) -> list[SpeedRecord]:
    """Every measurement under runs/ and results/; a cell that has both counts once."""
    by_cell: dict[tuple[str, str], SpeedRecord] = {}
    for path in (*sorted(root.glob("runs/*/*/training.json")), *sorted(root.glob("results/*/*.json"))):
        try:
            values = json.loads(path.read_bytes())
            record = _record(values)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
        if record is not None:
            by_cell.setdefault((record.profile, values["cell"]), record)
    return list(by_cell.values())


def _record(values: Mapping[str, Any]) -> SpeedRecord | None:
    """The measurement of a training.json or a result; None for a few-shot transfer and where nothing was
    measured.
    """
    speed = float(values["tokens_per_second"])
    if values.get("K") is not None or not math.isfinite(speed) or speed <= 0:
        return None
    where = values.get("trained_with") or values["environment"]
    cell = Cell(
        values["backbone"], values["regime"], values["arm"], bool(values.get("adapter")), int(values["seed"])
    )
    return SpeedRecord(values["profile"], cell, str(where.get("device") or values.get("device")), speed)


def speed_of(cell: Cell, config: Config, machine: Machine, weights: int | None) -> Speed:
    """The median of the runs nearest to a cell: same machine and backbone, then profile, adapter, arm and
    regime as far as there are any.

    Args:
        weights: bytes of the backbone's weights, by which the assumed number is scaled where nothing was
            measured; None: not known.
    """
    same = (machine.device, cell.backbone)
    on_device = [record for record in machine.records if (record.device, record.cell.backbone) == same]
    here = [record for record in on_device if record.profile == config.profile]

    def kind(arm: str) -> str:
        return config.arms[arm].mask if arm in config.arms else arm

    def near(part: Callable[[Cell], object]) -> list[float]:
        return [record.tokens_per_second for record in here if part(record.cell) == part(cell)]

    alike = {
        "of this arm": near(lambda o: (o.arm, o.adapter, o.regime[:2])),
        "of this arm in the other regime": near(lambda o: (o.arm, o.adapter)),
        "of arms with such a mask": near(lambda o: (kind(o.arm), o.adapter)),
        "of other arms": near(lambda o: o.adapter),
        "with adapters" if not cell.adapter else "without adapters": near(lambda o: None),
        "of other profiles": [record.tokens_per_second for record in on_device],
    }
    for words, speeds in alike.items():
        if speeds:
            runs = "1 run" if len(speeds) == 1 else f"median of {len(speeds)} runs"
            return Speed(median(speeds), f"{cell.backbone}: {median(speeds):,.0f} tokens/s, {runs} {words}")
    device = "GPU" if machine.gpu else "CPU"
    tokens, reference = ASSUMED[device]
    assumed = tokens * reference / weights if weights else tokens
    basis = f"{assumed:,.0f} tokens/s ASSUMED for a {device}: none of its runs was timed here"
    return Speed(assumed, f"{cell.backbone}: {basis}", measured=False)
