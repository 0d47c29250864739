from __future__ import annotations

import copy
import dataclasses
import hashlib
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from benchmark.config.cells import parse
from benchmark.config.digests import params_digest, section_digest
from benchmark.config.params import Config, as_flat, find_cell, load, repository_root
from benchmark.config.schema import shown
from bmt.errors import ConfigError
from bmt.settings import IN_DOMAIN, OUT_OF_DOMAIN, FewShotSettings
from tests.support.repository import ROOT

SAMPLE = yaml.safe_load((ROOT / "profiles" / "sample.yaml").read_text(encoding="utf-8"))
GONE = object()
ALL = dict.fromkeys(IN_DOMAIN, 100.0)


def edited(key: str, value: Any) -> dict[str, Any]:
    """The sample profile with one dotted key set, or removed."""
    values = copy.deepcopy(SAMPLE)
    *path, last = key.split(".")
    inner = values
    for name in path:
        inner = inner[name]
    if value is GONE:
        del inner[last]
    else:
        inner[last] = value
    return values


def load_values(values: Any, folder: Path) -> Config:
    file = folder / "p.yaml"
    file.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    return load(file)


def complaint(text: str, folder: Path) -> str:
    file = folder / "p.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(file)
    assert caught.value.status == 2
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"{file}:")
    return message.removeprefix(f"{file}:").strip()


# ---- the profiles


def test_params_yaml_starts_as_the_sample_profile() -> None:
    values = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    if values["profile"] != "sample":
        pytest.skip(f"this checkout has been switched to the profile {values['profile']}")
    assert (ROOT / "params.yaml").read_bytes() == (ROOT / "profiles" / "sample.yaml").read_bytes()


@pytest.mark.parametrize("name", ["sample", "mini", "mini_gpu", "grid", "paper"])
def test_a_profile_is_called_as_its_file(name: str) -> None:
    config = load(ROOT / "profiles" / f"{name}.yaml")
    assert config.profile == name
    assert set(config.data.train) == set(IN_DOMAIN)


