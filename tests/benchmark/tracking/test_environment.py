from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmark.tracking import environment

UNKNOWN = {"commit": None, "dirty": None, "diff_sha256": None}


def git(folder: Path, *arguments: str) -> str:
    identity = {
        "GIT_AUTHOR_NAME": "a",
        "GIT_AUTHOR_EMAIL": "a@b",
        "GIT_COMMITTER_NAME": "a",
        "GIT_COMMITTER_EMAIL": "a@b",
    }
    done = subprocess.run(
        ["git", "-C", folder, *arguments], check=True, capture_output=True, env={**os.environ, **identity}
    )
    return done.stdout.decode().strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout"
    folder.mkdir()
    git(folder, "init", "-q")
    (folder / "a.py").write_text("1\n")
    (folder / "dvc.lock").write_text("1\n")
    (folder / ".gitignore").write_text("runs/\n")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "first")
    return folder


def test_a_clean_checkout_has_a_commit_and_no_difference(checkout):
    assert environment.git_state(checkout) == {
        "commit": git(checkout, "rev-parse", "HEAD"),
        "dirty": False,
        "diff_sha256": None,
    }


def test_what_is_not_committed_has_a_digest_of_its_content(checkout):
    def state(name: str, text: str) -> str:
        (checkout / name).write_text(text)
        found = environment.git_state(checkout)
        assert found["dirty"] is True
        return found["diff_sha256"]

    changed = state("a.py", "2\n")
    assert state("a.py", "3\n") != changed
    assert state("a.py", "2\n") == changed
    new = state("new.py", "x")
    assert new != changed
    assert state("new.py", "y") != new
    (checkout / "new.py").rename(checkout / "other.py")
    assert state("other.py", "x") not in (new, changed)
    (checkout / "other.py").unlink()
    git(checkout, "add", "a.py")
    assert state("a.py", "2\n") == changed  # staged or not is the same difference


def test_ignored_files_and_dvc_lock_are_no_difference(checkout):
    (checkout / "runs").mkdir()
    (checkout / "runs" / "x").write_text("1")
    (checkout / "dvc.lock").write_text("2\n")
    assert environment.git_state(checkout)["dirty"] is False


def test_a_large_new_file_counts_by_its_size(checkout, monkeypatch):
    monkeypatch.setattr(environment, "LARGEST_UNTRACKED", 3)
    digests = []
    for text in ("aaaa", "bbbb", "ccccc"):
        (checkout / "big").write_text(text)
        digests.append(environment.git_state(checkout)["diff_sha256"])
    assert digests[0] == digests[1] != digests[2]


def test_before_the_first_commit_there_is_no_commit(tmp_path):
    git(tmp_path, "init", "-q")
    assert environment.git_state(tmp_path) == UNKNOWN | {"dirty": False}
    (tmp_path / "a").write_text("1")
    assert environment.git_state(tmp_path)["dirty"] is True


def test_a_copy_inside_another_checkout_and_one_without_git_know_nothing(checkout, tmp_path, monkeypatch):
    inside = checkout / "copy"
    inside.mkdir()
    assert environment.git_state(inside) == UNKNOWN
    assert environment.git_state(tmp_path / "absent") == UNKNOWN
    monkeypatch.setenv("PATH", "")
    assert environment.git_state(checkout) == UNKNOWN


@pytest.mark.parametrize("size", [3, environment.LARGEST_UNTRACKED + 1])
@pytest.mark.parametrize("change", ["none", "content", "absent"])
def test_a_copy_is_dirty_where_a_file_of_any_size_is_not_the_one_that_was_noted(tmp_path, size, change):
    noted = {"commit": "c" * 40, "dirty": True, "diff_sha256": "d" * 64}
    contents = {"a.py": b"a" * size, "b.py": b"b"}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    at = tmp_path / environment.CHECKOUT
    at.parent.mkdir()
    files = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    at.write_text(json.dumps({**noted, "files": files}))
    if change == "content":
        (tmp_path / "a.py").write_bytes(b"c" * size)
    elif change == "absent":
        (tmp_path / "a.py").unlink()
    assert environment.git_state(tmp_path) == noted | ({} if change == "none" else {"diff_sha256": None})
    at.write_text(json.dumps({**noted, "dirty": False, "diff_sha256": None, "files": files}))
    assert environment.git_state(tmp_path)["dirty"] is (change != "none")


