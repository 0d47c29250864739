"""The tracker's record of a run of this room."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from benchmark.config.cells import Cell
from benchmark.config.params import Config, as_flat
from benchmark.tracking import mlflow_store as tracking
from benchmark.tracking.mlflow_store import TrackedRun


def tracked_run(
    config: Config,
    cell: Cell,
    folder: Path,
    run_id: str | None,
    params: Mapping[str, Any],
    tags: Mapping[str, Any],
    name: str | None = None,
) -> AbstractContextManager[TrackedRun]:
    """Record a run of `cell` (`tracking.start`) with its whole configuration.

    Args:
        params, tags: beside the configuration's and the cell's. name: None: the cell's.
    """
    return tracking.start(
        name or cell.name,
        experiment=f"{config.tracking.experiment}-{config.profile}",
        folder=folder,
        params={**as_flat(config), "cell": cell.name, **params},
        tags={"cell": cell.name, **tags},
        run_id=run_id,
    )
