"""Losses until they are read: their mean, what a checkpoint keeps of them, and the step that went wrong."""

from __future__ import annotations

import json
import math

import pytest
import torch

from bmt.training.losses import Losses, NonFiniteLossError
from tests.support import tiny

SETS = [tiny.windows("B", 6), tiny.windows("A", 6, seed=1)]


def kept(*values: float) -> Losses:
    """Losses of steps 4, 5, …, each on two windows of the first dataset and one of the second."""
    losses = Losses(SETS, torch.device("cpu"), "do less")
    for step, value in enumerate(values, 4):
        losses.add(step, [(0, 2), (1, 5), (0, step - 4)], torch.tensor(value))
    return losses


def test_a_look_leaves_the_losses_and_a_reading_begins_anew() -> None:
    losses = kept(1.0, 2.0, 6.0)
    assert len(losses) == 3 and losses.look() == 3.0 and len(losses) == 3
    assert losses.mean() == 3.0 and len(losses) == 0 and losses.state() == {"losses": [], "steps": []}
    losses.add(7, [(0, 1)], torch.tensor(5.0))
    assert losses.mean() == 5.0


def test_losses_come_back_from_a_checkpoint_bit_for_bit() -> None:
    values = (0.1, 1 / 3, 2e-7)
    losses, again = kept(*values), kept()
    again.restore(json.loads(json.dumps(losses.state())))
    assert again.state() == losses.state() and again.look() == losses.look()
    assert losses.state()["steps"][1] == [5, [[0, 2], [1, 5], [0, 1]]]
    assert losses.state()["losses"] == [float(torch.tensor(value)) for value in values]
    again.add(7, [(0, 1)], torch.tensor(math.nan))  # what was restored is named like what was added
    with pytest.raises(NonFiniteLossError) as caught:
        again.mean()
    assert caught.value.step == 7 and caught.value.batches[0].windows == {"B": [2, 0], "A": [5]}


@pytest.mark.parametrize(
    ("values", "step", "text"),
    [
        ((1.0, math.nan, math.inf), 5, "nan"),
        ((math.inf, -math.inf), 4, "inf"),  # the mean is nan: the first is what went wrong
        ((1.0, 2.0, -math.inf), 6, "-inf"),
        ((3e38, 3e38), 5, "3.0"),  # each is finite, their sum is not
    ],
)
def test_the_first_loss_that_is_not_finite_is_named_with_what_it_was_trained_on(
    values: tuple[float, ...], step: int, text: str
) -> None:
    with pytest.raises(
        NonFiniteLossError,
        match=rf"^the training loss is {text}.* at step {step}, on 3 windows of A, B: do less$",
    ) as caught:
        kept(*values).mean()
    error = caught.value
    assert error.step == step and str(error.loss).startswith(text)
    assert [batch.step for batch in error.batches] == list(range(4, 4 + len(values)))
    batch = error.batches[-1]
    assert batch.windows == batch.examples == {"B": [2, len(values) - 1], "A": [5]}