def test_the_description_is_json_and_names_what_runs_here(checkout):
    import torch

    described = json.loads(json.dumps(environment.describe(checkout), allow_nan=False))
    assert described["packages"]["torch"] == torch.__version__
    assert set(described["packages"]) <= set(environment.PACKAGES)
    assert described["python"] == platform.python_version()
    assert described["git"]["dirty"] is False
    assert 1 <= described["cpu_count"] <= (os.cpu_count() or 1)
    assert described["memory_mb"] > 256
    if not torch.cuda.is_available():
        assert (described["device"], described["gpu_count"], described["cuda"]) == (
            environment.cpu_name(),
            0,
            None,
        )


def test_the_machines_numbers_are_the_systems(monkeypatch):
    megabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 20)
    assert environment.memory_mb() == int(megabytes)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {3}, raising=False)
    assert environment.cpu_count() == 1, "those that this process may use"

    def unreadable(path: Path, *arguments: object, **options: object) -> str:
        raise OSError

    monkeypatch.setattr(Path, "read_text", lambda *given, **options: "a\nmodel name\t:  EPYC 7 \nb")
    assert environment.cpu_name() == "EPYC 7"
    monkeypatch.setattr(Path, "read_text", unreadable)
    monkeypatch.setattr(sys, "platform", "linux")
    assert environment.cpu_name() == (platform.processor() or platform.machine())
    monkeypatch.setattr(environment.resource, "getrusage", lambda who: SimpleNamespace(ru_maxrss=3 << 20))
    assert environment.peak_memory_mb() == 3 << 10  # kB
    monkeypatch.setattr(sys, "platform", "darwin")
    assert environment.peak_memory_mb() == 3  # bytes
    monkeypatch.setattr(environment, "_output", lambda command: b"Apple M9\n")
    assert environment.cpu_name() == "Apple M9"


def test_a_gpus_peak_is_what_torch_has_held_and_nothing_where_it_was_not_used(monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: 5 << 19)
    assert environment.gpu_peak_memory_mb() == 2.5
    assert environment.system_metrics()["system/gpu_peak_memory_megabytes"] == 2.5
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: False)
    assert environment.gpu_peak_memory_mb() is None
    assert "system/gpu_peak_memory_megabytes" not in environment.system_metrics()
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.delitem(sys.modules, "torch")
    assert environment.gpu_peak_memory_mb() is None


def test_the_main_packages_are_named(monkeypatch):
    """Whatever a result depends on, by its version; what is not installed is left out."""
    monkeypatch.setattr(environment.metadata, "version", lambda name: f"{name} 1")
    said = environment.package_versions()
    wanted = {"torch", "transformers", "tokenizers", "safetensors", "pyarrow", "numpy", "scipy", "bmt-qa"}
    assert wanted | {"statsmodels", "mlflow", "dvc", "optuna"} <= set(said)
    assert said["torch"] == "torch 1"

    def absent(name: str) -> str:
        if name == "dvc":
            raise environment.metadata.PackageNotFoundError
        return "2"

    monkeypatch.setattr(environment.metadata, "version", absent)
    assert set(said) - set(environment.package_versions()) == {"dvc"}


def test_a_user_without_a_name_is_a_number(monkeypatch):
    def nameless() -> str:
        raise KeyError

    assert environment.provenance({})["mlflow.user"] == environment.getpass.getuser()
    monkeypatch.setattr(environment.getpass, "getuser", nameless)
    said = environment.provenance({})
    assert said["mlflow.user"] == str(os.getuid()) and said["mlflow.source.type"] == "LOCAL"


def test_the_gpu_is_the_device_where_there_is_one(monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "H200")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(
        torch.cuda, "get_device_properties", lambda index: SimpleNamespace(total_memory=3 << 30)
    )
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    assert environment._gpu("EPYC") == {
        "device": "H200",
        "gpu_count": 2,
        "gpu_memory_mb": 3072,
        "cuda": "13.0",
    }