def test_sample_keeps_its_budget_of_900_windows_and_four_evaluations() -> None:
    config = load(ROOT / "profiles" / "sample.yaml")
    data, training, mask = config.data, config.training, config.mask
    assert (data.windows, data.negatives) == ("one", "drop")  # so that questions are windows
    assert data.window <= 128
    steps = -(-len(data.train) * data.train_cap * training.epochs_mt // training.batch)
    assert steps * training.batch <= 900
    assert len(data.train) * mask.steps * mask.batch <= 900
    assert steps // training.evaluate_every >= 4
    assert config.cells == [f"minilm.mt.{arm}.s{seed}" for arm in ("none", "mask", "bmt") for seed in (0, 1)]
    assert (config.transfers, config.published, config.tables) == ([], [], ["1", "3"])
    assert set(data.evaluate) == {*IN_DOMAIN, *OUT_OF_DOMAIN}


def test_mini_evaluates_four_times_and_has_the_eleven_datasets_that_it_has_data_for(real_data: Path) -> None:
    config = load(ROOT / "profiles" / "mini.yaml")
    steps = -(
        -len(config.data.train) * config.data.train_cap * config.training.epochs_mt // config.training.batch
    )
    assert steps == 169
    assert steps // config.training.evaluate_every >= 4
    manifest = yaml.safe_load((real_data / "manifest.yaml").read_text(encoding="utf-8"))
    assert set(config.data.evaluate) == {
        entry["dataset"] for entry in manifest["files"] if entry["split"] == "dev"
    }
    assert len(config.data.evaluate) == 11
    assert config.cells == [
        f"minilm.mt.{arm}.s{seed}" for arm in ("none", "mask", "bmt") for seed in (0, 1, 2)
    ]


def test_mini_gpu_is_mini_with_whole_data_and_arms_that_differ_in_the_arm_alone() -> None:
    mini, gpu = (load(ROOT / "profiles" / f"{name}.yaml") for name in ("mini", "mini_gpu"))
    data = replace(mini.data, train_cap=None, dev_cap=None)
    assert (gpu.data, gpu.arms, gpu.loss, gpu.decode, gpu.tuning) == (
        data,
        mini.arms,
        mini.loss,
        mini.decode,
        mini.tuning,
    )
    assert gpu.mask == replace(mini.mask, steps=70, batch=16)
    assert (gpu.training.lr, gpu.training.batch, gpu.training.dropout) == (mini.training.lr, 16, None)
    steps = math.ceil((6842 - 6 * 24 - 4) * gpu.training.epochs_mt / gpu.training.batch)
    assert steps == 419 < gpu.training.evaluate_every  # the weights of the last step are scored
    assert gpu.sampling.kind == "uniform"
    assert gpu.cells == [
        f"minilm-fp16.mt.{arm}.s{seed}"
        for seed in range(8)
        for arm in ("none", "mask", "bmt", "fixed_random")
    ]
    assert [backbone.source for backbone in gpu.backbones.values()] == ["folder"]


def test_the_paper_profile_is_the_defaults_and_the_cells_of_every_table() -> None:
    config = load(ROOT / "profiles" / "paper.yaml")
    for section in ("data", "mask", "tuning", "sampling", "loss", "decode", "training"):
        assert getattr(config, section) == type(getattr(config, section))(), section
    cells = [parse(name) for name in config.cells]
    assert len(cells) == 45 + 54 + 6
    multi = {(cell.backbone, cell.arm) for cell in cells if cell.dataset is None and not cell.adapter}
    assert multi == {
        (b, a)
        for b in ("roberta-base", "roberta-large", "t5-base")
        for a in ("none", "mask", "bmt", "mask_p30", "mask_p70")
    }
    single = {(cell.backbone, cell.dataset, cell.arm) for cell in cells if cell.dataset}
    assert single == {
        ("roberta-base", dataset, arm) for dataset in IN_DOMAIN for arm in ("none", "mask", "bmt")
    }
    adapters = {(cell.backbone, cell.regime, cell.arm) for cell in cells if cell.adapter}
    assert adapters == {("roberta-base", "mt", arm) for arm in ("none", "bmt")}
    assert config.transfers == ["roberta-base.mt.none.adapter", "roberta-base.mt.bmt.adapter"]
    assert config.published == ["unifiedqa-base"]
    assert config.tables == [*"123456789", "a10"] and config.fewshot == FewShotSettings()
    assert {cell.seed for cell in cells} == {0, 1, 2}
    assert {name: config.arms[name].p_f for name in ("mask_p30", "mask", "mask_p70")} == {
        "mask_p30": 0.3,
        "mask": 0.5,
        "mask_p70": 0.7,
    }


def test_the_paper_profile_pins_the_reference_revisions(shared: Path) -> None:
    pinned = yaml.safe_load((shared / "reference" / "mrqa2019_manifest.yaml").read_text(encoding="utf-8"))[
        "backbones"
    ]
    trained = {
        name: own
        for name, own in load(ROOT / "profiles" / "paper.yaml").backbones.items()
        if own.head != "generate"
    }
    assert len(trained) == 3
    for name, backbone in trained.items():
        assert (backbone.name, backbone.revision) == (pinned[name]["hub"], pinned[name]["revision"])


# ---- one line for every mistake


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        # unknown and missing keys, at every level
        ("trainig", {}, "trainig: unknown key (did you mean training?): one of profile, source,"),
        ("training.learning_rate", 1e-5, "training.learning_rate: unknown key: one of batch, lr,"),
        ("training.wieght_decay", 0.0, "training.wieght_decay: unknown key (did you mean weight_decay?)"),
        ("backbones.minilm.revison", None, "backbones.minilm.revison: unknown key (did you mean revision?)"),
        ("arms.bmt.density", 0.3, "arms.bmt.density: unknown key"),
        ("training.lr", GONE, "training.lr: missing: every key stands in a params file"),
        ("decode", GONE, "decode: missing"),
        ("backbones.minilm.sha256", GONE, "backbones.minilm.sha256: missing"),
        # types
        ("training.batch", True, "training.batch: true is not allowed: a whole number, at least 1"),
        ("training.batch", 16.0, "training.batch: 16.0 is not allowed: a whole number, at least 1"),
        (
            "training.batch",
            "16",
            "training.batch: '16' is not allowed: a whole number, at least 1; "
            "this is text to YAML: write 16 without",
        ),
        (
            "training.lr",
            "1e-5",
            "training.lr: '1e-5' is not allowed: a number, above 0; this is text to YAML: write 1.0e-5",
        ),
        ("training.lr", "1.5e5", "write 1.5e+5"),
        ("training.lr", None, "training.lr: null is not allowed: a number, above 0"),
        ("training.lr", float("nan"), "training.lr: nan is not allowed: a number, above 0"),
        ("mask.alpha0", float("inf"), "mask.alpha0: inf is not allowed: a number"),
        (
            "mask.density",
            "half",
            "mask.density: 'half' is not allowed: a number or null, above 0 and at most 1",
        ),
        ("tracking.figures", 1, "tracking.figures: 1 is not allowed: true or false"),
        ("tuning.apply", True, "tuning.apply: true is not allowed: one of gradient, update"),
        ("data.train", "SQuAD", "data.train: 'SQuAD' is not allowed: a list of names"),
        ("data.train", ["SQuAD", 1], "data.train: ['SQuAD', 1] is not allowed: a list of names"),
        ("training", 3, "training: expected keys and values, found 3"),
        ("arms", {}, "arms: expected names and their settings, found {}"),
        (
            "arms",
            {"a.b": {"mask": "none", "p_f": None}},
            "arms: the name 'a.b' is not allowed: letters, digits, - and _ only",
        ),
        ("backbones", {False: {}}, "backbones: the name false is not allowed"),
        # ranges and choices
        ("training.batch", 0, "training.batch: 0 is not allowed: at least 1"),
        ("mask.density", 1.5, "mask.density: 1.5 is not allowed: above 0 and at most 1"),
        ("mask.density", 0, "mask.density: 0.0 is not allowed: above 0 and at most 1"),
        ("mask.gamma", 0.0, "mask.gamma: 0.0 is not allowed: below 0"),
        ("mask.zeta", 1, "mask.zeta: 1.0 is not allowed: above 1"),
        (
            "sampling.kind",
            "dynamc",
            "sampling.kind: 'dynamc' is not allowed: one of dynamic, dynamic_single_task, uniform, size,",
        ),
        ("sampling.temperature", 0.5, "sampling.temperature: 0.5 is not allowed: at least 1"),
        (
            "sampling.single_task_arm",
            "bmd",
            "sampling.single_task_arm: 'bmd' is not known (did you mean bmt?): one of none, mask,",
        ),
        (
            "sampling.single_task_scores",
            3,
            "sampling.single_task_scores: expected names and their numbers, found 3",
        ),
        (
            "sampling.single_task_scores",
            {"SQuAD": "x"},
            "sampling.single_task_scores.SQuAD: 'x' is not allowed: a number",
        ),
        (
            "sampling.single_task_scores",
            {"SQuAD": 9},
            "sampling.single_task_scores: 'HotpotQA' is missing: exactly the datasets of",
        ),
        (
            "sampling.single_task_scores",
            ALL | {"DROP": 9},
            "sampling.single_task_scores: 'DROP' is not in data.train: exactly the",
        ),
        (
            "sampling.single_task_scores",
            ALL | {"NewsQA": 201},
            "sampling.single_task_scores.NewsQA: 201 is not allowed: EM + F1 in",
        ),
        ("compare.estimand", "median", "compare.estimand: 'median' is not allowed: one of printed, mean"),
        (
            "backbones.minilm.source",
            "pypi",
            "backbones.minilm.source: 'pypi' is not allowed: one of package, hub, folder",
        ),
        # keys that depend on each other
        (
            "data.overlap",
            128,
            "overlap: 128 is not allowed: at most 91 (below data.window 128 less data.question 32 "
            "and 4 special tokens)",
        ),
        ("data.overlap", 92, "data.overlap: 92 is not allowed: at most 91"),
        ("sampling.floor", 0.2, "sampling.floor: 0.2 is not allowed: below 1/6"),
        ("mask.binarise", "half", "mask.binarise: half is not allowed: positive with a top-k density"),
        ("mask.gate", "resampled", "mask.gate: resampled is not allowed: sampled with a top-k density"),
        (
            "tuning.clip_order",
            "clip_then_mask",
            "cell 'minilm.mt.bmt.s0': tuning.clip_order: clip_then_mask is not allowed: mask_then",
        ),
        (
            "arms.mask.p_f",
            None,
            "arms.mask.p_f: null is not allowed: above 0 and at most 1 for a random mask",
        ),
        ("arms.mask.p_f", 0.0, "arms.mask.p_f: 0.0 is not allowed: above 0 and at most 1"),
        ("arms.bmt.p_f", 0.5, "arms.bmt.p_f: 0.5 is not allowed: null for mask 'learned'"),
        (
            "backbones.minilm.revision",
            "main",
            "backbones.minilm.revision: 'main' is not allowed: null for source 'package'",
        ),
        (
            "backbones.minilm.source",
            "hub",
            "backbones.minilm.revision: null is not allowed: the hub's commit, 40 hexadecimal digits",
        ),
        (
            "backbones.minilm.sha256",
            "53aa",
            "backbones.minilm.sha256: '53aa' is not allowed: 64 hexadecimal digits or null",
        ),
        ("backbones.minilm.name", " ", "backbones.minilm.name: ' ' is not allowed"),
        ("source.manifest", "", "source.manifest: '' is not allowed"),
        ("profile", "../up", "profile: '../up' is not allowed: letters, digits, - and _ only"),
        # names
        ("data.train", [], "data.train: [] is not allowed: at least one"),
        ("data.train", ["SQuAD", "DROP", "SQuAD"], "data.train: 'SQuAD' stands 2 times: name each once"),
        (
            "data.evaluate",
            ["Squad"],
            "data.evaluate: 'Squad' is not known (did you mean SQuAD?): one of SQuAD, HotpotQA,",
        ),
        (
            "cells",
            ["minilm.mt.bmt.s0", "minilm.mt.bmt.s0"],
            "cells: 'minilm.mt.bmt.s0' stands 2 times: name each once",
        ),
        ("cells", ["minilm.mt.bmt.s0", "minilm.mt.none"], "cells[1]: cell 'minilm.mt.none': not of the form"),
        (
            "cells",
            ["minilm12.mt.bmt.s0"],
            "backbone: 'minilm12' is not known (did you mean minilm?): one of minilm",
        ),
        (
            "cells",
            ["minilm.mt.bnt.s0"],
            "arm: 'bnt' is not known (did you mean bmt?): one of none, mask, mask_p30, mask_p70, bmt",
        ),
        ("cells", ["minilm.st-DROP.bmt.s0"], "dataset (of data.train): 'DROP' is not known: one of SQuAD,"),
        ("transfers", GONE, "transfers: missing: every key stands in a params file"),
        ("transfers", "minilm.mt.bmt", "transfers: 'minilm.mt.bmt' is not allowed: a list of names"),
        (
            "transfers",
            ["minilm.mt.bmt.s0"],
            "transfers[0]: 'minilm.mt.bmt.s0' is not allowed: without the seed, as minilm.mt.bmt.adapter:",
        ),
        (
            "transfers",
            ["minilm.mt.bmt", "minilm.mt.bmt.adapter"],
            "transfers[1]: 'minilm.mt.bmt.adapter' is not allowed: minilm.mt.bmt.",
        ),
        (
            "transfers",
            ["minilm.mt.bmt.adapter"],
            "minilm.mt.bmt.adapter.s0, which it starts from, is not in cells: list it there too",
        ),
        ("published", GONE, "published: missing: every key stands in a params file"),
        (
            "published",
            ["minilm"],
            "published[0]: 'minilm' is not allowed: no backbone of this profile has head generate",
        ),
        (
            "transfers",
            ["minilm.mt.bmt", "minilm.mt.bmt"],
            "transfers: 'minilm.mt.bmt' stands 2 times: name each once",
        ),
        ("tables", GONE, "tables: missing"),
        ("tables", [3], 'tables: [3] is not allowed: a list of names (numbers in quotes, as "3")'),
        (
            "tables",
            ["3", "A10"],
            "tables[1]: 'A10' is not known (did you mean a10?): one of 1, 2, 3, 4, 5, 6, 7, 8, 9, a10",
        ),
        ("tables", ["3", "3"], "tables: '3' stands 2 times: name each once"),
        # what an arm, a few-shot transfer and a sampler need
        ("arms.mixout.strength", 1.0, "arms.mixout.strength: 1 is not allowed: below 1 for mixout"),
        ("arms.mixout.strength", None, "arms.mixout.strength: null is not allowed: a number for mixout"),
        ("arms.none.strength", 0.5, "arms.none.strength: 0.5 is not allowed: null without a regularizer"),
        ("arms.bmt.rescale", True, "arms.bmt.rescale: true is not allowed: false for mask 'learned'"),
        ("fewshot.sizes", [16, 17], "fewshot.sizes: 17 is not allowed: an even number from 2 on"),
        ("fewshot.sizes", [0], "fewshot.sizes: 0 is not allowed: an even number from 2 on"),
        (
            "fewshot.sizes",
            [16, 16],
            "fewshot.sizes: [16, 16] is not allowed: at least one number, none below 0,",
        ),
        ("fewshot.sizes", ["16"], "fewshot.sizes: ['16'] is not allowed: a list of whole numbers"),
        ("fewshot.sizes", [True], "fewshot.sizes: [True] is not allowed: a list of whole numbers"),
        (
            "fewshot.seeds",
            [-1],
            "fewshot.seeds: [-1] is not allowed: at least one number, none below 0, each once",
        ),
        ("fewshot.seeds", [], "fewshot.seeds: [] is not allowed: at least one number"),
        ("sampling.floor", 1 / 6, "sampling.floor: 0.166667 is not allowed: below 1/6"),
        (
            "sampling.single_task_scores",
            ALL | {"NewsQA": -1},
            "NewsQA: -1 is not allowed: EM + F1 in percent",
        ),
        (
            "mask.scope",
            "per_batch",
            "mask.schedule: 'two_phase' is not allowed: alternating for scope per_batch",
        ),
        ("tracking.experiment", " ", "tracking.experiment: ' ' is not allowed: a name"),
        ("data.evaluate", ["SQuAD", "SQuAD"], "data.evaluate: 'SQuAD' stands 2 times: name each once"),
        (
            "backbones.minilm.sha256",
            "0" * 65,
            "sha256: '" + "0" * 65 + "' is not allowed: 64 hexadecimal digits",
        ),
    ],
)
def test_a_mistake_is_one_line_with_key_value_and_what_is_allowed(
    key: str, value: Any, expected: str, tmp_path: Path
) -> None:
    assert expected in complaint(yaml.safe_dump(edited(key, value), sort_keys=False), tmp_path)


