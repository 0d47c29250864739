"""A process that makes cells one after the other: `python -m tools.gpu_day.cell_process`.

It loads its packages and the GPU's context once. A line on stdin is a cell's name; a line of JSON on stdout
is what has become of it (`CellEnd`); what the project itself has to say goes to stderr.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
import traceback
from dataclasses import asdict, dataclass
from typing import TextIO

from tools.gpu_day.records import LAST_LINES


@dataclass(frozen=True, slots=True)
class CellEnd:
    """What has become of a cell.

    Attributes:
        seconds_to_train, seconds_to_evaluate: of either, data, model and files included.
        gpu_megabytes: the most that torch has held on the GPU; None on a CPU.
        error, lines: what went wrong, and the end of its traceback; None, empty: nothing did.
    """

    cell: str
    seconds_to_train: float = 0.0
    seconds_to_evaluate: float = 0.0
    gpu_megabytes: float | None = None
    error: str | None = None
    lines: tuple[str, ...] = ()


def make_cell(name: str) -> CellEnd:
    """Train a cell, unless that is done, and evaluate it, as `benchmark.train` and `.evaluate` do."""
    import torch

    from benchmark.config.folders import Folders
    from benchmark.config.params import find_cell, load
    from benchmark.runs.evaluation_run import evaluate_cell
    from benchmark.runs.training_run import train_cell
    from benchmark.tracking.environment import gpu_peak_memory_mb

    if torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.reset_peak_memory_stats()
    began = time.monotonic()
    config = load()
    cell = find_cell(config, name)
    if not (Folders.of(config).run(cell) / "training.json").is_file():
        train_cell(config, cell)
    trained = time.monotonic()
    evaluate_cell(config, cell)
    ended = time.monotonic()
    return CellEnd(name, trained - began, ended - trained, gpu_peak_memory_mb())


def load_packages() -> None:
    """What every cell needs, while the first one's data is still being unpacked."""
    import torch
    import transformers

    import benchmark.runs.evaluation_run
    import benchmark.runs.training_run  # noqa: F401

    _ = transformers.BertForQuestionAnswering  # imported as it is named
    if torch.cuda.is_available():
        torch.zeros(1, device="cuda")


def answer(name: str, answers: TextIO) -> bool:
    """Make a cell and say what has become of it; whether it is done."""
    try:
        end = make_cell(name)
    except Exception as error:  # the next cell may still work
        lines = "".join(traceback.format_exception(error)).splitlines()
        end = CellEnd(name, error=f"{type(error).__name__}: {error}", lines=tuple(lines[-LAST_LINES:]))
        print("\n".join(lines), file=sys.stderr, flush=True)
    answers.write(json.dumps(asdict(end)) + "\n")
    answers.flush()
    gc.collect()
    return end.error is None


def main() -> int:
    """Make the cells that stdin names; 1 after an error, which may have left the GPU's context unusable."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whoever prints, prints to the log

    from benchmark.cli.allocator import keep_freed_memory

    keep_freed_memory()
    load_packages()
    names = map(str.strip, sys.stdin)
    return 0 if all(answer(name, answers) for name in names) else 1


if __name__ == "__main__":
    sys.exit(main())
