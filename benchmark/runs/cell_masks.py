"""The masks of a cell's arm: learned and kept, read again, drawn, or changing while theta is tuned."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors.torch import load_file, save_file

from benchmark.runs.cell_run import CellRun
from bmt.deviation import pretrained_copy
from bmt.errors import ModelError
from bmt.masks import Masks
from bmt.random_mask import RandomMask
from bmt.runtime.checkpoints import Checkpoints
from bmt.runtime.control import RunControl
from bmt.runtime.files import remove_half_written, write_aside
from bmt.training.data import TrainingData
from bmt.training.loop import Anchor
from bmt.training.mask_schedules import mask_schedule
from bmt.training.procedure import stop_alone
from bmt.training.regularizers import regularizer
from bmt.training.source_masks import source_masks, warm_up_head

if TYPE_CHECKING:
    from bmt.training.applied_masks import UpdateMasks

SECONDS_OF_A_WRITE = 3600
"""Another cell may be writing the same masks: a half-written file that is younger is left alone."""


def masks_and_anchor(
    run: CellRun, model: Any, data: TrainingData, tracker: Any, *, fresh: bool, control: RunControl
) -> tuple[UpdateMasks | None, Anchor]:
    """The masks of a cell's arm, and theta_0 with the arm's regularizer; a warm-up of the head comes first.

    Args:
        tracker: gets the course of the mask learning.
        fresh: whether masks that were kept are made anew.
        control: `checkpoints` of the cell: in its folder is kept what was learned of masks that are not
            complete yet; None: nowhere.
    """
    arm, seed = run.arm, run.cell.seed
    if arm.mask == "learned":
        steps = run.config.mask.head_warmup
        warm_up_head(model, data, run.plan, steps=steps, seed=seed, stop=control.stop)
    pretrained = pretrained_copy(model) if run.config.mask.keep_delta else None  # the masks move the model

    def report(dataset: str, step: int, values: dict[str, float]) -> None:
        tracker.log({f"mask_learning/{key}/{dataset}": value for key, value in values.items()}, step=step)

    masks = masks_of_cell(run, model, data, fresh=fresh, control=replace(control, report=report))
    pretrained = pretrained_copy(model) if pretrained is None else pretrained
    if arm.regularizer == "none":
        return masks, Anchor(pretrained)
    return masks, Anchor(pretrained, regularizer(arm.regularizer, arm.strength, model, pretrained, seed))


def masks_of_cell(
    run: CellRun, model: Any, data: TrainingData, *, fresh: bool, control: RunControl
) -> UpdateMasks | None:
    """The masks of a cell's arm.

    What takes steps to make is kept under the digest of what decides it, for a resume and for other arms. Of
    several ranks the first learns and keeps masks, and the others read what it kept.
    """
    arm, mask = run.arm, run.config.mask
    if arm.mask == "none":
        return None
    if arm.mask == "random":
        return RandomMask(float(arm.p_f or 0), run.cell.seed, mask.targets, arm.rescale)
    if arm.mask == "learned" and (mask.schedule != "two_phase" or mask.gate == "resampled"):
        alone = replace(
            control, stop=stop_alone(control)
        )  # other ranks would wait for masks that do not come
        return mask_schedule(model, data, mask, run.plan, seed=run.cell.seed, control=alone)
    path = run.folders.masks(run.config, run.cell, run.data.digest, run.backbone.identity)
    moved = mask.keep_delta and arm.mask == "learned"
    theta = path.with_suffix(".theta.safetensors") if moved else None  # theta_0 + delta
    with run.ranks.first_before_others():
        complete = path.is_file() and (theta is None or theta.is_file())
        if not run.ranks.first and not complete:
            raise ModelError(
                f"{path}: rank {run.ranks.rank} does not see it: let all ranks share the project's folder"
            )
        if complete and not (fresh and run.ranks.first):
            masks = Masks.load(path, model)
            if theta is not None:
                model.load_state_dict(load_file(theta), strict=False)
        else:
            masks = _learn(run, model, data, path, control)
            _keep(masks, model, path, theta)
            if control.checkpoints is not None:
                _learning(control.checkpoints, path).remove()
    return masks.permuted(run.cell.seed) if arm.mask == "fixed_random" else masks


def _learn(run: CellRun, model: Any, data: TrainingData, path: Path, control: RunControl) -> Masks:
    """Masks that are kept in no file yet."""
    mask, kind = run.config.mask, run.arm.mask
    learning = None if control.checkpoints is None else _learning(control.checkpoints, path)
    windows = (1 if mask.scope == "global" else len(data.sets)) * mask.steps * mask.batch
    with run.bar("masks", windows) as bar:
        return source_masks(
            "learned" if kind == "fixed_random" else kind,
            model,
            data,
            mask,
            run.plan,
            seed=run.cell.seed,
            control=replace(control, progress=bar.advance, checkpoints=learning),
        )


def _learning(checkpoints: Checkpoints, path: Path) -> Checkpoints:
    """Where the learning of the masks in `path` is kept: its name is the digest of all that decides them."""
    return Checkpoints(checkpoints.folder / f"learning-{path.stem}", path.stem)


def _keep(masks: Masks, model: Any, path: Path, theta: Path | None) -> None:
    remove_half_written(path.parent, path.name, seconds=SECONDS_OF_A_WRITE)
    masks.save(path)
    if theta is not None:
        with write_aside(theta) as aside:
            moved = {name: value.detach() for name, value in model.named_parameters() if name in masks.shapes}
            save_file(moved, aside)