@pytest.mark.parametrize(
    ("arm", "changes", "expected"),
    [
        (
            "fisher",
            {"schedule": "refresh"},
            "schedule: 'refresh' is not allowed: two_phase for a fisher mask",
        ),
        (
            "fixed_random",
            {"schedule": "alternating", "scope": "per_batch"},
            "schedule: 'alternating' is not allowed: two_phase for a fixed_random mask, which is fixed",
        ),
        (
            "fisher",
            {"density": None},
            "density: null is not allowed: a fisher mask needs the share to leave open",
        ),
        ("magnitude", {"density": None}, "density: null is not allowed: a magnitude mask needs the share"),
        (
            "fixed_random",
            {"density": None, "keep_delta": True},
            "keep_delta: true is not allowed for a fixed_random mask: it has neither gates nor a delta",
        ),
        (
            "fixed_random",
            {"density": None, "gate": "resampled"},
            "gate: resampled is not allowed for a fixed_random mask: it has neither gates nor a delta",
        ),
    ],
)
def test_a_cell_whose_mask_cannot_be_made_as_the_settings_say_is_refused(
    arm: str, changes: dict[str, Any], expected: str, tmp_path: Path
) -> None:
    values = edited("cells", ["minilm.mt.none.s0", f"minilm.mt.{arm}.s0"])
    values["mask"] |= changes
    said = complaint(yaml.safe_dump(values, sort_keys=False), tmp_path)
    assert said.startswith(f"cells[1]: cell 'minilm.mt.{arm}.s0': mask.{expected}")
    values["cells"] = ["minilm.mt.none.s0"]
    assert load_values(values, tmp_path).cells == ["minilm.mt.none.s0"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "the whole file: expected keys and values, found null"),
        ("- a\n- b\n", "the whole file: expected keys and values, found ['a', 'b']"),
        ("profile: a\ndata: [1\n", "line 3 no YAML:"),
        ("profile: a\nprofile: b\n", "line 2 no YAML: the key 'profile' stands twice"),
        ("profile: a\nmask:\n  gamma: -1.0\n  gamma: -2.0\n", "line 4 no YAML: the key 'gamma' stands twice"),
        (
            "profile: !!python/object/apply:os.system ['true']\n",
            "line 1 no YAML: could not determine a constructor",
        ),
        ("profile: \x00\n", "no YAML:"),
        ("profile: 2026-99-99\n", "a value that YAML cannot read: month must be in 1..12"),
        ("profile: !!bool maybe\n", "a value that YAML cannot read:"),
        ("profile: " + 5000 * "[", "a value that YAML cannot read: maximum recursion depth exceeded"),
        ("profile: &a [*a]\n", "profile: [[...]] is not allowed"),
        ("? [a, b]\n: 1\n", "line 1 no YAML: found unhashable key"),
    ],
)
def test_a_file_that_is_no_params_file(text: str, expected: str, tmp_path: Path) -> None:
    assert expected in complaint(text, tmp_path)


