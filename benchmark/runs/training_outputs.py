"""What a training leaves in `runs/<profile>/<cell>/`: model/, masks/, curve.csv and training.json."""

from __future__ import annotations

import csv
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmark.config.digests import params_digest
from benchmark.runs.cell_run import CellRun
from benchmark.runs.single_task_reference import validation_scores
from benchmark.runs.training_record import NAME
from benchmark.tracking import environment
from bmt.mask_learning import GLOBAL
from bmt.masks import Masks
from bmt.qa.model import quiet_transformers
from bmt.random_mask import RandomMask
from bmt.runtime.files import write_aside, write_folder_aside, write_json
from bmt.training.loop import TrainingOutcome

OUTPUTS = ("model", "masks", "curve.csv", NAME)
INACTIVE = 0.95  # union density above which a mask is called nearly inactive


@dataclass(frozen=True, slots=True)
class CellOutcome:
    """What the training of a cell has come to.

    Attributes:
        model, tokenizer: with the best weights.
        masks: at the end, where they change.
        adapters: what training.json says of phase 2; None: a cell without adapters.
        params: the params file; None: the root's.
        tracked: the tracker's name of the run.
    """

    model: Any
    tokenizer: Any
    masks: Masks | RandomMask | None
    outcome: TrainingOutcome
    adapters: dict[str, Any] | None
    params: str | None
    tracked: str | None


def write_outputs(run: CellRun, trained: CellOutcome) -> None:
    """The four outputs, each complete or absent."""
    _write_model(run, trained)
    with write_folder_aside(run.folder / "masks") as aside:
        if isinstance(trained.masks, Masks):
            trained.masks.save(aside / "masks.safetensors")
        write_json(aside / "masks.json", describe_masks(trained.masks))
    _write_curve(run.folder / "curve.csv", trained.outcome.curve)
    write_json(run.folder / NAME, training_record(run, trained))


def _write_model(run: CellRun, trained: CellOutcome) -> None:
    data = run.config.data
    trained.model.config.bmt = {
        "cell": run.cell.name,
        "profile": run.config.profile,
        "backbone": run.backbone.identity,
        "window": data.window,
        "overlap": data.overlap,
        "question": data.question,
        "decode": asdict(run.config.decode),
    }
    with write_folder_aside(run.folder / "model") as aside, quiet_transformers():
        trained.model.save_pretrained(aside)
        trained.tokenizer.save_pretrained(aside)


def _write_curve(path: Path, curve: list[dict[str, float]]) -> None:
    # a run that an older state of this code began has rows with fewer columns
    columns = list(dict.fromkeys(key for row in curve for key in row))
    with write_aside(path) as aside, aside.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, columns)
        writer.writeheader()
        writer.writerows(curve)


def training_record(run: CellRun, trained: CellOutcome) -> dict[str, Any]:
    """What training.json holds."""
    config, cell, arm, outcome = run.config, run.cell, run.arm, trained.outcome
    regularizer = {"kind": arm.regularizer, "strength": arm.strength}
    learns = arm.mask in ("learned", "fixed_random", "fisher")
    return {
        **asdict(cell),
        "cell": cell.name,
        "profile": config.profile,
        "backbone_revision": run.backbone.identity,
        "p_f": arm.p_f,
        "mask": describe_masks(trained.masks),
        "regularizer": None if arm.regularizer == "none" else regularizer,
        "deviation": {key: asdict(moved) for key, moved in outcome.deviation.items()},
        "budget": {
            "steps": outcome.step,
            **{key: getattr(outcome, key) for key in ("best_step", "windows", "tokens")},
            "epochs": run.epochs,
            "mask_steps": config.mask.steps if learns else 0,
        },
        "validation_f1": outcome.best_f1,
        "validation": validation_scores(outcome.curve, outcome.best_step),
        "sampling": None if cell.dataset else asdict(config.sampling),
        "seconds": outcome.seconds,
        "tokens_per_second": outcome.tokens / outcome.seconds if outcome.seconds else 0.0,
        "padding_waste": outcome.padding_waste,
        "ranks": run.ranks.world,
        "adapters": trained.adapters,
        "peak_memory_mb": environment.peak_memory_mb(),
        "data": run.data.sha256,
        "params_sha256": params_digest(trained.params),
        "environment": environment.describe(),
        "mlflow_run_id": trained.tracked,
    }


def describe_masks(masks: Masks | RandomMask | None) -> dict[str, Any] | None:
    """What results say of the masks."""
    if masks is None:
        return None
    if isinstance(masks, RandomMask):
        return {"kind": "random", "p_f": masks.p_f, "seed": masks.seed}
    return {
        "kind": masks.about["kind"],
        "density": masks.densities(),
        "union_density": masks.union_density(),
        "overlap": masks.overlaps(),
        "by_layer": masks.density_by("layer"),
        "by_kind": masks.density_by("kind"),
        "about": masks.about,
    }


def summary(run: CellRun, trained: CellOutcome) -> str:
    """The lines that end a training: best validation F1, deviation, and always the densities of masks."""
    outcome, masks = trained.outcome, trained.masks
    moved = outcome.deviation["total"]
    lines = [
        f"{run.cell.name}: validation macro F1 {outcome.best_f1:.1f} at step {outcome.best_step} of "
        f"{outcome.step}, relative deviation {moved.relative:.4f}, "
        f"{outcome.tokens / max(outcome.seconds, 1e-9):,.0f} tokens/s"
    ]
    if isinstance(masks, Masks):
        union = masks.union_density()
        densities = ", ".join(
            f"{'mixture' if name == GLOBAL else name} {density:.3f}"
            for name, density in masks.densities().items()
        )
        inactive = " — mask nearly inactive" if union > INACTIVE else ""
        lines.append(f"mask density: {densities}; union {union:.3f}{inactive}")
    return "\n".join(lines)
