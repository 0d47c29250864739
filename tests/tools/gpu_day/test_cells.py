"""Real cells end to end, as on the GPU's machine: a pack, processes that can import no tracker, a kill in the
middle of a training; then into MLflow.
"""

from __future__ import annotations

import json
import os
import tarfile
import time
from collections.abc import Iterator
from contextlib import nullcontext
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
from tools.gpu_day.cell_process import CellEnd
from tools.gpu_day.cell_queue import CellQueue
from tools.gpu_day.cells import CellKeeper, measure, queue_of
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


def part(folder: Path) -> PartRun:
    """The part at work, whose cells are only told."""
    (folder / "out").mkdir()
    return PartRun("cells", folder / "out", folder / "no pack", False, time.monotonic() + 240)


def test_what_failed_is_archived_beside_what_is_done(tmp_path: Path) -> None:
    config, run = load(ROOT / "profiles/mini_gpu.yaml"), part(tmp_path)
    keeper, cells = CellKeeper(run, tmp_path), queue_of(config)
    keeper.begin(config, cells, 0.5)
    first, second, *rest = cells.waiting
    for _ in range(2):
        cells.begin(0.0, 1.0)
    for name in (first, second, rest[0]):
        folder = tmp_path / "runs/mini_gpu" / name
        (folder / "journal").mkdir(parents=True)
        (folder / "journal/k.jsonl").write_text(name)
    trained = {"mask": None, "budget": {"steps": 419, "mask_steps": 0}}
    scored = {"em": {"in_domain": 20.0}, "f1": {"in_domain": 30.0}, "relative_deviation": 0.02}
    (tmp_path / "runs/mini_gpu" / first / "training.json").write_text(json.dumps(trained))
    (tmp_path / "runs/mini_gpu" / first / "metrics.json").write_text(json.dumps(scored))
    cells.finish(first, 30.0)
    keeper.keep(CellEnd(first, 20.0, 8.0, 512.0))
    cells.fail(second, "ValueError: bad")
    keeper.keep(CellEnd(second, error="ValueError: bad", lines=("a", "b")))
    [one] = json.loads((tmp_path / "out/cells.json").read_text())["measurements"]
    said, figures = one["record"], {figure["name"]: figure for figure in one["figures"]}
    assert [cell["cell"] for cell in said["cells"]] == [first]
    assert said["errors"] == [{"cell": second, "error": "ValueError: bad", "lines": ["a", "b"]}]
    assert (said["given_up"], said["not_begun"]) == ({second: "ValueError: bad"}, rest)
    done, failed = figures["cells done"], figures["cells that failed"]
    assert (done["value"], done["kept"], failed["value"], failed["kept"]) == (1, True, 1, False)
    assert figures["GPU memory of a process"]["value"] == 512 * 2**20 / 1e6
    assert figures["seconds per cell, none"]["measured"] == [28.0]
    with tarfile.open(tmp_path / "out/runs.tar.gz") as archive:
        journals = [name for name in archive.getnames() if "/journal/" in name]
    assert journals == [f"runs/mini_gpu/{name}/journal/k.jsonl" for name in (first, second)]


@pytest.mark.parametrize("bad", [True, False])
def test_a_part_without_a_cell_that_is_done_has_failed(
    bad: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Workers:
        """In the place of processes: none is done."""

        def __init__(self, *given: Any) -> None: ...

        def started(self) -> Any:
            return nullcontext()

        def work_off(self, cells: CellQueue) -> None:
            if bad:
                cells.fail(str(cells.begin(0.0, 1.0)), "ValueError: bad")

    config = load(ROOT / "profiles/mini_gpu.yaml")
    monkeypatch.setattr(cells_part, "CellWorkers", Workers)
    monkeypatch.setattr(cells_part, "unpack", lambda pack, root: config)
    run = part(tmp_path)
    measure(run)
    run.end()
    said = json.loads((tmp_path / "out/cells.json").read_text())
    [error] = said["errors"]
    why = {config.cells[0]: "ValueError: bad"} if bad else "there was no time"
    assert (said["state"], error["error"]) == ("failed", f"BMTError: no cell is done: {why}")
    assert said["measurements"][0]["record"]["cells"] == []
