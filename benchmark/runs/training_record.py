"""training.json: what a training says of itself, beside the model; evaluation and transfer read it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bmt.errors import DataError

NAME = "training.json"


def read_training(folder: Path) -> dict[str, Any]:
    """What training wrote of itself. Raises DataError where it is absent or damaged."""
    path = folder / NAME
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path}: cannot be read ({type(error).__name__}): train the cell again, or `dvc pull` its "
            "outputs"
        ) from None
    return record
