"""A run loads what it needs: evaluation no trainer, training no acquisition, transfer no HTTP."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.repository import ROOT

OF_TRAINING = (
    "bmt.training.loop",
    "bmt.training.step",
    "bmt.training.source_masks",
    "bmt.training.mask_schedules",
    "bmt.training.regularizers",
    "bmt.mask_learning",
    "bmt.mask_updates",
    "bmt.controls",
    "bmt.transfer.few_shot",
    "benchmark.runs.training_run",
    "benchmark.runs.cell_masks",
    "benchmark.runs.published_run",
)
APART = {
    "evaluation_run": (*OF_TRAINING, "benchmark.acquisition", "benchmark.comparison", "bmt.qa.generation"),
    "training_run": ("benchmark.acquisition", "benchmark.runs.evaluation_run", "bmt.transfer.few_shot"),
    "transfer_run": ("benchmark.acquisition", "benchmark.runs.evaluation_run", "benchmark.runs.training_run"),
    "published_run": (*OF_TRAINING[:-1], "benchmark.acquisition.download", "benchmark.acquisition.hub"),
}


@pytest.mark.parametrize("run", APART)
def test_a_run_loads_no_other_one(run: str) -> None:
    code = f"import benchmark.runs.{run}, sys; print(*sys.modules, sep='\\n')"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert f"benchmark.runs.{run}" in loaded
    assert sorted(loaded & set(APART[run])) == []
