"""What a part of the day is given, and the record that it leaves: a file that is whole at any moment."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from benchmark.tracking import environment
from bmt.runtime.files import write_json
from tools.performance.figures import Measurement

LAST_LINES = 12
"""Lines of a traceback that a record keeps."""


@dataclass(slots=True)
class PartRun:
    """One part at work.

    Attributes:
        part: its name; the record is `<out>/<part>.json`.
        out: the day's folder. What is put there comes back from the GPU's machine.
        pack: the folder that came along (`tools.gpu_day.pack`).
        rehearsal: tiny shapes, on the CPU.
        deadline: when the part has to be done, on the clock of `time.monotonic`.
    """

    part: str
    out: Path
    pack: Path
    rehearsal: bool
    deadline: float
    _began: float = field(default_factory=time.monotonic)
    _record: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._record = {
            "part": self.part,
            "state": "running",
            "rehearsal": self.rehearsal,
            "began": time.time(),
            "environment": environment.describe(),
            "measurements": [],
            "errors": [],
            "skipped": [],
        }
        self._write()

    @property
    def device(self) -> torch.device:
        """Where it is measured: the GPU, in a rehearsal the CPU."""
        return torch.device("cpu" if self.rehearsal or not torch.cuda.is_available() else "cuda")

    @property
    def left(self) -> float:
        """Seconds left."""
        return self.deadline - time.monotonic()

    def keep(self, measurement: Measurement) -> None:
        """Put a measurement into the record, and the record on the disk."""
        figures = [
            asdict(figure) | {"value": figure.value, "kept": figure.kept} for figure in measurement.figures
        ]
        self._record["measurements"].append(
            {
                "title": measurement.title,
                "notes": list(measurement.notes),
                "figures": figures,
                "record": measurement.record,
            }
        )
        self._write()

    def renew(self, measurement: Measurement) -> None:
        """`keep` in the place of the measurement of the same title, where there is one."""
        others = [one for one in self._record["measurements"] if one["title"] != measurement.title]
        self._record["measurements"] = others
        self.keep(measurement)

    def attempt(
        self, title: str, measure: Callable[[], Measurement | None], *, needs: float = 0.0
    ) -> Measurement | None:
        """Measure and keep; an error is kept in the measurement's place, and the part goes on.

        Args:
            title: what the record calls it where there is an error, or where it is skipped.
            needs: seconds that it takes; with less left it is skipped, and the record says so.
        """
        if self.left < needs:
            self._record["skipped"].append(title)
            self._write()
            return None
        try:
            measurement = measure()
        except Exception as error:  # whatever it is: the next measurement may still work
            self.fail(title, error)
            return None
        if measurement is not None:
            self.keep(measurement)
        return measurement

    def fail(self, title: str, error: BaseException) -> None:
        """Put an error into the record."""
        lines = "".join(traceback.format_exception(error)).splitlines()
        what = f"{type(error).__name__}: {error}"
        self._record["errors"].append({"title": title, "error": what, "lines": lines[-LAST_LINES:]})
        self._write()

    def end(self) -> None:
        """The part has come to its end."""
        self._record["state"] = "failed" if self._record["errors"] else "done"
        self._write()

    def _write(self) -> None:
        self._record["seconds"] = time.monotonic() - self._began
        write_json(self.out / f"{self.part}.json", self._record)
