"""Files that travel compressed, with a manifest by which each is checked when it is unpacked.

    <pack>/manifest.json     of each file: bytes, sha256, the planes that it was split into
           files/<path>.xz   its bytes, by the path that it is to have

Of a file of fp16 numbers the high bytes repeat and the low ones do not: they compress better apart.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from bmt.errors import DataError
from bmt.runtime.files import write_aside, write_json

MANIFEST, FILES = "manifest.json", "files"
FORMAT = 1
PLANES = {".safetensors": 2}
"""Bytes of a number, by the ending of a file of such numbers."""
AGAIN = "pack again (`python -m tools.gpu_day --pack`)"


def split_planes(data: bytes, planes: int) -> bytes:
    """Every first byte of `planes`, then every second, …; bytes that make no whole number stay last."""
    whole = len(data) // planes * planes
    parts = np.frombuffer(data, np.uint8, whole).reshape(-1, planes)
    return parts.T.tobytes() + data[whole:]


def join_planes(data: bytes, planes: int) -> bytes:
    """What `split_planes` was given."""
    whole = len(data) // planes * planes
    parts = np.frombuffer(data, np.uint8, whole).reshape(planes, -1)
    return parts.T.tobytes() + data[whole:]


def pack_files(folder: Path, files: Mapping[str, Path], about: Mapping[str, Any]) -> None:
    """Compress files into `folder`.

    Args:
        files: by the relative path that each is to have where it is unpacked.
        about: what else the manifest says.
    """

    def packed(name: str) -> dict[str, Any]:
        data, planes = files[name].read_bytes(), PLANES.get(files[name].suffix, 1)
        with write_aside(_packed_path(folder, name)) as aside:
            aside.write_bytes(lzma.compress(split_planes(data, planes)))
        return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest(), "planes": planes}

    largest_first = sorted(files, key=lambda name: (-files[name].stat().st_size, name))
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # lzma lets other threads run
        entries = dict(zip(largest_first, pool.map(packed, largest_first), strict=True))
    write_json(folder / MANIFEST, {"format": FORMAT, "files": entries, **about})


def read_manifest(folder: Path) -> dict[str, Any]:
    """A pack's manifest.

    Raises:
        DataError: there is none, or it cannot be used.
    """
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        if manifest["format"] != FORMAT:
            raise DataError(f"{path}: format {manifest['format']!r}, not {FORMAT}: {AGAIN}")
        for entry in manifest["files"].values():
            _ = entry["bytes"] // entry["planes"], entry["sha256"]
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}: no pack there: {AGAIN}") from None
    except (ValueError, KeyError, TypeError, AttributeError, ZeroDivisionError):
        raise DataError(f"{path}: damaged: {AGAIN}") from None
    return dict(manifest)


def unpack_files(folder: Path, root: Path) -> dict[str, Any]:
    """Unpack a pack below `root`, each file checked: its manifest.

    Raises:
        DataError: a file is missing, damaged or not the one that the manifest names.
    """
    manifest = read_manifest(folder)
    entries = manifest["files"]
    for name in entries:
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise DataError(f"{folder / MANIFEST}: {name}: leaves the folder: {AGAIN}")

    def unpacked(name: str) -> None:
        path, entry = _packed_path(folder, name), entries[name]
        try:
            data = join_planes(lzma.decompress(path.read_bytes()), entry["planes"])
        except OSError as error:
            raise DataError(f"{path}: {error.strerror}: {AGAIN}") from None
        except lzma.LZMAError as error:
            raise DataError(f"{path}: damaged ({error}): {AGAIN}") from None
        digest = hashlib.sha256(data).hexdigest()
        if digest != entry["sha256"]:
            raise DataError(
                f"{path}: sha256 {digest[:12]} of {len(data)} bytes, the manifest has "
                f"{entry['sha256'][:12]} of {entry['bytes']}: {AGAIN}"
            )
        with write_aside(root / name) as aside:
            aside.write_bytes(data)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(unpacked, entries))
    return manifest


def _packed_path(folder: Path, name: str) -> Path:
    return folder / FILES / f"{name}.xz"
