"""What one cell's training is told, before its masks are made: by `benchmark.train` and by studies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.cli.progress import Bar, progress
from benchmark.config.backbones import Located, locate
from benchmark.config.cells import Cell
from benchmark.config.digests import section_digest
from benchmark.config.folders import Folders
from benchmark.config.params import Arm, Config
from benchmark.runs.cell_data import SourceData, training_data
from benchmark.runs.single_task_reference import with_reference
from benchmark.runs.training_plan import plan_of, use_threads
from bmt.qa.model import quiet_transformers, span_model
from bmt.runtime.checkpoints import Checkpoints
from bmt.runtime.ranks import Ranks, rank_device
from bmt.training.plan import Plan, planned_steps


@dataclass(frozen=True, slots=True)
class CellRun:
    """One cell, its settings and its data.

    Attributes:
        config: with the scores of single-task runs, where the cell's sampling is held against them.
        folders: where it reads and writes.
        backbone: the pretrained weights.
        ranks: of the processes that train it together.
    """

    config: Config
    cell: Cell
    folders: Folders
    backbone: Located
    data: SourceData
    ranks: Ranks

    @staticmethod
    def of(config: Config, cell: Cell, ranks: Ranks) -> CellRun:
        """Read a cell's data and find its backbone.

        Raises:
            DataError: no features. ModelError: no backbone, no single-task run that the cell needs.
        """
        folders = Folders.of(config)
        config = with_reference(config, cell, folders)
        use_threads(config)
        backbone = locate(cell.backbone, config.backbones[cell.backbone])
        data = training_data(config, cell, folders.features(cell.backbone))
        return CellRun(config, cell, folders, backbone, data, ranks)

    @property
    def arm(self) -> Arm:
        """The cell's arm."""
        return self.config.arms[self.cell.arm]

    @property
    def plan(self) -> Plan:
        """The settings that the loop reads."""
        return plan_of(self.config)

    @property
    def folder(self) -> Path:
        """Where its outputs go."""
        return self.folders.run(self.cell)

    @property
    def checkpoints(self) -> Checkpoints:
        """Of the loop and of what comes before it; the fingerprint is of all that decides the run."""
        folder = self.folders.checkpoints(self.config, self.cell, self.data.digest)
        decides = section_digest(self.config, self.cell)
        return Checkpoints(folder, f"{decides}:{self.data.digest}:{self.backbone.identity}")

    @property
    def windows(self) -> int:
        """Training windows of all source datasets."""
        return sum(len(rows) for rows in self.data.rows.values())

    @property
    def epochs(self) -> float:
        """Passes over the training windows."""
        training = self.config.training
        return training.epochs_st if self.cell.dataset else training.epochs_mt

    @property
    def steps(self) -> int:
        """Optimizer steps, at most."""
        return planned_steps(self.data.sets, self.data.rows, self.epochs, self.config.training)

    @property
    def trained_windows(self) -> int:
        """Windows that the steps train on, as far as it is known before."""
        training = self.config.training
        by_tokens = training.batch_tokens is not None
        return round(self.epochs * self.windows) if by_tokens else self.steps * training.batch

    def open_model(self) -> tuple[Any, Any]:
        """The backbone with a fresh head on this rank's device, and its tokenizer."""
        config, cell = self.config, self.cell
        with quiet_transformers():
            model, tokenizer = span_model(
                self.backbone.source,
                revision=self.backbone.revision,
                markers=config.data.special_tokens,
                seed=cell.seed,
                dropout=config.training.dropout,
                head=config.backbones[cell.backbone].head,
            )
        model.to(rank_device())
        return model, tokenizer

    def bar(self, what: str, windows: int) -> Bar:
        """A progress bar of the first rank; the others are silent."""
        return progress(f"{what} {self.cell.name}", windows, "windows", shown=self.ranks.first)
