"""Ranks and scripts as forks of the test's process: what it has imported, they need not import again (four
seconds of work each).
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

METHOD = "fork" if "fork" in multiprocessing.get_all_start_methods() else "spawn"


def two_ranks(work: Callable[..., None], *given: Any) -> None:
    """`work(rank, *given)` in two processes, forked where the system can; an error in one of them is raised
    here.
    """
    torch.multiprocessing.start_processes(work, given, nprocs=2, start_method=METHOD)


def script(path: Path, folder: Path) -> tuple[int | None, str, str]:
    """`python path` in a child whose working directory is `folder`: its exit status, what it printed and
    what it told on standard error.
    """
    outputs = [folder.with_name(f"{folder.name}.{name}") for name in ("printed", "told")]
    child = multiprocessing.get_context(METHOD).Process(target=_script, args=(path, folder, *outputs))
    child.start()
    child.join()
    printed, told = (output.read_text(encoding="utf-8") for output in outputs)
    return child.exitcode, printed, told


def _script(path: Path, folder: Path, printed: Path, told: Path) -> None:
    os.chdir(folder)
    for number, output in ((1, printed), (2, told)):
        os.dup2(os.open(output, os.O_WRONLY | os.O_CREAT), number)
    sys.stdout = open(1, "w", closefd=False, encoding="utf-8")  # noqa: SIM115
    sys.stderr = open(2, "w", closefd=False, encoding="utf-8")  # noqa: SIM115
    sys.argv = [str(path)]
    runpy.run_path(str(path), run_name="__main__")
    sys.stdout.flush()
