"""Part "loop" of the GPU day: a rehearsal, and when a compiler is tried."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from tools.gpu_day import loop_speed
from tools.gpu_day.part_run import PartRun
from tools.performance.figures import Measurement
from tools.performance.paper_windows import DECILES

SHAPE = "rehearsal's shape"


def record(out: Path) -> dict[str, Any]:
    kept: dict[str, Any] = json.loads((out / "loop.json").read_text())
    return kept


def test_a_rehearsal_measures_every_line(tmp_path: Path) -> None:
    loop_speed.measure(PartRun("loop", tmp_path, tmp_path, True, time.monotonic() + 60))
    made = record(tmp_path)
    assert made["errors"] == made["skipped"] == []
    assert [one["title"] for one in made["measurements"]] == [
        f"Training, {SHAPE}",
        f"One run at the paper's scale, {SHAPE}, estimated",
        f"What a step of training waits for, {SHAPE}",
        f"HF Trainer beside it, {SHAPE}",
        f"A CUDA graph of a pass, {SHAPE}",
        f"torch.compile in the loop, {SHAPE}",
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["loop.json"], "nothing else is left there"


@pytest.mark.parametrize(("waits", "seconds"), [(False, 100.0), (True, 100.0), (True, 19.0)])
def test_a_compiler_is_tried_where_launches_are_waited_for_and_time_is_left(
    waits: bool, seconds: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line may use its share of what is left: here nothing takes any time."""
    clock, shares = 1000.0, {}
    monkeypatch.setattr("tools.gpu_day.part_run.time.monotonic", lambda: clock)

    class Speed:
        launches_wait = waits

        def __init__(self, windows: Any, scale: Any) -> None:
            assert windows.source.datasets == tuple(DECILES) and scale.shape == "roberta-base"
            assert (scale.brief, scale.backend, scale.budget, scale.window) == (
                False,
                "inductor",
                16_384,
                512,
            )
            self.scale = scale

        def __getattr__(self, name: str) -> Any:
            def line(bench: Any, keep: Any) -> Measurement:
                shares[name] = self.scale.left()
                keep(Measurement(name, [], ["so far"]))
                if name == "trainer":
                    raise RuntimeError("no Trainer")
                return Measurement(name, [], ["whole"])

            return line

    monkeypatch.setattr(loop_speed, "PaperSpeed", Speed)
    loop_speed.measure(PartRun("loop", tmp_path, tmp_path, False, clock + seconds))
    made = record(tmp_path)
    tried = waits and seconds > 20
    assert {name: pytest.approx(share * seconds) for name, share in loop_speed.LINES.values()} == {
        name: left for name, left in shares.items() if name != "compiled"
    }
    assert ("compiled" in shares) == tried
    assert made["skipped"] == (["torch.compile"] if waits and not tried else [])
    assert {one["title"]: one["notes"] for one in made["measurements"]} == {
        name: ["so far" if name == "trainer" else "whole"] for name in shares
    }
    assert [one["error"] for one in made["errors"]] == ["RuntimeError: no Trainer"]