def test_an_absent_an_undecodable_and_an_unreadable_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none.yaml: no such file; `python -m benchmark.profile sample`"):
        load(tmp_path / "none.yaml")
    (tmp_path / "latin.yaml").write_bytes("profile: é\n".encode("latin-1"))
    with pytest.raises(ConfigError, match=r"latin.yaml: cannot be read: it is no UTF-8 text"):
        load(tmp_path / "latin.yaml")
    with pytest.raises(ConfigError, match=r"cannot be read: Is a directory"):
        load(tmp_path)


@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda raw: raw.decode("latin-1")))
def test_no_text_gives_anything_but_one_line(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    complaint(text, tmp_path_factory.getbasetemp())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8) | st.integers(), inner, max_size=3)
    ),
    max_leaves=6,
)
KEYS = [
    *SAMPLE,
    *(f"{section}.{key}" for section, inner in SAMPLE.items() if isinstance(inner, dict) for key in inner),
]


@given(st.sampled_from(KEYS), JSON)
def test_any_value_at_any_key_is_taken_as_it_is_or_refused_in_one_line(
    tmp_path_factory: pytest.TempPathFactory, key: str, value: Any
) -> None:
    try:
        config = load_values(edited(key, value), tmp_path_factory.getbasetemp())
    except ConfigError as error:
        assert "\n" not in str(error)
        assert key.split(".")[0] in str(error) or "no YAML" in str(error) or "cells" in str(error)
    else:
        inner = dataclasses.asdict(config)
        for name in key.split("."):
            inner = inner[name]
        assert inner == value


