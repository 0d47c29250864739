"""params.yaml, the one file of knobs, into frozen dataclasses.

The file is whole: every key stands in it, none is guessed. What a knob does, what it allows and what the
paper says about it is its
metadata in `bmt/settings.py` (the method) and here (the harness). Every error is one line: file, key, value,
what is allowed.
"""

from __future__ import annotations

import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmark.config.cells import Cell, is_word, known_name, parse
from benchmark.config.pipeline_lists import check_published, check_references, check_tables, check_transfers
from benchmark.config.typed_values import build, shown
from benchmark.config.yaml_file import read_yaml
from bmt.errors import ConfigError
from bmt.settings import (
    IN_DOMAIN,
    MASK_KINDS,
    OUT_OF_DOMAIN,
    REGULARIZERS,
    DataSettings,
    DecodeSettings,
    FewShotSettings,
    LossSettings,
    MaskSettings,
    SamplingSettings,
    TrainingSettings,
    TuningSettings,
    check_mask,
    knob,
)

Scalar = str | int | float | bool

SPECIAL_TOKENS = 4  # the most that a pair takes of a window: RoBERTa's <s> q </s></s> c </s>


@dataclass(frozen=True, slots=True)
class Source:
    """Where the data comes from."""

    manifest: str = knob(
        "sample",
        "`sample` (the embedded corpus), `real` (BMT_REAL_DATA or ../shared/data/mrqa_real), `mrqa2019` (the official files), "
        "or a folder, file or URL of a manifest of that form",
    )


@dataclass(frozen=True, slots=True)
class Backbone:
    """A pretrained encoder and the head put on it."""

    source: str = knob(
        "hub",
        "an installed Python package, the Hugging Face hub or a folder",
        choices=("package", "hub", "folder"),
    )
    name: str = knob("", "the package's module, the hub's repository or the folder's path")
    revision: str | None = knob(
        None, "the hub's commit, 40 hexadecimal digits; null for a package or a folder"
    )
    sha256: str | None = knob(None, "of model.safetensors, checked before use; null: not checked")
    head: str = knob(
        "span",
        "span: start and end scores of every token of the encoder; span_decoder: T5's decoder reads the tokens once more, and they "
        "are scored on its outputs; generate: no head, a published model that writes its answers (benchmark.unifiedqa) and is not trained",
        choices=("span", "span_decoder", "generate"),
        paper="silent",
        note="The paper does not say what scores spans on T5. Its encoder with the same head as the others by default; `span_decoder` is "
        "Hugging Face's T5ForQuestionAnswering, the whole model, twice the weights. The paper's low T5 rows on long contexts look like its "
        "handling of windows; nothing is tuned towards them.",
    )


@dataclass(frozen=True, slots=True)
class Arm:
    """What holds the weights back: a mask on the gradient, or a regularizer, or nothing."""

    mask: str = knob(
        "none",
        "no mask; random (eq. 16, drawn anew each step); learned (eq. 12); the controls at mask.density: fixed_random (the learned "
        "masks, their positions permuted), fisher (Child-Tuning-D), magnitude",
        choices=MASK_KINDS,
    )
    p_f: float | None = knob(
        None,
        "p_F of eq. 16, the share of weights that a random mask leaves open; null for the others",
        above=0,
        high=1,
    )
    rescale: bool = knob(False, "whether a random mask's gradient is divided by p_f (Child-Tuning-F)")
    regularizer: str = knob("none", "instead of a mask: mixout, l2_sp or noisy_tune", choices=REGULARIZERS)
    strength: float | None = knob(
        None, "mixout's p, L2-SP's coefficient, NoisyTune's intensity; null without a regularizer", above=0
    )


