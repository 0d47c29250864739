"""training.json: what a training says of itself, beside the model; evaluation and transfer read it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.config.record_file import read_record
from benchmark.config.schema import Count, Mapping, Number, Text

NAME = "training.json"


@dataclass(frozen=True, slots=True)
class TotalFields:
    """`deviation.total`."""

    relative: Number


@dataclass(frozen=True, slots=True)
class MovedFields:
    """`deviation`: of all weights, and by kind of tensor."""

    total: TotalFields


@dataclass(frozen=True, slots=True)
class StepsFields:
    """`budget`."""

    steps: Count


@dataclass(frozen=True, slots=True)
class TrainingFields:
    """What every reader needs of it."""

    cell: Text
    mask: Mapping | None
    deviation: MovedFields
    budget: StepsFields
    seconds: Number
    tokens_per_second: Number
    data: Mapping
    environment: Mapping
    mlflow_run_id: str | None


def read_training(folder: Path) -> dict[str, Any]:
    """What training wrote of itself. Raises DataError where it is absent or damaged."""
    return read_record(folder / NAME, TrainingFields, "train the cell again, or `dvc pull` its outputs")
