"""Packages that came along as wheels, for a machine that lacks them and can fetch nothing."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from zipfile import ZipFile


def unpack_wheels(wheels: Path, target: Path) -> list[str]:
    """Unpack the wheels in a folder whose packages are not installed here into `target`: their names."""
    unpacked = []
    for wheel in sorted(wheels.glob("*.whl")):
        name = wheel.name.partition("-")[0]
        try:
            metadata.version(name)
        except metadata.PackageNotFoundError:
            with ZipFile(wheel) as archive:
                archive.extractall(target)
            unpacked.append(name)
    return unpacked
