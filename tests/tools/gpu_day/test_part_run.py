"""A part's record: what is in it after each measurement, error and skip, and after a process that is lost."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from tools.gpu_day import part_process
from tools.gpu_day.faults import FaultyRun, InjectedError
from tools.gpu_day.part_process import PartJob
from tools.gpu_day.part_run import PartRun, plain_json
from tools.gpu_day.records import LOST, end_record, read_record, read_records
from tools.performance.figures import MeasuredFigure, Measurement


@pytest.fixture
def run(tmp_path: Path) -> PartRun:
    return PartRun("right", tmp_path, tmp_path / "pack", True, time.monotonic() + 60)


def record(folder: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((folder / "right.json").read_text())
    return value


def checked(title: str = "gates", *, error: float = 1e-8) -> Measurement:
    return Measurement(title, [MeasuredFigure("largest", error, 1e-6, unit="error")], ("A note.",), {"n": 3})


def test_a_record_is_there_from_the_first_moment_on(run: PartRun, tmp_path: Path) -> None:
    first = record(tmp_path)
    assert first.pop("environment")["cpu"] and 0 <= first.pop("seconds") < 60
    assert abs(first.pop("began") - time.time()) < 60
    empty: dict[str, Any] = {"attempted": [], "errors": [], "measurements": [], "skipped": []}
    assert first == empty | {"part": "right", "state": "running", "current": None, "rehearsal": True}


def test_each_measurement_error_and_skip_is_on_disk_at_once(run: PartRun, tmp_path: Path) -> None:
    def meets_an_error() -> None:
        assert record(tmp_path)["current"] == "draws"
        raise ValueError("no such draw")

    assert run.attempt("gates", checked) == checked()
    (entry,) = record(tmp_path)["measurements"]
    figure = {"name": "largest", "measured": 1e-8, "value": 1e-8, "target": 1e-6, "at_least": False}
    assert entry.pop("seconds") >= 0
    assert entry == {
        "title": "gates",
        "notes": ["A note."],
        "record": {"n": 3},
        "figures": [figure | {"kept": True, "unit": "error"}],
    }
    assert run.attempt("draws", meets_an_error) is None
    (error,) = record(tmp_path)["errors"]
    assert (error["title"], error["error"]) == ("draws", "ValueError: no such draw")
    assert error["lines"][0].startswith("Traceback") and error["lines"][-1] == error["error"]
    assert run.attempt("masks", checked, needs=61) is None
    assert record(tmp_path)["skipped"] == ["masks"]
    assert run.attempt("nothing", lambda: None) is None
    assert len(record(tmp_path)["measurements"]) == 1
    assert record(tmp_path)["state"] == "running"
    run.end()
    last = record(tmp_path)
    assert (last["state"], last["current"]) == ("failed", None)
    assert last["attempted"] == ["gates", "draws", "masks", "nothing"]


def test_a_target_that_is_not_kept_is_no_error(run: PartRun, tmp_path: Path) -> None:
    run.attempt("gates", lambda: checked(error=1.0))
    run.end()
    assert record(tmp_path)["state"] == "done"
    assert record(tmp_path)["measurements"][0]["figures"][0]["kept"] is False


def test_what_is_not_finite_is_null_not_kept_and_an_error(run: PartRun, tmp_path: Path) -> None:
    run.keep(checked(error=float("nan")))
    said = record(tmp_path)
    figure = said["measurements"][0]["figures"][0]
    assert (figure["measured"], figure["value"], figure["kept"]) == (None, None, False)
    assert [(one["title"], one["error"]) for one in said["errors"]] == [("gates", "not finite: largest")]


def test_what_is_not_finite_takes_the_place_of_no_other_error(run: PartRun, tmp_path: Path) -> None:
    run.fail("draws", ValueError("no such draw"))
    run.keep(checked(error=float("nan")))
    run.renew(checked("masks", error=float("inf")))
    assert [one["title"] for one in record(tmp_path)["errors"]] == ["draws", "gates", "masks"]


def test_the_seconds_of_a_measurement_are_those_of_its_attempt(
    run: PartRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def growing(keep: Callable[[Measurement], None]) -> Measurement:
        for _ in range(3):
            now[0] += 2.0
            keep(checked())
        return checked()

    run.attempt("masks", lambda: checked("masks"))
    run.grow("gates", growing)
    assert [one["seconds"] for one in record(tmp_path)["measurements"]] == [0.0, 6.0]


def test_a_measurement_grows_in_its_place(run: PartRun, tmp_path: Path) -> None:
    def growing(keep: Callable[[Measurement], None]) -> Measurement:
        keep(checked(error=float("nan")))
        assert len(record(tmp_path)["errors"]) == 1
        keep(checked(error=float("nan")))
        keep(checked(error=0.5))
        assert record(tmp_path)["measurements"][-1]["figures"][0]["value"] == 0.5
        return checked(error=0.25)

    def stopped(keep: Callable[[Measurement], None]) -> Measurement:
        keep(checked("draws"))
        raise ValueError("no more")

    run.attempt("masks", lambda: checked("masks"))
    run.grow("gates", growing)
    run.grow("draws", stopped)
    run.renew(checked("masks", error=0.125))
    said = record(tmp_path)
    values = [(one["title"], one["figures"][0]["value"]) for one in said["measurements"]]
    assert values == [("gates", 0.25), ("draws", 1e-8), ("masks", 0.125)]
    assert [(one["title"], one["error"]) for one in said["errors"]] == [("draws", "ValueError: no more")]
    assert said["attempted"] == ["masks", "gates", "draws"]


def test_a_measurement_that_json_cannot_hold_costs_itself_alone(run: PartRun, tmp_path: Path) -> None:
    word: Any = "no number"
    run.attempt("gates", lambda: Measurement("gates", [MeasuredFigure("a", word)], ()))
    run.attempt("masks", checked)
    said = record(tmp_path)
    assert [one["title"] for one in said["errors"]] == ["gates"]
    assert [one["title"] for one in said["measurements"]] == ["gates"]  # the second's


def test_numbers_of_numpy_and_torch_are_plain_ones() -> None:
    values = {
        1: np.float32(0.5),
        "array": np.array([1, 2]),
        "tensor": torch.tensor([True]),
        "path": Path("a"),
        "odd": (float("inf"), np.float64("nan"), None, "text", 10**30),
        "dtype": torch.bfloat16,
    }
    assert plain_json(values) == {
        "1": 0.5,
        "array": [1, 2],
        "tensor": [True],
        "path": "a",
        "odd": [None, None, None, "text", 10**30],
        "dtype": "torch.bfloat16",
    }


def test_a_part_goes_on_where_a_lost_process_stopped(run: PartRun, tmp_path: Path) -> None:
    run.attempt("gates", checked)
    lost = PartJob("right", "", "", "", True, 0.0, run.began)
    with pytest.raises(SystemExit):
        run.attempt("draws", sys.exit)
    end_record(tmp_path / "right.json", "failed", "its process was lost", ["a"] * 99, vars_of(lost))
    assert record(tmp_path)["state"] == "failed"

    again = PartRun("right", tmp_path, tmp_path, True, time.monotonic() + 60, resumed=True)
    assert record(tmp_path)["state"] == "running"
    for title in ("gates", "draws", "masks"):
        again.attempt(title, lambda title=title: checked(title))  # type: ignore[misc]
    again.end()
    said = record(tmp_path)
    assert [one["title"] for one in said["measurements"]] == ["gates", "masks"]
    (error,) = said["errors"]
    assert (error["title"], error["error"], error["lines"]) == ("draws", "its process was lost", ["a"] * 12)
    assert said["state"] == "failed"


def vars_of(job: PartJob) -> dict[str, Any]:
    return {name: getattr(job, name) for name in job.__slots__}


def test_a_broken_context_ends_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    monkeypatch.setattr(PartRun, "__post_init__", lambda self: None)
    run = PartRun("right", tmp_path, tmp_path, False, time.monotonic() + 60)
    run._record = {"attempted": [], "errors": [], "measurements": []}
    assert run.device.type == "cuda"
    assert run.attempt("one", broken) is None  # the context still works
    monkeypatch.setattr(torch.cuda, "synchronize", broken)
    with pytest.raises(SystemExit) as left:
        run.attempt("two", broken)
    assert left.value.code == LOST
    said = record(tmp_path)
    assert said["attempted"] == ["one", "two"] == [error["title"] for error in said["errors"]]


@pytest.mark.parametrize("text", ["", "{", "[]", '"text"'])
def test_a_damaged_record_says_so(text: str, tmp_path: Path) -> None:
    (tmp_path / "right.json").write_text(text)
    assert (read_record(tmp_path / "right.json") or {})["state"] == "unreadable"
    assert list(read_records(tmp_path, ["machine", "right"])) == ["right"]
    ended = end_record(
        tmp_path / "right.json", "failed", "why", [], vars_of(PartJob("right", "", "", "", True, 0.0, 0.0))
    )
    assert ended["state"] == "failed" == record(tmp_path)["state"]


def two(run: PartRun) -> None:
    """A part's `measure`."""
    run.attempt("gates", checked)
    run.attempt("masks", lambda: checked("masks"))


