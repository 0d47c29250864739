"""`python -m benchmark.train CELL`: train one cell: learn its masks, tune under them, keep model, masks and
course.

On several GPUs or machines (which share the project's folder): `accelerate launch -m benchmark.train CELL`,
or torchrun.
"""

from __future__ import annotations

import csv
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from benchmark.tracking import environment, mlflow_store as tracking
from benchmark.runs.adapters import second_phase, start_adapters
from benchmark.cli.allocator import keep_freed_memory
from benchmark.config.backbones import Located, locate
from benchmark.runs.cell_data import TrainingData, training_data
from benchmark.config.cells import Cell
from benchmark.cli.commands import command_parser, run_command
from benchmark.config.params import Config, as_flat, find_cell, load
from benchmark.config.digests import params_digest, section_digest
from benchmark.tracking.journal import interrupted
from benchmark.tracking.run_metrics import final_metrics, log_figures, log_masks
from benchmark.runs.nonfinite import NAME, batches_kept
from benchmark.config.folders import Places
from benchmark.cli.progress import progress, silent
from benchmark.runs.single_task_reference import validation_scores, with_reference
from benchmark.cli.signals import stoppable
from bmt.qa.batches import Vocabulary
from bmt.runtime.checkpoints import Checkpoints
from bmt.deviation import pretrained_copy
from bmt.errors import ModelError
from bmt.runtime.files import write_aside, write_folder_aside, write_json
from bmt.mask_learning import GLOBAL
from bmt.runtime.leftover_files import remove_leftovers
from bmt.masks import Masks
from bmt.qa.model import quiet_transformers, span_model
from bmt.training.source_masks import mask_schedule, source_masks, warm_up_head
from bmt.runtime.ranks import Ranks, launched, own_device
from bmt.training.mask_schedules import Schedule
from bmt.random_mask import RandomMask
from bmt.runtime.stopping import Stop, never
from bmt.training.loop import Outcome, Plan, planned_steps, train


INACTIVE = 0.95  # union density above which a mask is called nearly inactive


def plan_of(config: Config) -> Plan:
    """The settings that the training loop reads."""
    return Plan(config.training, config.tuning, config.sampling, config.loss, config.decode)


def device_for_training() -> torch.device:
    """This rank's GPU, the first one for a process alone, or the CPU."""
    return own_device()


def train_cell(config: Config, cell: Cell, params: str | None = None, fresh: bool = False, ranks: Ranks | None = None) -> None:
    """Train a cell and write `runs/<profile>/<cell>/`; resumes from its checkpoints unless `fresh`.

    Of several ranks, which all call this, the first alone writes, tracks and prints. SIGTERM ends it with a
    checkpoint of the step that it
    is at, and SystemExit(143).

    Raises:
        ModelError: a loss that is not finite (`nonfinite.json` in the run's folder has its examples), or a
            checkpoint of another
            configuration.
    """
    ranks = ranks or Ranks()
    places = Places.of(config)
    config = with_reference(config, cell, places)
    arm, plan = config.arms[cell.arm], plan_of(config)
    if config.training.threads:
        torch.set_num_threads(config.training.threads)
    place = locate(cell.backbone, config.backbones[cell.backbone])
    data = training_data(config, cell, places.features(cell.backbone))
    checkpoints = Checkpoints(
        places.checkpoints(config, cell, data.digest), f"{section_digest(config, cell)}:{data.digest}:{place.identity}"
    )
    if fresh and ranks.first:
        checkpoints.remove()
    ranks.wait()
    device = device_for_training()
    with quiet_transformers():
        model, tokenizer = span_model(
            place.source, revision=place.revision, markers=config.data.special_tokens, seed=cell.seed, dropout=config.training.dropout,
            head=config.backbones[cell.backbone].head,
        )
    model.to(device)
    vocabulary = Vocabulary.of(tokenizer)
    windows = sum(len(rows) for rows in data.rows.values())
    epochs = config.training.epochs_st if cell.dataset else config.training.epochs_mt
    steps = planned_steps(data.sets, data.rows, epochs, config.training)
    params_of_run = as_flat(config) | {
        "cell": cell.name,
        **{f"cell.{key}": value for key, value in asdict(cell).items()},
        "steps": steps,
        "train_windows": windows,
    }
    experiment = f"{config.tracking.experiment}-{config.profile}"
    tags = {"cell": cell.name, "params.sha256": params_digest(params), "backbone.identity": place.identity, "stage": "train"}
    folder = places.run(cell)
    crashed = None if fresh or not ranks.first else interrupted(folder)  # its MLflow run goes on with it
    if ranks.first:
        remove_leftovers(folder, "model", "masks", "curve.csv", "training.json", NAME)
    with (
        tracking.start(
            cell.name, experiment=experiment, folder=folder, params=params_of_run, tags=tags | {"ranks": ranks.world}, run_id=crashed,
            enabled=ranks.first,
        ) as run,
        stoppable(ranks.world == 1) as stop,
        batches_kept(folder / NAME, data.ids, {"cell": cell.name, "seed": cell.seed}) if ranks.first else nullcontext(),
    ):
        for name, meta in data.files.items():
            run.data_input(name=name, source=str(places.raw), digest=meta["inputs"]["file_sha256"][:32], context="training")
        if arm.mask == "learned":
            warm_up_head(model, data.sets, data.rows, vocabulary, plan, steps=config.mask.head_warmup, seed=cell.seed, stop=stop)
        pretrained = pretrained_copy(model) if config.mask.keep_delta else None  # the masks move the model
        made = masks_of_cell(config, cell, model, data, vocabulary, plan, places, run, fresh, place.identity, ranks, checkpoints, stop)
        if made is None or isinstance(made, Masks | RandomMask):
            log_masks(run, made, config.tracking.figures)
        start_adapters(model, cell, data)
        expected = steps * config.training.batch if config.training.batch_tokens is None else round(epochs * windows)
        with progress(f"train {cell.name}", total=expected, unit="windows") if ranks.first else nullcontext(silent()) as bar:
            outcome = train(
                model, data.sets, data.rows, data.validation, vocabulary, plan, steps=steps, seed=cell.seed, masks=made,
                pretrained=pretrained, holds=(arm.regularizer, arm.strength), checkpoints=checkpoints,
                report=lambda step, metrics: run.log(metrics, step=step), progress=bar.advance, ranks=ranks, stop=stop,
            )
        adapters = second_phase(config, cell, model, data, vocabulary, plan, checkpoints, run, ranks, stop)
        if not ranks.first:
            return
        masks = made if made is None or isinstance(made, Masks | RandomMask) else made.masks()
        if masks is not made:
            log_masks(run, masks, config.tracking.figures)
        run.log(final_metrics(outcome), step=outcome.steps)
        write_outputs(config, cell, folder, model, tokenizer, masks, outcome, place, data, params, run.reference, ranks.world, adapters)
        if config.tracking.figures:
            log_figures(run, cell, outcome)
    checkpoints.remove()
    print(summary(cell, outcome, masks))


