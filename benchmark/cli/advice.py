"""What a user of the commands can do about an error of bmt, which knows of no command."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bmt.errors import DataError, ModelError

TRAIN = ": train the cell, or `dvc pull` its outputs"
PREPARE = " with `python -m benchmark.prepare`"


@contextmanager
def advice(text: str, only: str = "") -> Iterator[None]:
    """Add `text` to the message of a DataError or ModelError that the block raises, if `only` stands in it."""
    try:
        yield
    except (DataError, ModelError) as error:
        if type(error) not in (DataError, ModelError) or only not in str(error):
            raise
        raise type(error)(f"{error}{text}") from error
