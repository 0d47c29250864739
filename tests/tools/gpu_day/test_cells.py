"""Real cells end to end, as on the GPU's machine: a pack, processes that can import no tracker, a kill in the
middle of a training; then into MLflow.
"""

from __future__ import annotations

import json
import os
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from benchmark.config.params import find_cell, load
from benchmark.tracking import environment, journal
from benchmark.tracking.journal_overview import deliver
from bmt.qa.features import load as load_features
from tests.support import tracking_store
from tests.support.repository import ROOT
from tools.gpu_day import cells as cells_part
from tools.gpu_day.cells import measure, queue_of
from tools.gpu_day.part_run import PartRun

BMT, FIXED = "tiny-fp16.mt.bmt.s0", "tiny-fp16.mt.fixed_random.s0"
ABSENT = ("mlflow", "dvc", "optuna", "datasets")
PYNVML = """
class Reading:
    used, total, gpu = 3 << 30, 80 << 30, 55
nvmlInit = lambda: None
nvmlDeviceGetCount = lambda: 1
nvmlDeviceGetHandleByIndex = lambda index: index
nvmlDeviceGetMemoryInfo = nvmlDeviceGetUtilizationRates = lambda handle: Reading
nvmlDeviceGetPowerUsage = lambda handle: 350_000
"""
KILL = f"""
import os, signal
from pathlib import Path
from bmt.runtime.checkpoints import Checkpoints
real, killed = Checkpoints.write, Path({{killed!r}})
def write(self, step, *arguments, **options):
    real(self, step, *arguments, **options)
    if "{FIXED}" in str(self.folder) and step == 2 and not killed.exists():
        killed.touch()
        os.kill(os.getpid(), signal.SIGKILL)
Checkpoints.write = write
"""


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the part's record and archive in `out`, and its project and pack."""
    folder = tmp_path_factory.mktemp("day")
    stubs = folder / "stubs"
    stubs.mkdir()
    for name in ABSENT:
        (stubs / f"{name}.py").write_text(f"raise ImportError('no {name} on this machine')\n")
    (stubs / "pynvml.py").write_text(PYNVML)
    (stubs / "sitecustomize.py").write_text(KILL.format(killed=str(folder / "killed")))
    (folder / "out").mkdir()
    real = cells_part.worker_environment

    def without_trackers(root: Path, cpu: bool, threads: int) -> dict[str, str]:
        values = real(root, cpu, threads)
        return values | {"PYTHONPATH": os.pathsep.join([str(stubs), str(ROOT), values["PYTHONPATH"]])}

    class Kept:
        """In the place of a temporary folder, one that stays."""

        def __init__(self, prefix: str) -> None: ...

        def __enter__(self) -> str:
            return str(folder)

        def __exit__(self, *error: Any) -> None: ...

    with (
        mock.patch.object(cells_part, "worker_environment", without_trackers),
        mock.patch.object(cells_part, "TemporaryDirectory", Kept),
    ):
        run = PartRun("cells", folder / "out", folder / "no pack", True, time.monotonic() + 240)
        measure(run)
        run.end()
    yield folder


def record(day: Path) -> dict[str, Any]:
    """The part's only measurement."""
    said = json.loads((day / "out/cells.json").read_text())
    assert (said["state"], said["errors"]) == ("done", []), (day / "log.txt").read_text()[-4000:]
    [one] = said["measurements"]
    return dict(one)


def test_every_cell_is_scored_and_told(day: Path) -> None:
    one = record(day)
    said = one["record"]
    assert [cell["cell"] for cell in said["cells"]] == [BMT, FIXED]
    assert (said["given_up"], said["not_begun"], said["errors"]) == ({}, [], [])
    for cell in said["cells"]:
        assert set(cell["f1"]) == set(cell["em"]) == {"in_domain", "out_of_domain"}
        assert (cell["steps"], cell["mask_steps"], cell["gpu_megabytes"]) == (4, 2, None)
        assert cell["density"] == pytest.approx(0.3, abs=0.01) and cell["deviation"] > 0
    assert said["arms"]["bmt"]["deviation"] == {
        "mean": said["cells"][0]["deviation"],
        "sd": None,
        "count": 1,
    }
    assert {figure["name"]: figure["value"] for figure in one["figures"]}["cells done"] == 2


