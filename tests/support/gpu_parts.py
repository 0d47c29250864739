"""Parts of a day as scripts that need no torch: `python gpu_parts.py JOB` does what the job's module is named
after, and leaves the record that a part would.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

FIGURE = {"name": "a check", "measured": 1e-7, "value": 1e-7, "unit": "error", "target": 1e-6, "kept": True}
MEASUREMENT = {"title": "checks", "notes": [], "record": {}, "figures": [FIGURE]}


def command(job: Any) -> list[str]:
    """In the place of `PartJob.command`."""
    values = {name: getattr(job, name) for name in job.__slots__}
    return [sys.executable, "-S", "-E", __file__, json.dumps(values)]


def record_of(job: dict[str, Any], state: str, attempted: Sequence[str], current: str | None = None) -> None:
    """Leave a record with one measurement."""
    path = Path(job["out"], f"{job['part']}.json")
    aside = path.with_suffix(".aside")
    kept = {"part": job["part"], "state": state, "attempted": attempted, "current": current}
    rest = {"measurements": [MEASUREMENT], "errors": [], "skipped": [], "environment": {}, "began": 1e9}
    aside.write_text(json.dumps(kept | rest | {"seconds": 1.0, "rehearsal": job["rehearsal"], "job": job}))
    aside.replace(path)


def done(job: dict[str, Any]) -> None:
    """As a part that goes well."""
    record_of(job, "done", ["one"])


def failing(job: dict[str, Any]) -> None:
    """An error outside of every attempt, before a record."""
    print("some words", flush=True)
    raise ImportError("no module named torch")


def hanging(job: dict[str, Any]) -> None:
    """Neither it nor what it has started ends by SIGTERM."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    line = Path(job["out"]).with_name("line")
    if line.exists():
        os.open(line, os.O_WRONLY)
    if os.fork():  # one of the two alone: they would write aside under the same name
        record_of(job, "running", ["one", "two"], "two")
    while True:
        time.sleep(1000)


def lost(job: dict[str, Any]) -> None:
    """Killed in its second attempt; resumed, in the fourth; then it comes to its end."""
    path = Path(job["out"], f"{job['part']}.json")
    attempted = json.loads(path.read_bytes())["attempted"] if job["resumed"] else []
    names = ["one", "two", "three", "four", "five"]
    if len(attempted) > 3:
        record_of(job, "failed", names)
        sys.exit(1)
    record_of(job, "running", names[: len(attempted) + 2], names[len(attempted) + 1])
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    told = json.loads(sys.argv[1])
    {"done": done, "failing": failing, "hanging": hanging, "lost": lost}[told["module"]](told)
