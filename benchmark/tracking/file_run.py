"""A run that is one file and its counts: the report's page, the errors' document."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmark.config.params import Config, repository_root
from benchmark.tracking import environment, mlflow_store


def log_file(
    stage: str,
    name: str,
    config: Config | None,
    params: Mapping[str, Any],
    counts: Mapping[str, float],
    file: Path,
) -> None:
    """Log a file as the run `stage` of a profile's experiment; where MLflow is absent or down, it waits in
    `runs/<name>/<stage>/`.

    Args:
        name: the profile's, or what stands for it in names of files.
        config: of the profile; None where it has none.
    """
    root = repository_root()
    experiment = config.tracking.experiment if config else "bmt"
    described = {
        # environment.describe would import torch to look for a GPU
        "packages": environment.package_versions(),
        "python": sys.version.split()[0],
        "git": environment.git_state(root),
    }
    folder = root / "runs" / name / stage
    tags = {"stage": stage}
    with mlflow_store.start(
        stage, f"{experiment}-{name}", folder, params, tags, environment=described
    ) as run:
        run.log(counts)
        run.artifact(file)
