"""Every key of every settings class, changed one at a time: which digests change with it."""

from __future__ import annotations

from dataclasses import Field, asdict, fields, replace
from pathlib import Path
from typing import Any

import pytest

from benchmark.config import digests
from benchmark.config.cells import parse
from benchmark.config.digests import masks_digest, section_digest, training_settings
from benchmark.config.params import Config, load
from tests.support.repository import ROOT
from tests.support.setting_values import another

CELL = parse("minilm.mt.bmt.s0")
SECTIONS = ("data", "mask", "tuning", "training", "sampling", "loss", "decode")
# What is only evaluated, of the machine, of other cells, or read by another kind of sampling.
DECIDES_NOTHING = {
    "data.evaluate",
    "data.dev_cap",
    "training.evaluation_batch",
    "training.threads",
    "training.epochs_st",
    "training.epochs_adapter",
    "sampling.temperature",
    "sampling.single_task_arm",
    "sampling.single_task_scores",
}
# Of the training what mask learning and the head's warm-up before it read.
OF_MASKS = {f"training.{key}" for key in ("precision", "dropout", "batch", "head_lr", "eps", "compile")}


def config() -> Config:
    return load(ROOT / "profiles" / "sample.yaml")


def keys() -> list[tuple[str, Field[Any]]]:
    return [(section, entry) for section in SECTIONS for entry in fields(getattr(config(), section))]


@pytest.mark.parametrize(("section", "entry"), keys(), ids=lambda part: getattr(part, "name", part))
def test_a_key_changes_the_digests_that_it_decides_and_no_other(section: str, entry: Field[Any]) -> None:
    before, key = config(), f"{section}.{entry.name}"
    if key == "tuning.clip_order":  # the other order is for one mask
        before = replace(before, mask=replace(before.mask, scope="global"))
    old = getattr(before, section)
    after = replace(
        before, **{section: replace(old, **{entry.name: another(getattr(old, entry.name), entry)})}
    )
    run = section_digest(after, CELL) != section_digest(before, CELL)
    masks = masks_digest(after, CELL) != masks_digest(before, CELL)
    assert run == (key not in DECIDES_NOTHING), key
    assert masks == (run and (section in ("data", "mask", "loss") or key in OF_MASKS)), key


@pytest.mark.parametrize("key", ["name", "revision", "sha256", "head"])
def test_another_backbone_is_another_run_with_other_masks(key: str) -> None:
    before = config()
    minilm = before.backbones["minilm"]
    value = "span_decoder" if key == "head" else "another"
    after = replace(before, backbones={**before.backbones, "minilm": replace(minilm, **{key: value})})
    assert section_digest(after, CELL) != section_digest(before, CELL)
    assert masks_digest(after, CELL) != masks_digest(before, CELL)


def test_masks_are_of_a_kind_a_regime_and_a_seed_and_shared_by_arms_that_permute_them() -> None:
    values = config()
    by_cell = {
        name: masks_digest(values, parse(name))
        for name in (
            "minilm.mt.bmt.s0",
            "minilm.mt.bmt.s1",
            "minilm.st-SQuAD.bmt.s0",
            "minilm.st-NewsQA.bmt.s0",
            "minilm.mt.fisher.s0",
            "minilm.mt.magnitude.s0",
        )
    }
    assert len(set(by_cell.values())) == len(by_cell)
    assert masks_digest(values, parse("minilm.mt.fixed_random.s0")) == by_cell["minilm.mt.bmt.s0"]


