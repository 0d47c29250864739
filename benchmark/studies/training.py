"""The score of one seed by training it: masks, tuning, validation as `python -m benchmark.train` does, but
nothing is kept of the model.

Only train files are read: validation is carved from them (`data.val_source: train`), so no study sees the dev
sets that the tables score.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.config.folders import Places
from benchmark.runs.cell_masks import masks_and_anchor
from benchmark.runs.cell_run import CellRun
from benchmark.runs.single_task_reference import with_reference
from benchmark.studies.objective import Recorder, Score
from benchmark.studies.settings import Settings
from benchmark.studies.space import Space, Values
from bmt.masks import Masks
from bmt.random_mask import RandomMask
from bmt.runtime.control import RunControl
from bmt.training.loop import train

if TYPE_CHECKING:
    from bmt.training.applied_masks import UpdateMasks


@dataclass(frozen=True, slots=True)
class Trained:
    """Scores seeds of one cell (`Measure`). run: the cell under the study's settings, with its data."""

    settings: Settings
    space: Space
    run: CellRun

    @property
    def datasets(self) -> Sequence[str]:
        """The source datasets, whose F1 is the score."""
        return list(self.run.data.rows)

    @property
    def evaluations(self) -> int:
        """Evaluations of a training that is not stopped early."""
        return math.ceil(self.run.steps / self.run.config.training.evaluate_every)

    def __call__(
        self, values: Values, seed: int, evaluated: Callable[[int, float], None], recorder: Recorder
    ) -> Score:
        """Train with these values and this seed."""
        config = self.settings.config(self.space.changes(values))
        cell = replace(self.run.cell, seed=seed)
        config = with_reference(config, cell, Places.of(config))

        def report(step: int, metrics: dict[str, float]) -> None:
            recorder.log(metrics, step)
            if "validation/f1/macro" in metrics:
                evaluated(math.ceil(step / config.training.evaluate_every), metrics["validation/f1/macro"])

        with tempfile.TemporaryDirectory() as scratch:  # masks of one trial are of no use to another
            places = Places(Path(scratch), config.profile)
            run = replace(self.run, config=config, cell=cell, places=places)
            model, tokenizer = run.open_model()
            data, control = run.data.for_model(tokenizer), RunControl(report)
            masks, anchor = masks_and_anchor(run, model, data, recorder, fresh=True, control=control)
            outcome = train(
                model,
                data,
                run.plan,
                steps=run.steps,
                seed=seed,
                masks=masks,
                anchor=anchor,
                control=control,
            )
            density = union_density(masks)
        best = next(row for row in outcome.curve if row["step"] == outcome.best_step)
        f1 = {name: best[f"f1/{name}"] for name in self.datasets}
        return Score(f1, density, outcome.deviation["total"].relative)


def union_density(masks: UpdateMasks | None) -> float:
    """Share of the weights that any dataset's mask opens; of a random mask p_F, what a step opens."""
    if masks is None:
        return 1.0
    if isinstance(masks, RandomMask):
        return masks.p_f
    return (masks if isinstance(masks, Masks) else masks.masks()).union_density()
