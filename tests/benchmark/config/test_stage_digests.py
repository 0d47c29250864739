"""Every key of every settings class, changed one at a time: whether scoring, transfers, published models and
tables depend on it.
"""

from __future__ import annotations

from dataclasses import Field, fields, replace
from typing import Any

import pytest

from benchmark.config import digests
from benchmark.config.cells import parse
from benchmark.config.params import Config, load
from tests.support.repository import ROOT
from tests.support.setting_values import another

CELL, PLAIN = parse("minilm.mt.bmt.s0"), parse("minilm.mt.none.s0")
CONFIG = load(ROOT / "profiles" / "sample.yaml")
SECTIONS = ("data", "mask", "tuning", "training", "sampling", "loss", "decode", "fewshot", "compare")
KEYS = [(section, entry) for section in SECTIONS for entry in fields(getattr(CONFIG, section))]
WINDOWS = {f"data.{key}" for key in ("window", "overlap", "question", "special_tokens")}
EVALUATION = {"data.evaluate", "data.dev_cap", "training.precision", "training.evaluation_batch"}
TRANSFER = {"data.dev_cap", "data.negatives", "data.windows"} | {
    f"training.{key}"
    for key in ("weight_decay", "eps", "micro_batch", "micro_tokens", "padding", "precision")
}


def settings(config: Config) -> dict[str, Any]:
    """What decides each stage; `plain`: the transfer of a cell without masks."""
    return {
        "prepare": digests.preparation_settings(config, "minilm"),
        "evaluate": digests.evaluation_settings(config),
        "transfer": digests.transfer_settings(config, CELL, 16, 7),
        "plain": digests.transfer_settings(config, PLAIN, 16, 7),
        "published": digests.published_settings(config, "minilm"),
        "compare": digests.comparison_settings(config),
    }


def expected(section: str, key: str) -> set[str]:
    """The stages that read a key."""
    stages = {
        "prepare": key in WINDOWS or key == "data.train",
        "evaluate": key in EVALUATION or section == "decode",
        # which sizes and seeds there are decides which transfers, and none of them
        "transfer": key in TRANSFER
        or section in ("mask", "tuning", "loss", "decode")
        or (section == "fewshot" and key not in ("fewshot.sizes", "fewshot.seeds")),
        "published": key == "data.dev_cap",
        "compare": section == "compare" or key == "fewshot.sizes",
    }
    plain = section != "mask" and (section != "tuning" or key == "tuning.clip") and stages["transfer"]
    return {stage for stage, reads in (stages | {"plain": plain}).items() if reads}


@pytest.mark.parametrize(("section", "entry"), KEYS, ids=lambda part: getattr(part, "name", part))
def test_a_key_decides_the_stages_that_read_it_and_no_other(section: str, entry: Field[Any]) -> None:
    old = getattr(CONFIG, section)
    changed = {section: replace(old, **{entry.name: another(getattr(old, entry.name), entry)})}
    before, after = settings(CONFIG), settings(replace(CONFIG, **changed))
    differing = {stage for stage in before if before[stage] != after[stage]}
    assert differing == expected(section, f"{section}.{entry.name}")


def test_transfers_are_told_apart_and_read_the_targets_out_of_domain_alone() -> None:
    decides = digests.transfer_settings
    first = decides(CONFIG, CELL, 16, 7)
    for other in (decides(CONFIG, CELL, 64, 7), decides(CONFIG, CELL, 16, 8), decides(CONFIG, PLAIN, 16, 7)):
        assert other != first
    scored = CONFIG.data.evaluate
    assert "DROP" in digests.targets(CONFIG) and "SQuAD" in scored
    for left, same in (("SQuAD", True), ("DROP", False)):
        data = replace(CONFIG.data, evaluate=[name for name in scored if name != left])
        config = replace(CONFIG, data=data)
        assert (decides(config, CELL, 16, 7) == first) == same
        published = digests.published_settings(config, "minilm")
        assert (published == digests.published_settings(CONFIG, "minilm")) == same


def test_tables_are_of_the_cells_and_a_published_model_of_its_backbone() -> None:
    assert digests.comparison_settings(CONFIG)["cells"] == [*CONFIG.references, *CONFIG.cells]
    fewer = replace(CONFIG, cells=CONFIG.cells[1:])
    assert digests.comparison_settings(fewer) != digests.comparison_settings(CONFIG)
    backbones = {**CONFIG.backbones, "minilm": replace(CONFIG.backbones["minilm"], sha256="0" * 64)}
    other = replace(CONFIG, backbones=backbones)
    assert digests.published_settings(other, "minilm") != digests.published_settings(CONFIG, "minilm")
