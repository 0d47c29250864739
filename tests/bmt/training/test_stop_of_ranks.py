"""A stop of several ranks: they end together, where the loss is read, and not where one of them was asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bmt.runtime.checkpoints import Checkpoints
from bmt.runtime.control import RunControl
from bmt.runtime.ranks import Ranks
from bmt.runtime.stopping import StoppedError, never
from bmt.settings import TrainingSettings
from bmt.training.loop import train
from bmt.training.plan import Plan
from bmt.training.procedure import stop_alone
from tests.support import tiny
from tests.support.tiny_training import data

PLAN = Plan(TrainingSettings(batch=8, evaluate_every=20, patience=50))


class FirstOfTwo(Ranks):
    """A first rank that hears of the second only whether it is asked to stop."""

    other_asked = False

    def gathered(self, value: Any) -> list[Any]:
        return [value, type(self).other_asked if isinstance(value, bool) else value]

    def of_first(self, value: Any) -> Any:
        return value

    def share_weights(self, model: Any) -> None:
        pass


def test_a_process_alone_is_asked_before_every_step_and_ranks_are_not() -> None:
    def stop() -> bool:
        return True

    assert stop_alone(RunControl(stop=stop)) is stop
    assert stop_alone(RunControl(stop=stop, ranks=Ranks(0, 2))) is never


@pytest.mark.parametrize("which", ["this one", "the other"])
def test_ranks_stop_at_the_next_reading_of_the_loss(
    which: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Losses are read after every second step; asked from the start, they still take two."""
    monkeypatch.setattr("bmt.training.step.GradientSum", lambda ranks, model: lambda loss: None)
    monkeypatch.setattr(FirstOfTwo, "other_asked", which == "the other")
    control = RunControl(
        checkpoints=Checkpoints(tmp_path, "f"), ranks=FirstOfTwo(0, 2), stop=lambda: which == "this one"
    )
    with pytest.raises(StoppedError, match=r"^stopped at step 2 of 30; kept in "):
        train(tiny.bert(), data(), PLAN, steps=30, seed=0, control=control)
    assert [path.name for path in tmp_path.iterdir()] == ["step-0000002"]