def masks_of_cell(
    config: Config,
    cell: Cell,
    model: Any,
    data: TrainingData,
    vocabulary: Vocabulary,
    plan: Plan,
    places: Places,
    run: Any,
    fresh: bool,
    backbone: str,
    ranks: Ranks | None = None,
    checkpoints: Checkpoints | None = None,
    stop: Stop = never,
) -> Masks | RandomMask | Schedule | None:
    """The masks of a cell's arm. What takes steps to make is kept under the digest of what decides it, for a
    resume and for other arms.

    Of several ranks the first learns and keeps masks, and the others read what it kept.

    Args:
        checkpoints: of the cell: in its folder is kept what was learned of masks that are not complete yet;
            None: nowhere.
        stop: ends the learning between two steps.
    """
    ranks = ranks or Ranks()
    arm, mask = config.arms[cell.arm], config.mask
    if arm.mask == "none":
        return None
    if arm.mask == "random":
        return RandomMask(float(arm.p_f or 0), cell.seed, mask.targets, arm.rescale)

    def report(dataset: str, step: int, values: dict[str, float]) -> None:
        run.log({f"mask_learning/{key}/{dataset}": x for key, x in values.items()}, step=step)

    if arm.mask == "learned" and (mask.schedule != "two_phase" or mask.gate == "resampled"):
        return mask_schedule(
            model,
            data.sets,
            data.rows,
            vocabulary,
            mask,
            plan,
            seed=cell.seed,
            folder=places.checkpoints(config, cell, data.digest),
            fingerprint="" if checkpoints is None else checkpoints.fingerprint,
            report=report,
            stop=stop if ranks.world == 1 else never,  # the others would wait for masks that do not come
        )
    kept = places.masks(config, cell, data.digest, backbone)
    # theta_0 + delta
    started = kept.with_suffix(".theta.safetensors") if mask.keep_delta and arm.mask == "learned" else None
    with ranks.first_before_others():
        there = kept.is_file() and (started is None or started.is_file())
        if not ranks.first and not there:
            raise ModelError(f"{kept}: rank {ranks.rank} does not see it: let all ranks share the project's folder")
        if there and not (fresh and ranks.first):
            masks = Masks.load(kept, model)
            if started is not None:
                model.load_state_dict(load_file(started), strict=False)
        else:
            sources = 1 if mask.scope == "global" else len(data.sets)
            # the digest in the file's name is of all that decides the masks, the code included
            learning = None if checkpoints is None else Checkpoints(checkpoints.folder / f"learning-{kept.stem}", kept.stem)
            with progress(f"masks {cell.name}", total=sources * mask.steps * mask.batch, unit="windows") as bar:
                masks = source_masks(
                    "learned" if arm.mask == "fixed_random" else arm.mask, model, data.sets, data.rows, vocabulary, mask, plan,
                    seed=cell.seed, report=report, progress=bar.advance, checkpoints=learning, stop=stop,
                )
            # another cell may be writing the same masks
            remove_leftovers(kept.parent, kept.name, seconds=3600)
            masks.save(kept)
            if started is not None:
                with write_aside(started) as aside:
                    save_file({name: value.detach() for name, value in model.named_parameters() if name in masks.shapes}, aside)
            if learning is not None:
                learning.remove()
    return masks.permuted(cell.seed) if arm.mask == "fixed_random" else masks


