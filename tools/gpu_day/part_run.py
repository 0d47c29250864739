"""What a part of the day is given, and the record that it leaves: a file that is whole at any moment."""

from __future__ import annotations

import gc
import math
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from benchmark.tracking import environment
from bmt.runtime.files import write_json
from tools.gpu_day.records import LAST_LINES, LOST, read_record
from tools.performance.figures import Keep, Measurement

NOT_FINITE = "not finite: "


def plain_json(value: Any) -> Any:
    """`value` as JSON can hold it: numpy's and torch's numbers and arrays as Python's, what is not finite as
    None, anything else as its text.
    """
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if value is None or isinstance(value, str | int):  # a bool too
        return value
    if isinstance(value, dict):
        return {str(key): plain_json(one) for key, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain_json(one) for one in value]
    return plain_json(value.tolist()) if hasattr(value, "tolist") else str(value)


def entry_of(measurement: Measurement) -> dict[str, Any]:
    """A measurement as a record keeps it: title, notes, figures with their value and whether their target is
    kept, and what else the measurement's own record says.
    """
    figures = [
        asdict(figure) | {"value": figure.value, "kept": figure.kept} for figure in measurement.figures
    ]
    entry = plain_json({"title": measurement.title, "notes": list(measurement.notes), "figures": figures})
    return entry | {"record": plain_json(measurement.record)}


def _lost_figures(error: dict[str, Any], title: str) -> bool:
    """Whether an error says that figures of that measurement are not finite."""
    return bool(error["title"] == title and error["error"].startswith(NOT_FINITE))


@dataclass(slots=True)
class PartRun:
    """One part at work.

    Attributes:
        part: its name; the record is `<out>/<part>.json`.
        out: the day's folder. What is put there comes back from the GPU's machine.
        pack: the folder that came along (`tools.gpu_day.pack`).
        rehearsal: tiny shapes, on the CPU.
        deadline: when the part has to be done, on the clock of `time.monotonic`, which all processes share.
        began: when it began, on the same clock.
        resumed: an earlier process of this part was lost: its record goes on, and what that process has
            attempted is not attempted again.
    """

    part: str
    out: Path
    pack: Path
    rehearsal: bool
    deadline: float
    began: float = field(default_factory=time.monotonic)
    resumed: bool = False
    _marked: float = field(default_factory=time.monotonic)
    _attempted: frozenset[str] = frozenset()
    _record: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.resumed:
            self._record = read_record(self.out / f"{self.part}.json") or {}
            self._attempted = frozenset(self._record["attempted"])
        self._record = {
            "part": self.part,
            "rehearsal": self.rehearsal,
            "began": time.time(),
            "environment": environment.describe(),
            "attempted": [],
            "measurements": [],
            "errors": [],
            "skipped": [],
            **self._record,
            "state": "running",
            "current": None,
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
        """Put a measurement into the record, and the record on the disk.

        A figure that is not finite is null there, its target not kept, and an error beside it.
        """
        self._put(measurement, self._record["measurements"], self._record["errors"])

    def renew(self, measurement: Measurement) -> None:
        """As `keep`, in the place of what was kept under the same title."""
        title, errors = measurement.title, self._record["errors"]
        others = [one for one in self._record["measurements"] if one["title"] != title]
        self._put(measurement, others, [one for one in errors if not _lost_figures(one, title)])

    def _put(self, measurement: Measurement, others: list[Any], errors: list[Any]) -> None:
        entry = entry_of(measurement) | {"seconds": self._lasted()}
        lost = [figure["name"] for figure in entry["figures"] if figure["value"] is None]
        if lost:
            said = f"{NOT_FINITE}{', '.join(lost)}"
            errors = [*errors, {"title": measurement.title, "error": said, "lines": []}]
        self._record |= {"measurements": [*others, entry], "errors": errors}
        self._write()

    def grow(self, title: str, measure: Callable[[Keep], Measurement], *, needs: float = 0.0) -> None:
        """As `attempt`, of a measurement that is kept on the way too, as far as it has come.

        Args:
            measure: is given the function that keeps it so far (`renew`).
        """

        def whole() -> None:
            self.renew(measure(self.renew))

        self.attempt(title, whole, needs=needs)

    def attempt(
        self, title: str, measure: Callable[[], Measurement | None], *, needs: float = 0.0
    ) -> Measurement | None:
        """Measure and keep; an error is kept in the measurement's place, and the part goes on.

        Args:
            title: what the record calls it where there is an error, or where it is skipped; while it is
                measured the record names it as "current".
            needs: seconds that it takes; with less left it is skipped, and the record says so.

        Raises:
            SystemExit: the error has broken the process's CUDA context, in which nothing will work any more:
                the part goes on in a new process (`LOST`).
        """
        if title in self._attempted:
            return None
        self._record["attempted"].append(title)
        if self.left < needs:
            self._record["skipped"].append(title)
            self._write()
            return None
        self._record["current"], self._marked = title, time.monotonic()
        self._write()
        try:
            measurement = measure()
            self._record["current"] = None
            if measurement is not None:
                self.keep(measurement)
            return measurement
        except Exception as error:  # whatever it is: the next measurement may still work
            self._record["current"] = None
            self.fail(title, error)
        gc.collect()  # what the error's frames held, on the GPU too
        self._check_context()
        return None

    def fail(self, title: str, error: BaseException) -> None:
        """Put an error into the record."""
        lines = "".join(traceback.format_exception(error)).splitlines()
        what = f"{type(error).__name__}: {error}"
        self._record["errors"].append(
            {"title": title, "error": what, "lines": lines[-LAST_LINES:], "seconds": self._lasted()}
        )
        self._write()

    def end(self) -> None:
        """The part has come to its end."""
        self._record["state"] = "failed" if self._record["errors"] else "done"
        self._record["current"] = None
        self._write()

    def _check_context(self) -> None:
        if self.device.type == "cuda":
            try:
                torch.cuda.synchronize()
            except RuntimeError:
                raise SystemExit(LOST) from None

    def _lasted(self) -> float:
        """Seconds since the latest attempt was begun."""
        return time.monotonic() - self._marked

    def _write(self) -> None:
        self._record["seconds"] = time.monotonic() - self.began
        write_json(self.out / f"{self.part}.json", self._record)
