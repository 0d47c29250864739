"""The exit status that each kind of error is."""

from __future__ import annotations

import pytest

from bmt.errors import BMTError, ConfigError, DataError, ModelError
from bmt.gates import GateError
from bmt.training.losses import NonFiniteLossError


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (BMTError, 1),
        (ConfigError, 2),
        (GateError, 2),
        (DataError, 1),
        (ModelError, 1),
        (NonFiniteLossError, 1),
    ],
)
def test_a_wrong_setting_is_status_2_and_every_other_error_1(kind: type[BMTError], status: int) -> None:
    assert issubclass(kind, BMTError) and kind.status == status


def test_a_gate_that_is_none_is_a_value_error_too() -> None:
    assert issubclass(GateError, ConfigError) and issubclass(GateError, ValueError)
