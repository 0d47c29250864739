"""DVC and other commands, run as processes in a repository of a test's own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def command(root: Path, *words: str, status: int = 0) -> str:
    """Run a command in the repository; its output, once its exit status is the one asked for."""
    environment = {
        key: value
        for key, value in os.environ.items()
        if key not in ("BMT_ROOT", "PYTHONPATH", "MLFLOW_TRACKING_URI")
    }
    environment |= {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "BMT_TRACKING": "journal",
        "OMP_NUM_THREADS": "1",
        "DVC_NO_ANALYTICS": "1",
    }
    done = subprocess.run(
        words,
        cwd=root,
        env=environment,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=600,
    )
    assert done.returncode == status, f"{' '.join(words)}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout + done.stderr


def dvc(root: Path, *words: str, status: int = 0) -> str:
    """Run a DVC command."""
    return command(root, sys.executable, "-m", "dvc", *words, status=status)


def ran(output: str) -> list[str]:
    """The stages that a `dvc repro` ran."""
    return [line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage")]
