"""What exists of a planned run: its results, its trained model, a checkpoint to go on from, or nothing; and
whether it is being made.
"""

from __future__ import annotations

import fcntl
from dataclasses import dataclass
from pathlib import Path

from benchmark.config.cells import parse
from benchmark.config.digests import section_digest
from benchmark.config.folders import Folders
from benchmark.config.params import Config
from benchmark.planning.cells import PlannedRun
from benchmark.runs.results import Identity, Results

RESULTS, TRAINED, CHECKPOINT, MISSING, RUNNING = "results", "trained", "checkpoint", "missing", "running"
LOGS = ".plan"


@dataclass(frozen=True, slots=True)
class RunState:
    """How far a run is: `kind` is one of the words above, `note` what is to be said of it."""

    kind: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class ProfileFiles:
    """The files of one profile that decide what exists."""

    config: Config
    folders: Folders
    results: Results

    @property
    def logs(self) -> Path:
        """Where `--run` writes what runs print."""
        return self.folders.root / "runs" / self.folders.profile / LOGS

    def trained(self, cell: str) -> bool:
        """Whether a cell's model can be opened and evaluated."""
        folder = self.folders.run(parse(cell))
        return (folder / "training.json").is_file() and (folder / "model").is_dir()

    def lacking(self, needed: PlannedRun) -> list[str] | None:
        """Datasets that should be scored and are not, in spite of their features; None: no results at all."""
        if needed.identity is None:
            return [] if (self.folders.results / f"{needed.name}.json").is_file() else None
        runs = [
            run for run in self.results.runs if (run.identity, run.seed) == (needed.identity, needed.seed)
        ]
        if not runs:
            return None
        there = {*runs[0].datasets, *runs[0].empty}
        features = self.folders.features(needed.identity.backbone)
        wanted = [name for name in needed.datasets if name in self.config.data.evaluate and name not in there]
        return [name for name in wanted if (features / f"{name}.dev" / "features.json").is_file()]

    def fault(self, identity: Identity | None, seed: int) -> str:
        """Why the results of a run cannot be read; empty if that is not so."""
        return next(
            (
                f"results unreadable: {fault.reason}"
                for fault in self.results.faults
                if (fault.identity, fault.seed) == (identity, seed)
            ),
            "",
        )

    def checkpoint(self, cell: str) -> int | None:
        """The step of a cell's newest checkpoint under these settings, or None."""
        folders = (self.folders.root / ".checkpoints").glob(
            f"{cell}-{section_digest(self.config, cell)[:12]}-*"
        )
        steps = [
            path.name.removeprefix("step-")
            for folder in folders
            for path in folder.rglob("step-*")
            if path.is_dir()
        ]
        return max((int(step) for step in steps if step.isdecimal()), default=None)


def run_state(needed: PlannedRun, present: ProfileFiles, model: bool) -> RunState:
    """The state of a planned run; `model`: its model is needed too, by transfers that are missing."""
    if being_made(present.logs / f"{needed.name}.log"):
        return RunState(RUNNING, "another `benchmark.plan --run` makes it now")
    lacking, note = present.lacking(needed), present.fault(needed.identity, needed.seed)
    if lacking == [] or (needed.is_cell and not needed.scored):
        if not model or present.trained(needed.name):
            return RunState(RESULTS if lacking == [] else TRAINED)
        note = "its model was deleted, and transfers need it" if lacking == [] else note
    elif lacking:
        note = f"results without {', '.join(lacking)}"
    if not needed.is_cell:
        return RunState(MISSING, note)
    if present.trained(needed.name):
        return RunState(TRAINED, note)
    step = present.checkpoint(needed.name)
    if step is not None:
        return RunState(CHECKPOINT, "; ".join(part for part in (note, f"resumes at step {step}") if part))
    return RunState(MISSING, note)


def being_made(log: Path) -> bool:
    """Whether a process holds the lock on a run's log: its `benchmark.plan`, or a child that outlived it."""
    try:
        with open(log, "rb") as stream:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