# ---- what is taken


def test_a_whole_number_is_a_number_but_not_the_other_way_round(tmp_path: Path) -> None:
    config = load_values(edited("training.epochs_mt", 2), tmp_path)
    assert isinstance(config.training.epochs_mt, float)
    assert section_digest(config, "minilm.mt.none.s0") == section_digest(
        load_values(edited("training.epochs_mt", 2.0), tmp_path), "minilm.mt.none.s0"
    )


def test_the_largest_overlap_still_moves_a_window_on(tmp_path: Path) -> None:
    data = load_values(edited("data.overlap", 91), tmp_path).data
    assert data.window - data.question - 4 - data.overlap == 1


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("arms.mask.p_f", 1.0),
        ("arms.mask.rescale", True),
        ("arms.mixout.strength", 0.999),
        ("arms.l2_sp.strength", 1.5),
        ("fewshot.sizes", [2]),
        ("fewshot.seeds", [0]),
        ("sampling.floor", 0.0),
        ("sampling.floor", 0.1666),
        ("sampling.single_task_scores", ALL | {"NewsQA": 0.0, "SQuAD": 200.0}),
        ("sampling.single_task_arm", None),
        ("backbones.minilm.sha256", "0123456789abcdef" * 4),
        ("data.evaluate", ["DROP"]),
        ("tables", ["a10", "9"]),
    ],
)
def test_the_limits_themselves_are_allowed(key: str, value: Any, tmp_path: Path) -> None:
    inner: Any = dataclasses.asdict(load_values(edited(key, value), tmp_path))
    for name in key.split("."):
        inner = inner[name]
    assert inner == value


