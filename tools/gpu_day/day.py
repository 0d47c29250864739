"""The day: its parts in the order of their worth, each in a process of its own with a time limit.

A broken CUDA context, a hang or a kill ends one part alone. Nothing that a part starts outlives it, nor the
day, however that ends.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmark.cli.messages import say
from benchmark.cli.signals import ended
from bmt.runtime.files import remove_half_written, write_text
from tools.gpu_day.part_process import PartJob
from tools.gpu_day.process_group import run_in_group
from tools.gpu_day.records import LOST, Record, end_record, read_record, read_records
from tools.gpu_day.run_archive import ARCHIVE
from tools.gpu_day.summary import state_line, summary_lines
from tools.gpu_day.wheels import unpack_wheels

ROOT = Path(__file__).resolve().parents[2]
BUDGET, REHEARSAL_BUDGET = 600, 110
"""Seconds."""
GRACE = 5.0
"""Seconds that a part has, at most, from its deadline to SIGTERM, and again from there to SIGKILL."""
FAULTS = ("error", "hang", "kill")
LOG, SUMMARY = "log.txt", "summary.txt"


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the day.

    Attributes:
        name: the record is `<name>.json`.
        module: its `measure` is given a `part_run.PartRun`.
        seconds: its limit where the whole budget is there; the last part has all the rest.
        packed: whether it reads what came along (`pack`).
    """

    name: str
    module: str
    seconds: float
    packed: bool = False


PARTS = (
    Part("machine", "tools.gpu_day.machine", 25),
    Part("right", "tools.gpu_day.agreement", 120),
    Part("core", "tools.gpu_day.core_speed", 110),
    Part("loop", "tools.gpu_day.loop_speed", 125),
    Part("cells", "tools.gpu_day.cells", 150, packed=True),
)
REHEARSED = 300.0
"""Seconds of every part in a rehearsal: more than there are, so that each has a like share."""


@dataclass(frozen=True, slots=True)
class DaySetting:
    """How the day is run.

    Attributes:
        out: the folder of records, log and summary.
        pack: what came along.
        budget: seconds from `began` (`time.monotonic`) to the end.
        faults: of `FAULTS`, by the part that meets it.
        parts: in their order.
    """

    out: Path
    pack: Path
    budget: float
    began: float
    rehearsal: bool = False
    faults: Mapping[str, str] = field(default_factory=dict)
    parts: Sequence[Part] = PARTS


def limit(seconds: Sequence[float], left: float) -> float:
    """Seconds that the first of the parts still to come may take.

    Its limit where everybody's fits in what is left, else its share of that. What a part does not use is
    there for those after it, the last of which has all the rest; no part's share is smaller for that.
    """
    if len(seconds) == 1:
        return max(0.0, left)
    return max(0.0, seconds[0] * min(1.0, left / sum(seconds)))


def reserve(budget: float) -> float:
    """Seconds of a budget that no part has: for the end of the last one, and the summary."""
    return min(10.0, budget / 10)


def run_day(setting: DaySetting) -> int:
    """Run the parts, a line each as they end; then say the summary.

    Leaves records, log and summary in `setting.out`, whole at any moment. SIGTERM, a lost terminal and Ctrl-C
    end the part at work, and the summary is written.

    Returns:
        0 where every part is done, else 1.
    """
    setting.out.mkdir(parents=True, exist_ok=True)
    names = list(dict.fromkeys(part.name for part in (*PARTS, *setting.parts)))
    ends = setting.began + setting.budget - reserve(setting.budget)
    states = []
    with ended(signal.SIGHUP), TemporaryDirectory(prefix="bmt-gpu-day-") as temporary:
        environment = environment_of(setting, Path(temporary))
        try:
            for number, part in enumerate(setting.parts):
                seconds = limit([one.seconds for one in setting.parts[number:]], ends - time.monotonic())
                record = run_part(part, setting, environment, seconds)
                states.append(record["state"])
                say(state_line(part.name, record))
                renew_summary(setting.out, names)
        finally:
            lines = renew_summary(setting.out, names)
    say("", *lines)
    return 0 if all(state == "done" for state in states) else 1


def environment_of(setting: DaySetting, temporary: Path) -> dict[str, str]:
    """Variables of the parts' processes: this checkout and the wheels that came along are importable,
    temporary files go with the day, and nothing is asked of a network.
    """
    packages = temporary / "packages"
    unpack_wheels(setting.pack / "wheels", packages)
    path = [str(ROOT), str(packages), *filter(None, [os.environ.get("PYTHONPATH")])]
    return os.environ | {
        "PYTHONPATH": os.pathsep.join(path),
        "PYTHONUNBUFFERED": "1",
        "TMPDIR": str(temporary),
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
    }


def run_part(part: Part, setting: DaySetting, environment: dict[str, str], seconds: float) -> Record:
    """Run one part for at most `seconds`: its record, ended here where the part could not.

    Where its process is lost in an attempt (killed, or its CUDA context is broken), the part goes on in a new
    one with what has not been attempted.
    """
    began = time.monotonic()
    path, log = setting.out / f"{part.name}.json", setting.out / LOG
    grace = min(GRACE, seconds / 10)
    path.unlink(missing_ok=True)
    job = PartJob(
        part.name,
        part.module,
        str(setting.out),
        str(setting.pack),
        setting.rehearsal,
        began + seconds - grace,
        began,
        fault=setting.faults.get(part.name),
    )
    with log.open("ab") as stream:
        stream.write(f"== {part.name}: {time.strftime('%H:%M:%S')}, at most {seconds:.0f} s\n".encode())
    attempted = 0
    while True:
        left = max(0.0, began + seconds - time.monotonic())
        record, lost = run_process(job, log, environment, seconds=left, grace=grace)
        before, attempted = attempted, len(record.get("attempted", ()))
        if not lost or attempted == before:
            return record
        job = replace(job, resumed=True, fault=None)


def run_process(
    job: PartJob, log: Path, environment: Mapping[str, str], *, seconds: float, grace: float
) -> tuple[Record, bool]:
    """Run a part's process: the record, and whether the process was lost before it could end that itself."""
    path, first = Path(job.out, f"{job.part}.json"), log.stat().st_size
    state, error = "interrupted", "the day was ended"
    with log.open("ab") as stream:
        try:
            status = run_in_group(job.command(), environment, stream.fileno(), seconds=seconds, grace=grace)
            state, error = ending(status)
        finally:
            remove_half_written(path.parent, path.name, ARCHIVE)
            record = read_record(path)
            lost = record is None or record.get("state") not in ("done", "failed")
            if lost:
                lines = log.read_bytes()[first:].decode(errors="replace").splitlines()
                said = f": {lines[-1]}" if lines and state == "failed" else ""
                record = end_record(path, state, error + said, lines, asdict(job))
    assert record is not None
    return record, lost and state == "failed"


def ending(status: int | None) -> tuple[str, str]:
    """The state of a part whose process has not ended its record, and what the record says of it.

    Args:
        status: as `run_in_group` returns it.
    """
    if status is None:
        return "out of time", "its time was up"
    if status == LOST:
        return "failed", "its CUDA context was broken: what came after was attempted in a new process"
    if status < 0:
        return "failed", f"its process was ended by signal {-status} ({signal.strsignal(-status)})"
    return "failed", f"its process left with status {status}"


def renew_summary(folder: Path, names: Sequence[str]) -> list[str]:
    """Write the summary of the records that are there: its lines."""
    remove_half_written(folder, SUMMARY)
    lines = summary_lines(read_records(folder, names))
    write_text(folder / SUMMARY, "".join(f"{line}\n" for line in lines))
    return lines
