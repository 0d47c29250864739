"""Where the stages write, and where masks are kept: under everything that decides them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmark.config import digests
from benchmark.config import folders as places
from benchmark.config.cells import parse
from benchmark.config.params import find_cell, load
from tests.support.repository import ROOT


def test_kept_masks_are_shared_by_what_uses_the_same_ones_and_by_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = load(ROOT / "profiles" / "sample.yaml")
    where = places.Places(Path("root"), "sample")

    def path(name: str, data: str = "d", backbone: str = "b", settings: object = config) -> Path:
        return where.masks(settings, find_cell(config, name), data, backbone)  # type: ignore[arg-type]

    first = path("minilm.mt.bmt.s0")
    assert path("minilm.mt.fixed_random.s0") == path("minilm.mt.bmt.adapter.s0") == first
    warmed = replace(config, mask=replace(config.mask, head_warmup=2))
    assert path("minilm.mt.bmt.s0", settings=warmed) != path("minilm.mt.fixed_random.s0", settings=warmed)
    others = [
        path("minilm.mt.bmt.s1"),
        path("minilm.mt.fisher.s0"),
        path("minilm.st-SQuAD.bmt.s0"),
        path("minilm.mt.bmt.s0", data="e"),
        path("minilm.mt.bmt.s0", backbone="c"),
        path("minilm.mt.bmt.s0", settings=replace(config, mask=replace(config.mask, steps=5))),
    ]
    assert len({first, *others}) == 7
    assert (
        path("minilm.mt.bmt.s0", settings=replace(config, training=replace(config.training, lr=1.0))) == first
    )
    monkeypatch.setattr(
        digests, "stage_code", lambda stage, traits: {"bmt.gates": "another state of the code"}
    )
    assert path("minilm.mt.bmt.s0") != first


def test_a_profile_s_folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    where, cell = places.Places(Path("root"), "mini"), parse("minilm.mt.bmt.adapter.s3")
    folders = {
        "raw": where.raw,
        "features": where.features("t5-base"),
        "digests": where.digests,
        "inputs": where.inputs,
        "scores": where.scores,
        "references": where.references,
        "run": where.run(cell),
        "results": where.results,
    }
    assert {name: folder.as_posix() for name, folder in folders.items()} == {
        "raw": "root/data/raw/mini",
        "features": "root/data/features/mini/t5-base",
        "digests": "root/data/digests/mini",
        "inputs": "root/data/inputs/mini",
        "scores": "root/data/scores/mini",
        "references": "root/data/references/mini",
        "run": "root/runs/mini/minilm.mt.bmt.adapter.s3",
        "results": "root/results/mini",
    }
    config = load(ROOT / "profiles" / "sample.yaml")
    digest = digests.section_digest(config, cell)
    assert where.checkpoints(config, cell, "0123456789").as_posix() == (
        f"root/.checkpoints/minilm.mt.bmt.adapter.s3-{digest[:12]}-01234567"
    )
    masks = where.masks(config, cell, "d", "b")
    assert masks.parent.as_posix() == "root/.checkpoints/masks"
    assert masks.name.startswith("s3-") and len(masks.name) == len("s3-.safetensors") + 20
    monkeypatch.setenv("BMT_ROOT", str(tmp_path))
    assert places.Places.of(config) == places.Places(tmp_path, "sample")