def write_outputs(
    config: Config, cell: Cell, folder: Path, model: Any, tokenizer: Any, masks: Masks | RandomMask | None, outcome: Outcome,
    place: Located, data: TrainingData, params: str | None, run_id: str | None, ranks: int, adapters: dict[str, Any] | None,
) -> None:
    """model/, masks/, curve.csv and training.json, each complete or absent."""
    model.config.bmt = {
        "cell": cell.name, "profile": config.profile, "backbone": place.identity, "window": config.data.window,
        "overlap": config.data.overlap, "question": config.data.question, "decode": asdict(config.decode),
    }
    with write_folder_aside(folder / "model") as aside, quiet_transformers():
        model.save_pretrained(aside)
        tokenizer.save_pretrained(aside)
    described = describe_masks(masks)
    with write_folder_aside(folder / "masks") as aside:
        if isinstance(masks, Masks):
            masks.save(aside / "masks.safetensors")
        write_json(aside / "masks.json", described)
    with write_aside(folder / "curve.csv") as aside_file, aside_file.open("w", encoding="utf-8", newline="") as stream:
        # a run that an older state of this code began has rows with fewer columns
        writer = csv.DictWriter(stream, list(dict.fromkeys(key for row in outcome.curve for key in row)))
        writer.writeheader()
        writer.writerows(outcome.curve)
    arm = config.arms[cell.arm]
    record = {
        "cell": cell.name, "profile": config.profile, "backbone": cell.backbone, "backbone_revision": place.identity, "regime": cell.regime,
        "arm": cell.arm, "adapter": cell.adapter, "seed": cell.seed, "p_f": arm.p_f, "mask": described,
        "regularizer": None if arm.regularizer == "none" else {"kind": arm.regularizer, "strength": arm.strength},
        "deviation": {key: asdict(moved) for key, moved in outcome.deviation.items()},
        "budget": {
            "steps": outcome.steps, "best_step": outcome.best_step, "windows": outcome.windows, "tokens": outcome.tokens,
            "epochs": config.training.epochs_st if cell.dataset else config.training.epochs_mt,
            "mask_steps": config.mask.steps if arm.mask in ("learned", "fixed_random", "fisher") else 0,
        },
        "validation_f1": outcome.best_f1, "validation": validation_scores(outcome.curve, outcome.best_step),
        "sampling": None if cell.dataset else asdict(config.sampling), "seconds": outcome.seconds,
        "tokens_per_second": outcome.tokens / outcome.seconds if outcome.seconds else 0.0, "padding_waste": outcome.padding_waste,
        "ranks": ranks, "adapters": adapters,
        "peak_memory_mb": environment.peak_memory_mb(), "data": {name: meta["inputs"]["file_sha256"] for name, meta in data.files.items()},
        "params_sha256": params_digest(params), "environment": environment.describe(), "mlflow_run_id": run_id,
    }
    write_json(folder / "training.json", record)


def describe_masks(masks: Masks | RandomMask | None) -> dict[str, Any] | None:
    """What results say of the masks."""
    if masks is None:
        return None
    if isinstance(masks, RandomMask):
        return {"kind": "random", "p_f": masks.p_f, "seed": masks.seed}
    return {
        "kind": masks.about["kind"], "density": masks.densities(), "union_density": masks.union_density(), "overlap": masks.overlaps(),
        "by_layer": masks.density_by("layer"), "by_kind": masks.density_by("kind"), "about": masks.about,
    }


def summary(cell: Cell, outcome: Outcome, masks: Masks | RandomMask | None) -> str:
    """The lines that end a training: best validation F1, deviation, and always the densities of learned
    masks.
    """
    moved = outcome.deviation["total"]
    lines = [
        f"{cell.name}: validation macro F1 {outcome.best_f1:.1f} at step {outcome.best_step} of {outcome.steps}, "
        f"relative deviation {moved.relative:.4f}, {outcome.tokens / max(outcome.seconds, 1e-9):,.0f} tokens/s"
    ]
    if isinstance(masks, Masks):
        union = masks.union_density()
        each = ", ".join(f"{'mixture' if name == GLOBAL else name} {density:.3f}" for name, density in masks.densities().items())
        lines.append(f"mask density: {each}; union {union:.3f}{' — mask nearly inactive' if union > INACTIVE else ''}")
    return "\n".join(lines)
