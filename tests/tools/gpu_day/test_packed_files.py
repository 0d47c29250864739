"""Files that travel: byte for byte, and damage by name."""

from __future__ import annotations

import json
import lzma
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmt.errors import DataError
from tools.gpu_day.packed_files import join_planes, pack_files, split_planes, unpack_files


@given(st.binary(max_size=99), st.integers(1, 4))
def test_planes_come_together_again(data: bytes, planes: int) -> None:
    assert join_planes(split_planes(data, planes), planes) == data


def test_the_first_bytes_come_first_and_a_rest_last() -> None:
    assert split_planes(b"aAbBcCz", 2) == b"abcABCz"


def test_fp16_weights_take_less_room_in_planes() -> None:
    weights = np.random.default_rng(0).normal(0, 0.02, 20_000).astype(np.float16).tobytes()
    assert len(lzma.compress(split_planes(weights, 2))) < 0.95 * len(lzma.compress(weights))


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    """A pack of two files."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "a.arrow").write_bytes(bytes(range(256)) * 9)
    (source / "odd.safetensors").write_bytes(b"12345")
    files = {"data/a.arrow": source / "a.arrow", "data/deep/odd.safetensors": source / "odd.safetensors"}
    pack_files(tmp_path / "pack", files, {"profile": "x"})
    return tmp_path / "pack"


def test_what_is_unpacked_is_what_was_packed(packed: Path, tmp_path: Path) -> None:
    manifest = unpack_files(packed, tmp_path / "root")
    assert manifest["profile"] == "x"
    assert manifest["files"]["data/deep/odd.safetensors"]["planes"] == 2
    assert (tmp_path / "root/data/a.arrow").read_bytes() == bytes(range(256)) * 9
    assert (tmp_path / "root/data/deep/odd.safetensors").read_bytes() == b"12345"
    names = sorted(path.relative_to(packed).as_posix() for path in packed.rglob("*") if path.is_file())
    assert names == ["files/data/a.arrow.xz", "files/data/deep/odd.safetensors.xz", "manifest.json"]


def edited(change: Callable[[dict], None]) -> Callable[[Path], None]:
    """A change of the manifest."""

    def apply(packed: Path) -> None:
        path = packed / "manifest.json"
        manifest = json.loads(path.read_text())
        change(manifest)
        path.write_text(json.dumps(manifest))

    return apply


A = "files/data/a.arrow.xz"


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda p: (p / A).unlink(), r"a\.arrow\.xz: No such file or directory: pack again"),
        (
            lambda p: (p / A).write_bytes((p / A).read_bytes()[:-9]),
            r"a\.arrow\.xz: damaged \(.*\): pack again",
        ),
        (
            lambda p: (p / A).write_bytes(lzma.compress(b"other")),
            r"a\.arrow\.xz: sha256 d9298a10d1b0 of 5 bytes",
        ),
        (
            lambda p: (p / A).write_bytes(lzma.compress(bytes(2304))),  # as many as it has to have
            r"a\.arrow\.xz: sha256 [0-9a-f]{12} of 2304 bytes, the manifest has [0-9a-f]{12} of 2304: pack",
        ),
        (
            edited(lambda m: m["files"]["data/a.arrow"].update(planes=2)),
            r"a\.arrow\.xz: sha256 [0-9a-f]{12} of 2304 bytes",
        ),
        (lambda p: (p / "manifest.json").unlink(), r"manifest\.json: No such file .*: no pack there"),
        (lambda p: (p / "manifest.json").write_text("{"), r"manifest\.json: damaged: pack again"),
        (edited(lambda m: m.update(format=7)), r"manifest\.json: format 7, not 1: pack again"),
        (edited(lambda m: m["files"]["data/a.arrow"].pop("sha256")), r"manifest\.json: damaged"),
        (edited(lambda m: m["files"]["data/a.arrow"].update(planes=0)), r"manifest\.json: damaged"),
        (
            edited(lambda m: m["files"].update({"../a": m["files"]["data/a.arrow"]})),
            r"manifest\.json: \.\./a: leaves the folder",
        ),
    ],
)
def test_damage_is_named(packed: Path, tmp_path: Path, damage: Callable[[Path], None], said: str) -> None:
    damage(packed)
    with pytest.raises(DataError, match=said):
        unpack_files(packed, tmp_path / "root")
    assert not (tmp_path / "root/data/a.arrow").exists(), "nothing damaged is left to be trained on"
