"""The day with parts that go well, fail, hang, or are killed: what each leaves, and what a day leaves that is
ended.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import gpu_parts
from tests.support.life_line import life_line
from tests.support.repository import ROOT
from tests.support.waiting import wait_until
from tools.gpu_day import day
from tools.gpu_day.day import BUDGET, PARTS, DaySetting, Part, limit, reserve, run_day
from tools.gpu_day.part_process import PartJob
from tools.gpu_day.records import LOST

SECONDS = st.floats(0.1, 1000)


def setting(out: Path, modules: Sequence[str], budget: float = 600.0, seconds: float = 100.0) -> DaySetting:
    parts = [Part(module, module, seconds) for module in modules]
    return DaySetting(out, out.with_name("pack"), budget, time.monotonic(), parts=parts)


@pytest.fixture(autouse=True)
def scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PartJob, "command", gpu_parts.command)


def record(out: Path, part: str) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((out / f"{part}.json").read_text())
    return value


def test_the_limits_of_ten_minutes_are_those_stated_and_the_cells_have_the_rest() -> None:
    seconds, left, limits = [part.seconds for part in PARTS], BUDGET - reserve(BUDGET), []
    for number in range(len(seconds)):
        limits.append(limit(seconds[number:], left))
        left -= limits[-1]
    assert [part.name for part in PARTS] == ["machine", "right", "core", "loop", "cells"]
    assert limits == [25, 120, 110, 125, 210]
    assert left == 0
    assert sum(seconds) + reserve(BUDGET) <= 540


@given(st.lists(SECONDS, min_size=1, max_size=6), st.floats(-10, 4000))
def test_limits_never_exceed_what_is_left_and_leave_everybody_a_like_share(
    seconds: list[float], left: float
) -> None:
    whole, limits = left, []
    for number in range(len(seconds)):
        limits.append(limit(seconds[number:], left))
        left -= limits[-1]
    assert all(one >= 0 for one in limits)
    assert left == pytest.approx(min(0.0, whole), abs=1e-6)  # all of it is given away
    assert all(one <= most * (1 + 1e-9) for one, most in zip(limits[:-1], seconds[:-1], strict=True))
    shares = [one / most for one, most in zip(limits, seconds, strict=True)]
    if 0 < whole < sum(seconds):
        assert all(one == pytest.approx(other) for one, other in pairwise(shares))


@given(st.lists(SECONDS, min_size=2, max_size=6), st.floats(1, 4000), st.floats(0, 1))
def test_what_a_part_does_not_use_makes_no_later_limit_smaller(
    seconds: list[float], left: float, used: float
) -> None:
    first = limit(seconds, left)
    assert limit(seconds[1:], left - used * first) >= limit(seconds[1:], left - first) * (1 - 1e-9)


@given(st.floats(30, 3600))
def test_a_reserve_is_some_seconds(budget: float) -> None:
    assert 3 <= reserve(budget) <= 10


def test_a_part_that_fails_hangs_or_is_killed_ends_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    with life_line(tmp_path / "line") as line:
        given = setting(out, ["failing", "lost", "hanging", "done"], budget=20.0, seconds=4.0)
        assert run_day(given) == 1
        line.wait()
    files = {path.name for path in out.iterdir()}
    assert files == {f"{part.name}.json" for part in given.parts} | {"log.txt", "summary.txt"}

    failing = record(out, "failing")
    assert failing["state"] == "failed"
    (error,) = failing["errors"]
    said = "its process left with status 1: ImportError: no module named torch"
    assert (error["title"], error["error"]) == ("failing", said)
    assert error["lines"][0] == "some words" and error["lines"][-1] == said.partition(": ")[2]

    lost = record(out, "lost")
    assert lost["state"] == "failed" and lost["attempted"] == ["one", "two", "three", "four", "five"]
    assert lost["job"]["resumed"] is True

    hanging = record(out, "hanging")
    assert hanging["state"] == "out of time"
    assert hanging["errors"] == [{"title": "two", "error": "its time was up", "lines": []}]
    assert hanging["measurements"] == [gpu_parts.MEASUREMENT]
    assert 4 < hanging["seconds"] < 60
    job = hanging["job"]
    assert job["deadline"] == pytest.approx(job["began"] + 4.0 * 0.9, abs=0.1)

    assert record(out, "done")["state"] == "done"
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:4]] == ["failing", "lost", "hanging", "done"]
    assert lines[5:] == (out / "summary.txt").read_text().splitlines()
    log = (out / "log.txt").read_text()
    assert log.count("== ") == 4 and "some words\n" in log


def test_a_part_whose_process_is_lost_keeps_each_loss_as_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is named by the attempt that it happened in; a process that attempts nothing new is the last."""
    ended, real = [], day.end_record

    def noted(*given: Any) -> Any:
        ended.append((made := real(*given))["errors"][-1])
        return made

    monkeypatch.setattr(day, "end_record", noted)
    run_day(replace(setting(tmp_path, ["lost"]), faults={"lost": "kill"}))
    said = "its process was ended by signal 9 (Killed)"
    assert [(error["title"], error["error"]) for error in ended] == [("two", said), ("four", said)]
    assert record(tmp_path, "lost")["job"]["fault"] is None, "only the first process meets it"
    ended.clear()
    assert run_day(setting(tmp_path, ["failing"])) == 1
    assert len(ended) == 1


