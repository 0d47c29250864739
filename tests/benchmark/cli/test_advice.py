"""What a command adds to an error of bmt."""

from __future__ import annotations

import pytest

from benchmark.cli.advice import TRAIN, advice
from bmt.errors import BMTError, ConfigError, DataError, ModelError


@pytest.mark.parametrize("kind", [DataError, ModelError])
def test_it_is_added_to_what_bmt_says(kind: type[BMTError]) -> None:
    with (
        pytest.raises(
            kind, match=r"^x: no masks there: train the cell, or `dvc pull` its outputs$"
        ) as raised,
        advice(TRAIN),
    ):
        raise kind("x: no masks there")
    assert isinstance(raised.value.__cause__, kind)


def test_other_errors_and_other_messages_pass_as_they_are() -> None:
    with pytest.raises(ConfigError, match=r"^seed: 1$"), advice(TRAIN):
        raise ConfigError("seed: 1")
    with pytest.raises(DataError, match=r"^x: truncated$"), advice(TRAIN, only="no usable question"):
        raise DataError("x: truncated")


class EmptyError(DataError):
    """An error of its own kind, whose message is whole."""


def test_of_some_messages_alone_and_of_no_narrower_error() -> None:
    whole = r"^x: no usable question in it: cut them$"
    with pytest.raises(DataError, match=whole), advice(": cut them", only="no usable question"):
        raise DataError("x: no usable question in it")
    with pytest.raises(EmptyError, match=r"^nothing$"), advice(TRAIN):
        raise EmptyError("nothing")
