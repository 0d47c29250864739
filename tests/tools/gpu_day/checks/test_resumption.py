"""The checks of stops and kills keep their bounds, and a planted error does not."""

from __future__ import annotations

import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch

import bmt.runtime.checkpoints
from bmt.runtime.checkpoints import Checkpoints
from tests.support.checked_figures import SCALE, beyond, bounded
from tools.gpu_day.checks import resumption


class Ended:
    """A process that has ended."""

    def __init__(self, status: int) -> None:
        self.status = status

    def wait(self, seconds: float) -> int:
        return self.status


def killed(folder: Path, end: int, status: int = -signal.SIGKILL) -> resumption.DyingRun:
    """A run that went no further than a step."""
    subject = resumption.subject(torch.device("cpu"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resumption.os, "kill", lambda *given: (_ for _ in ()).throw(KeyboardInterrupt))
        with suppress(KeyboardInterrupt):
            resumption.run_to(folder, resumption.KILLED, subject, end, kill=True)
    return resumption.DyingRun(folder, Ended(status))  # type: ignore[arg-type]


def test_what_is_right_keeps_every_bound(tmp_path: Path) -> None:
    stopped = resumption.stopped_and_resumed(SCALE)
    after_kill = resumption.killed_and_resumed(SCALE, killed(tmp_path, resumption.ENDED))
    assert (len(bounded(stopped)), len(bounded(after_kill))) == (4, 5)
    assert not beyond(stopped) and not beyond(after_kill)


def test_an_optimizer_that_starts_anew_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dying = killed(tmp_path, resumption.ENDED)
    monkeypatch.setattr(bmt.runtime.checkpoints, "load_optimizer_tensors", lambda *given: None)
    seen = ["way of the weights, relative in the 2-norm", "weights that differ"]
    assert beyond(resumption.stopped_and_resumed(SCALE)) == seen
    assert beyond(resumption.killed_and_resumed(SCALE, dying)) == seen


def test_dropout_that_is_not_keyed_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    seeds = iter(range(1000))
    monkeypatch.setattr("bmt.training.step.key_number", lambda key: next(seeds))
    assert "weights that differ" in beyond(resumption.stopped_and_resumed(SCALE))


def test_steps_that_are_taken_again_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Checkpoints, "restore", lambda *given: None)
    assert beyond(resumption.stopped_and_resumed(SCALE)) == ["steps taken twice or not at all"]


def test_a_process_that_was_not_killed_or_left_nothing_is_seen(tmp_path: Path) -> None:
    whole = killed(tmp_path / "whole", 1000, status=0)
    assert beyond(resumption.killed_and_resumed(SCALE, whole)) == [
        "ends of the process other than by SIGKILL"
    ]
    early = killed(tmp_path / "early", 1)
    assert beyond(resumption.killed_and_resumed(SCALE, early)) == ["step of its last checkpoint"]


def test_a_run_that_does_not_go_on_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dying = killed(tmp_path, resumption.ENDED)
    run_to: Any = resumption.run_to
    monkeypatch.setattr(
        resumption, "run_to", lambda folder, *given: 0 if folder == tmp_path else run_to(folder, *given)
    )
    assert "steps short of the end" in beyond(resumption.killed_and_resumed(SCALE, dying))
