"""A group of processes that nothing outlives, with commands that need no Python of ours."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.life_line import LifeLine, life_line
from tests.support.repository import ROOT
from tests.support.waiting import wait_until
from tools.gpu_day.process_group import run_in_group

STUBBORN = "trap '' TERM; sleep 1000 & echo ready >&9; wait; wait"


@pytest.fixture
def line(tmp_path: Path) -> Iterator[LifeLine]:
    """The script, and what it starts, hold it as descriptor 9."""
    with life_line(tmp_path / "line") as made:
        yield made


def command(script: str, line: LifeLine) -> list[str]:
    return ["sh", "-c", f"exec 9>{line.path}; {script}"]


def run(script: str, line: LifeLine, seconds: float = 60.0, grace: float = 0.1) -> int | None:
    with line.path.with_name("said").open("ab") as output:
        environment, number = os.environ, output.fileno()
        return run_in_group(command(script, line), environment, number, seconds=seconds, grace=grace)


@pytest.mark.parametrize(
    ("script", "status"), [("exit 0", 0), ("exit 3", 3), ("kill -9 $$", -9), ("kill -15 $$", -15)]
)
def test_a_status_is_that_of_the_command(script: str, status: int, line: LifeLine) -> None:
    assert run(script, line) == status


def test_what_is_said_goes_to_the_file_as_it_comes(line: LifeLine, tmp_path: Path) -> None:
    assert run("echo one; echo two >&2; cat", line) == 0  # stdin is empty, not the terminal
    assert (tmp_path / "said").read_text() == "one\ntwo\n"


def test_what_a_command_leaves_running_ends_with_it(line: LifeLine) -> None:
    assert run("sleep 1000 & exit 0", line) == 0
    line.wait()


def test_at_its_time_a_command_is_asked_to_end(line: LifeLine, tmp_path: Path) -> None:
    asked = "trap 'echo asked; exit 7' TERM; sleep 1000 & wait"
    assert run(asked, line, seconds=1.5, grace=60) is None
    assert (tmp_path / "said").read_text() == "asked\n"
    line.wait()


def test_after_its_grace_it_is_killed_with_all_that_it_has_started(line: LifeLine) -> None:
    assert run(STUBBORN, line, seconds=1.5) is None
    line.wait()


def test_nothing_outlives_a_kill_of_the_process_that_started_it(line: LifeLine) -> None:
    given = f"{command(STUBBORN, line)!r}, os.environ, 1, seconds=1000, grace=1000"
    code = f"import os; from tools.gpu_day.process_group import run_in_group as run; run({given})"
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    try:
        wait_until(lambda: line.said() != b"", lambda: process.poll() is None)
        process.send_signal(signal.SIGKILL)
        line.wait()
    finally:
        process.kill()
        process.wait()
