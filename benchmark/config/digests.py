"""What decides each instance of each stage: its settings as they are read, and its code without comments.

One answer for all who ask: DVC, through the files that `benchmark.digests` writes; checkpoints and kept
masks, which live under it, so that no run goes on from what another setting or other code has made.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmark.config.backbones import tokenizer_files
from benchmark.config.cells import Cell
from benchmark.config.deciding_code import cell_traits, stage_code
from benchmark.config.params import Config, find_cell, repository_root
from bmt.runtime.files import file_digest, json_digest
from bmt.settings import OUT_OF_DOMAIN

MASK_KEYS = {
    "none": (),
    "random": ("targets",),
    "magnitude": ("density", "targets"),
    "fisher": ("density", "targets", "steps", "batch", "scope"),
}
"""The keys of `mask` that an arm without learned masks reads."""
WINDOW_KEYS = ("window", "overlap", "question", "special_tokens")
TRAINING_DATA_KEYS = (*WINDOW_KEYS, "train_cap", "validation_cap", "val_source", "negatives", "windows")


def section_digest(config: Config, cell: Cell | str) -> str:
    """Digest (64 hexadecimal digits) of everything that decides the training of `cell`, and of nothing else.

    Left out: the other cells, arms and backbones, what is only evaluated, compared or tracked, the settings
        of the machine
    (threads, windows per forward pass in evaluation), comments. The data has a digest of its own.
    """
    cell = find_cell(config, cell if isinstance(cell, str) else cell.name)
    code = stage_code("train", cell_traits(config, cell))
    return json_digest({"cell": cell.name, "settings": training_settings(config, cell), "code": code})


def masks_digest(config: Config, cell: Cell) -> str:
    """Digest of everything that decides the masks of `cell` and is known before they are made: cells that
    differ in nothing else share them. The permutation of `fixed_random` comes after, so such a cell has the
    digest of the learned one.
    """
    arm = config.arms[cell.arm]
    settings = training_settings(config, cell)
    kind = "learned" if arm.mask == "fixed_random" else arm.mask
    if arm.mask == "fixed_random":
        settings["mask"]["head_warmup"] = 0
    kept = {key: settings[key] for key in ("backbone", "data", "mask", "loss")}
    kept["training"] = {
        key: settings["training"][key] for key in ("precision", "dropout", "batch", "head_lr", "eps")
    }
    code = stage_code("train", frozenset({"kept", kind, config.backbones[cell.backbone].head}))
    return json_digest({"kind": kind, "regime": cell.regime, "seed": cell.seed, "code": code, **kept})


def preparation_settings(config: Config, backbone: str) -> dict[str, Any]:
    """What decides the windows for a backbone: of the backbone its tokenizer alone, by its files where they
    are at hand.
    """
    settings = config.backbones[backbone]
    data = {key: getattr(config.data, key) for key in (*WINDOW_KEYS, "train")}
    named = {"source": settings.source, "name": settings.name, "revision": settings.revision}
    files = tokenizer_files(backbone, settings)
    tokenizer = {path.name: file_digest(path)[:16] for path in files} if files else named
    return {"data": data, "tokenizer": tokenizer}


def training_settings(config: Config, cell: Cell) -> dict[str, Any]:
    """What decides the training of a cell."""
    training = asdict(config.training)
    for key in ("evaluation_batch", "threads", "epochs_mt" if cell.dataset else "epochs_st"):
        del training[key]
    if not cell.adapter:
        del training["epochs_adapter"]
    data = {key: getattr(config.data, key) for key in TRAINING_DATA_KEYS}
    data["train"] = [cell.dataset] if cell.dataset else config.data.train
    return {
        "backbone": asdict(config.backbones[cell.backbone]),
        "data": data,
        "training": training,
        "sampling": None if cell.dataset else _sampling_settings(config),
        **_method_settings(config, cell),
    }


def _method_settings(config: Config, cell: Cell) -> dict[str, Any]:
    """What a training and a few-shot transfer of a cell both read."""
    arm, mask = config.arms[cell.arm], asdict(config.mask)
    return {
        "arm": asdict(arm),
        "mask": {key: mask[key] for key in MASK_KEYS.get(arm.mask, mask)},
        "tuning": {"clip": config.tuning.clip} if arm.mask == "none" else asdict(config.tuning),
        "loss": asdict(config.loss),
        "decode": asdict(config.decode),  # decides the validation F1, and so eq. 15 and the stop
    }


def _sampling_settings(config: Config) -> dict[str, Any]:
    """What the kind of sampling reads: keys that one kind alone has are left out for the others."""
    alone = {
        "temperature": ("temperature",),
        "dynamic_single_task": ("single_task_arm", "single_task_scores"),
    }
    others = [key for kind, keys in alone.items() if kind != config.sampling.kind for key in keys]
    return {key: value for key, value in asdict(config.sampling).items() if key not in others}


def evaluation_settings(config: Config) -> dict[str, Any]:
    """What decides the scores of a trained model."""
    return {
        "data": {"evaluate": config.data.evaluate, "dev_cap": config.data.dev_cap},
        "training": {key: getattr(config.training, key) for key in ("precision", "evaluation_batch")},
        "decode": asdict(config.decode),
    }


def transfer_settings(config: Config, cell: Cell, k: int, seed: int) -> dict[str, Any]:
    """What decides a few-shot transfer of a trained cell."""
    few_shot = asdict(config.fewshot) | {"k": k, "seed": seed}
    for key in ("sizes", "seeds"):
        del few_shot[key]
    kept = ("weight_decay", "eps", "micro_batch", "micro_tokens", "padding", "precision")
    data = {key: getattr(config.data, key) for key in ("dev_cap", "negatives", "windows")}
    return {
        "few_shot": few_shot,
        "data": data | {"evaluate": targets(config)},
        "training": {key: getattr(config.training, key) for key in kept},
        **_method_settings(config, cell),
    }


def published_settings(config: Config, backbone: str) -> dict[str, Any]:
    """What decides the scores of a model that writes its answers."""
    return {
        "backbone": asdict(config.backbones[backbone]),
        "data": {"evaluate": targets(config), "dev_cap": config.data.dev_cap},
    }


def comparison_settings(config: Config) -> dict[str, Any]:
    """What decides the tables and the report, beside the results."""
    return {
        "compare": asdict(config.compare),
        "cells": config.every_cell,
        "few_shot": {"sizes": config.fewshot.sizes},
    }


def targets(config: Config) -> list[str]:
    """The datasets out of domain that the profile scores."""
    return [dataset for dataset in OUT_OF_DOMAIN if dataset in config.data.evaluate]


def params_digest(path: str | Path | None = None) -> str:
    """sha256 of a params file's bytes, as `sha256sum` prints it; without `path` of the root's params.yaml."""
    return file_digest(repository_root() / "params.yaml" if path is None else path)
