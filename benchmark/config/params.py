"""params.yaml, the one file of knobs, into frozen dataclasses.

The file is whole: every key stands in it, none is guessed. What a knob does, what it allows and what the
paper says about it is its metadata in `bmt/settings.py` (the method) and here (the harness). Every error is
one line: file, key, value, what is allowed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta

from benchmark.cli.text import nearest
from benchmark.config.cells import WORD, Cell, parse
from benchmark.config.conditions import check_cell, check_config
from benchmark.config.schema import SchemaFault, read, shown
from benchmark.config.yaml_file import read_yaml
from bmt.errors import ConfigError
from bmt.settings import (
    MASK_KINDS,
    REGULARIZERS,
    DataSettings,
    DecodeSettings,
    FewShotSettings,
    LossSettings,
    MaskSettings,
    SamplingSettings,
    TrainingSettings,
    TuningSettings,
    check_settings,
    knob,
    silent_knob,
)

Scalar = str | int | float | bool
Name = Annotated[str, Meta(pattern=WORD)]

LISTS = ("cells", "references", "transfers", "published", "tables")
"""What is to be made: no settings of a run."""


@dataclass(frozen=True, slots=True)
class DataSource:
    """Where the data comes from."""

    manifest: str = knob(
        "sample",
        "`sample` (the embedded corpus), `real` (BMT_REAL_DATA or ../shared/data/mrqa_real), `mrqa2019` (the "
        "official files), or a folder, file or URL of a manifest of that form",
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
    head: str = silent_knob(
        "span",
        "span: start and end scores of every token of the encoder; span_decoder: T5's decoder reads the "
        "tokens once more, and they are scored on its outputs; generate: no head, a published model that "
        "writes its answers (benchmark.unifiedqa) and is not trained",
        choices=("span", "span_decoder", "generate"),
        note="The paper does not say what scores spans on T5. Its encoder with the same head as the "
        "others by default; `span_decoder` is Hugging Face's T5ForQuestionAnswering, the whole model, "
        "twice the weights. The paper's low T5 rows on long contexts look like its handling of windows; "
        "nothing is tuned towards them.",
    )


@dataclass(frozen=True, slots=True)
class Arm:
    """What holds the weights back: a mask on the gradient, or a regularizer, or nothing."""

    mask: str = knob(
        "none",
        "no mask; random (eq. 16, drawn anew each step); learned (eq. 12); the controls at mask.density: "
        "fixed_random (the learned masks, their positions permuted), fisher (Child-Tuning-D), magnitude",
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
    n_pub: int = silent_knob(
        1,
        "runs behind a printed number",
        low=1,
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
    source: DataSource
    data: DataSettings
    mask: MaskSettings
    tuning: TuningSettings
    training: TrainingSettings
    sampling: SamplingSettings
    loss: LossSettings
    decode: DecodeSettings
    fewshot: FewShotSettings
    backbones: Annotated[dict[Name, Backbone], Meta(min_length=1)]
    arms: Annotated[dict[Name, Arm], Meta(min_length=1)]
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
    root_name = os.environ.get("BMT_ROOT")
    root = Path(root_name).absolute() if root_name else Path(__file__).resolve().parents[2]
    if not root.is_dir():
        raise ConfigError(
            f"BMT_ROOT: {root_name!r} is not a folder: set it to a copy of the repository, or unset it"
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
    return checked(values, file)


def checked(values: Any, shown_as: str) -> Config:
    """The configuration that a params file's plain values are.

    Raises:
        ConfigError: `shown_as`, key, value and what is allowed, on one line.
    """
    try:
        config = read(Config, values, _refusal, complete=True)
        for where, settings in _sections(config):
            check_settings(settings, where)
        check_config(config)
    except ConfigError as error:
        raise ConfigError(f"{shown_as}: {error}") from None
    return config


def find_cell(config: Config, name: str) -> Cell:
    """The cell called `name`, its backbone, arm and dataset being known to `config`; it need not be listed in
    `cells`.

    Raises:
        ConfigError: the name is malformed, or names what the configuration does not have.
    """
    cell = parse(name)
    check_cell(config, cell)
    return cell


def as_flat(config: Config) -> dict[str, Scalar]:
    """The configuration as `section.key` → scalar, for a tracker: lists joined by commas, null as "null"; the
    lists of what is made left out.
    """
    flat: dict[str, Scalar] = {}

    def walk(prefix: str, value: Any) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                walk(f"{prefix}.{key}" if prefix else key, inner)
        elif isinstance(value, list):
            flat[prefix] = ",".join(map(str, value))
        else:
            flat[prefix] = "null" if value is None else value

    walk("", {key: value for key, value in asdict(config).items() if key not in LISTS})
    return flat


def _sections(config: Config) -> Iterator[tuple[str, Any]]:
    """Every group of knobs, with its key."""
    for entry in fields(config):
        section = getattr(config, entry.name)
        if isinstance(section, dict):
            yield from ((f"{entry.name}.{name}", settings) for name, settings in section.items())
        elif is_dataclass(section):
            yield entry.name, section


def _refusal(fault: SchemaFault) -> ConfigError:
    """A fault of a params file in words."""
    value, form = shown(fault.value), "profiles/sample.yaml shows the form"
    match fault.problem:
        case "unknown":
            close = nearest(fault.path[-1], fault.known)
            line = f"{fault.key}: unknown key{close}: one of {', '.join(fault.known)}"
        case "missing":
            line = (
                f"{fault.key}: missing: every key stands in a params file; profiles/sample.yaml has them all"
            )
        case "object":
            line = f"{fault.key or 'the whole file'}: expected {fault.wanted}, found {value}; {form}"
        case "name":
            want = "letters, digits, - and _ only, as text"
            line = f"{'.'.join(fault.path[:-1])}: the name {value} is not allowed: {want}"
        case _:
            line = f"{fault.key}: {value} is not allowed: {fault.wanted}{_hint(fault)}"
    return ConfigError(line)


def _hint(fault: SchemaFault) -> str:
    """How YAML takes what was meant: a number where names belong, a text where a number does."""
    value = fault.value
    if isinstance(value, list):
        numbers = any(isinstance(item, int | float) and not isinstance(item, bool) for item in value)
        return ' (numbers in quotes, as "3")' if numbers and fault.wanted == "a list of names" else ""
    number = "number" in fault.wanted and isinstance(value, str)
    match = re.fullmatch(r"([+-]?\d+)(\.\d*)?(?:[eE]([+-]?)(\d+))?", value) if number else None
    if not match:
        return ""
    whole, point, sign, exponent = match.groups()  # YAML 1.1 wants a point and a signed exponent, 1.0e-5
    written = whole + (f"{point or '.0'}e{sign or '+'}{exponent}" if exponent else point or "")
    return f"; this is text to YAML: write {written}{'' if written != value else ' without quotes'}"
