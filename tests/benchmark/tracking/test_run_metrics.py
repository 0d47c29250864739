"""What a training tells the tracker: masks, the best model, figures."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from benchmark.tracking import environment
from benchmark.tracking.run_metrics import final_metrics, log_figures, log_masks
from bmt.deviation import Deviation
from bmt.layers import layer_of
from bmt.masks import Masks
from bmt.random_mask import RandomMask
from tests.support import tiny


class Recorder:
    """A run that keeps what it is told."""

    def __init__(self) -> None:
        self.values: dict[str, float] = {}
        self.figures: dict[str, Any] = {}

    def log(self, values: dict[str, float], step: int) -> None:
        assert step == 0 and not self.values.keys() & values.keys()
        self.values |= values

    def figure(self, name: str, figure: Any) -> None:
        self.figures[name] = figure


def masks(*datasets: str, **about: Any) -> tuple[Masks, dict[str, dict[str, torch.Tensor]]]:
    """Masks of a tiny model, with another density for each dataset, and the same as bool tensors."""
    model, generator = tiny.bert(), torch.Generator().manual_seed(0)
    shapes = {name: value.shape for name, value in model.named_parameters() if "encoder.layer" in name}
    dense = {
        dataset: {name: torch.rand(shape, generator=generator) < 0.2 * row for name, shape in shapes.items()}
        for row, dataset in enumerate(datasets, 1)
    }
    return Masks.of(dense, model, {"kind": "learned"} | about), dense


def share(values: list[torch.Tensor]) -> float:
    return torch.cat([value.reshape(-1) for value in values]).double().mean().item()


def test_density_and_sparsity_of_masks_are_those_of_the_bool_tensors() -> None:
    made, dense = masks("A", "B")
    run = Recorder()
    log_masks(run, made, with_figures=False)
    each = {dataset: share(list(own.values())) for dataset, own in dense.items()}
    union = share([dense["A"][name] | dense["B"][name] for name in dense["A"]])
    expected = {
        "mask/density": (each["A"] + each["B"]) / 2,
        "mask/sparsity": 1 - (each["A"] + each["B"]) / 2,
        "mask/union_density": union,
        "mask/density/A": each["A"],
        "mask/density/B": each["B"],
    }
    layers = {layer_of(name) for name in dense["A"]}
    for layer in layers:
        names = [name for name in dense["A"] if layer_of(name) == layer]
        both = [share([dense[dataset][name] for name in names]) for dataset in ("A", "B")]
        expected[f"mask/sparsity/{layer}"] = 1 - sum(both) / 2
    assert len(layers) > 1 and run.values == pytest.approx(expected, abs=1e-12)
    assert len(set(np.round(list(expected.values()), 6))) == len(expected)  # no two alike, to tell them apart


def test_a_random_mask_has_its_share_and_no_mask_has_nothing() -> None:
    run = Recorder()
    log_masks(run, RandomMask(0.3, 1), with_figures=True)
    assert run.values == pytest.approx({"mask/density": 0.3, "mask/sparsity": 0.7}) and not run.figures
    nothing = Recorder()
    log_masks(nothing, None, with_figures=True)
    assert not nothing.values and not nothing.figures


@pytest.mark.parametrize(
    ("datasets", "about", "names"),
    [
        (("A",), {}, {"density_by_layer", "density_by_kind"}),
        (("A", "B"), {}, {"density_by_layer", "density_by_kind", "overlap"}),
        (
            ("A", "B"),
            {"alpha": {"edges": [0.0, 1.0], "counts": {"A": [3], "B": [2]}, "cuts": {}}},
            {"density_by_layer", "density_by_kind", "overlap", "alpha"},
        ),
    ],
)
def test_figures_of_masks_are_those_that_there_is_something_to_see_in(datasets, about, names) -> None:
    run, (made, _) = Recorder(), masks(*datasets, **about)
    log_masks(run, made, with_figures=True)
    assert run.figures.keys() == {f"mask/{name}.png" for name in names}
    for file, group, by in (("by_layer", "layer", "layer"), ("by_kind", "kind of tensor", "kind")):
        axes = run.figures[f"mask/density_{file}.png"].axes[0]
        rows = made.density_by(by)
        assert axes.get_xlabel() == group
        assert [label.get_text() for label in axes.get_xticklabels()] == list(rows["A"])
        np.testing.assert_allclose(
            axes.images[0].get_array(), [[100 * value for value in row.values()] for row in rows.values()]
        )
    if len(datasets) > 1:
        drawn = run.figures["mask/overlap.png"].axes[0].images[0].get_array()
        np.testing.assert_allclose(drawn, [list(row.values()) for row in made.overlaps().values()])


def outcome(seconds: float = 4.0) -> Any:
    """A training's outcome in which every number is another."""
    course = [
        {
            "step": step,
            "loss": 1.0 / step,
            "macro_f1": 10.0 * step,
            "f1/A": step + 0.5,
            "weight/A": step / 100,
        }
        for step in (10, 20)
    ]
    moved = {
        key: Deviation(l2=l2, relative=l2 / 100, changed=0.5, cosine=0.9)
        for key, l2 in (("total", 3.0), ("layer/00", 1.0), ("layer/01", 2.0), ("kind/query", 5.0))
    }
    return SimpleNamespace(
        best_f1=61.5,
        best_step=20,
        deviation=moved,
        seconds=seconds,
        tokens=800,
        windows=7,
        padding_waste=0.125,
        curve=course,
    )


