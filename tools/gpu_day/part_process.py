"""A part in a process of its own: `python -m tools.gpu_day.part_process JOB`, the job as JSON (`PartJob`)."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path


@dataclass(frozen=True, slots=True)
class PartJob:
    """What the process does.

    Attributes:
        part, out, pack, rehearsal, deadline, began, resumed: as in `part_run.PartRun`.
        module: the module whose `measure` is called.
        fault: of `day.FAULTS`, or None.
    """

    part: str
    module: str
    out: str
    pack: str
    rehearsal: bool
    deadline: float
    began: float
    resumed: bool = False
    fault: str | None = None

    def command(self) -> list[str]:
        """What starts the process."""
        return [sys.executable, "-m", "tools.gpu_day.part_process", json.dumps(asdict(self))]


def main() -> int:
    """Measure the part: 0 where nothing failed. SIGTERM leaves by SystemExit, so that blocks end."""
    from benchmark.cli.signals import ended
    from tools.gpu_day.faults import FaultyRun
    from tools.gpu_day.part_run import PartRun

    values = json.loads(sys.argv[1])
    module, fault = values.pop("module"), values.pop("fault")
    values |= {name: Path(values[name]) for name in ("out", "pack")}
    with ended():
        run = FaultyRun(**values) if fault else PartRun(**values)
        if isinstance(run, FaultyRun):
            run.fault = fault
        try:
            import_module(module).measure(run)
            run.end()
        except Exception as error:
            run.fail(run.part, error)
            PartRun.end(run)
            raise
    return 0


if __name__ == "__main__":
    sys.exit(main())
