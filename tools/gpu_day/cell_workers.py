"""Processes that make cells beside each other, on one card or on the CPU's cores."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from tools.gpu_day.cell_process import CellEnd
from tools.gpu_day.cell_queue import CellQueue
from tools.gpu_day.records import LAST_LINES

CODE = Path(__file__).resolve().parents[2]
SECONDS_OF_A_TURN = 1.0
"""How long the end of a cell is waited for before the time is looked at again."""


@dataclass(slots=True, eq=False)
class CellWorker:
    """A process and the cell that it makes."""

    process: subprocess.Popen[bytes]
    cell: str | None = None

    def begin(self, cell: str) -> None:
        """Give it a cell."""
        self.cell = cell
        with suppress(OSError):  # it has died, which its reader tells
            _input(self.process).write(f"{cell}\n".encode())
            _input(self.process).flush()


@dataclass(slots=True)
class CellWorkers:
    """A number of processes that work off a queue.

        with workers.started():
            workers.work_off(cells)

    Attributes:
        count: processes.
        environment: their variables.
        log: what they print goes there.
        left: seconds that are left, asked for again and again.
        kept: called with each cell's end, once it is done or has met an error.
        turn: called about once a second.
        command: of a process.
    """

    count: int
    environment: Mapping[str, str]
    log: Path
    left: Callable[[], float]
    kept: Callable[[CellEnd], None]
    turn: Callable[[], None] = lambda: None
    command: Sequence[str] = (sys.executable, "-m", "tools.gpu_day.cell_process")
    _cells: CellQueue = field(default_factory=lambda: CellQueue([]))
    _working: list[CellWorker] = field(default_factory=list)
    _heard: queue.Queue[tuple[CellWorker, bytes]] = field(default_factory=queue.Queue)

    @contextmanager
    def started(self) -> Iterator[None]:
        """Processes that load their packages from now on; at the block's end they are killed."""
        for _ in range(self.count):
            self._start()
        try:
            yield
        finally:
            for worker in self._working:
                worker.process.kill()
            for worker in self._working:
                worker.process.wait()

    def work_off(self, cells: CellQueue) -> None:
        """Until no cell is left, or none that would be done in time; what runs by then is given up."""
        self._cells = cells
        try:
            while not cells.ended and self.left() > 0:
                self._hand_out()
                if not cells.running:
                    return
                try:
                    worker, line = self._heard.get(timeout=SECONDS_OF_A_TURN)
                except queue.Empty:
                    pass
                else:
                    self._hear(worker, line)
                self.turn()
        finally:
            for cell in list(cells.running):
                cells.fail(cell, "the time was over")

    def _hand_out(self) -> None:
        """A cell for each process without one, or for one more process."""
        while (idle := self._idle()) is not None or len(self._working) < self.count:
            cell = self._cells.begin(time.monotonic(), self.left())
            if cell is None:
                return
            worker = idle if idle is not None else self._start()
            worker.begin(cell)

    def _idle(self) -> CellWorker | None:
        return next((worker for worker in self._working if worker.cell is None), None)

    def _start(self) -> CellWorker:
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                self.command,
                cwd=CODE,
                env=dict(self.environment),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        worker = CellWorker(process)
        self._working.append(worker)
        threading.Thread(target=self._read, args=(worker,), daemon=True).start()
        return worker

    def _read(self, worker: CellWorker) -> None:
        """Hand on what a process says, and an empty line when it has ended."""
        assert worker.process.stdout is not None
        for line in worker.process.stdout:
            self._heard.put((worker, line))
        self._heard.put((worker, b""))

    def _hear(self, worker: CellWorker, line: bytes) -> None:
        if line:
            values = json.loads(line)
            end = CellEnd(**{**values, "lines": tuple(values["lines"])})
            worker.cell = None
            if end.error is None:
                self._cells.finish(end.cell, time.monotonic())
                self._hand_out()  # before the results are kept: nobody waits for that
            else:
                self._working.remove(worker)  # it ends itself, and a new one takes its place
                self._cells.fail(end.cell, end.error)
            self.kept(end)
        elif worker in self._working:
            self._working.remove(worker)
            status = worker.process.wait()
            if worker.cell is not None:
                how = f"was ended by signal {-status}" if status < 0 else f"left with status {status}"
                cell = worker.cell
                self._cells.lose(cell, f"its process {how}")
                if cell in self._cells.failed:
                    said = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
                    end = CellEnd(cell, error=self._cells.failed[cell], lines=tuple(said[-LAST_LINES:]))
                    self.kept(end)


def worker_environment(root: Path, cpu: bool, threads: int) -> dict[str, str]:
    """Variables of a process that works in the project `root`: journals alone, no network, `threads`."""
    path = [str(CODE), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        **os.environ,
        "BMT_ROOT": str(root),
        "BMT_TRACKING": "journal",
        "PYTHONPATH": os.pathsep.join(path),
        "PYTHONUNBUFFERED": "1",
        "OMP_NUM_THREADS": str(threads),
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        **({"CUDA_VISIBLE_DEVICES": ""} if cpu else {}),
    }


def _input(process: subprocess.Popen[bytes]) -> IO[bytes]:
    assert process.stdin is not None
    return process.stdin