def test_a_killed_process_cost_no_more_than_the_steps_since_its_checkpoint(day: Path) -> None:
    assert (day / "killed").exists()
    [path] = journal.journals([day / "project/runs/rehearsal" / FIXED])
    kinds = [entry["kind"] for entry in journal.read_entries(path)[0]]
    assert kinds.count("run") == 1 and kinds.count("resume") == 2, "after the kill, and to evaluate"
    trained = json.loads((day / "project/runs/rehearsal" / FIXED / "training.json").read_text())
    assert trained["budget"]["steps"] == 4


def test_masks_are_learned_once_for_two_arms(day: Path) -> None:
    assert len(list((day / "project/.checkpoints/masks").glob("*.safetensors"))) == 1
    config = load(day / "project/params.yaml")
    assert len(set(queue_of(config).shared.values())) == 1
    assert {config.arms[find_cell(config, name).arm].mask for name in config.cells} == {
        "learned",
        "fixed_random",
    }


def test_the_archive_has_both_cells_and_no_weights(day: Path) -> None:
    with tarfile.open(day / "out/runs.tar.gz") as archive:
        names = archive.getnames()
    assert {
        f"results/rehearsal/{cell}.{kind}" for cell in (BMT, FIXED) for kind in ("json", "parquet")
    } < set(names)
    assert not [name for name in names if name.endswith(".safetensors")]


def test_what_was_unpacked_is_what_was_packed(day: Path) -> None:
    for part in ("data/features/rehearsal/tiny-fp16", "data/backbones/tiny-fp16", "params.yaml"):
        source, project = day / "source" / part, day / "project" / part
        paths = sorted(source.rglob("*")) if source.is_dir() else [source]
        for path in paths:
            if path.is_file():
                assert (project / path.relative_to(source)).read_bytes() == path.read_bytes()
    dev = load_features(day / "project/data/features/rehearsal/tiny-fp16/DROP.dev")
    assert len(dev.examples) > 0


def test_runs_say_the_commit_of_the_code_that_made_them(day: Path) -> None:
    result = json.loads((day / f"project/results/rehearsal/{BMT}.json").read_text())
    assert result["trained_with"]["git"]["commit"] == environment.git_state(ROOT)["commit"]


def test_sync_brings_each_run_into_mlflow(day: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = tracking_store.make(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    _, good = deliver([day / "project/runs"])
    assert good
    from benchmark.tracking import mlflow_store

    client = mlflow_store.connect(uri).client
    [experiment] = [one for one in client.search_experiments() if one.name == "bmt-rehearsal"]
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    assert set(runs) == {BMT, FIXED} and {run.info.status for run in runs.values()} == {"FINISHED"}
    for name, run in runs.items():
        metrics, scored = (
            run.data.metrics,
            json.loads((day / f"project/results/rehearsal/{name}.json").read_text()),
        )
        assert metrics["f1/avg_id"] == scored["averages"]["in_domain"]["f1"]
        assert metrics["em/avg_ood"] == scored["averages"]["out_of_domain"]["em"]
        assert metrics["mask/sparsity"] == pytest.approx(0.7, abs=0.01)
        assert metrics["weights/best_deviation_relative"] == scored["deviation"]["relative"]
        assert metrics["system/gpu_0_utilization_percentage"] == 55
        assert metrics["system/gpu_0_power_usage_watts"] == 350
        assert run.data.params["cell"] == name and run.data.params["mask.steps"] == "2"
        assert run.data.tags["package.torch"] and run.data.tags["cpu_count"]
