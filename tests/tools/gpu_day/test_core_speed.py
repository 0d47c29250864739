"""Part "core" of the GPU day: a rehearsal, and how its time is shared out."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from tools.gpu_day import core_speed
from tools.gpu_day.part_run import PartRun
from tools.performance.core import CoreCourse
from tools.performance.figures import Measurement


def part(out: Path, seconds: float = 60.0, rehearsal: bool = True) -> PartRun:
    return PartRun("core", out, out, rehearsal, time.monotonic() + seconds)


def record(out: Path) -> dict[str, Any]:
    kept: dict[str, Any] = json.loads((out / "core.json").read_text())
    return kept


def test_a_rehearsal_measures_ratios_kernels_and_the_oracles(tmp_path: Path) -> None:
    core_speed.measure(part(tmp_path))
    made = record(tmp_path)
    assert made["errors"] == made["skipped"] == []
    assert [one["title"] for one in made["measurements"]] == [
        "rehearsal, 12 windows of 24 tokens",
        "rehearsal, 6 windows of 24 tokens",
        "rehearsal, 12 windows of 24 tokens: memory and kernels",
        "rehearsal, 12 windows of 24 tokens: trials",
        "rehearsal, 12 windows of 24 tokens: the oracles",
    ]
    targets = {one["name"]: one["target"] for one in made["measurements"][0]["figures"]}
    assert targets == {
        "random mask": 1.10,
        "six masks": 1.15,
        "six masks, compact state": 1.15,
        "mask learning": 1.30,
    }
    trials, slow = ([one["name"] for one in part["figures"]] for part in made["measurements"][3:])
    assert trials == list(core_speed.TRIED) and slow == list(core_speed.SLOW)


def test_each_line_leaves_time_for_those_after_it_and_one_that_fails_ends_itself_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 100 seconds: 40 for the first ratios, then a third, a half and the rest of what is left."""
    clock = 1000.0
    monkeypatch.setattr("tools.gpu_day.part_run.time.monotonic", lambda: clock)
    run = PartRun("core", tmp_path, tmp_path, False, clock + 100)
    may: list[tuple[str, float]] = []

    def line(name: str, course: CoreCourse) -> Measurement:
        nonlocal clock
        may.append((name, course.left()))
        clock += course.left() / 2
        if name == "48 kernels":
            raise RuntimeError("no profiler")
        course.keep(Measurement(name, [], ["so far"]))
        return Measurement(name, [], ["whole"])

    monkeypatch.setattr(
        core_speed,
        "measured_steps",
        lambda setting, bench, course, title: line(f"{setting.rows} {title[-3:]}", course),
    )
    monkeypatch.setattr(
        core_speed, "profiled_steps", lambda setting, bench, course: line(f"{setting.rows} kernels", course)
    )
    core_speed.measure(run)
    left = [100.0]
    shares = (0.4, 1 / 3, 1 / 2, 1)
    for share in shares:
        left.append(left[-1] * (1 - share / 2))
    assert [seconds for _, seconds in may[:4]] == pytest.approx(
        [own * share for own, share in zip(left, shares, strict=False)]
    )
    assert [name for name, _ in may] == ["48 ens", "8 ens", "48 kernels", "8 kernels", "48 als", "48 les"]
    made = record(tmp_path)
    assert [(one["title"], one["notes"]) for one in made["measurements"]] == [
        (name, ["whole"]) for name in ("48 ens", "8 ens", "8 kernels", "48 als", "48 les")
    ]
    assert [one["error"] for one in made["errors"]] == ["RuntimeError: no profiler"]


def test_with_little_time_left_nothing_begins(tmp_path: Path) -> None:
    core_speed.measure(part(tmp_path, seconds=5.0, rehearsal=False))
    made = record(tmp_path)
    assert made["measurements"] == [] and len(made["skipped"]) == 6
