"""Transfer to datasets that were not trained on: zero-shot (section 4.6.1), and few-shot over all (dataset,
K, seed) (4.6.2).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from torch import nn

from bmt.errors import ConfigError
from bmt.few_shot_settings import FewShotSettings
from bmt.masks import Masks
from bmt.qa.adapters import adapters_of, averaged
from bmt.qa.batches import Vocabulary, Windows
from bmt.random_mask import RandomMask
from bmt.runtime.checkpoints import Checkpoints
from bmt.runtime.files import json_digest, write_json
from bmt.runtime.leftover_files import remove_leftovers
from bmt.runtime.stopping import Stop, StoppedError, never
from bmt.settings import DataSettings, MaskSettings
from bmt.training.loop import Plan, Questions
from bmt.training.mask_schedules import Schedule
from bmt.training.source_masks import mask_schedule, source_masks
from bmt.transfer.few_shot import FewShot, TargetMasks, draw, few_shot, few_shot_plan

M = TypeVar("M", bound=nn.Module)


def zero_shot(model: M) -> M:
    """The model that answers questions of a dataset that was not trained on: the uniform mean of adapters and
    heads.

    A model without adapters is its own.
    """
    return model if adapters_of(model) is None else averaged(model)


def target_masks(
    kind: str,
    mask: MaskSettings,
    plan: Plan,
    vocabulary: Vocabulary,
    settings: FewShotSettings,
    *,
    seed: int,
    p_f: float | None = None,
    rescale: bool = False,
    source: Masks | None = None,
    checkpoints: Checkpoints | None = None,
    stop: Stop = never,
) -> TargetMasks | None:
    """What an arm's mask is on a target dataset, which has none from the source training.

    Args:
        kind: of the arm: "none"; "random" (with `p_f`, `rescale`); "learned" and its controls "fixed_random",
            "fisher", "magnitude": made
            at the model that the updates start from, on the training examples, or, of "learned" and
            "fixed_random" with
            `settings.mask: union`, the union of the `source` masks.
        mask: how masks are learned; a schedule other than two_phase goes on during the updates.
        source: the source datasets' masks as training kept them (already permuted for "fixed_random").
        checkpoints, stop: of the learning (bmt.mask_learning.learn_masks), on one target.

    Raises:
        ConfigError: the union is asked for and there are no source masks.
    """
    if kind == "none":
        return None
    if kind == "random":
        random = RandomMask(float(p_f or 0), seed, mask.targets, rescale)
        return lambda model, windows, rows: random
    if settings.mask == "union" and kind in ("learned", "fixed_random"):
        if source is None:
            raise ConfigError(
                "fewshot.mask: 'union' needs the masks of the source training, which this run did not keep: use relearn"
            )
        union = source.union()
        return lambda model, windows, rows: union

    def made(model: nn.Module, windows: Windows, rows: np.ndarray) -> Masks | Schedule:
        own, planned = {windows.dataset: rows}, few_shot_plan(plan, settings)
        if kind == "learned" and (mask.schedule != "two_phase" or mask.gate == "resampled"):
            folder, fingerprint = (
                (None, "") if checkpoints is None else (checkpoints.folder, checkpoints.fingerprint)
            )
            return mask_schedule(
                model,
                [windows],
                own,
                vocabulary,
                mask,
                planned,
                seed=seed,
                folder=folder,
                fingerprint=fingerprint,
                stop=stop,
            )
        learned = "learned" if kind == "fixed_random" else kind
        masks = source_masks(
            learned,
            model,
            [windows],
            own,
            vocabulary,
            mask,
            planned,
            seed=seed,
            checkpoints=checkpoints,
            stop=stop,
        )
        return masks.permuted(seed) if kind == "fixed_random" else masks

    return made


def few_shot_runs(
    model: nn.Module,
    targets: Sequence[Questions],
    vocabulary: Vocabulary,
    plan: Plan,
    settings: FewShotSettings,
    folder: Path,
    *,
    fingerprint: str,
    data: DataSettings | None = None,
    masks: Callable[[int, Checkpoints], TargetMasks | None] | None = None,
    report: Callable[[str, int, int, dict[str, float]], None] | None = None,
    done: Callable[[dict[str, Any]], None] | None = None,
    stop: Stop = never,
) -> list[dict[str, Any]]:
    """Every (dataset, K, seed) of the settings, dataset by dataset; one that a cut-off call has finished is
    read from its file.

    Args:
        targets: dev questions of each target dataset.
        folder: a run is one file `<dataset>.k<K>.s<seed>-<digest>.json` there, complete or absent. The digest
            is of the fingerprint and all
            settings: what another state has made is never taken up. Beside it, while it is under way, a
                folder of that name for what a stop
            has kept.
        fingerprint: of the model, the arm and the data.
        masks: (seed, where to keep what is learned of them) -> what holds the updates back (`target_masks`);
            None: nothing.
        report: called with (dataset, K, seed, metrics) at each run's end: `few_shot/steps` and the like.
        done: called with the record of each run as it is finished or found.
        stop: asked between two updates and between two runs.

    Returns:
        the records: dataset, k, seed, losses, weights, train, validation, test (example rows), windows,
            steps, steps_an_epoch, best_step,
        best_f1, curve, and found: {example, text, start, end, score} of each test example that has a window.

    Raises:
        ConfigError: a K that some dataset does not have, before anything is trained. NonFiniteLossError: a
            loss that is not finite.
        StoppedError: `stop` asked; the same call goes on from there.
    """
    units = [(target, k, seed) for target in targets for k in settings.sizes for seed in settings.seeds]
    for target, k, seed in units:
        draw(target, k, seed, settings.test)
    chosen = data or DataSettings()
    decides = {
        "fingerprint": fingerprint,
        "few_shot": {**asdict(settings), "sizes": [], "seeds": []},
        "plan": asdict(plan),
    }
    decides["data"] = [chosen.negatives, chosen.windows]
    digest, records = json_digest(decides)[:12], []
    for target, k, seed in units:
        name = target.windows.dataset
        path = folder / f"{name}.k{k}.s{seed}-{digest}.json"
        checkpoints = Checkpoints(path.with_suffix(""), digest)
        record = _kept(path)
        if record is None:
            if stop():
                raise StoppedError(f"stopped before {name}, K = {k}, seed {seed}")
            held = None if masks is None else masks(seed, checkpoints.within("masks"))
            tuned = few_shot(
                model,
                target,
                k,
                seed,
                vocabulary,
                plan,
                settings,
                data=data,
                masks=held,
                checkpoints=checkpoints.within("updates"),
                stop=stop,
            )
            record = as_record(tuned)
            remove_leftovers(folder, path.name)
            write_json(path, record)
            if report is not None:
                kept = ("windows", "steps", "steps_an_epoch", "best_step", "best_f1")
                report(name, k, seed, {f"few_shot/{key}": float(record[key]) for key in kept})
        checkpoints.remove()
        records.append(record)
        if done is not None:
            done(record)
    return records


def _kept(path: Path) -> dict[str, Any] | None:
    """The record of a finished run; None where there is none, or a damaged one, which is made again."""
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return record


def as_record(run: FewShot) -> dict[str, Any]:
    """A run as JSON; see `few_shot_runs`."""
    split = {
        "train": run.split.train.tolist(),
        "validation": run.split.validation.tolist(),
        "test": run.split.test.tolist(),
    }
    who = {"dataset": run.dataset, "k": run.k, "seed": run.seed, "losses": run.losses, "weights": run.weights}
    return {**who, **split, **asdict(run.tuned), "found": [asdict(prediction) for prediction in run.found]}
