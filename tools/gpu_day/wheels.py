"""Packages that came along as wheels, for a machine that lacks them and can fetch nothing."""

from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from benchmark.cli.messages import tell

PYTHON = f"cp{sys.version_info.major}{sys.version_info.minor}"


def unpack_wheels(wheels: Path, target: Path) -> list[str]:
    """Unpack the wheels in a folder whose packages are not installed here into `target`: their names.

    One that is damaged, or of another Python, is named and left out: parts that need it say what they miss,
    and the others do without.
    """
    unpacked = []
    for wheel in sorted(wheels.glob("*.whl")):
        name, _, tags = wheel.name.partition("-")
        try:
            metadata.version(name)
        except metadata.PackageNotFoundError:
            try:
                _unpack(wheel, tags, target)
            except (BadZipFile, OSError, ValueError) as error:
                tell(f"{wheel}: not unpacked ({error}): where {name} is imported, the part will fail")
            else:
                unpacked.append(name)
    return unpacked


def _unpack(wheel: Path, tags: str, target: Path) -> None:
    """Raises ValueError for a wheel of another Python, and BadZipFile before anything is unpacked."""
    python = tags.split("-")[1]
    if python.startswith("cp") and python != PYTHON:
        raise ValueError(f"of {python}, this is {PYTHON}")
    with ZipFile(wheel) as archive:
        damaged = archive.testzip()
        if damaged is not None:
            raise BadZipFile(f"damaged: {damaged}")
        archive.extractall(target)
