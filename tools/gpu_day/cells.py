"""Part 5, real cells: as many of the profile's as there is time for, several processes on one card.

Each is trained and scored as `benchmark.train` and `benchmark.evaluate` do it. After every cell the record
and `runs.tar.gz` are renewed, so that an end at any moment leaves what is finished.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory

from benchmark.config.digests import masks_digest
from benchmark.config.params import Config, find_cell
from benchmark.tracking import environment
from bmt.errors import BMTError
from tools.gpu_day.cell_process import CellEnd
from tools.gpu_day.cell_queue import CellQueue, by_seed
from tools.gpu_day.cell_scores import DOMAINS, CellScores, as_record, cell_scores, of_arms
from tools.gpu_day.cell_workers import CellWorkers, worker_environment
from tools.gpu_day.pack import unpack
from tools.gpu_day.part_run import PartRun
from tools.gpu_day.run_archive import ARCHIVE, LARGEST, write_archive
from tools.performance.figures import MeasuredFigure, Measurement

TITLE = "Real cells"
PROCESSES, REHEARSED_PROCESSES = 8, 1
THREADS = 2
"""CPU threads of a process: two for each of 8 are the 16 cores of the GPU's machine."""
SHARING = ("learned", "fixed_random", "fisher", "magnitude")
"""Kinds of masks that are kept, and read by other cells."""
SECONDS_TO_CLOSE = 4.0
"""Left for the last record and archive, at most, where the part's time ends the cells."""
SECONDS_OF_A_SAMPLE = 1.0


def measure(run: PartRun) -> None:
    """Make the cells of the pack's profile; in a rehearsal those of a tiny one."""
    with TemporaryDirectory(prefix="bmt-cells-") as folder:
        run.attempt(TITLE, lambda: make_cells(run, Path(folder)), needs=0 if run.rehearsal else 40)


def make_cells(run: PartRun, folder: Path) -> None:
    """The whole part, in a temporary folder.

    Raises:
        DataError: the pack is missing or damaged. BMTError: no cell could be made.
    """
    began, pack, root = time.monotonic(), run.pack, folder / "project"
    root.mkdir()
    keeper = CellKeeper(run, root)
    workers = CellWorkers(
        keeper.processes,
        worker_environment(root, run.device.type == "cpu", 1 if run.rehearsal else THREADS),
        folder / "log.txt",
        lambda: run.left - SECONDS_TO_CLOSE,
        keeper.keep,
        keeper.look,
    )
    with workers.started():  # they load their packages while the pack is unpacked
        if run.rehearsal:
            from tools.gpu_day.rehearsal_project import write_rehearsal_pack

            pack = folder / "pack"
            write_rehearsal_pack(pack, folder / "source")
        config = unpack(pack, root)
        keeper.begin(config, queue_of(config), time.monotonic() - began)
        try:
            workers.work_off(keeper.cells)
        finally:
            keeper.renew()
    if not keeper.done:
        raise BMTError(f"no cell is done: {keeper.cells.failed or 'there was no time'}")


def queue_of(config: Config) -> CellQueue:
    """A profile's cells, seed by seed."""
    cells = [find_cell(config, name) for name in config.cells]
    shared = {
        cell.name: masks_digest(config, cell) for cell in cells if config.arms[cell.arm].mask in SHARING
    }
    return CellQueue(by_seed((cell.name, cell.seed) for cell in cells), shared)


