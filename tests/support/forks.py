"""Ranks as forks of the test's process: what it has imported, they need not import again (four seconds of
work each).
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from typing import Any

import torch

METHOD = "fork" if "fork" in multiprocessing.get_all_start_methods() else "spawn"


def two_ranks(work: Callable[..., None], *given: Any) -> None:
    """`work(rank, *given)` in two processes, forked where the system can; an error in one of them is raised
    here.
    """
    torch.multiprocessing.start_processes(work, given, nprocs=2, start_method=METHOD)
