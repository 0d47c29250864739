"""The rehearsal: every part for real, with tiny shapes, an injected failure in one of them; and an end in the
middle.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.repository import ROOT
from tests.support.waiting import wait_until
from tools.gpu_day.day import PARTS
from tools.gpu_day.summary import REHEARSAL

NAMES = [part.name for part in PARTS]
pytestmark = pytest.mark.timeout(1200)  # on a busy machine; a part ends when it is done
FAULTY = "core" if "core" in NAMES else "machine"
MOST_FILES, MOST_BYTES = 8, 16 << 20
"""Of what comes back from a machine that is lent."""


def command(out: Path, *more: str) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "tools.gpu_day", "--rehearse", "--out", str(out), *more]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    pipe = subprocess.PIPE
    return subprocess.Popen(words, cwd=ROOT, env=environment, text=True, stdout=pipe, stderr=pipe)


def records(out: Path) -> dict[str, dict[str, Any]]:
    return {path.stem: json.loads(path.read_bytes()) for path in out.glob("*.json")}


@pytest.fixture(scope="module")
def rehearsal(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, int]:
    """The day's folder, what the command has said, and its status."""
    out = tmp_path_factory.mktemp("day") / "out"
    process = command(out, "--budget", "900", "--inject", f"{FAULTY}:error")
    said, told = process.communicate()
    assert "Traceback" not in told, told
    return out, said, process.returncode


def test_every_part_is_done_but_the_one_with_the_fault(rehearsal: tuple[Path, str, int]) -> None:
    out, said, status = rehearsal
    made = records(out)
    log = (out / "log.txt").read_text()
    assert set(made) == set(NAMES)
    states = {name: record["state"] for name, record in made.items()}
    errors = {name: record["errors"] for name, record in made.items() if name != FAULTY}
    assert states == {name: "failed" if name == FAULTY else "done" for name in NAMES}, (errors, log)
    assert [error["error"] for error in made[FAULTY]["errors"]] == [
        "InjectedError: injected, outside of every attempt"
    ]
    assert status == 1
    assert all(record["rehearsal"] and not record["skipped"] for record in made.values())
    assert [line.split()[0] for line in said.splitlines()[: len(NAMES)]] == NAMES


def test_every_part_has_measured_something(rehearsal: tuple[Path, str, int]) -> None:
    for name, record in records(rehearsal[0]).items():
        figures = [figure for one in record["measurements"] for figure in one["figures"]]
        assert figures or name == FAULTY, name
        assert record["measurements"] and all(figure["value"] is not None for figure in figures), name


def test_nothing_is_wrong_on_the_cpu(rehearsal: tuple[Path, str, int]) -> None:
    """Speed means nothing here; a check of rightness is the same one as on a GPU."""
    wrong = [
        f"{one['title']}: {figure['name']} {figure['value']}"
        for one in records(rehearsal[0]).get("right", {}).get("measurements", [])
        for figure in one["figures"]
        if figure["kept"] is False
    ]
    assert wrong == []


def test_what_comes_back_is_within_what_a_machine_gives_back(rehearsal: tuple[Path, str, int]) -> None:
    out = rehearsal[0]
    files = [path for path in out.rglob("*") if path.is_file()]
    assert len(files) <= MOST_FILES and all(path.parent == out for path in files)
    assert all(path.stat().st_size <= MOST_BYTES for path in files)
    assert {"log.txt", "summary.txt"} <= {path.name for path in files}


def test_the_summary_is_the_last_that_is_said(rehearsal: tuple[Path, str, int]) -> None:
    out, said, _ = rehearsal
    lines = (out / "summary.txt").read_text().splitlines()
    assert lines[0] == REHEARSAL and len(lines) <= 40
    assert said.splitlines()[-len(lines) :] == lines
    assert f"  {FAULTY}: {FAULTY}: InjectedError: injected, outside of every attempt" in lines


def test_an_end_in_the_middle_leaves_whole_records_and_the_rest_can_be_done(tmp_path: Path) -> None:
    """SIGTERM while part 1 hangs after its first measurement; then that part again, in the same folder."""
    out = tmp_path / "out"
    process = command(out, "--only", "machine", "--inject", "machine:hang", "--budget", "30")
    path = out / "machine.json"

    def measured() -> bool:
        return path.exists() and json.loads(path.read_bytes())["measurements"] != []

    wait_until(measured, lambda: process.poll() is None)
    process.send_signal(signal.SIGTERM)
    assert (process.communicate()[1], process.returncode) == ("", 143)
    record = json.loads(path.read_bytes())
    assert record["state"] == "interrupted" and [one["title"] for one in record["measurements"]] == [
        "The machine"
    ]
    assert "machine  interrupted" in (out / "summary.txt").read_text()
    refused = command(out)
    assert "holds a day already" in refused.communicate()[1] and refused.returncode == 2
    again = command(out, "--only", "machine")
    assert (again.communicate()[1], again.returncode) == ("", 0)
    assert json.loads(path.read_bytes())["state"] == "done"
