"""Few-shot transfer over all (dataset, K, seed) (section 4.6.2): each run is one file, complete or absent."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from bmt.runtime.checkpoints import Checkpoints
from bmt.runtime.control import RunControl
from bmt.runtime.files import file_name, json_digest, remove_half_written, write_json
from bmt.runtime.stopping import Stop, StoppedError, never
from bmt.training.validation import Questions
from bmt.transfer.few_shot import FewShot, TargetMasks, few_shot
from bmt.transfer.protocol import FewShotProtocol
from bmt.transfer.target_split import draw

MasksOfSeed = Callable[[int, Checkpoints], TargetMasks | None]
"""(seed, where to keep what is learned of them) -> what the updates are under."""


def few_shot_runs(
    model: nn.Module,
    targets: Sequence[Questions],
    protocol: FewShotProtocol,
    kept: Checkpoints,
    *,
    masks: MasksOfSeed | None = None,
    done: Callable[[dict[str, Any]], None] | None = None,
    stop: Stop = never,
) -> list[dict[str, Any]]:
    """Every (dataset, K, seed) of the settings, dataset by dataset; one that a cut-off call has finished is
    read from its file.

    Args:
        targets: dev questions of each target dataset.
        kept: a run is one file `<dataset>.k<K>.s<seed>-<digest>.json` in its folder. The digest is of the
            fingerprint, which is of the model, the arm and the data, and of all settings: what another state
            has made is never taken up. Beside it, while it is under way, a folder of that name for what a
            stop has kept.
        masks: what the updates are under (`bmt.transfer.target_masks`); None: nothing.
        done: called with the record of each run as it is finished or read.
        stop: asked between two updates and between two runs.

    Returns:
        the records: dataset, k, seed, losses, weights, train, validation, test (example rows), windows,
        steps, steps_per_epoch, best_step, best_f1, curve, and predictions: {example, text, start, end, score}
        of each test example that has a window.

    Raises:
        ConfigError: a K that some dataset does not have, before anything is trained.
        NonFiniteLossError: a loss that is not finite.
        StoppedError: `stop` asked; the same call goes on from there.
    """
    settings = protocol.settings
    units = [(target, k, seed) for target in targets for k in settings.sizes for seed in settings.seeds]
    for target, k, seed in units:
        draw(target, k, seed, settings.test)
    digest, records = _digest(protocol, kept.fingerprint), []
    for target, k, seed in units:
        name = target.windows.dataset
        path = kept.folder / f"{file_name(name)}.k{k}.s{seed}-{digest}.json"
        checkpoints = Checkpoints(path.with_suffix(""), digest)
        record = _read_record(path)
        if record is None:
            if stop():
                raise StoppedError(f"stopped before {name}, K = {k}, seed {seed}")
            run = few_shot(
                model,
                target,
                k,
                seed,
                protocol,
                masks=None if masks is None else masks(seed, checkpoints.within("masks")),
                control=RunControl(checkpoints=checkpoints.within("updates"), stop=stop),
            )
            record = as_record(run)
            remove_half_written(kept.folder, path.name)
            write_json(path, record)
        checkpoints.remove()
        records.append(record)
        if done is not None:
            done(record)
    return records


def _digest(protocol: FewShotProtocol, fingerprint: str) -> str:
    """Of all that decides a run beside its dataset, K and seed: which K and seeds there are does not."""
    settings = {**asdict(protocol.settings), "sizes": [], "seeds": []}
    decides = {"fingerprint": fingerprint, "few_shot": settings, "plan": asdict(protocol.plan)}
    decides["data"] = [protocol.data.negatives, protocol.data.windows]
    return json_digest(decides)[:12]


def _read_record(path: Path) -> dict[str, Any] | None:
    """The record of a finished run; None where there is none, or a damaged one, which is made again."""
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return record


def as_record(run: FewShot) -> dict[str, Any]:
    """A run as JSON; see `few_shot_runs`."""
    record = asdict(run)
    split: dict[str, np.ndarray] = record.pop("split")
    return record | record.pop("tuned") | {side: examples.tolist() for side, examples in split.items()}
