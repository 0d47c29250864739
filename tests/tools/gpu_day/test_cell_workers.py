"""Processes that make cells: beside each other, dead ones replaced, failed cells passed over."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import pytest

from tools.gpu_day.cell_process import CellEnd
from tools.gpu_day.cell_queue import CellQueue
from tools.gpu_day.cell_workers import CellWorkers

PROCESS = """
import json, os, pathlib, signal, sys, time
for line in sys.stdin:
    name = line.strip()
    with open("begun.txt", "a") as stream:
        stream.write(f"{name} {os.getpid()}\\n")
    attempts = open("begun.txt").read().count(f"{name} ")
    if name == "deadly":
        print("last words", file=sys.stderr, flush=True)
    if name == "mortal" and attempts == 1 or name == "deadly":
        os.kill(os.getpid(), signal.SIGKILL)
    if name == "slow":
        time.sleep(60)
    while name == "first" and not pathlib.Path("second.txt").exists():
        time.sleep(0.01)
    if name == "second":
        pathlib.Path("second.txt").touch()
    error = "ValueError: bad" if name == "bad" else None
    end = {"cell": name, "seconds_to_train": 1.0, "error": error, "lines": ["l"] if error else []}
    print(json.dumps(end), flush=True)
    if error:
        sys.exit(1)
"""


def work(
    folder: Path, names: list[str], count: int = 1, left: float = 60.0
) -> tuple[CellQueue, list[CellEnd], list[list[str]]]:
    """Work off some cells: the queue, the ends in their order, and (cell, process) in the order begun."""
    kept: list[CellEnd] = []
    ends = time.monotonic() + left
    command = (sys.executable, "-c", f"import os\nos.chdir({str(folder)!r})\n{PROCESS}")
    workers = CellWorkers(
        count, os.environ, folder / "log.txt", lambda: ends - time.monotonic(), kept.append, command=command
    )
    cells = CellQueue(list(names))
    with workers.started():
        workers.work_off(cells)
    lines = (folder / "begun.txt").read_text().splitlines() if (folder / "begun.txt").exists() else []
    return cells, kept, [line.split() for line in lines]


def test_one_process_makes_many_cells(tmp_path: Path) -> None:
    cells, kept, begun = work(tmp_path, ["a", "b", "c"])
    assert [end.cell for end in kept] == ["a", "b", "c"] and list(cells.seconds) == ["a", "b", "c"]
    assert len({process for _, process in begun}) == 1
    assert kept[0] == CellEnd("a", 1.0)


def test_processes_work_beside_each_other(tmp_path: Path) -> None:
    """The first cell waits for the second."""
    _, kept, begun = work(tmp_path, ["first", "second"], count=2)
    assert {end.cell for end in kept} == {"first", "second"}
    assert len({process for _, process in begun}) == 2


def test_the_cell_of_a_killed_process_is_taken_up_by_another(tmp_path: Path) -> None:
    cells, kept, begun = work(tmp_path, ["a", "mortal", "b"])
    assert [end.cell for end in kept if end.error is None] == ["a", "mortal", "b"]
    assert [name for name, _ in begun] == ["a", "mortal", "mortal", "b"]
    assert begun[0][1] == begun[1][1] != begun[2][1] == begun[3][1]
    assert not cells.failed and cells.deaths == {"mortal": 1}


def test_a_cell_that_kills_twice_is_given_up(tmp_path: Path) -> None:
    cells, kept, _ = work(tmp_path, ["deadly", "a"])
    why = "its process was ended by signal 9, 2 times"
    assert kept[0] == CellEnd("deadly", error=why, lines=("last words", "last words"))
    assert cells.failed == {"deadly": why}
    assert kept[1].cell == "a" and kept[1].error is None


def test_a_failed_cell_leaves_its_error_and_the_next_begins(tmp_path: Path) -> None:
    cells, kept, begun = work(tmp_path, ["bad", "a"])
    assert kept[0].error == cells.failed["bad"] == "ValueError: bad" and kept[0].lines == ("l",)
    assert list(cells.seconds) == ["a"]
    assert begun[0][1] != begun[1][1], "who knows what the error has left behind"
    assert not cells.deaths, "the next is not given to the process that ends itself"


@pytest.mark.parametrize("left", [0.5])
def test_what_is_not_done_in_time_is_given_up(tmp_path: Path, left: float) -> None:
    began = time.monotonic()
    cells, kept, _ = work(tmp_path, ["slow", "a"], left=left)
    assert time.monotonic() - began < 50, "nobody waited for it"
    assert cells.failed == {"slow": "the time was over"} and cells.waiting == ["a"] and not kept


def test_the_end_of_a_cell_is_one_line_of_json() -> None:
    from io import StringIO

    from tools.gpu_day import cell_process

    answers = StringIO()
    assert cell_process.answer("no cell's name", answers) is False
    said = json.loads(answers.getvalue())
    assert said["error"].startswith('ConfigError: cell "no cell\'s name"') or "ConfigError" in said["error"]
    assert said["lines"][-1].startswith("bmt.errors.ConfigError")
