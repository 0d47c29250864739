"""The second part of a day: all checks are in it, one that fails keeps none from being made, and a process of
its own is killed.
"""

from __future__ import annotations

import inspect
import json
import pkgutil
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from tests.support.checked_figures import SCALE
from tools.gpu_day import agreement, checks
from tools.gpu_day.part_run import PartRun
from tools.performance.figures import Measurement


def every_check() -> Iterator[Any]:
    """The functions of `tools.gpu_day.checks` that make a measurement of a scale."""
    for module in pkgutil.iter_modules(checks.__path__):
        for function in vars(import_module(f"{checks.__name__}.{module.name}")).values():
            if inspect.isfunction(function) and function.__module__.endswith(module.name):
                signature = inspect.signature(function)
                if signature.return_annotation == "Measurement" and list(signature.parameters) == ["scale"]:
                    yield function


def test_every_check_is_made_once_under_a_title_of_its_own() -> None:
    made = [check for _, check, _ in agreement.CHECKS]
    assert sorted(made, key=repr) == sorted(every_check(), key=repr) and len(made) == 17
    assert len({title for title, _, _ in agreement.CHECKS}) == len(made)


def test_its_seconds_on_a_gpu_fit_its_limit() -> None:
    assert sum(seconds for _, _, seconds in agreement.CHECKS) + agreement.LAST_NEEDS <= 120


def test_a_check_that_fails_keeps_none_from_being_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(scale: Any) -> Measurement:
        assert scale == SCALE
        raise ZeroDivisionError("planted")

    few = (("broken", broken, 1), ("best spans", agreement.answers.spans_of_scores, 1))
    monkeypatch.setattr(agreement, "CHECKS", few)
    run = PartRun("right", tmp_path, tmp_path, True, time.monotonic() + 300)
    agreement.measure(run)
    run.end()
    record = json.loads((tmp_path / "right.json").read_text())
    assert record["state"] == "failed"
    assert [one["error"] for one in record["errors"]] == ["ZeroDivisionError: planted"]
    assert [one["title"] for one in record["measurements"]] == ["Best spans", "Kill and resume"]
    figures = [figure for one in record["measurements"] for figure in one["figures"]]
    assert len(figures) == 9 and all(figure["kept"] for figure in figures)
