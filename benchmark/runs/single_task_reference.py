"""The reference of `sampling.kind: dynamic_single_task`: how well single-task runs do on the validation
questions, EM + F1 per dataset.

Read from `runs/<profile>/<backbone>.st-<Dataset>.<arm>.s<seed>/training.json` of every source dataset: the
validation scores of the weights that the run kept. Or given by hand, `sampling.single_task_scores` in
params.yaml.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from benchmark.config.cells import Cell
from benchmark.config.folders import Folders
from benchmark.config.params import Config
from benchmark.runs.training_record import NAME
from bmt.errors import ModelError


def reference_cells(config: Config, cell: Cell) -> list[Cell]:
    """The ST cells whose scores an MT cell's sampling is held against; none where it needs none."""
    sampling = config.sampling
    if (
        sampling.kind != "dynamic_single_task"
        or cell.dataset
        or len(config.data.train) == 1
        or sampling.single_task_scores
    ):
        return []
    arm = sampling.single_task_arm or cell.arm
    return [Cell(cell.backbone, f"st-{dataset}", arm, False, cell.seed) for dataset in config.data.train]


def with_reference(config: Config, cell: Cell, folders: Folders) -> Config:
    """The configuration with `sampling.single_task_scores` filled from the ST cells' runs, if this cell's
    sampling needs them.

    The scores then count among what decides the run: another reference never resumes from this one's
    checkpoints.

    Raises:
        ModelError: an ST cell that was not trained, or whose training says no validation scores.
    """
    cells = reference_cells(config, cell)
    if not cells:
        return config
    scores, missing = {}, []
    for single in cells:
        path = folders.run(single) / NAME
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            missing.append(single.name)
            continue
        dataset = single.regime.removeprefix("st-")
        score = _score(record, dataset)
        if score is None:
            raise ModelError(
                f"{path}: no validation EM and F1 of {dataset} in it: train {single.name} again (--fresh)"
            )
        scores[dataset] = score
    if missing:
        raise ModelError(
            f"cell {cell.name!r}: sampling.kind dynamic_single_task is held against ST runs, and "
            f"{folders.run(cell).parent} has no {', '.join(missing)}: `python -m benchmark.train "
            f"{missing[0]}`{' and so on' if len(missing) > 1 else ''}, name another arm in sampling."
            "single_task_arm, or give sampling.single_task_scores"
        )
    return replace(config, sampling=replace(config.sampling, single_task_scores=scores))


def validation_scores(curve: list[dict[str, float]], best_step: int) -> dict[str, dict[str, float]]:
    """EM and F1 of each dataset's validation questions, in percent, at the evaluation whose weights were
    kept.
    """
    best = next(row for row in curve if row["step"] == best_step)
    datasets = [key.removeprefix("f1/") for key in best if key.startswith("f1/")]
    return {
        name: {metric: best[f"{metric}/{name}"] for metric in ("em", "f1") if f"{metric}/{name}" in best}
        for name in datasets
    }


def _score(record: Any, dataset: str) -> float | None:
    """EM + F1 that a training.json states, or None."""
    try:
        scores: Mapping[str, Any] = record["validation"][dataset]
        score = float(scores["em"]) + float(scores["f1"])
    except (KeyError, TypeError, ValueError):
        return None
    return score if math.isfinite(score) else None