def test_a_day_of_parts_that_go_well_is_status_0(tmp_path: Path) -> None:
    assert run_day(setting(tmp_path, ["done"])) == 0
    (tmp_path / ".done.json.123.part").touch()  # of a process that was killed
    assert run_day(setting(tmp_path, ["done"])) == 0  # renewed
    assert {path.name for path in tmp_path.iterdir()} == {"done.json", "log.txt", "summary.txt"}


@pytest.mark.parametrize("state", ["failed", "out of time", "interrupted", "running", "unreadable"])
def test_a_day_with_one_part_that_is_not_done_is_status_1(
    state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    states = iter(["done", state, "done"])
    monkeypatch.setattr(day, "run_part", lambda *given: {"state": next(states)})
    assert run_day(setting(tmp_path, ["one", "two", "three"])) == 1


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (None, ("out of time", "its time was up")),
        (1, ("failed", "its process left with status 1")),
        (LOST, ("failed", "its CUDA context was broken: what came after was attempted in a new process")),
        (-11, ("failed", "its process was ended by signal 11 (Segmentation fault)")),
    ],
)
def test_what_is_said_of_a_part_that_did_not_end_itself(status: int | None, said: tuple[str, str]) -> None:
    assert day.ending(status) == said


DAY = """
import sys, time
from pathlib import Path
from tests.support import gpu_parts
from benchmark.cli.commands import run_command
from tools.gpu_day.day import DaySetting, Part, run_day
from tools.gpu_day.part_process import PartJob
PartJob.command = gpu_parts.command
parts = [Part(name, name, 5.0) for name in ("done", "hanging", "failing")]
out = Path(sys.argv[1])
run_command(lambda: run_day(DaySetting(out, out, 1000.0, time.monotonic(), parts=parts)))
"""


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGKILL, -9), (signal.SIGTERM, 143), (signal.SIGINT, 130)]
)
def test_an_end_in_the_middle_leaves_whole_files_and_no_process(
    number: signal.Signals, status: int, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with life_line(tmp_path / "line") as line:
        process = subprocess.Popen(
            [sys.executable, "-c", DAY, str(out)],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            # a suite that runs in the background ignores SIGINT, and so would its children
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        try:
            wait_until((out / "hanging.json").exists, lambda: process.poll() is None)
            process.send_signal(number)
            assert process.wait() == status
            line.wait()
        finally:
            process.kill()
            process.wait()
    states = {path.stem: json.loads(path.read_bytes())["state"] for path in out.glob("*.json")}
    killed = number == signal.SIGKILL
    assert states == {"done": "done", "hanging": "running" if killed else "interrupted"}
    summary = (out / "summary.txt").read_text()
    assert "done " in summary and ("hanging  interrupted" in summary) is not killed
    assert record(out, "hanging")["measurements"] == [gpu_parts.MEASUREMENT]


def test_the_parts_processes_find_the_checkout_and_nothing_of_a_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    environment = day.environment_of(setting(tmp_path / "out", []), tmp_path)
    path = environment["PYTHONPATH"].split(os.pathsep)
    assert path == [str(ROOT), str(tmp_path / "packages"), "/elsewhere"]
    assert environment["TMPDIR"] == str(tmp_path) and environment["HF_HUB_OFFLINE"] == "1"
