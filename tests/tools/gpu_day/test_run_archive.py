"""The archive of runs: what is in it, and that it is whole at any moment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tarfile
from pathlib import Path

from tests.support.repository import ROOT
from tools.gpu_day.run_archive import members, write_archive

CELL, OTHER = "m.mt.bmt.s0", "m.mt.none.s0"


def project(root: Path) -> None:
    """Two cells, of which the second is being trained."""
    files = [
        f"results/p/{CELL}.json",
        f"results/p/{CELL}.parquet",
        f"results/p/.{CELL}.json.7.part",
        *(f"runs/p/{CELL}/{name}" for name in ("training.json", "curve.csv", "metrics.json")),
        f"runs/p/{CELL}/model/model.safetensors",
        f"runs/p/{CELL}/masks/masks.safetensors",
        f"runs/p/{CELL}/journal/k.jsonl",
        f"runs/p/{CELL}/journal/k/environment.json",
        f"runs/p/{OTHER}/journal/l.jsonl",
    ]
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)


def test_scores_and_journals_and_no_weights(tmp_path: Path) -> None:
    project(tmp_path)
    names = [
        f"results/p/{CELL}.json",
        f"results/p/{CELL}.parquet",
        *(f"runs/p/{CELL}/{name}" for name in ("training.json", "curve.csv", "metrics.json")),
        f"runs/p/{CELL}/journal/k/environment.json",
        f"runs/p/{CELL}/journal/k.jsonl",
    ]
    assert sorted(members(tmp_path, "p", [CELL])) == sorted(names)
    size = write_archive(tmp_path / "out/runs.tar.gz", tmp_path, "p", [CELL])
    assert size == (tmp_path / "out/runs.tar.gz").stat().st_size
    with tarfile.open(tmp_path / "out/runs.tar.gz") as archive:
        kept = {name: archive.extractfile(name) for name in archive.getnames()}
        assert {name: stream.read().decode() for name, stream in kept.items() if stream} == {
            name: name for name in names
        }


def test_a_kill_in_the_middle_leaves_the_archive_before(tmp_path: Path) -> None:
    """Killed while it writes the second one; the next one removes what that has left."""
    project(tmp_path)
    path = tmp_path / "out" / "runs.tar.gz"
    write_archive(path, tmp_path, "p", [CELL])
    before = path.read_bytes()
    killed = f"""
import os, signal, tarfile
from pathlib import Path
from tools.gpu_day.run_archive import write_archive
real = tarfile.TarFile.add
def add(self, name, *arguments, **options):
    real(self, name, *arguments, **options)
    os.kill(os.getpid(), signal.SIGKILL)
tarfile.TarFile.add = add
write_archive(Path({str(path)!r}), Path({str(tmp_path)!r}), "p", [{CELL!r}, {OTHER!r}])
"""
    done = subprocess.run(
        [sys.executable, "-c", killed], cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    assert done.returncode == -signal.SIGKILL
    assert path.read_bytes() == before
    assert len(list(path.parent.iterdir())) == 2, "what was half written"
    write_archive(path, tmp_path, "p", [CELL, OTHER])
    assert [one.name for one in path.parent.iterdir()] == ["runs.tar.gz"]
    with tarfile.open(path) as archive:
        assert f"runs/p/{OTHER}/journal/l.jsonl" in archive.getnames()
