"""What a killed process was writing (bmt/runtime/files.py writes beside the file, then renames)."""

from __future__ import annotations

import shutil
import time
from pathlib import Path


def remove_leftovers(folder: Path, *names: str, seconds: float = 0.0) -> None:
    """Remove half-written files and folders of these names that are older than `seconds`; 0: where no other
    process writes them.
    """
    for name in names:
        for left in [*folder.glob(f".{name}.*.part"), *folder.glob(f".{name}.*.old")]:
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
            elif not seconds or time.time() - left.stat().st_mtime > seconds:
                left.unlink(missing_ok=True)
