"""What came back, brought home: the page's parts, results and journals; never over what is there."""

from __future__ import annotations

import io
import json
import re
import tarfile
from pathlib import Path
from typing import Any

import pytest

from bmt.errors import ConfigError, DataError
from tests.support.repository import ROOT
from tools.gpu_day import bring as homecoming
from tools.gpu_day.bring import bring, read_archive
from tools.gpu_day.cell_scores import CellScores, as_record
from tools.gpu_day.day_page import PARTS, part_text
from tools.markers import between_markers, markers

ENVIRONMENT = {
    "packages": {"torch": "2.11.0", "transformers": "5.17.0", "numpy": "2.5.2"},
    "device": "NVIDIA H100 80GB HBM3",
    "gpu_count": 1,
    "cuda": "13.0",
    "cpu": "Xeon",
    "cpu_count": 16,
    "git": {"commit": "0123456789abcdef", "dirty": False, "diff_sha256": None},
}
ORIGIN = (
    "`python -m tools.gpu_day` on NVIDIA H100 80GB HBM3, driver 580.1, CUDA 13.0, torch 2.11.0, "
    "transformers 5.17.0, 16 cores of Xeon, commit 0123456, 2026-11-28."
)


def figure(name: str, value: float | None, **more: Any) -> dict[str, Any]:
    """A figure as a record keeps it."""
    return {"name": name, "measured": value, "target": None, "at_least": False, "unit": "x", **more}


