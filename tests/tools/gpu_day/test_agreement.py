"""The second part of a day: every check in the rehearsal, and one that fails."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.checked_figures import SCALE
from tools.gpu_day import agreement
from tools.gpu_day.part_run import PartRun
from tools.performance.figures import Measurement


def rehearsed(folder: Path) -> dict[str, Any]:
    """The record of a rehearsal."""
    run = PartRun("right", folder, folder, True, time.monotonic() + 300)
    agreement.measure(run)
    run.end()
    record: dict[str, Any] = json.loads((folder / "right.json").read_text())
    return record


def test_the_rehearsal_makes_every_check_and_keeps_every_bound(tmp_path: Path) -> None:
    record = rehearsed(tmp_path)
    assert (record["state"], record["errors"], record["skipped"]) == ("done", [], [])
    assert len(record["measurements"]) == len(agreement.CHECKS) + 1
    figures = [figure for one in record["measurements"] for figure in one["figures"]]
    assert len(figures) > 90 and [figure for figure in figures if figure["kept"] is False] == []


def test_a_check_that_fails_leaves_its_error_and_the_next_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(scale: Any) -> Measurement:
        assert scale == SCALE
        raise ZeroDivisionError("planted")

    checks = (("broken", broken, 1), ("best spans", agreement.answers.spans_of_scores, 1))
    monkeypatch.setattr(agreement, "CHECKS", checks)
    monkeypatch.setattr(
        agreement.resumption, "killed_and_resumed", lambda *given: Measurement("Kill", [], [])
    )
    record = rehearsed(tmp_path)
    assert record["state"] == "failed"
    assert [one["error"] for one in record["errors"]] == ["ZeroDivisionError: planted"]
    assert [one["title"] for one in record["measurements"]] == ["Best spans", "Kill"]