@dataclass(frozen=True, slots=True)
class CompareSettings:
    """How `benchmark.compare` judges; the statistics are explained in docs/ and by `--help`."""

    margin_cell: float = knob(1.0, "points of F1 or EM within which a cell counts as reproduced", above=0)
    margin_average: float = knob(0.5, "the same for an average", above=0)
    estimand: str = knob(
        "printed",
        "what is reproduced: the printed number, taken as fixed, or the mean that it estimates",
        choices=("printed", "mean"),
    )
    n_pub: int = knob(
        1,
        "runs behind a printed number",
        low=1,
        paper="silent",
        note="Only Table 9 mentions seeds (three, the mean is printed). We assume one run.",
    )
    d0: float = knob(4.0, "prior degrees of freedom of the moderated variance", low=0)


@dataclass(frozen=True, slots=True)
class TrackingSettings:
    """What MLflow gets."""

    experiment: str = knob("bmt", "name of the MLflow experiment")
    figures: bool = knob(True, "whether mask and deviation figures are drawn and logged")


@dataclass(frozen=True, slots=True)
class Config:
    """A whole params file."""

    profile: str
    source: Source
    data: DataSettings
    mask: MaskSettings
    tuning: TuningSettings
    training: TrainingSettings
    sampling: SamplingSettings
    loss: LossSettings
    decode: DecodeSettings
    fewshot: FewShotSettings
    backbones: dict[str, Backbone]
    arms: dict[str, Arm]
    cells: list[str]
    references: list[str]
    transfers: list[str]
    published: list[str]
    tables: list[str]
    compare: CompareSettings
    tracking: TrackingSettings

    @property
    def every_cell(self) -> list[str]:
        """The cells that the pipeline trains: the references first."""
        return [*self.references, *self.cells]


def repository_root() -> Path:
    """The folder of params.yaml, profiles/ and dvc.yaml: BMT_ROOT, or the checkout that this file is in;
    never the working directory.

    Raises:
        ConfigError: BMT_ROOT names no folder.
    """
    given = os.environ.get("BMT_ROOT")
    root = Path(given).absolute() if given else Path(__file__).resolve().parents[2]
    if not root.is_dir():
        raise ConfigError(
            f"BMT_ROOT: {given!r} is not a folder: set it to a copy of the repository, or unset it"
        )
    return root


def load(path: str | Path | None = None) -> Config:
    """Read and check a params file; without `path` the root's params.yaml.

    Raises:
        ConfigError: file, key, value and what is allowed, on one line.
    """
    file = "params.yaml" if path is None else str(path)
    values = read_yaml(
        repository_root() / "params.yaml" if path is None else Path(path),
        file,
        "`python -m benchmark.profile sample` writes a params.yaml",
    )
    try:
        config = build(Config, values, "")
        _check_whole(config)
    except ConfigError as error:
        raise ConfigError(f"{file}: {error}") from None
    return config


def find_cell(config: Config, name: str) -> Cell:
    """The cell called `name`, its backbone, arm and dataset being known to `config`; it need not be listed in
    `cells`.

    Raises:
        ConfigError: the name is malformed, or names what the configuration does not have.
    """
    cell = parse(name)
    known_name(cell.backbone, tuple(config.backbones), f"cell {name!r}: backbone")
    _check_head(config.backbones[cell.backbone], cell)
    known_name(cell.arm, tuple(config.arms), f"cell {name!r}: arm")
    if cell.dataset:
        known_name(cell.dataset, tuple(config.data.train), f"cell {name!r}: dataset (of data.train)")
    _check_schedule(config, cell)
    if config.arms[cell.arm].mask in ("fisher", "magnitude") and config.mask.density is None:
        raise ConfigError(
            f"cell {name!r}: mask.density: null is not allowed: a {config.arms[cell.arm].mask} mask needs the share to leave open"
        )
    return cell


def _check_head(backbone: Backbone, cell: Cell) -> None:
    where = f"cell {cell.name!r}: backbones.{cell.backbone}.head"
    if backbone.head == "generate":
        raise ConfigError(
            f"{where}: generate is not trained: `python -m benchmark.unifiedqa {cell.backbone}` scores it as it is"
        )
    if backbone.head == "span_decoder" and cell.adapter:
        raise ConfigError(
            f"{where}: span_decoder is not allowed with adapters: span, whose adapters are the encoder's"
        )