@pytest.mark.parametrize(("length", "expected"), [(78, "'" + "x" * 78 + "'"), (79, "'" + "x" * 76 + "...")])
def test_a_long_value_is_cut_to_a_readable_length(length: int, expected: str) -> None:
    assert shown("x" * length) == expected and len(expected) == 80
    assert (shown(None), shown(True), shown([None, 1.0])) == ("null", "true", "[None, 1.0]")


@pytest.mark.parametrize(
    ("head", "revision", "good"),
    [
        ("generate", None, True),
        ("generate", "main", False),
        ("span", "a" * 40, True),
        ("span", "A" * 40, False),
    ],
)
def test_the_hub_s_weights_are_pinned_unless_nothing_is_trained_on_them(
    head: str, revision: str | None, good: bool, tmp_path: Path
) -> None:
    values = edited("backbones.new", SAMPLE["backbones"]["minilm"] | {"source": "hub", "name": "org/name"})
    values["backbones"]["new"] |= {"head": head, "revision": revision, "sha256": None}
    if good:
        assert load_values(values, tmp_path).backbones["new"].revision == revision
    else:
        with pytest.raises(ConfigError, match=r"backbones\.new\.revision: .* the hub's commit, 40 hex"):
            load_values(values, tmp_path)


def test_per_dataset_masks_and_the_other_order_of_clipping_are_refused_only_together(tmp_path: Path) -> None:
    values = edited("tuning.clip_order", "clip_then_mask")
    for cell in (
        "minilm.mt.none.s0",
        "minilm.mt.mask.s0",
        "minilm.st-SQuAD.bmt.s0",
        "minilm.mt.magnitude.s0",
    ):
        values["cells"] = [cell]
        assert load_values(values, tmp_path).tuning.clip_order == "clip_then_mask"
    for cell in ("minilm.mt.bmt.s0", "minilm.mt.fisher.s0", "minilm.mt.fixed_random.s0"):
        values["cells"] = [cell]
        with pytest.raises(ConfigError, match=r"tuning\.clip_order: clip_then_mask is not allowed"):
            load_values(values, tmp_path)
    values["mask"]["scope"] = "global"
    assert load_values(values, tmp_path).cells == ["minilm.mt.fixed_random.s0"]


