"""Bytes that a run leaves and needs: like runs on this disk, else the size of the weights.

model        the weights in fp32, kept by `--keep best` only; with adapters 2 % more per dataset
masks        1 bit per weight and dataset, once in the run and once under .checkpoints/ for the cells that
             share
them
predictions  a Parquet row per scored question, and a JSON
checkpoints  while a cell trains: three of weights and two moments for a moment, and the best weights
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmark.config.cells import Cell, parse
from benchmark.config.folders import Folders
from benchmark.config.params import Config, repository_root
from bmt.errors import ConfigError

BYTES_A_WEIGHT = 4
CHECKPOINTS = 10
"""Times the model: 3 checkpoints x (weights + 2 moments) + the best weights."""
ADAPTER = 0.02
"""Share of the model per dataset: 2 x 2 H H / 16 weights per layer beside its 12 H H, and a head."""
PREDICTION = 250
"""Bytes of a scored question, compressed."""
RESULT = 40_000
"""Bytes of a result's JSON."""
HUB = {
    "FacebookAI/roberta-base": 124_645_632,
    "FacebookAI/roberta-large": 355_359_744,
    "google-t5/t5-base": 109_628_544,
}
"""Weights of the hub's encoders, by name: they are not on this disk before they are used."""
WHOLE = {"google-t5/t5-base": 222_903_552, "allenai/unifiedqa-t5-base": 222_903_552}
"""The same with the decoder, for heads that have one."""


@dataclass(frozen=True, slots=True)
class Disk:
    """Bytes of a run, and of its checkpoints while it trains."""

    model: int
    masks: int
    predictions: int
    checkpoints: int

    def kept(self, keep: str) -> int:
        """What stays when the run is over."""
        return self.masks + self.predictions + (self.model if keep == "best" else 0)


@dataclass(frozen=True, slots=True)
class RunFolder:
    """What a cell's run folder holds."""

    cell: Cell
    model: int
    masks: int


def run_folders(folders: Folders) -> list[RunFolder]:
    """The cells of a profile that have a run folder with a model."""
    cells = []
    for path in sorted((folders.root / "runs" / folders.profile).glob("*/model")):
        try:
            cell = parse(path.parent.name)
        except ConfigError:
            continue
        cells.append(RunFolder(cell, size(path), size(path.parent / "masks")))
    return cells


def disk_of(
    config: Config,
    cell: Cell,
    there: Iterable[RunFolder],
    weights: int | None,
    scored: int,
    trains: bool = True,
) -> Disk:
    """The bytes of a cell.

    Args:
        there: `run_folders`; cells with the same backbone and adapters tell the model's size, and those with
            the same kind of masks theirs.
        weights: bytes of the pretrained weights; None: not known, taken as RoBERTa-base's.
        scored: dev questions that are scored.
        trains: False for a transfer: it keeps neither model nor masks.
    """
    predictions = scored * PREDICTION + RESULT
    if not trains:
        return Disk(0, 0, predictions, 0)
    alike = [
        other for other in there if (other.cell.backbone, other.cell.adapter) == (cell.backbone, cell.adapter)
    ]
    learned_for = 1 if cell.dataset else len(config.data.train)
    base = weights or HUB["FacebookAI/roberta-base"] * BYTES_A_WEIGHT
    model = round(
        median(other.model for other in alike)
        if alike
        else base * (1 + (ADAPTER * learned_for if cell.adapter else 0))
    )
    kind = config.arms[cell.arm].mask
    masks = 0
    if kind not in ("none", "random"):
        count = 1 if config.mask.scope != "per_dataset" or kind == "magnitude" else learned_for
        same = [
            other.masks
            for other in alike
            if other.cell.arm == cell.arm and (other.cell.dataset is None) == (cell.dataset is None)
        ]
        masks = 2 * (round(median(same)) if same else count * base // (8 * BYTES_A_WEIGHT))
    return Disk(model, masks, predictions, CHECKPOINTS * model)


def weights_of(config: Config, backbone: str) -> int | None:
    """Bytes of a backbone's pretrained weights, without reading them; None: not known."""
    settings = config.backbones[backbone]
    if settings.source == "hub":
        known = HUB if settings.head == "span" else WHOLE
        return known[settings.name] * BYTES_A_WEIGHT if settings.name in known else None
    if settings.source == "package":
        spec = importlib.util.find_spec(settings.name)
        folders = [Path(place) / "model" for place in (spec and spec.submodule_search_locations) or ()]
    else:
        folders = [repository_root() / settings.name]
    files = [folder / "model.safetensors" for folder in folders]
    return next((file.stat().st_size for file in files if file.is_file()), None)


def size(folder: Path) -> int:
    """Bytes of all files in a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