def broken(run: PartRun) -> None:
    """A part that fails outside of its attempts."""
    run.attempt("gates", checked)
    raise KeyError("masks")


def process(
    folder: Path, monkeypatch: pytest.MonkeyPatch, measure: Any, fault: str | None = None
) -> tuple[int, dict[str, Any]]:
    """`part_process.main` in this process: its status and the record."""
    job = PartJob(
        "right", "some.part", str(folder), str(folder), True, time.monotonic() + 60, 0.0, fault=fault
    )
    monkeypatch.setattr(part_process, "import_module", {"some.part": SimpleNamespace(measure=measure)}.get)
    monkeypatch.setattr(sys, "argv", ["part_process", *job.command()[3:]])
    before = signal.getsignal(signal.SIGTERM)
    try:
        status = part_process.main()
    except Exception:
        status = 1  # Python's own
    assert signal.getsignal(signal.SIGTERM) == before
    return status, record(folder)


def test_the_process_of_a_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    status, said = process(tmp_path, monkeypatch, two)
    assert (status, said["state"], len(said["measurements"])) == (0, "done", 2)
    status, said = process(tmp_path, monkeypatch, broken)
    assert (status, said["state"], len(said["measurements"])) == (1, "failed", 1)
    assert [(one["title"], one["error"]) for one in said["errors"]] == [("right", "KeyError: 'masks'")]


