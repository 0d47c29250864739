"""What decides a run, as one digest: checkpoints, masks and results live under it, and no run goes on from
another setting's.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmark.config.cells import Cell
from benchmark.config.params import Config, find_cell, repository_root
from bmt.runtime.files import file_digest, json_digest
from bmt.settings import SamplingSettings


def section_digest(config: Config, cell: Cell | str) -> str:
    """Digest (64 hexadecimal digits) of everything that decides the training of `cell`, and of nothing else.

    Left out: the other cells, arms and backbones, what is only evaluated, compared or tracked, and the
        settings of the machine
    (threads, windows a forward pass in evaluation). Checkpoints live under it, so a run never resumes from
    another setting's.
    """
    cell = find_cell(config, cell if isinstance(cell, str) else cell.name)
    return json_digest({"cell": cell.name, **_decides(config, cell)})


def masks_digest(config: Config, cell: Cell) -> str:
    """Digest of everything that decides the masks of `cell` and is known before they are made: cells that
    differ in nothing else share
    them. The permutation of `fixed_random` comes after, so such a cell has the digest of the learned one."""
    arm = config.arms[cell.arm]
    decides = _decides(config, cell)
    kind = "learned" if arm.mask == "fixed_random" else arm.mask
    training = {key: decides["training"][key] for key in ("precision", "dropout", "batch", "head_lr", "eps")}
    kept = {key: decides[key] for key in ("source", "backbone", "data", "mask", "loss")}
    return json_digest({"kind": kind, "regime": cell.regime, "seed": cell.seed, "training": training, **kept})


def _decides(config: Config, cell: Cell) -> dict[str, Any]:
    data, training, arm = asdict(config.data), asdict(config.training), config.arms[cell.arm]
    for key in ("evaluate", *(["dev_cap"] if config.data.val_source == "train" else [])):
        del data[key]
    others = [
        "epochs_st" if cell.dataset is None else "epochs_mt",
        *([] if cell.adapter else ["epochs_adapter"]),
    ]
    for key in ("evaluation_batch", "threads", *others):
        del training[key]
    if cell.dataset:
        data["train"] = [cell.dataset]
    return {
        "source": asdict(config.source),
        "backbone": asdict(config.backbones[cell.backbone]),
        "arm": asdict(arm),
        "data": data,
        "mask": asdict(config.mask) if arm.mask not in ("none", "random") else None,
        "tuning": asdict(config.tuning),
        "training": training,
        "sampling": None if cell.dataset else _sampling_decides(config.sampling),
        "loss": asdict(config.loss),
        "decode": asdict(config.decode),  # decides the validation F1, and so eq. 15 and the stop
    }


def _sampling_decides(sampling: SamplingSettings) -> dict[str, Any]:
    """What the kind of sampling reads: of the keys that one kind alone has, its own."""
    own = {"temperature": ("temperature",), "dynamic_single_task": ("single_task_arm", "single_task_scores")}
    others = [key for kind, keys in own.items() if kind != sampling.kind for key in keys]
    return {key: value for key, value in asdict(sampling).items() if key not in others}


def params_digest(path: str | Path | None = None) -> str:
    """sha256 of a params file's bytes, as `sha256sum` prints it; without `path` of the root's params.yaml."""
    return file_digest(repository_root() / "params.yaml" if path is None else path)