def test_transfers_and_tables_may_be_empty_and_an_arm_with_a_regularizer_has_no_transfer(
    tmp_path: Path,
) -> None:
    values = edited("tables", [])
    assert (load_values(values, tmp_path).transfers, load_values(values, tmp_path).tables) == ([], [])
    values["cells"] += ["minilm.mt.l2_sp.s0"]
    values["transfers"] = ["minilm.mt.bmt"]
    assert load_values(values, tmp_path).transfers == ["minilm.mt.bmt"]
    values["transfers"] += ["minilm.mt.l2_sp"]
    with pytest.raises(
        ConfigError, match=r"transfers\[1\]: 'minilm\.mt\.l2_sp' is not allowed: arm l2_sp has a regularizer"
    ):
        load_values(values, tmp_path)


def test_the_configuration_is_frozen() -> None:
    config = load(ROOT / "profiles" / "sample.yaml")
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.training.lr = 1.0  # type: ignore[misc]


def test_find_cell_takes_cells_that_are_not_listed_and_refuses_unknown_ones() -> None:
    config = load(ROOT / "profiles" / "sample.yaml")
    assert find_cell(config, "minilm.st-SQuAD.mask_p30.adapter.s9").seed == 9
    with pytest.raises(ConfigError, match="did you mean mask_p30"):
        find_cell(config, "minilm.mt.mask_p3.s0")


def test_a_head_that_is_not_trained_has_no_cell_and_t5_s_decoder_no_adapters(tmp_path: Path) -> None:
    said = complaint(yaml.safe_dump(edited("backbones.minilm.head", "generate"), sort_keys=False), tmp_path)
    assert said == (
        "cells[0]: cell 'minilm.mt.none.s0': backbones.minilm.head: generate is not trained: "
        "`python -m benchmark.unifiedqa minilm` scores it as it is"
    )
    config = load_values(edited("backbones.minilm.head", "span_decoder"), tmp_path)
    assert find_cell(config, "minilm.mt.none.s0").adapter is False
    with pytest.raises(
        ConfigError, match=r"head: span_decoder is not allowed with adapters: span, whose adapters"
    ):
        find_cell(config, "minilm.mt.none.adapter.s0")


# ---- digests and the flat form


def digest(key: str, value: Any, folder: Path, cell: str) -> str:
    return section_digest(load_values(edited(key, value), folder), cell)


MT_BMT, MT_NONE, ST_NONE = "minilm.mt.bmt.s0", "minilm.mt.none.s0", "minilm.st-SQuAD.none.s0"


