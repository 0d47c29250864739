"""What a loss that is not finite was trained on, as a file: `nonfinite.json` in the run's folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bmt.errors import ModelError
from bmt.runtime.files import write_json
from bmt.training.losses import NonFiniteLossError

NAME = "nonfinite.json"


@contextmanager
def batches_kept(path: Path, ids: Mapping[str, Sequence[Any]], about: Mapping[str, Any]) -> Iterator[None]:
    """A `NonFiniteLossError` of the block becomes a `ModelError` that names the file `path`, which holds the
    steps' windows and examples.

    An older file of that name is removed first: it is not of this run.

    Args:
        ids: of the examples of each dataset's file, by dataset and row; text, or Arrow strings.
        about: what the file says of the run, beside {"step", "loss", "batches": [{"step", "loss", "examples":
            {dataset: [id]}, "windows": {dataset: [row]}}]}; losses are text, for NaN is no JSON.
    """
    path.unlink(missing_ok=True)
    try:
        yield
    except NonFiniteLossError as error:
        write_json(path, {**about, **described(error, ids)})
        raise ModelError(
            f"{error}; its examples, and those of the {len(error.batches)} steps since the last look: {path}"
        ) from error


def described(error: NonFiniteLossError, ids: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """The error as JSON, with the ids of the examples."""
    return {
        "step": error.step,
        "loss": str(error.loss),
        "batches": [
            {
                "step": batch.step,
                "loss": str(batch.loss),
                "windows": batch.windows,
                "examples": {
                    name: [str(ids[name][row]) for row in rows] for name, rows in batch.examples.items()
                },
            }
            for batch in error.batches
        ],
    }