def record(part: str, *measurements: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A part's record."""
    return {
        "part": part,
        "state": "done",
        "rehearsal": False,
        "began": 1_795_860_000.0,
        "environment": ENVIRONMENT,
        "measurements": list(measurements),
        "errors": [],
        "skipped": [],
        **more,
    }


def measurement(title: str, *figures: dict[str, Any], record: dict[str, Any] | None = None) -> dict[str, Any]:
    """A measurement in a record."""
    return {"title": title, "notes": ["A note."], "figures": list(figures), "record": record or {}}


MACHINE = record("machine", measurement("The machine", record={"driver": "580.1"}))
CORE = record("core", measurement("Steps", figure("six masks", 1.1, target=1.15, measured=[1.0, 1.1, 1.3])))


def test_a_part_of_the_page_word_by_word() -> None:
    lines = [
        ORIGIN,
        "",
        "### Steps",
        "",
        "A note.",
        "",
        "| | measured | smallest to largest | target | kept |",
        "| --- | ---: | ---: | ---: | --- |",
        "| six masks | 1.10 | 1.00 to 1.30 | at most 1.15 | yes |",
    ]
    assert part_text(CORE, "580.1") == "\n".join(lines)


def test_what_failed_and_what_was_not_come_to_is_said() -> None:
    errors = [{"title": "Steps", "error": "OutOfMemoryError: two\nlines", "lines": []}]
    said = part_text(record("loop", state="failed", errors=errors, skipped=["Trainer", "Graphs"]), None)
    assert said.split("\n\n")[1:] == [
        "The part did not come to a good end: failed.",
        "Steps: failed: OutOfMemoryError: two lines",
        "Not measured for want of time: Trainer, Graphs.",
    ]
    assert "driver" not in said


def test_checks_are_a_row_per_group_with_the_error_nearest_to_its_bound() -> None:
    bound = {"target": 1e-5, "unit": "error"}
    kept = measurement(
        "Gates", figure("draws", 1e-6, **bound), figure("alpha", 9e-6, **bound), figure("told", 3)
    )
    missed = measurement("Masks", figure("bits", 4, target=0, unit="n"), figure("loss", 1e-6, **bound))
    lost = measurement("Losses", figure("fp64", None, **bound), figure("fp32", 9e-6, **bound))
    least = {"target": 0.5, "at_least": True, "unit": "%"}
    far = measurement("Weights", figure("moved", 1.0, **least), figure("way", 9e-6, **bound))
    table = part_text(record("right", kept, missed, lost, far), None).split("\n\n")[1].splitlines()
    assert table[2:] == [
        "| Gates | 2 | 0 | alpha | 9.0e-06 | at most 1.0e-05 |",
        "| Masks | 2 | 1 | bits | 4 | at most 0 |",
        "| Losses | 2 | 1 | fp64 | nan | at most 1.0e-05 |",
        "| Weights | 2 | 0 | way | 9.0e-06 | at most 1.0e-05 |",
    ]


def scores(arm: str, seed: int, f1: float, density: float | None) -> CellScores:
    """A finished cell."""
    name = f"minilm-fp16.mt.{arm}.s{seed}"
    em, points = {"in_domain": 20.0, "out_of_domain": 10.0}, {"in_domain": f1, "out_of_domain": None}
    return CellScores(name, arm, seed, em, points, density, density, 0.02 * (1 + seed), 419, 0, 30.0, None)


def test_cells_by_arm_with_mean_and_sd() -> None:
    cells = [scores("none", 0, 30.0, None), scores("none", 1, 32.0, None), scores("bmt", 0, 31.0, 0.3)]
    kept = measurement("Real cells", record={"profile": "mini_gpu", "cells": as_record(cells)})
    rows = [line for line in part_text(record("cells", kept), None).splitlines() if line.startswith("| ")]
    assert rows[-2:] == [
        "| none | 2 | 20.0 ± 0.0 | 31.0 ± 1.4 | 10.0 ± 0.0 |  | 0.0300 ± 0.0141 |  |  | 30.0 ± 0.0 |",
        "| bmt | 1 | 20.0 | 31.0 | 10.0 |  | 0.0200 | 0.300 | 0.300 | 30.0 |",
    ]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with the page as it is now, and no MLflow."""
    root = tmp_path / "project"
    (root / "docs").mkdir(parents=True)
    page = (ROOT / "docs/performance.md").read_text(encoding="utf-8")
    (root / "docs/performance.md").write_text(page, encoding="utf-8")
    monkeypatch.setenv("BMT_ROOT", str(root))
    monkeypatch.setattr(homecoming, "find_spec", lambda name: None)
    return root


RUNS = {
    "results/mini_gpu/c.json": b"{}",
    "results/mini_gpu/c.parquet": b"parquet",
    "runs/mini_gpu/c/journal/k.jsonl": b"{}\n",
}


def day(folder: Path, *records: dict[str, Any], runs: dict[str, bytes] | None = None) -> Path:
    """A folder that came back."""
    folder.mkdir(exist_ok=True)
    for one in records:
        (folder / f"{one['part']}.json").write_text(json.dumps(one))
    if runs is not None:
        with tarfile.open(folder / "runs.tar.gz", "w:gz") as archive:
            for name, data in runs.items():
                member = tarfile.TarInfo(name)
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
    return folder


def between(page: str, name: str) -> str:
    """What stands between the page's markers."""
    begin, end = markers(name)
    return page.partition(begin)[2].partition(end)[0].strip("\n")


def test_parts_results_and_journals_come_home(project: Path, tmp_path: Path) -> None:
    before = (project / "docs/performance.md").read_text(encoding="utf-8")
    assert all(between_markers(name, between(before, name)) in before for name in PARTS.values())
    assert bring(day(tmp_path / "day", MACHINE, CORE, runs=RUNS)) == [
        "docs/performance.md: machine cuda, core cuda",
        "results/mini_gpu, runs/mini_gpu: 1 cells",
        "no MLflow here: `python -m benchmark.track sync` delivers the journals where it is installed",
    ]
    after = (project / "docs/performance.md").read_text(encoding="utf-8")
    assert between(after, "core cuda") == part_text(CORE, "580.1")
    assert between(after, "machine cuda").startswith(ORIGIN)
    assert between(after, "right cuda") == between(before, "right cuda")
    for name, data in RUNS.items():
        assert (project / name).read_bytes() == data
    assert bring(tmp_path / "day")[0] == "docs/performance.md: machine cuda, core cuda", "again: the same"
    assert (project / "docs/performance.md").read_text(encoding="utf-8") == after


def files(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("mine", ["mine", "[]"])  # of another size, of the same
def test_what_is_there_with_another_content_stays(project: Path, tmp_path: Path, mine: str) -> None:
    here = project / "results/mini_gpu/c.json"
    here.parent.mkdir(parents=True)
    here.write_text(mine)
    before = files(project)
    said = r"1 files are here with another content, the first results/mini_gpu/c\.json: move results/mini_gpu"
    with pytest.raises(ConfigError, match=said):
        bring(day(tmp_path / "day", CORE, runs=RUNS))
    assert files(project) == before


@pytest.mark.parametrize(
    ("records", "runs", "error", "said"),
    [
        ([record("core", rehearsal=True)], None, ConfigError, r"core\.json: a rehearsal's: figures of a CPU"),
        (
            [record("core", environment=ENVIRONMENT | {"gpu_count": 0})],
            None,
            ConfigError,
            r"core\.json: made without a GPU: figures of a CPU are not brought home",
        ),
        ([MACHINE, record("cells", rehearsal=True)], RUNS, ConfigError, r"cells\.json: a rehearsal's"),
        ([], RUNS, ConfigError, r"no record of a day there: name the folder that has machine\.json, right"),
        ([{"part": "core"}], None, DataError, r"core\.json: no record of a day \(KeyError"),
        ([CORE], {"results/../../x": b""}, DataError, r"results/\.\./\.\./x: neither a result nor a run"),
        ([CORE], {".": b""}, DataError, r"runs\.tar\.gz: \.: neither a result nor a run"),
        ([CORE], {"results/c.json": b""}, DataError, r"results/c\.json: neither a result nor a run"),
        (
            [CORE],
            {"docs/performance.md": b""},
            DataError,
            r"docs/performance\.md: neither a result nor a run",
        ),
    ],
)
def test_what_is_refused_writes_nothing(
    project: Path,
    tmp_path: Path,
    records: list[dict[str, Any]],
    runs: dict[str, bytes] | None,
    error: type[Exception],
    said: str,
) -> None:
    before = files(project)
    with pytest.raises(error, match=said):
        bring(day(tmp_path / "day", *records, runs=runs))
    assert files(project) == before


def test_each_part_says_the_machine_that_it_ran_on(project: Path, tmp_path: Path) -> None:
    """`--only` renews one part of a day, by another commit or on another GPU."""
    other = ENVIRONMENT | {"device": "NVIDIA H200", "git": {"commit": "fedcba987", "dirty": True}}
    bring(day(tmp_path / "day", MACHINE, CORE | {"environment": other}))
    page = (project / "docs/performance.md").read_text(encoding="utf-8")
    assert between(page, "machine cuda").startswith(ORIGIN)
    said = between(page, "core cuda")
    assert "on NVIDIA H200, " in said and "commit fedcba9, with uncommitted changes" in said


def test_a_part_that_never_began_has_the_day_s_machine(project: Path, tmp_path: Path) -> None:
    lost = record("right", environment={}, state="failed", errors=[{"title": "right", "error": "gone"}])
    bring(day(tmp_path / "day", MACHINE, lost))
    said = between((project / "docs/performance.md").read_text(encoding="utf-8"), "right cuda")
    assert said.split("\n\n")[:3] == [
        ORIGIN,
        "The part did not come to a good end: failed.",
        "right: failed: gone",
    ]


def test_a_damaged_archive_is_named_and_never_half_taken(project: Path, tmp_path: Path) -> None:
    """Cut off, and with one bit of each byte of its content and checksum turned: nothing else notices."""
    path = day(tmp_path, CORE, runs=RUNS) / "runs.tar.gz"
    whole = path.read_bytes()
    assert read_archive(path) == RUNS
    damaged = [whole[:count] for count in (0, 40, len(whole) - 40, len(whole) - 1)]
    damaged += [
        whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :] for at in range(30, len(whole))
    ]  # a gzip's first bytes hold name and time
    refused = 0
    for data in damaged:
        path.write_bytes(data)
        try:
            assert read_archive(path) == RUNS, "a bit that says nothing"
        except DataError as error:
            assert re.search(r"runs\.tar\.gz: damaged \(.*\): copy it again$", str(error))
            refused += 1
    assert refused >= len(damaged) - 2
    path.write_bytes(whole[:-40])
    before = files(project)
    with pytest.raises(DataError, match="damaged"):
        bring(tmp_path)
    assert files(project) == before