@pytest.mark.parametrize(
    ("key", "value", "decides"),
    [
        ("training.lr", 1e-4, {MT_BMT, MT_NONE, ST_NONE}),
        ("data.window", 160, {MT_BMT, MT_NONE, ST_NONE}),
        ("decode.mode", "greedy", {MT_BMT, MT_NONE, ST_NONE}),
        ("source.manifest", "real", set()),  # the data has a digest of its own
        ("backbones.minilm.sha256", None, {MT_BMT, MT_NONE, ST_NONE}),
        ("mask.lam", 1e-6, {MT_BMT}),
        ("mask.targets", ["attention"], {MT_BMT}),
        ("tuning.apply", "update", {MT_BMT}),
        ("tuning.clip", 2.0, {MT_BMT, MT_NONE, ST_NONE}),
        ("sampling.floor", 0.05, {MT_BMT, MT_NONE}),
        ("training.epochs_mt", 3, {MT_BMT, MT_NONE}),
        ("data.train", ["SQuAD", "NewsQA"], {MT_BMT, MT_NONE}),
        ("training.epochs_st", 9, {ST_NONE}),
        ("training.threads", 1, set()),
        ("training.evaluation_batch", 8, set()),
        ("data.evaluate", ["DROP"], set()),
        ("data.dev_cap", 5, set()),
        ("compare.d0", 3.0, set()),
        ("tracking.figures", False, set()),
        ("arms.mask.p_f", 0.6, set()),
        ("cells", ["minilm.mt.mask.s3"], set()),
        ("transfers", ["minilm.mt.bmt"], set()),
        ("published", [], set()),
        ("tables", ["9"], set()),
        ("profile", "other", set()),
    ],
)
def test_a_cell_s_digest_changes_with_what_decides_its_training_only(
    key: str, value: Any, decides: set[str], tmp_path: Path
) -> None:
    before = load(ROOT / "profiles" / "sample.yaml")
    changed = {
        cell
        for cell in (MT_BMT, MT_NONE, ST_NONE)
        if digest(key, value, tmp_path, cell) != section_digest(before, cell)
    }
    assert changed == decides


def test_digests_tell_cells_apart_and_take_a_name_or_a_cell() -> None:
    config = load(ROOT / "profiles" / "sample.yaml")
    digests = {section_digest(config, name) for name in config.cells}
    assert len(digests) == len(config.cells)
    assert section_digest(config, parse("minilm.mt.bmt.s1")) == section_digest(config, "minilm.mt.bmt.s1")
    assert all(len(value) == 64 for value in digests)


def test_the_flat_form_has_every_key_but_what_is_to_be_made_and_only_scalars() -> None:
    flat = as_flat(load(ROOT / "profiles" / "sample.yaml"))
    assert flat["training.lr"] == SAMPLE["training"]["lr"]
    assert flat["data.special_tokens"] == "[TLE],[DOC],[PAR]"
    assert flat["training.threads"] == "null"
    assert flat["arms.mask_p70.p_f"] == 0.7
    assert flat["tracking.figures"] is True
    sections = [
        f"{a}.{b}"
        for a in SAMPLE
        if isinstance(SAMPLE[a], dict) and a not in ("backbones", "arms")
        for b in SAMPLE[a]
    ]
    nested = [f"{a}.{b}.{c}" for a in ("backbones", "arms") for b in SAMPLE[a] for c in SAMPLE[a][b]]
    assert set(flat) == {"profile", *sections, *nested}
    assert all(isinstance(value, str | int | float | bool) for value in flat.values())


def test_params_digest_is_sha256sum_s(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_bytes(b"profile: x\n")
    assert params_digest(tmp_path / "params.yaml") == hashlib.sha256(b"profile: x\n").hexdigest()


# ---- the root


def test_the_root_is_the_checkout_whatever_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert repository_root() == ROOT
    assert load() == load(ROOT / "params.yaml")


def test_bmt_root_moves_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(edited("training.batch", 3)), encoding="utf-8")
    monkeypatch.setenv("BMT_ROOT", str(tmp_path))
    assert load().training.batch == 3
    assert params_digest() == params_digest(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(edited("training.batch", "x")), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"^params\.yaml: training\.batch: 'x' is not allowed"):
        load()
    monkeypatch.setenv("BMT_ROOT", str(tmp_path / "none"))
    with pytest.raises(ConfigError, match=r"BMT_ROOT: .* is not a folder"):
        load()


def test_reading_a_configuration_imports_neither_torch_nor_mlflow() -> None:
    large = ("torch", "mlflow", "transformers", "pandas")
    code = (
        f"import sys, benchmark.config.params as c; c.load(); print([m for m in {large} if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"
