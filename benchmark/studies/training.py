"""The score of one seed by training it: masks, tuning, validation as `python -m benchmark.train` does, but
nothing is kept of the model.

Only train files are read: validation is carved from them (`data.val_source: train`), so no study sees the dev
sets that the tables score.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmark.config.backbones import Located, locate
from benchmark.config.cells import Cell
from benchmark.config.folders import Places
from benchmark.config.params import Config, find_cell
from benchmark.runs.cell_data import SourceData, training_data
from benchmark.runs.cell_masks import masks_and_anchor
from benchmark.runs.cell_run import CellRun
from benchmark.runs.single_task_reference import with_reference
from benchmark.studies.objective import Recorder, Score
from benchmark.studies.settings import Settings
from benchmark.studies.space import Space, Values
from bmt.errors import ConfigError
from bmt.masks import Masks
from bmt.random_mask import RandomMask
from bmt.runtime.control import RunControl
from bmt.runtime.ranks import Ranks
from bmt.training.loop import train
from bmt.training.plan import planned_steps


def check_validation(config: Config) -> None:
    """Raises ConfigError where validation questions would be dev questions."""
    if config.data.val_source != "train":
        raise ConfigError(
            f"data.val_source: {config.data.val_source} is not allowed for a study: train, or it would "
            "be tuned on the dev sets that the tables report"
        )


@dataclass(frozen=True, slots=True)
class Trained:
    """Scores seeds of one cell (`Measure`)."""

    settings: Settings
    config: Config
    cell: Cell
    space: Space
    place: Located
    data: SourceData

    @staticmethod
    def of(settings: Settings, cell: str, space: Space) -> Trained:
        """Read a cell's data. Raises ConfigError and DataError: unknown names, dev sets as validation,
        features not prepared.
        """
        config = settings.config()
        check_validation(config)
        searched_cell = find_cell(config, cell)
        place = locate(searched_cell.backbone, config.backbones[searched_cell.backbone])
        if config.training.threads:
            torch.set_num_threads(config.training.threads)
        return Trained(
            settings,
            config,
            searched_cell,
            space,
            place,
            training_data(config, searched_cell, Places.of(config).features(searched_cell.backbone)),
        )

    @property
    def datasets(self) -> Sequence[str]:
        """The source datasets, whose F1 is the score."""
        return list(self.data.rows)

    @property
    def steps(self) -> int:
        """Optimizer steps of a training."""
        training = self.config.training
        epochs = training.epochs_st if self.cell.dataset else training.epochs_mt
        return planned_steps(self.data.sets, self.data.rows, epochs, training)

    @property
    def evaluations(self) -> int:
        """Evaluations of a training that is not stopped early."""
        return math.ceil(self.steps / self.config.training.evaluate_every)

    def __call__(
        self, values: Values, seed: int, evaluated: Callable[[int, float], None], run: Recorder
    ) -> Score:
        """Train with these values and this seed."""
        config = self.settings.config(self.space.changes(values))
        cell = Cell(self.cell.backbone, self.cell.regime, self.cell.arm, self.cell.adapter, seed)
        config = with_reference(config, cell, Places.of(config))

        def report(step: int, metrics: dict[str, float]) -> None:
            run.log(metrics, step)
            if "validation/f1/macro" in metrics:
                evaluated(math.ceil(step / config.training.evaluate_every), metrics["validation/f1/macro"])

        with tempfile.TemporaryDirectory() as scratch:  # masks of one trial are of no use to another
            places = Places(Path(scratch), config.profile)
            trial = CellRun(config, cell, places, self.place, self.data, Ranks())
            model, tokenizer = trial.open_model()
            data, control = self.data.for_model(tokenizer), RunControl(report)
            made, anchor = masks_and_anchor(trial, model, data, run, fresh=True, control=control)
            outcome = train(
                model,
                data,
                trial.plan,
                steps=self.steps,
                seed=seed,
                masks=made,
                anchor=anchor,
                control=control,
            )
            masks = made if made is None or isinstance(made, Masks | RandomMask) else made.masks()
        best = next(row for row in outcome.curve if row["step"] == outcome.best_step)
        moved = outcome.deviation["total"].relative
        return Score(
            {name: best[f"f1/{name}"] for name in self.datasets}, union_density(masks), {"deviation": moved}
        )


def union_density(masks: Any) -> float:
    """Share of the weights that any dataset's mask opens; of a random mask p_F, what a step opens."""
    if isinstance(masks, RandomMask):
        return masks.p_f
    return masks.union_density() if isinstance(masks, Masks) else 1.0