def test_the_best_model_is_told_with_deviation_speed_and_memory(monkeypatch) -> None:
    monkeypatch.setattr(environment, "peak_memory_mb", lambda: 123.0)
    monkeypatch.setattr(environment, "gpu_peak_memory_mb", lambda: 456.0)
    expected = {
        "validation/best_f1": 61.5,
        "validation/best_step": 20.0,
        "weights/best_deviation_l2": 3.0,
        "weights/best_deviation_relative": 0.03,
        "weights/best_deviation_l2/00": 1.0,
        "weights/best_deviation_relative/00": 0.01,
        "weights/best_deviation_l2/01": 2.0,
        "weights/best_deviation_relative/01": 0.02,
        "perf/tokens_per_s": 200.0,
        "perf/padding_waste": 0.125,
        "perf/peak_memory_mb": 123.0,
        "perf/gpu_peak_memory_mb": 456.0,
    }
    assert final_metrics(outcome()) == pytest.approx(expected)
    monkeypatch.setattr(environment, "gpu_peak_memory_mb", lambda: None)
    del expected["perf/tokens_per_s"], expected["perf/gpu_peak_memory_mb"]
    assert final_metrics(outcome(seconds=0.0)) == pytest.approx(expected)


def test_the_course_is_drawn_from_the_curve() -> None:
    run = Recorder()
    log_figures(run, outcome())
    assert run.figures.keys() == {
        "weights/deviation_by_layer.png",
        "train/loss.png",
        "train/validation_f1.png",
        "train/sampling_weights.png",
    }

    def lines(name: str) -> dict[str, list[tuple[float, float]]]:
        axes = run.figures[name].axes[0]
        return {line.get_label(): list(zip(*line.get_data(), strict=True)) for line in axes.lines}

    assert lines("train/loss.png") == {"train": [(10, 0.1), (20, 0.05)]}
    f1 = lines("train/validation_f1.png")
    assert (f1["A"], f1["macro"], f1["kept"][0][0]) == (
        [(10, 10.5), (20, 20.5)],
        [(10, 100.0), (20, 200.0)],
        20,
    )
    assert lines("train/sampling_weights.png")["A"] == [(10, 0.1), (20, 0.2)]
    bars = run.figures["weights/deviation_by_layer.png"].axes[0]
    assert [label.get_text() for label in bars.get_xticklabels()] == ["00", "01"]
    assert [bar.get_height() for bar in bars.patches] == pytest.approx([0.01, 0.02])
