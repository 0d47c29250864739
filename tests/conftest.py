"""What all tests share: no network, no telemetry, no user's tracking server; and where the real data is, if
it is.
"""

from __future__ import annotations

import gc
import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from sqlalchemy import event
from sqlalchemy.engine import Engine

import benchmark  # noqa: F401  (its telemetry defaults)
from tests.support.repository import ROOT

# Tiny models gain nothing from a second thread, and two processes of two threads each on two cores wait for
# each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.update(
    HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", HF_DATASETS_OFFLINE="1", TOKENIZERS_PARALLELISM="false"
)
for name in ("BMT_ROOT", "MLFLOW_TRACKING_URI"):
    os.environ.pop(name, None)

# The same examples on every machine, and no deadline on a busy one: a failure is a defect, not the weather.
settings.register_profile("suite", deadline=None, derandomize=True)
settings.load_profile("suite")


# Files that take longest, longest first: with `--dist loadfile --no-loadscope-reorder` the processes of
# `make test` begin with these, and end with files of a second or less.
LONGEST = (
    "benchmark/runs/test_kill.py",
    "benchmark/pipeline/test_dvc.py",
    "tools/gpu_day/test_rehearsal.py",
    "benchmark/studies/test_search_trials.py",
    "bmt/training/test_stops.py",
    "bmt/qa/test_features.py",
    "benchmark/studies/test_search_tracking.py",
    "benchmark/studies/test_search_workers.py",
    "benchmark/pipeline/test_pipeline.py",
    "benchmark/pipeline/test_deciding_code.py",
    "benchmark/results_check/test_check.py",
    "benchmark/runs/test_rank_command.py",
    "bmt/training/test_mask_schedules.py",
    "bmt/test_examples.py",
    "bmt/qa/test_mrqa_fuzz.py",
    "benchmark/comparison/test_every_table.py",
    "tools/performance/test_train.py",
    "benchmark/reporting/test_report_command.py",
    "bmt/training/test_rank_training.py",
    "bmt/test_masked_updates.py",
    "tools/calibration/test_calibrate.py",
    "benchmark/runs/test_single_task.py",
    "benchmark/tracking/test_journal_upload.py",
    "benchmark/acquisition/test_fetch_dvc.py",
    "benchmark/pipeline/test_edits.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first; a file's tests stay together and in their order."""
    weight = {ROOT / "tests" / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: weight.get(item.path, len(LONGEST)))


def pytest_collection_finish() -> None:
    """What is imported by now stays: a garbage collection (statsmodels asks for one in every call of its
    Holm) need not walk PyTorch, Transformers and MLflow again, a third of a second each time.
    """
    gc.freeze()


@event.listens_for(Engine, "connect")
def _without_waiting_for_the_disk(connection: Any, record: Any) -> None:
    """SQLite's files of a test need not outlive a power cut: half of the time of a study is this wait."""
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA synchronous=OFF")


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder ../shared; tests that ask for it are skipped where it is absent."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip("needs ../shared, which is absent")
    return folder


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The real MRQA subset: BMT_REAL_DATA or ../shared/data/mrqa_real; tests that ask for it are skipped
    where it is absent.
    """
    folder = Path(os.environ.get("BMT_REAL_DATA") or ROOT.parent / "shared" / "data" / "mrqa_real")
    if not (folder / "manifest.yaml").is_file():
        pytest.skip("needs the real data subset: set BMT_REAL_DATA or have ../shared/data/mrqa_real")
    return folder