def _check_schedule(config: Config, cell: Cell) -> None:
    mask, kind = config.mask, config.arms[cell.arm].mask
    if mask.scope == "per_batch" and mask.schedule != "alternating":
        raise ConfigError(
            f"mask.schedule: {mask.schedule!r} is not allowed: alternating for scope per_batch, which learns before each step"
        )
    if kind in ("fixed_random", "fisher") and (mask.schedule != "two_phase" or mask.scope == "per_batch"):
        raise ConfigError(
            f"cell {cell.name!r}: mask.schedule: {mask.schedule!r} is not allowed: two_phase for a {kind} mask, which is fixed"
        )
    if kind == "fixed_random" and (mask.gate == "resampled" or mask.keep_delta):
        key, value = ("keep_delta", "true") if mask.keep_delta else ("gate", mask.gate)
        raise ConfigError(
            f"cell {cell.name!r}: mask.{key}: {value} is not allowed for a fixed_random mask: it has neither gates nor a delta"
        )
    several = cell.dataset is None and len(config.data.train) > 1 and mask.scope == "per_dataset"
    if (
        config.tuning.clip_order == "clip_then_mask"
        and several
        and kind in ("learned", "fixed_random", "fisher")
    ):
        raise ConfigError(
            f"cell {cell.name!r}: tuning.clip_order: clip_then_mask is not allowed: mask_then_clip for an arm with a mask a dataset, whose "
            "backward pass masks each row's gradient; set it for every arm that is compared"
        )


def as_flat(config: Config) -> dict[str, Scalar]:
    """The configuration as `section.key` → scalar, for a tracker: lists joined by commas, null as "null"; the
    lists of what is
    made (cells, references, transfers, published, tables) left out: they are no settings of a run."""
    flat: dict[str, Scalar] = {}

    def walk(prefix: str, value: Any) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                walk(f"{prefix}.{key}" if prefix else key, inner)
        elif isinstance(value, list):
            flat[prefix] = ",".join(map(str, value))
        else:
            flat[prefix] = "null" if value is None else value

    values = asdict(config)
    for key in ("cells", "references", "transfers", "published", "tables"):
        del values[key]
    walk("", values)
    return flat


def _check_whole(config: Config) -> None:
    """The conditions that tie two keys together."""
    data = config.data
    if not is_word(config.profile):
        raise ConfigError(
            f"profile: {config.profile!r} is not allowed: letters, digits, - and _ only (it names folders)"
        )
    for key, names in (("data.train", data.train), ("data.evaluate", data.evaluate), ("cells", config.cells)):
        if not names:
            raise ConfigError(f"{key}: [] is not allowed: at least one")
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ConfigError(f"{key}: {twice[0]!r} stands {names.count(twice[0])} times: name each once")
    for key, names in (("data.train", data.train), ("data.evaluate", data.evaluate)):
        for name in names:
            known_name(name, (*IN_DOMAIN, *OUT_OF_DOMAIN), key)
    most = data.window - data.question - SPECIAL_TOKENS - 1
    if data.overlap > most:
        room = f"data.window {data.window} less data.question {data.question} and {SPECIAL_TOKENS} special tokens"
        raise ConfigError(
            f"data.overlap: {data.overlap} is not allowed: at most {most} (below {room}), so that each window moves on"
        )
    check_mask(config.mask)
    _check_few_shot(config.fewshot)
    _check_sampling(config)
    for name, arm in config.arms.items():
        if (arm.mask == "random") != (arm.p_f is not None):
            want = (
                "above 0 and at most 1 for a random mask"
                if arm.mask == "random"
                else f"null for mask {arm.mask!r}"
            )
            raise ConfigError(f"arms.{name}.p_f: {shown(arm.p_f)} is not allowed: {want}")
        if arm.rescale and arm.mask != "random":
            raise ConfigError(f"arms.{name}.rescale: true is not allowed: false for mask {arm.mask!r}")
        if (arm.regularizer == "none") != (arm.strength is None):
            want = (
                "null without a regularizer"
                if arm.regularizer == "none"
                else f"a number for {arm.regularizer}"
            )
            raise ConfigError(f"arms.{name}.strength: {shown(arm.strength)} is not allowed: {want}")
        if arm.regularizer == "mixout" and arm.strength is not None and arm.strength >= 1:
            raise ConfigError(f"arms.{name}.strength: {arm.strength:g} is not allowed: below 1 for mixout")
    for name, backbone in config.backbones.items():
        _check_backbone(backbone, f"backbones.{name}")
    for index, name in enumerate(config.cells):
        try:
            find_cell(config, name)
        except ConfigError as error:
            raise ConfigError(f"cells[{index}]: {error}") from None
    check_references(config.references, config.cells, lambda name: find_cell(config, name))
    check_transfers(
        config.transfers,
        config.cells,
        [name for name, arm in config.arms.items() if arm.regularizer != "none"],
    )
    check_published(
        config.published, [name for name, backbone in config.backbones.items() if backbone.head == "generate"]
    )
    check_tables(config.tables)
    for key, text in (
        ("source.manifest", config.source.manifest),
        ("tracking.experiment", config.tracking.experiment),
    ):
        if not text.strip():
            raise ConfigError(f"{key}: {text!r} is not allowed: a name")


