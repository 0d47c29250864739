"""Freed memory is kept for the next tensor, where the C library is glibc."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from tests.support.repository import ROOT

CODE = """
import resource, sys
import numpy as np
from benchmark.cli.allocator import keep_freed_memory
kept = keep_freed_memory() if sys.argv[1] == "kept" else None
block = np.ones(64 << 20, dtype=np.uint8)
del block
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
block = np.ones(64 << 20, dtype=np.uint8)
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_a_second_tensor_of_64_mb_takes_no_new_pages() -> None:
    """Both thresholds are needed: without the first the block is mapped anew, without the second its memory
    is given back. Huge pages, where the system gives them, leave 32 faults of 2 MB in place of 16,384 of 4
    kB.
    """
    faults = {}
    for mode in ("kept", "plain"):
        done = subprocess.run(
            [sys.executable, "-c", CODE, mode], cwd=ROOT, capture_output=True, text=True, check=True
        )
        took_effect, count = done.stdout.split()
        faults[mode] = int(count)
        assert took_effect == ("True" if mode == "kept" else "None")
    assert faults["kept"] < 16 <= faults["plain"]
