"""The second phase of a cell with adapters: each dataset's tuned alone after the joint training (Table 6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from benchmark.runs.cell_run import CellRun
from bmt.qa.adapters import adapter_size
from bmt.runtime.control import RunControl
from bmt.training.data import TrainingData
from bmt.transfer.adapter_tuning import TunedAdapter, tune_adapters


def second_phase(run: CellRun, model: Any, data: TrainingData, control: RunControl) -> dict[str, Any]:
    """Tune each dataset's adapter and head behind the frozen encoder; what training.json says of it."""
    epochs = run.config.training.epochs_adapter
    with run.bar("adapters", round(run.windows * epochs)) as bar:
        tuned = tune_adapters(
            model,
            data,
            run.plan,
            epochs=epochs,
            seed=run.cell.seed,
            control=replace(control, progress=bar.advance),
        )
    return {"parameters": adapter_size(model), "epochs": epochs, "tuned": described(tuned)}


def described(tuned: Sequence[TunedAdapter]) -> dict[str, dict[str, Any]]:
    """By dataset: validation F1 before and after, percent, whether the tuned parameters were kept, and what
    it took.
    """
    return {
        adapter.dataset: {
            "before": adapter.before,
            "after": max(adapter.before, adapter.outcome.best_f1),
            "kept": adapter.kept,
            "steps": adapter.outcome.step,
            **{key: getattr(adapter.outcome, key) for key in ("windows", "tokens", "seconds")},
        }
        for adapter in tuned
    }
