"""The part of a cell with adapters: one adapter and head a dataset before the joint training, and each tuned
alone after it (Table 6).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

from benchmark.runs.cell_data import TrainingData
from benchmark.config.cells import Cell
from benchmark.config.params import Config
from benchmark.cli.progress import progress, silent
from bmt.transfer.adapter_tuning import TunedAdapter, tune_adapters
from bmt.qa.adapters import adapter_size, add_adapters
from bmt.qa.batches import Vocabulary
from bmt.runtime.checkpoints import Checkpoints
from bmt.runtime.ranks import Ranks
from bmt.runtime.stopping import Stop, never
from bmt.training.loop import Plan


def start_adapters(model: Any, cell: Cell, data: TrainingData) -> None:
    """Give a cell's model its adapters and heads, if it has any. After the masks: they are theta's, and the
    same as without adapters.
    """
    if cell.adapter:
        add_adapters(model, [own.dataset for own in data.sets], seed=cell.seed)


def second_phase(
    config: Config, cell: Cell, model: Any, data: TrainingData, vocabulary: Vocabulary, plan: Plan, checkpoints: Checkpoints, run: Any,
    ranks: Ranks, stop: Stop = never,
) -> dict[str, Any] | None:
    """Tune each dataset's adapter and head behind the frozen encoder; what training.json says of it. None for
    a cell without adapters.
    """
    if not cell.adapter:
        return None
    windows = round(sum(len(rows) for rows in data.rows.values()) * config.training.epochs_adapter)
    with progress(f"adapters {cell.name}", total=windows, unit="windows") if ranks.first else nullcontext(silent()) as bar:
        tuned = tune_adapters(
            model, data.sets, data.rows, data.validation, vocabulary, plan, epochs=config.training.epochs_adapter, seed=cell.seed,
            folder=checkpoints.folder, fingerprint=checkpoints.fingerprint, report=lambda step, metrics: run.log(metrics, step=step),
            progress=bar.advance, ranks=ranks, stop=stop,
        )
    return {"parameters": adapter_size(model), "epochs": config.training.epochs_adapter, "tuned": described(tuned)}


def described(tuned: Sequence[TunedAdapter]) -> dict[str, dict[str, Any]]:
    """By dataset: validation F1 before and after, percent, whether the tuned parameters were kept, and what
    it took.
    """
    return {
        one.dataset: {
            "before": one.before, "after": max(one.before, one.outcome.best_f1), "kept": one.kept, "steps": one.outcome.steps,
            "windows": one.outcome.windows, "tokens": one.outcome.tokens, "seconds": one.outcome.seconds,
        }
        for one in tuned
    }
