"""What a training tells the tracker beside its course: masks, the best model, figures."""

from __future__ import annotations

from typing import Any

from benchmark.tracking import environment
from bmt.masks import Masks
from bmt.random_mask import RandomMask
from bmt.training.loop import TrainingOutcome


def log_masks(run: Any, masks: Masks | RandomMask | None, with_figures: bool) -> None:
    """Density, sparsity and overlap of the masks, total and by layer, to the tracker."""
    if isinstance(masks, RandomMask):
        run.log({"mask/density": masks.p_f, "mask/sparsity": 1 - masks.p_f}, step=0)
    if not isinstance(masks, Masks):
        return
    densities, union = masks.densities(), masks.union()
    mean = sum(densities.values()) / len(densities)
    values = {"mask/density": mean, "mask/sparsity": 1 - mean, "mask/union_density": union.density("union")}
    values |= {f"mask/density/{dataset}": density for dataset, density in densities.items()}
    by_layer = masks.density_by("layer")
    for layer in next(iter(by_layer.values())):
        values[f"mask/sparsity/{layer}"] = 1 - sum(row[layer] for row in by_layer.values()) / len(by_layer)
    run.log(values, step=0)
    if with_figures:
        from benchmark.tracking import figures

        run.figure("mask/density_by_layer.png", figures.density(by_layer, "layer"))
        run.figure("mask/density_by_kind.png", figures.density(masks.density_by("kind"), "kind of tensor"))
        if len(masks.datasets) > 1:
            run.figure("mask/overlap.png", figures.mask_overlap(masks.overlaps()))
        if "alpha" in masks.about:
            run.figure("mask/alpha.png", figures.alpha_histogram(**masks.about["alpha"]))


def final_metrics(outcome: TrainingOutcome) -> dict[str, float]:
    """Deviation of the best model in total and by layer, speed and memory."""
    values = {"validation/best_f1": outcome.best_f1, "validation/best_step": float(outcome.best_step)}
    for key, moved in outcome.deviation.items():
        group, _, layer = key.partition("/")
        if group in ("total", "layer"):
            suffix = layer and f"/{layer}"
            values[f"weights/best_deviation_l2{suffix}"] = moved.l2
            values[f"weights/best_deviation_relative{suffix}"] = moved.relative
    if outcome.seconds:
        values["perf/tokens_per_s"] = outcome.tokens / outcome.seconds
    values["perf/padding_waste"] = outcome.padding_waste
    values["perf/peak_memory_mb"] = environment.peak_memory_mb()
    if (gpu := environment.gpu_peak_memory_mb()) is not None:
        values["perf/gpu_peak_memory_mb"] = gpu
    return values


def log_figures(run: Any, outcome: TrainingOutcome) -> None:
    """Course of loss, validation and sampling weights, and deviation by layer, as figures."""
    from benchmark.tracking import figures

    by_layer = {
        key.removeprefix("layer/"): moved.relative
        for key, moved in outcome.deviation.items()
        if key.startswith("layer/")
    }
    run.figure("weights/deviation_by_layer.png", figures.deviation_by_layer(by_layer))
    run.figure("train/loss.png", figures.loss_curve([(row["step"], row["loss"]) for row in outcome.curve]))
    scores = course(outcome, "f1/") | {"macro": [(row["step"], row["macro_f1"]) for row in outcome.curve]}
    run.figure("train/validation_f1.png", figures.validation_f1(scores, outcome.best_step))
    run.figure("train/sampling_weights.png", figures.sampling_weights(course(outcome, "weight/")))


def course(outcome: TrainingOutcome, prefix: str) -> dict[str, list[tuple[float, float]]]:
    """(step, value) at each evaluation, of every dataset's `<prefix><dataset>`."""
    names = [key for key in outcome.curve[0] if key.startswith(prefix)]
    return {name.removeprefix(prefix): [(row["step"], row[name]) for row in outcome.curve] for name in names}
