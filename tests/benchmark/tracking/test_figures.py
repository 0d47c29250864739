from __future__ import annotations

import ast
import struct
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from benchmark.tracking import figures
from bmt.settings import IN_DOMAIN, OUT_OF_DOMAIN

EDGES = [-1.0, 0.0, 1.0, 2.0]
CASES = {
    "density_by_layer": lambda: figures.density(
        {"SQuAD": {"embeddings": 0.1, "layer_00": 0.2}, "DROP": {"embeddings": 0.15, "layer_00": 0.05}},
        "layer",
    ),
    "density_by_kind": lambda: figures.density({"SQuAD": {"query": 0.1, "bias": 0.9}}, "kind of tensor"),
    "mask_overlap": lambda: figures.mask_overlap(
        {"SQuAD": {"SQuAD": 1.0, "NewsQA": 0.25}, "NewsQA": {"SQuAD": 0.25, "NewsQA": 1.0}}
    ),
    "deviation_by_layer": lambda: figures.deviation_by_layer({"layer_00": 0.02, "layer_01": 0.01}),
    "loss_curve": lambda: figures.loss_curve([(step, 2.0) for step in range(100)]),
    "sampling_weights": lambda: figures.sampling_weights(
        {"SQuAD": [(0, 0.5), (10, 0.7)], "NewsQA": [(0, 0.5), (10, 0.3)]}
    ),
    "validation_f1": lambda: figures.validation_f1(
        {"SQuAD": [(0, 10.0), (10, 40.0)], "macro": [(0, 12.0), (10, 30.0)]}, 10
    ),
    "alpha_histogram": lambda: figures.alpha_histogram(EDGES, {"SQuAD": [1, 2, 1]}, {"SQuAD": 0.5}),
}


def line(figure: Figure, label: str, axes: int = 0) -> tuple[list[float], list[float]]:
    found = next(entry for entry in figure.axes[axes].lines if entry.get_label() == label)
    return list(map(float, found.get_xdata())), list(map(float, found.get_ydata()))


@pytest.mark.parametrize("name", CASES)
def test_each_figure_is_a_labelled_png_of_900_pixels(tmp_path, name):
    figure = CASES[name]()
    figure.savefig(tmp_path / "a.png")
    data = (tmp_path / "a.png").read_bytes()
    width, height = struct.unpack(">II", data[16:24])
    assert data.startswith(b"\x89PNG")
    assert (width, height >= 200) == (900, True)
    main = [axes for axes in figure.axes if axes.get_label() != "<colorbar>"]
    assert main[0].get_title(loc="left")
    assert main[-1].get_xlabel()
    assert all(axes.get_ylabel() for axes in main)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_densities_are_percent():
    figure = CASES["density_by_layer"]()
    image = figure.axes[0].images[0]
    np.testing.assert_allclose(image.get_array(), [[10, 20], [15, 5]])
    assert [tick.get_text() for tick in figure.axes[0].get_xticklabels()] == ["embeddings", "layer_00"]
    assert [tick.get_text() for tick in figure.axes[0].get_yticklabels()] == ["SQuAD", "DROP"]
    assert [text.get_text() for text in figure.axes[0].texts] == ["10.0", "20.0", "15.0", "5.0"]
    assert image.get_clim() == (0, 20)
    assert figure.axes[1].get_ylabel() == "weights left open (%)"


def test_overlap_is_drawn_from_zero_to_one():
    figure = CASES["mask_overlap"]()
    image = figure.axes[0].images[0]
    assert [text.get_text() for text in figure.axes[0].texts] == ["1.00", "0.25", "0.25", "1.00"]
    assert [text.get_color() for text in figure.axes[0].texts] == ["black", "white", "white", "black"]
    np.testing.assert_array_equal(image.get_array(), [[1, 0.25], [0.25, 1]])
    assert image.get_clim() == (0, 1)


def test_a_wide_map_has_no_numbers_and_slanted_names():
    for count, texts, turn in ((14, 14, 40.0), (15, 0, 40.0), (3, 3, 0.0)):
        figure = figures.density({"SQuAD": {f"layer_{number:02d}": 0.1 for number in range(count)}}, "layer")
        axes = figure.axes[0]
        assert len(axes.texts) == texts
        assert {label.get_rotation() for label in axes.get_xticklabels()} == {turn}


def test_each_layer_has_its_bar():
    figure = CASES["deviation_by_layer"]()
    bars = [(round(bar.get_x() + bar.get_width() / 2, 6), bar.get_height()) for bar in figure.axes[0].patches]
    assert bars == [(0, 0.02), (1, 0.01)]


def test_a_long_loss_curve_is_smoothed_and_a_short_one_is_not():
    figure = CASES["loss_curve"]()
    assert line(figure, "train (mean of 4)") == (list(range(100)), [2.0] * 100)
    assert line(figures.loss_curve([(0, 3.0), (50, 2.5)]), "train") == ([0, 50], [3.0, 2.5])
    assert figures._running_mean([1, 2, 3, 7], 2).tolist() == [1, 1.5, 2.5, 5]


def test_sampling_weights_show_the_uniform_weight():
    figure = CASES["sampling_weights"]()
    assert line(figure, "NewsQA") == ([0, 10], [0.5, 0.3])
    assert line(figure, "uniform")[1] == [0.5, 0.5]
    drawn = {entry.get_label(): entry.get_drawstyle() for entry in figure.axes[0].lines}
    assert drawn == {"SQuAD": "steps-post", "NewsQA": "steps-post", "uniform": "default"}
    assert figure.axes[0].get_ylim()[0] == 0


def test_the_kept_step_is_marked():
    figure = CASES["validation_f1"]()
    assert line(figure, "kept")[0] == [10, 10]
    looks = {entry.get_label(): (entry.get_color(), entry.get_linewidth()) for entry in figure.axes[0].lines}
    assert looks["macro"] == ("black", 2.6) and looks["SQuAD"] == (figures.COLOURS[0], 1.5)


def test_the_density_above_an_alpha_counts_the_gates_above_it():
    figure = CASES["alpha_histogram"]()
    assert figure.axes[0].patches[0].get_data().values.tolist() == [25, 50, 25]
    assert line(figure, "SQuAD", 1) == (EDGES, [100, 75, 25, 0])
    marker = figure.axes[1].lines[-1]
    assert (list(marker.get_xdata()), list(marker.get_ydata())) == ([0.5], [50])


def test_every_dataset_has_a_look_of_its_own():
    looks = [figures._style(name, 0) for name in IN_DOMAIN + OUT_OF_DOMAIN]
    assert len({(look["color"], look["linestyle"]) for look in looks}) == 12
    assert figures._style("SQuAD", 5) == figures._style("SQuAD", 0)
    for names, dashes in ((IN_DOMAIN, "-"), (OUT_OF_DOMAIN, "--"), (("Mine",), "-.")):
        assert {figures._style(name, 0)["linestyle"] for name in names} == {dashes}


def test_no_global_state_and_no_mlflow():
    tree = ast.parse(Path(figures.__file__).read_text())
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not [name for name in names if name.startswith(("mlflow", "matplotlib.pyplot", "torch"))]