def test_an_injected_error_comes_after_the_first_measurement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    status, said = process(tmp_path, monkeypatch, two, "error")
    assert (status, said["state"], said["attempted"]) == (1, "failed", ["gates"])
    assert said["errors"][0]["error"] == "InjectedError: injected, outside of every attempt"
    status, said = process(tmp_path, monkeypatch, lambda run: run.keep(checked()), "error")
    assert (status, len(said["errors"])) == (1, 1)  # at the part's end


def test_other_faults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def pause() -> None:
        raise InjectedError("waits for ever")

    sent, ignored = [], []
    monkeypatch.setattr(os, "kill", lambda *given: sent.append(given))
    monkeypatch.setattr(signal, "signal", lambda *given: ignored.append(given))
    monkeypatch.setattr(signal, "pause", pause)
    run = FaultyRun("right", tmp_path, tmp_path, True, time.monotonic() + 60)
    run.fault = "hang"
    run.attempt("gates", checked)
    with pytest.raises(InjectedError):
        run.attempt("masks", checked)
    assert ignored == [(signal.SIGTERM, signal.SIG_IGN)] and record(tmp_path)["current"] is None
    run.fault = "kill"
    run.attempt("masks", checked)
    assert sent == [(os.getpid(), signal.SIGKILL)] and "masks" in record(tmp_path)["attempted"]
