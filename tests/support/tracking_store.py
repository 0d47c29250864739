"""A tracking store for a test, and all that it holds as plain values."""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from pathlib import Path
from typing import Any

from benchmark.tracking import mlflow_store as tracking


@functools.cache
def _template() -> Path:
    """An empty database: making one takes seconds, a copy none."""
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = Path(folder) / "mlflow.db"
    tracking.connect(f"sqlite:///{path}")
    import mlflow.store.db.utils as schema

    # Every opening of a store loads the 70 scripts of MLflow's migrations to learn the last one's name.
    schema._get_latest_schema_revision = functools.cache(schema._get_latest_schema_revision)
    return path


def make(folder: Path) -> str:
    """The URI of a new, empty store in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(_template(), folder / "mlflow.db")
    return f"sqlite:///{folder / 'mlflow.db'}"


def contents(uri: str, experiment: str = "bmt-test") -> dict[str, dict[str, Any]]:
    """Every run, deleted ones too, by name: status, times, parameters, tags, whole metric histories, inputs,
    artifacts.

    Two runs of one name fail the test.
    """
    from mlflow.entities import ViewType

    client = tracking.connect(uri).client
    found = client.get_experiment_by_name(experiment)
    runs: dict[str, dict[str, Any]] = {}
    for run in client.search_runs([found.experiment_id], "", ViewType.ALL) if found else []:
        name = run.info.run_name
        assert name not in runs, f"two runs named {name}"
        root = Path(run.info.artifact_uri)
        runs[name] = {
            "id": run.info.run_id,
            "status": run.info.status,
            "stage": run.info.lifecycle_stage,
            "times": (run.info.start_time, run.info.end_time),
            "params": dict(run.data.params),
            "tags": {
                key: value
                for key, value in run.data.tags.items()
                if not key.startswith(("mlflow.source", "mlflow.user"))
            },
            "metrics": {
                key: sorted(
                    (point.step, point.value if point.value == point.value else "nan", point.timestamp)
                    for point in client.get_metric_history(run.info.run_id, key)
                )
                for key in run.data.metrics
                if not key.startswith("system/")
            },
            "inputs": sorted(
                (
                    entry.dataset.name,
                    entry.dataset.digest,
                    entry.dataset.source,
                    tuple(sorted((tag.key, tag.value) for tag in entry.tags)),
                )
                for entry in run.inputs.dataset_inputs
            ),
            "artifacts": {
                path.relative_to(root).as_posix(): path.read_bytes()
                for path in root.rglob("*")
                if path.is_file()
            },
        }
    return runs
