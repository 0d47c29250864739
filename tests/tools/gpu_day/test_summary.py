"""The summary: what it says of a whole day, and that it fits on a screen whatever the records are."""

from __future__ import annotations

from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from tools.gpu_day.part_run import entry_of
from tools.gpu_day.summary import LINES, REHEARSAL, WIDTH, summary_lines
from tools.performance.figures import MeasuredFigure, Measurement

ENVIRONMENT = {"device": "H100", "packages": {"torch": "2.11.0"}, "cuda": "13.0", "cpu_count": 16}


def record(*measurements: Measurement, **more: Any) -> dict[str, Any]:
    known = {"state": "done", "seconds": 12.3, "began": 1.8e9, "environment": ENVIRONMENT}
    return {**known, "measurements": [entry_of(one) for one in measurements], **more}


def checks(title: str, *errors: float) -> Measurement:
    figures = [MeasuredFigure(f"check {n}", error, 1e-6, unit="error") for n, error in enumerate(errors)]
    return Measurement(title, figures, ())


def test_a_whole_day() -> None:
    ratios = [MeasuredFigure("six masks", [1.1, 1.2, 1.3], 1.15), MeasuredFigure("random mask", 1.05)]
    loop = [
        MeasuredFigure("share of the peak", 0.5, 0.45, True, "%"),
        MeasuredFigure("hours", 0.8, 1.0, unit="h"),
    ]
    lost = [MeasuredFigure("loss", float("nan"), 1.0)]
    error = {"title": "draws", "error": "RuntimeError: no kernel\nimage", "lines": ["a", "b"]}
    days = {
        "machine": record(Measurement("Peaks", [MeasuredFigure("bf16", 798.0, unit="TFLOP/s")], ())),
        "right": record(
            checks("gates", 1e-9, 5e-7, 2e-7),
            checks("masks", 3e-7, 2e-6),
            Measurement("syncs", [MeasuredFigure("in a step", 0, 0, unit="n")], ()),
            state="failed",
            errors=[error],
        ),
        "core": record(Measurement("48 windows", ratios, ())),
        "loop": record(Measurement("steps", loop, ()), state="out of time", skipped=["HF Trainer", "graphs"]),
        "cells": record(Measurement("loss", lost, ()), state="running"),
    }
    assert summary_lines(days) == [
        "H100, torch 2.11.0, CUDA 13.0, 16 cores, 2027-01-15 08:00 UTC",
        "machine  done           12 s  figures 1",
        "right    failed         12 s  figures 6, targets kept 5, not kept 1, errors 1",
        "core     done           12 s  figures 2, not kept 1",
        "loop     out of time    12 s  figures 2, targets kept 2, skipped 2",
        "cells    cut off        12 s  figures 1, not kept 1",
        "Not kept:",
        "  2.0e-06 (≤1.0e-06) right: masks: check 1",
        "  1.20 (≤1.15) core: 48 windows: six masks",
        "  not finite (≤1.00) cells: loss: loss",
        "Errors:",
        "  right: draws: RuntimeError: no kernel image",
        "machine: Peaks: bf16 798.0 TFLOP/s",
        "right, largest errors: gates 5.0e-07 (≤1.0e-06); masks 2.0e-06 (≤1.0e-06, NOT KEPT); syncs 0 (≤0)",
        "core: 48 windows: six masks 1.20 (≤1.15, NOT KEPT); random mask 1.05",
        "loop: steps: share of the peak 50.0 % (≥45.0 %); hours 0.80 h (≤1.00 h)",
        "cells: loss: loss not finite (≤1.00, NOT KEPT)",
        "Skipped: loop: HF Trainer; loop: graphs",
    ]


def test_a_rehearsal_says_so_first_and_nothing_is_no_error() -> None:
    slow = Measurement("steps", [MeasuredFigure("six masks", 2.0, 1.15)], ())
    days = {"right": record(checks("gates", 1.0), rehearsal=True), "core": record(slow, rehearsal=True)}
    lines = summary_lines(days)
    assert lines[0] == REHEARSAL
    assert lines[4:7] == ["Not kept:", "  1.0e+00 (≤1.0e-06) right: gates: check 0", lines[6]]
    assert lines[6].startswith("right, largest errors: ")  # speed means nothing there
    assert summary_lines({}) == ["No part has said where it ran."]


def test_where_not_all_has_room_figures_with_a_target_stay_and_what_is_missing_is_said() -> None:
    plain = [MeasuredFigure(f"a figure without a target, number {n}", 1.0) for n in range(100)]
    aimed = [MeasuredFigure("six masks", 1.1, 1.15), MeasuredFigure("random mask", 1.05, 1.1)]
    bad = [MeasuredFigure(f"bad {n}", 2.0, 1.0) for n in range(30)]
    days = {
        "machine": record(Measurement("all", plain, ())),
        "core": record(Measurement("steps", [*aimed, *plain], ()), Measurement("more", bad, ())),
        "cells": record(Measurement("scores", plain[:3], ())),
    }
    lines = summary_lines(days)
    assert len(lines) <= LINES
    assert "  … 23 more lines: in the parts' JSON files" in lines
    text = "\n".join(lines)
    assert "core: steps: six masks 1.10 (≤1.15); random mask 1.05 (≤1.10)" in text
    assert "core: more: bad 0 2.00" in text


FIGURES = st.builds(
    MeasuredFigure,
    st.text(max_size=120),
    st.floats() | st.lists(st.floats(), min_size=1, max_size=3),
    st.none() | st.floats(0, 10),
    st.booleans(),
    st.sampled_from(["x", "%", "error", "n", "GB/s"]),
)
MEASUREMENTS = st.builds(Measurement, st.text(max_size=150), st.lists(FIGURES, max_size=4), st.just(()))
ERRORS = st.fixed_dictionaries({"title": st.text(max_size=20), "error": st.text(max_size=200)})
RECORDS = st.builds(
    lambda measurements, **more: record(*measurements, **more),
    st.lists(MEASUREMENTS, max_size=3),
    errors=st.lists(ERRORS, max_size=3),
    skipped=st.lists(st.text(max_size=100), max_size=3),
    state=st.sampled_from(["done", "failed", "running", "out of time"]),
    rehearsal=st.booleans(),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=10,
)
KEYS = ("state", "seconds", "began", "environment", "measurements", "errors", "skipped", "rehearsal")
ANYTHING = st.dictionaries(st.sampled_from(KEYS), JSON)
FIGURE = st.dictionaries(st.sampled_from(["name", "value", "unit", "target", "kept", "at_least"]), JSON)
HALF = st.fixed_dictionaries(
    {"measurements": st.lists(st.fixed_dictionaries({"figures": st.lists(FIGURE, max_size=4)}), max_size=3)}
)


MANY = [Measurement("x" * 90, [MeasuredFigure(f"{n} y" * 30, n, 0.0) for n in range(12)], ())] * 20


@settings(max_examples=40)
@given(st.dictionaries(st.text(max_size=12), RECORDS | ANYTHING | HALF, max_size=6))
@example({"measured": record(*MANY), "huge": record(*MANY, seconds=10**400)})
@example({str(number): record(state="failed", errors=[{}] * 9) for number in range(60)})
def test_it_fits_on_a_screen_whatever_the_records_are(records: dict[str, Any]) -> None:
    lines = summary_lines(records)
    assert 1 <= len(lines) <= LINES == 40
    assert all(len(line) <= WIDTH == 100 and line.isprintable() for line in lines)
