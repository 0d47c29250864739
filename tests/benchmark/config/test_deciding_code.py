"""What a cell goes through that others do not, and which definitions count for it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from benchmark.config.cells import parse
from benchmark.config.deciding_code import cell_traits, counts
from benchmark.config.params import load
from tests.support.repository import ROOT

CONFIG = load(ROOT / "profiles" / "sample.yaml")


@pytest.mark.parametrize(
    ("name", "mask", "traits"),
    [
        ("minilm.mt.none.s0", {}, {"span"}),
        ("minilm.mt.none.adapter.s0", {}, {"span", "adapter"}),
        ("minilm.mt.mixout.s0", {}, {"span", "mixout"}),
        ("minilm.mt.l2_sp.s0", {}, {"span", "l2_sp"}),
        ("minilm.mt.mask.s0", {"schedule": "refresh"}, {"span", "random"}),
        ("minilm.mt.bmt.s0", {}, {"span", "learned", "kept"}),
        ("minilm.mt.bmt.s0", {"schedule": "refresh"}, {"span", "learned", "kept", "changing"}),
        ("minilm.mt.bmt.s0", {"gate": "resampled"}, {"span", "learned", "kept", "changing"}),
        ("minilm.mt.fixed_random.s0", {}, {"span", "fixed_random", "learned", "kept"}),
        ("minilm.mt.fisher.s0", {}, {"span", "fisher", "kept"}),
        ("minilm.mt.magnitude.s0", {"schedule": "refresh"}, {"span", "magnitude", "kept"}),
    ],
)
def test_a_cell_s_traits(name: str, mask: dict[str, Any], traits: set[str]) -> None:
    config = replace(CONFIG, mask=replace(CONFIG.mask, **mask))
    assert cell_traits(config, parse(name)) == traits
    decoder = replace(config.backbones["minilm"], head="span_decoder")
    config = replace(config, backbones={"minilm": decoder})
    assert cell_traits(config, parse(name)) == traits - {"span"} | {"span_decoder"}


@pytest.mark.parametrize(
    ("name", "traits", "expected"),
    [
        ("bmt.training.loop.train", set(), True),
        ("bmt.masks.Masks", set(), False),
        ("bmt.masks.Masks", {"kept"}, True),
        ("bmt.masks", {"kept"}, True),
        ("bmt.masks_of_another_name.x", set(), True),  # no part of that module
        ("bmt.qa.adapters.add_adapters", {"learned"}, False),
        ("bmt.qa.adapters.add_adapters", {"adapter", "learned"}, True),
        ("bmt.row_gradients.RowGradients", {"fisher"}, True),  # any one of a door's traits
        ("bmt.settings.TrainingSettings", set(), False),
        ("bmt.settings.IN_DOMAIN", set(), True),
        ("bmt.settings.", set(), True),  # what runs on import counts
        ("benchmark.cli.progress.progress", set(), False),
        ("benchmark.cli.text.nearest", set(), True),
        ("benchmark.config.schema.convert", {"train"}, False),
        ("benchmark.config.schema.convert", {"compare"}, True),
        ("benchmark.tracking.environment.describe", {"train"}, True),
        ("benchmark.tracking.journal.Journal", {"train"}, False),
    ],
)
def test_a_definition_counts_where_it_decides_and_its_door_is_open(
    name: str, traits: set[str], expected: bool
) -> None:
    assert counts(name, frozenset(traits)) == expected