@pytest.mark.parametrize(
    ("arm", "mask", "tuning"),
    [
        ("none", [], ["clip"]),
        ("mixout", [], ["clip"]),
        ("mask", ["targets"], ["apply", "clip", "clip_order"]),
        ("magnitude", ["density", "targets"], ["apply", "clip", "clip_order"]),
        ("fisher", ["batch", "density", "scope", "steps", "targets"], ["apply", "clip", "clip_order"]),
        ("bmt", None, ["apply", "clip", "clip_order"]),
        ("fixed_random", None, ["apply", "clip", "clip_order"]),
    ],
)
def test_an_arm_reads_of_mask_and_tuning_what_its_kind_of_mask_does(
    arm: str, mask: list[str] | None, tuning: list[str]
) -> None:
    values = config()
    settings = training_settings(values, parse(f"minilm.mt.{arm}.s0"))
    every = sorted(entry.name for entry in fields(values.mask))
    assert sorted(settings["mask"]) == (every if mask is None else mask)
    assert set(settings["tuning"]) & {"apply", "clip", "clip_order"} == set(tuning)
    assert settings["arm"] == asdict(values.arms[arm])
    for key, value in settings["mask"].items():
        assert value == getattr(values.mask, key)


def test_a_training_reads_the_epochs_of_its_own_regime_and_phases() -> None:
    values = config()
    names = ("minilm.mt.bmt.s0", "minilm.mt.bmt.adapter.s0", "minilm.st-NewsQA.bmt.s0")
    several, adapters, single = (training_settings(values, parse(name)) for name in names)
    epochs = [
        {key for key in settings["training"] if key.startswith("epochs")}
        for settings in (several, adapters, single)
    ]
    assert epochs == [{"epochs_mt"}, {"epochs_mt", "epochs_adapter"}, {"epochs_st"}]
    assert (several["data"]["train"], single["data"]["train"]) == (values.data.train, ["NewsQA"])
    assert several["sampling"] is not None and single["sampling"] is None
    assert several["backbone"] == asdict(values.backbones["minilm"])


@pytest.mark.parametrize(
    ("kind", "left_out"),
    [
        ("dynamic", {"temperature", "single_task_arm", "single_task_scores"}),
        ("temperature", {"single_task_arm", "single_task_scores"}),
        ("dynamic_single_task", {"temperature"}),
    ],
)
def test_a_kind_of_sampling_reads_its_own_keys(kind: str, left_out: set[str]) -> None:
    values = config()
    values = replace(values, sampling=replace(values.sampling, kind=kind))
    settings = training_settings(values, CELL)["sampling"]
    assert set(settings) == {entry.name for entry in fields(values.sampling)} - left_out
    assert settings["kind"] == kind


@pytest.mark.parametrize(("value", "shared"), [(0, True), (2, False)])
def test_permuted_masks_are_shared_where_no_warm_up_of_the_head_came_before_the_learned_ones(
    value: int, shared: bool
) -> None:
    values = replace(config(), mask=replace(config().mask, head_warmup=value))
    pair = (masks_digest(values, parse(f"minilm.mt.{arm}.s0")) for arm in ("bmt", "fixed_random"))
    assert (len(set(pair)) == 1) == shared


def test_what_is_tokenized_is_decided_by_the_tokenizer_s_files_or_else_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BMT_ROOT", str(tmp_path))
    values = config()
    (tmp_path / "models").mkdir()
    files = {"tokenizer.json": b"{}", "vocab.txt": b"a", "model.safetensors": b"w"}
    for name, content in files.items():
        (tmp_path / "models" / name).write_bytes(content)
    there = replace(values.backbones["minilm"], source="folder", name="models")
    hub = replace(there, source="hub", name="org/name", revision="c" * 40)
    values = replace(values, backbones={"here": there, "hub": hub})
    settings = digests.preparation_settings(values, "here")
    assert settings["tokenizer"] == {
        "tokenizer.json": "44136fa355b3678a",
        "vocab.txt": "ca978112ca1bbdca",
    }
    (tmp_path / "models" / "vocab.txt").write_bytes(b"b")
    assert digests.preparation_settings(values, "here") != settings
    assert digests.preparation_settings(values, "hub")["tokenizer"] == {
        "source": "hub",
        "name": "org/name",
        "revision": "c" * 40,
    }