def test_tags_are_flat_text_without_the_unknown():
    described = {
        "git": {"commit": "abc", "dirty": True, "diff_sha256": None},
        "packages": {"torch": "2.13.0"},
        "cpu_count": 2,
        "cuda": None,
    }
    assert environment.tags(described) == {
        "git.commit": "abc",
        "git.dirty": "true",
        "package.torch": "2.13.0",
        "cpu_count": "2",
    }
    tags = environment.provenance(described)
    assert tags["mlflow.source.git.commit"] == "abc"
    assert tags["mlflow.source.name"].startswith("python ")
    assert "mlflow.source.git.commit" not in environment.provenance({})


def test_peak_memory_is_the_largest_and_not_the_present():
    work = "a = p(); x = b'1' * (200 << 20); b = p(); del x; print(a, b, p())"
    code = f"from benchmark.tracking.environment import peak_memory_mb as p; {work}"
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        cwd=Path(__file__).resolve().parents[3],
    )
    before, with_it, after = map(float, done.stdout.split())
    assert 0 < before < 150  # not that of this process, which started it
    assert 195 < with_it - before < 220
    assert after == pytest.approx(with_it, abs=2)  # the kernel counts in batches


def test_gpu_metrics_come_from_nvml(monkeypatch):
    gib = 1 << 30
    fake = SimpleNamespace(
        nvmlInit=lambda: None,
        nvmlDeviceGetCount=lambda: 2,
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetMemoryInfo=lambda handle: SimpleNamespace(used=gib, total=4 * gib),
        nvmlDeviceGetPowerUsage=lambda handle: 250_000,
        nvmlDeviceGetUtilizationRates=lambda handle: SimpleNamespace(gpu=[97, None][handle]),
    )
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    environment._nvidia_handles.cache_clear()
    try:
        metrics = environment.system_metrics()
    finally:
        environment._nvidia_handles.cache_clear()
    assert metrics.pop("system/peak_memory_megabytes") == pytest.approx(environment.peak_memory_mb(), rel=0.1)
    metrics.pop("system/gpu_peak_memory_megabytes", None)
    one = {"memory_usage_megabytes": 1024.0, "memory_usage_percentage": 25.0, "power_usage_watts": 250.0}
    # the second GPU does not tell its load, as in MIG mode: the rest is still there
    expected = {f"system/gpu_{index}_{name}": value for index in (0, 1) for name, value in one.items()}
    assert metrics == expected | {"system/gpu_0_utilization_percentage": 97.0}


@pytest.mark.parametrize(
    ("refused", "missing"),
    [
        ("nvmlDeviceGetMemoryInfo", {"memory_usage_megabytes", "memory_usage_percentage"}),
        ("nvmlDeviceGetPowerUsage", {"power_usage_watts"}),
        ("nvmlDeviceGetUtilizationRates", {"utilization_percentage"}),
    ],
)
def test_a_reading_that_is_refused_costs_no_other(monkeypatch, refused, missing):
    def refuse(handle: int) -> None:
        raise RuntimeError("not supported")

    readings = {
        "nvmlDeviceGetMemoryInfo": lambda handle: SimpleNamespace(used=1 << 30, total=4 << 30),
        "nvmlDeviceGetPowerUsage": lambda handle: 250_000,
        "nvmlDeviceGetUtilizationRates": lambda handle: SimpleNamespace(gpu=97),
    }
    monkeypatch.setitem(sys.modules, "pynvml", SimpleNamespace(**readings | {refused: refuse}))
    monkeypatch.setattr(environment, "_nvidia_handles", lambda: (0,))
    every = {
        "memory_usage_megabytes": 1024.0,
        "memory_usage_percentage": 25.0,
        "power_usage_watts": 250.0,
        "utilization_percentage": 97.0,
    }
    assert environment._nvidia_metrics() == {
        f"system/gpu_0_{name}": value for name, value in every.items() if name not in missing
    }


def test_without_a_driver_there_are_no_gpu_metrics(monkeypatch):
    def fail() -> None:
        raise RuntimeError("no driver")

    monkeypatch.setitem(sys.modules, "pynvml", SimpleNamespace(nvmlInit=fail))
    environment._nvidia_handles.cache_clear()
    try:
        assert [name for name in environment.system_metrics() if "gpu_0" in name] == []
    finally:
        environment._nvidia_handles.cache_clear()
