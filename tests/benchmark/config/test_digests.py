"""Every key of every settings class, changed one at a time: which digest must change with it, and which must not."""

from __future__ import annotations

from dataclasses import Field, fields, replace
from typing import Any

import pytest

from benchmark.config.cells import parse
from benchmark.config.digests import masks_digest, section_digest
from benchmark.config.params import Config, load
from tests.support.project import ROOT

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


def another(value: Any, entry: Field[Any]) -> Any:
    """A value of the same kind that is not this one."""
    if entry.metadata["choices"]:
        return next(choice for choice in entry.metadata["choices"] if choice != value)
    if isinstance(value, bool):
        return not value
    if isinstance(value, list):
        return [*value, "another"]
    if isinstance(value, int | float):
        return value + 1
    return 0.5 if value is None else f"{value} another"


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
    digests = {
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
    assert len(set(digests.values())) == len(digests)
    assert masks_digest(values, parse("minilm.mt.fixed_random.s0")) == digests["minilm.mt.bmt.s0"]
