"""The conditions that tie keys of a params file together, and a cell to the keys that it reads."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.config.cells import Cell, is_word, known_name, parse
from benchmark.config.schema import shown
from bmt.errors import ConfigError
from bmt.settings import IN_DOMAIN, OUT_OF_DOMAIN, FewShotSettings, check_mask

if TYPE_CHECKING:
    from benchmark.config.params import Arm, Backbone, Config

SOURCE_SEED = 0
"""Of the trained cell that a transfer starts from: `benchmark.plan` and `benchmark.compare` name the same."""
SPECIAL_TOKENS = 4  # the most that a pair takes of a window: RoBERTa's <s> q </s></s> c </s>


def check_config(config: Config) -> None:
    """Check what no key can say alone.

    Raises:
        ConfigError: key, value and what is allowed.
    """
    data = config.data
    if not is_word(config.profile):
        want = "letters, digits, - and _ only (it names folders)"
        raise _refusal("profile", repr(config.profile), want)
    trained, scored = ("data.train", data.train), ("data.evaluate", data.evaluate)
    for key, names in (trained, scored, ("cells", config.cells)):
        if not names:
            raise _refusal(key, "[]", "at least one")
        _named_once(key, names)
    for key, names in (trained, scored):
        for name in names:
            known_name(name, (*IN_DOMAIN, *OUT_OF_DOMAIN), key)
    most = data.window - data.question - SPECIAL_TOKENS - 1
    if data.overlap > most:
        room = f"data.window {data.window} less data.question {data.question}"
        room = f"{room} and {SPECIAL_TOKENS} special tokens"
        raise _refusal(
            "data.overlap", data.overlap, f"at most {most} (below {room}), so that each window moves on"
        )
    check_mask(config.mask)
    _check_few_shot(config.fewshot)
    _check_sampling(config)
    for name, arm in config.arms.items():
        _check_arm(arm, f"arms.{name}")
    for name, backbone in config.backbones.items():
        _check_backbone(backbone, f"backbones.{name}")
    for index, name in enumerate(config.cells):
        _listed_cell(config, name, f"cells[{index}]")
    _check_references(config)
    _check_transfers(config)
    _check_published(config)
    _named_once("tables", config.tables)
    paper = Path(__file__).parent.parent / "paper"
    tables = {path.stem.removeprefix("table_") for path in paper.glob("table_*.yaml")}
    known = tuple(sorted(tables, key=lambda name: (not name.isdecimal(), len(name), name)))
    for index, name in enumerate(config.tables):
        known_name(name, known, f"tables[{index}]")
    texts = (("source.manifest", config.source.manifest), ("tracking.experiment", config.tracking.experiment))
    for key, text in texts:
        if not text.strip():
            raise _refusal(key, repr(text), "a name")


def check_cell(config: Config, cell: Cell) -> None:
    """Check that a cell's backbone, arm and dataset are known, and that the settings suit them.

    Raises:
        ConfigError: the cell, what is not known or not allowed, and what is.
    """
    where = f"cell {cell.name!r}"
    known_name(cell.backbone, tuple(config.backbones), f"{where}: backbone")
    _check_head(config.backbones[cell.backbone], cell, f"{where}: backbones.{cell.backbone}.head")
    known_name(cell.arm, tuple(config.arms), f"{where}: arm")
    if cell.dataset:
        known_name(cell.dataset, tuple(config.data.train), f"{where}: dataset (of data.train)")
    _check_schedule(config, cell, where)
    kind = config.arms[cell.arm].mask
    if kind in ("fisher", "magnitude") and config.mask.density is None:
        raise _refusal(f"{where}: mask.density", "null", f"a {kind} mask needs the share to leave open")


def _named_once(key: str, names: list[str]) -> None:
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError(f"{key}: {twice[0]!r} stands {names.count(twice[0])} times: name each once")


def _listed_cell(config: Config, name: str, where: str) -> Cell:
    try:
        cell = parse(name)
        check_cell(config, cell)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None
    return cell


def _check_references(config: Config) -> None:
    """The ST cells that are trained first, because the sampling of MT cells is held against them."""
    _named_once("references", config.references)
    for index, name in enumerate(config.references):
        where = f"references[{index}]"
        if _listed_cell(config, name, where).dataset is None:
            raise _refusal(where, repr(name), "an ST cell, as minilm.st-SQuAD.none.s0")
        if name in config.cells:
            raise ConfigError(f"{where}: {name!r} stands in cells too: take it out of one of them")


def _check_transfers(config: Config) -> None:
    """Cells without their seed, as minilm.mt.bmt.adapter, the trained one being in `cells`."""
    _named_once("transfers", config.transfers)
    for index, name in enumerate(config.transfers):
        source = f"{name}.s{SOURCE_SEED}"
        if re.fullmatch(r".*\.s\d+", name):
            want = (
                "without the seed, as minilm.mt.bmt.adapter: a transfer starts from seed "
                f"{SOURCE_SEED} of the cell"
            )
        elif source not in config.cells:
            want = f"{source}, which it starts from, is not in cells: list it there too"
        elif config.arms[arm := name.split(".")[2]].regularizer != "none":
            want = f"arm {arm} has a regularizer, and so no few-shot transfer"
        else:
            continue
        raise _refusal(f"transfers[{index}]", repr(name), want)


def _check_published(config: Config) -> None:
    """Backbones that write their answers, scored as they are."""
    _named_once("published", config.published)
    generators = [name for name, backbone in config.backbones.items() if backbone.head == "generate"]
    for index, name in enumerate(config.published):
        if name not in generators:
            want = "no backbone of this profile has head generate"
            if generators:
                want = f"one of {', '.join(generators)}"
            raise _refusal(f"published[{index}]", repr(name), want)


def _check_head(backbone: Backbone, cell: Cell, where: str) -> None:
    if backbone.head == "generate":
        score = f"`python -m benchmark.unifiedqa {cell.backbone}` scores it as it is"
        raise ConfigError(f"{where}: generate is not trained: {score}")
    if backbone.head == "span_decoder" and cell.adapter:
        want = "span, whose adapters are the encoder's"
        raise ConfigError(f"{where}: span_decoder is not allowed with adapters: {want}")


def _check_schedule(config: Config, cell: Cell, where: str) -> None:
    mask, kind = config.mask, config.arms[cell.arm].mask
    if mask.scope == "per_batch" and mask.schedule != "alternating":
        want = "alternating for scope per_batch, which learns before each step"
        raise _refusal("mask.schedule", repr(mask.schedule), want)
    if kind in ("fixed_random", "fisher") and (mask.schedule != "two_phase" or mask.scope == "per_batch"):
        want = f"two_phase for a {kind} mask, which is fixed"
        raise _refusal(f"{where}: mask.schedule", repr(mask.schedule), want)
    if kind == "fixed_random" and (mask.gate == "resampled" or mask.keep_delta):
        key, value = ("keep_delta", "true") if mask.keep_delta else ("gate", mask.gate)
        want = "it has neither gates nor a delta"
        raise ConfigError(f"{where}: mask.{key}: {value} is not allowed for a fixed_random mask: {want}")
    several = cell.dataset is None and len(config.data.train) > 1 and mask.scope == "per_dataset"
    masked = kind in ("learned", "fixed_random", "fisher")
    if config.tuning.clip_order == "clip_then_mask" and several and masked:
        want = (
            "mask_then_clip for an arm with a mask per dataset, whose backward pass masks each row's "
            "gradient; set it for every arm that is compared"
        )
        raise _refusal(f"{where}: tuning.clip_order", "clip_then_mask", want)


def _check_arm(arm: Arm, where: str) -> None:
    random = arm.mask == "random"
    if random != (arm.p_f is not None):
        want = "above 0 and at most 1 for a random mask" if random else f"null for mask {arm.mask!r}"
        raise _refusal(f"{where}.p_f", shown(arm.p_f), want)
    if arm.rescale and not random:
        raise _refusal(f"{where}.rescale", "true", f"false for mask {arm.mask!r}")
    if (arm.regularizer == "none") != (arm.strength is None):
        want = (
            "null without a regularizer" if arm.regularizer == "none" else f"a number for {arm.regularizer}"
        )
        raise _refusal(f"{where}.strength", shown(arm.strength), want)
    if arm.regularizer == "mixout" and arm.strength is not None and arm.strength >= 1:
        raise _refusal(f"{where}.strength", f"{arm.strength:g}", "below 1 for mixout")


def _check_sampling(config: Config) -> None:
    sampling, train = config.sampling, config.data.train
    if sampling.floor * len(train) >= 1:
        want = f"below 1/{len(train)}, one over the datasets of data.train"
        raise _refusal("sampling.floor", f"{sampling.floor:g}", want)
    if sampling.single_task_arm is not None:
        known_name(sampling.single_task_arm, tuple(config.arms), "sampling.single_task_arm")
    scores, where = sampling.single_task_scores or {}, "sampling.single_task_scores"
    if scores and set(scores) != set(train):
        odd = sorted(set(scores) ^ set(train))[0]
        is_odd = "not in data.train" if odd in scores else "missing"
        raise ConfigError(
            f"{where}: {odd!r} is {is_odd}: exactly the datasets of data.train, {', '.join(train)}"
        )
    for name, score in scores.items():
        if not 0 <= score <= 200:
            raise _refusal(f"{where}.{name}", f"{score:g}", "EM + F1 in percent, 0 to 200")


def _check_few_shot(settings: FewShotSettings) -> None:
    for key, values in (("sizes", settings.sizes), ("seeds", settings.seeds)):
        if not values or len(set(values)) < len(values) or min(values) < 0:
            raise _refusal(f"fewshot.{key}", values, "at least one number, none below 0, each once")
    if odd := [size for size in settings.sizes if size < 2 or size % 2]:
        want = "an even number from 2 on, half to train on and half to validate on"
        raise _refusal("fewshot.sizes", odd[0], want)


def _check_backbone(backbone: Backbone, where: str) -> None:
    if not backbone.name.strip():
        raise _refusal(f"{where}.name", repr(backbone.name), "a module, a hub repository or a folder")
    # Nothing is trained on a generator: its result names the commit that was there.
    pinned = backbone.source == "hub" and not (backbone.head == "generate" and backbone.revision is None)
    revision = shown(backbone.revision)
    if pinned and not re.fullmatch("[0-9a-f]{40}", backbone.revision or ""):
        want = "the hub's commit, 40 hexadecimal digits (a branch's name would let the weights change)"
        raise _refusal(f"{where}.revision", revision, want)
    if backbone.source != "hub" and backbone.revision is not None:
        raise _refusal(f"{where}.revision", revision, f"null for source {backbone.source!r}")
    if backbone.sha256 is not None and not re.fullmatch("[0-9a-f]{64}", backbone.sha256):
        raise _refusal(f"{where}.sha256", shown(backbone.sha256), "64 hexadecimal digits or null")


def _refusal(key: str, value: Any, wanted: str) -> ConfigError:
    return ConfigError(f"{key}: {value} is not allowed: {wanted}")