@dataclass(slots=True)
class CellKeeper:
    """Keeps what cells leave: the record and the archive.

    Attributes:
        root: the project in which they are made; config: its configuration.
        prepared: seconds that unpacking took.
        began: when the first cell of the queue `cells` was.
        done: in the order in which they were done.
        loads: of the GPU, shares of 1, a sample per second.
    """

    run: PartRun
    root: Path
    config: Config = field(init=False)
    cells: CellQueue = field(init=False)
    prepared: float = 0.0
    began: float = 0.0
    done: list[CellScores] = field(default_factory=list)
    errors: list[CellEnd] = field(default_factory=list)
    loads: list[float] = field(default_factory=list)
    archived: int = 0
    _looked: float = 0.0

    @property
    def processes(self) -> int:
        """That make cells beside each other."""
        return REHEARSED_PROCESSES if self.run.rehearsal else PROCESSES

    def begin(self, config: Config, cells: CellQueue, prepared: float) -> None:
        """The first cell is about to be begun."""
        self.config, self.cells, self.prepared, self.began = config, cells, prepared, time.monotonic()

    def keep(self, end: CellEnd) -> None:
        """A cell has ended."""
        if end.error is None:
            self.done.append(cell_scores(self.root, self.config.profile, end))
        else:
            self.errors.append(end)
        self.renew()

    def look(self) -> None:
        """Note what the GPU does."""
        if time.monotonic() - self._looked < SECONDS_OF_A_SAMPLE:
            return
        self._looked = time.monotonic()
        load = environment.system_metrics().get("system/gpu_0_utilization_percentage")
        if load is not None:
            self.loads.append(load / 100)

    def renew(self) -> None:
        """Write the archive and the record anew."""
        cells = [one.cell for one in self.done] + [end.cell for end in self.errors]
        self.archived = write_archive(self.run.out / ARCHIVE, self.root, self.config.profile, cells)
        self.run.renew(self.measurement(time.monotonic() - self.began))

    def measurement(self, seconds: float) -> Measurement:
        """Of what is done after so many seconds."""
        figures = [
            MeasuredFigure("cells done", len(self.done), 1, True, "n"),
            MeasuredFigure("cells that failed", len(self.errors), 0, unit="n"),
            MeasuredFigure("cells per minute", 60 * len(self.done) / seconds, unit="per minute"),
            MeasuredFigure("processes beside each other", self.processes, unit="n"),
            MeasuredFigure(ARCHIVE, self.archived / 1e6, LARGEST / 1e6, unit="MB"),
        ]
        if self.loads:
            figures.append(MeasuredFigure("GPU utilisation", fmean(self.loads), unit="%"))
        memory = [one.gpu_megabytes * (1 << 20) / 1e6 for one in self.done if one.gpu_megabytes is not None]
        if memory:
            figures.append(MeasuredFigure("GPU memory of a process", max(memory), unit="MB"))
        arms = of_arms(self.done)
        for arm in arms:
            taken = [one.seconds for one in self.done if one.arm == arm]
            figures.append(MeasuredFigure(f"seconds per cell, {arm}", taken, unit="s"))
        for arm, spreads in arms.items():
            for domain, words in DOMAINS.items():
                if f"f1 {domain}" in spreads:
                    spread = spreads[f"f1 {domain}"]
                    name = f"{arm}: macro F1 {words}, mean over seeds ({spread.count})"
                    figures.append(MeasuredFigure(name, spread.mean, unit="points"))
        return Measurement(TITLE, figures, self.notes(seconds), self.record(seconds))

    def notes(self, seconds: float) -> list[str]:
        """What the figures are of."""
        data, training, mask = self.config.data, self.config.training, self.config.mask
        [backbone] = self.config.backbones
        steps = f"{self.done[0].steps} steps" if self.done else "steps"
        return [
            f"Profile {self.config.profile}: {backbone}, {steps} of {training.batch} windows of "
            f"{data.window} tokens; masks: {mask.steps} steps of {mask.batch} windows per dataset.",
            f"{len(self.done)} of {len(self.config.cells)} cells in {seconds:.0f} s, "
            f"after {self.prepared:.1f} s of unpacking; {THREADS} CPU threads per process.",
        ]

    def record(self, seconds: float) -> dict[str, object]:
        """Every cell with its scores, the arms with mean and sd over seeds, errors and what was not begun."""
        return {
            "profile": self.config.profile,
            "seconds": seconds,
            "unpacked_in": self.prepared,
            "processes": self.processes,
            "cells": as_record(self.done),
            "arms": {
                arm: {key: asdict(one) for key, one in spreads.items()}
                for arm, spreads in of_arms(self.done).items()
            },
            "errors": [
                {"cell": end.cell, "error": end.error, "lines": list(end.lines)} for end in self.errors
            ],
            "given_up": dict(self.cells.failed),
            "not_begun": list(self.cells.waiting),
            "gpu_utilisation": list(self.loads),
        }