def _check_sampling(config: Config) -> None:
    sampling, train = config.sampling, config.data.train
    if sampling.floor * len(train) >= 1:
        raise ConfigError(
            f"sampling.floor: {sampling.floor:g} is not allowed: below 1/{len(train)}, one over the datasets of data.train"
        )
    if sampling.single_task_arm is not None:
        known_name(sampling.single_task_arm, tuple(config.arms), "sampling.single_task_arm")
    scores = sampling.single_task_scores or {}
    if scores and set(scores) != set(train):
        odd = sorted(set(scores) ^ set(train))[0]
        raise ConfigError(
            f"sampling.single_task_scores: {odd!r} is {'not in data.train' if odd in scores else 'missing'}: exactly the datasets of "
            f"data.train, {', '.join(train)}"
        )
    for name, score in scores.items():
        if not 0 <= score <= 200:
            raise ConfigError(
                f"sampling.single_task_scores.{name}: {score:g} is not allowed: EM + F1 in percent, 0 to 200"
            )


def _check_few_shot(settings: FewShotSettings) -> None:
    for key, values in (("sizes", settings.sizes), ("seeds", settings.seeds)):
        if not values or len(set(values)) < len(values) or min(values) < 0:
            raise ConfigError(
                f"fewshot.{key}: {values} is not allowed: at least one number, none below 0, each once"
            )
    if odd := [size for size in settings.sizes if size < 2 or size % 2]:
        raise ConfigError(
            f"fewshot.sizes: {odd[0]} is not allowed: an even number from 2 on, half to train on and half to validate on"
        )


def _check_backbone(backbone: Backbone, where: str) -> None:
    if not backbone.name.strip():
        raise ConfigError(
            f"{where}.name: {backbone.name!r} is not allowed: a module, a hub repository or a folder"
        )
    unpinned = (
        backbone.head == "generate" and backbone.revision is None
    )  # nothing is trained on it: its result names the commit it found
    if (
        backbone.source == "hub"
        and not unpinned
        and not re.fullmatch("[0-9a-f]{40}", backbone.revision or "")
    ):
        want = "the hub's commit, 40 hexadecimal digits (a branch's name would let the weights change)"
        raise ConfigError(f"{where}.revision: {shown(backbone.revision)} is not allowed: {want}")
    if backbone.source != "hub" and backbone.revision is not None:
        raise ConfigError(
            f"{where}.revision: {backbone.revision!r} is not allowed: null for source {backbone.source!r}"
        )
    if backbone.sha256 is not None and not re.fullmatch("[0-9a-f]{64}", backbone.sha256):
        raise ConfigError(
            f"{where}.sha256: {shown(backbone.sha256)} is not allowed: 64 hexadecimal digits or null"
        )
