"""Figures of a run, from plain data. No pyplot, no global state, no MLflow: each function returns a
matplotlib Figure, drawn by Agg.

A dataset keeps its colour in every figure (Okabe and Ito's palette, told apart by the colour-blind);
in-domain datasets have solid lines, out-of-domain ones dashed lines. Figures are 900 pixels wide.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from bmt.runtime.files import write_aside
from bmt.settings import IN_DOMAIN, OUT_OF_DOMAIN

DPI = 100
WIDTH = 9.0  # inches
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8A8A00")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
MAP = "cividis"

Points = Sequence[tuple[float, float]]


def save(figure: Figure, path: str | Path) -> None:
    """Write `figure` as PNG, complete or not at all."""
    with write_aside(path) as aside:
        figure.savefig(aside, format="png")


def density_by_layer(density: Mapping[str, Mapping[str, float]]) -> Figure:
    """Mask density by layer and dataset, a heat map.

    Args:
        density: {dataset: {layer: share of the layer's weights that the mask leaves open, 0..1}}; a layer may
            be missing.
    """
    columns = _union(density.values())
    rows = [[_percent(by_layer.get(column)) for column in columns] for by_layer in density.values()]
    return _heat_map(
        rows,
        list(density),
        columns,
        "Mask density by layer",
        "layer",
        "mask of dataset",
        "weights left open (%)",
    )


def density_by_kind(density: Mapping[str, Mapping[str, float]]) -> Figure:
    """Mask density by kind of tensor and dataset, a heat map.

    Args:
        density: {dataset: {kind (query, key, …, LayerNorm, bias): share left open, 0..1}}.
    """
    columns = _union(density.values())
    rows = [[_percent(by_kind.get(column)) for column in columns] for by_kind in density.values()]
    return _heat_map(
        rows,
        list(density),
        columns,
        "Mask density by kind of tensor",
        "kind of tensor",
        "mask of dataset",
        "weights left open (%)",
    )


def mask_overlap(overlap: Mapping[str, Mapping[str, float]]) -> Figure:
    """Overlap of the datasets' masks, a matrix.

    Args:
        overlap: {dataset: {dataset: Jaccard index |A and B| / |A or B|, 0..1}}; either half may be missing.
    """
    names = _union([dict.fromkeys(overlap, 0.0), *overlap.values()])

    def value(row: str, column: str) -> float:
        index = overlap.get(row, {}).get(column, overlap.get(column, {}).get(row))
        return index if index is not None else 1.0 if row == column else float("nan")

    rows = [[value(row, column) for column in names] for row in names]
    return _heat_map(
        rows, names, names, "Overlap of the masks", "mask of dataset", "mask of dataset", "Jaccard index", 1.0
    )


def deviation_by_layer(deviation: Mapping[str, Mapping[str, float]]) -> Figure:
    """Distance from the pretrained weights by layer, bars.

    Args:
        deviation: {arm or run: {layer: relative L2 distance, norm of the change over norm of the pretrained
            weights}}.
    """
    figure, axes = _figure(4.6)
    layers = _union(deviation.values())
    width = 0.8 / max(len(deviation), 1)
    for index, (name, by_layer) in enumerate(deviation.items()):
        places = [place + (index - (len(deviation) - 1) / 2) * width for place in range(len(layers))]
        axes.bar(
            places,
            [by_layer.get(layer, 0.0) for layer in layers],
            width,
            label=name,
            color=COLOURS[index % len(COLOURS)],
        )
    axes.set_xticks(range(len(layers)), layers)
    _slant(axes, layers)
    _label(axes, "Weight deviation by layer", "layer", "relative L2 deviation")
    if len(deviation) > 1:
        axes.legend(frameon=False)
    return figure


def loss_curve(series: Mapping[str, Points]) -> Figure:
    """Loss over steps.

    Args:
        series: {name: [(step, loss), …]}. A long series is also drawn smoothed (running mean), its points
            pale behind it.
    """
    figure, axes = _figure(4.6)
    for index, (name, points) in enumerate(series.items()):
        steps, losses = [point[0] for point in points], [point[1] for point in points]
        colour, span = COLOURS[index % len(COLOURS)], len(points) // 25
        if span > 1:
            axes.plot(steps, losses, color=colour, alpha=0.25, linewidth=0.8)
            losses = _running_mean(losses, span)
        axes.plot(
            steps,
            losses,
            color=colour,
            label=f"{name} (mean of {span})" if span > 1 else name,
            marker="." if len(points) < 20 else None,
        )
    _label(axes, "Loss", "step", "loss (nats)")
    axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
    _legend(axes)
    return figure


def sampling_weights(weights: Mapping[str, Points]) -> Figure:
    """The datasets' sampling weights (eq. 15, or fixed ones) over the evaluations, with the uniform weight as
    a thin line.

    Args:
        weights: {dataset: [(step, weight 0..1), …]}.
    """
    figure, axes = _figure(4.8)
    _lines(axes, weights, "steps-post")
    if weights:
        axes.axhline(1 / len(weights), color="#999999", linewidth=0.8, linestyle=":", label="uniform")
    _label(axes, "Sampling weights", "step", "weight of the dataset")
    axes.set_ylim(bottom=0)
    _legend(axes)
    return figure


def validation_f1(f1: Mapping[str, Points], best_step: float | None = None) -> Figure:
    """Validation F1 by dataset over steps.

    Args:
        f1: {dataset: [(step, F1 in percent), …]}; a series named "macro" is drawn thick and black.
        best_step: the step whose weights were kept, marked by a vertical line.
    """
    figure, axes = _figure(4.8)
    _lines(axes, f1)
    if best_step is not None:
        axes.axvline(best_step, color="#999999", linewidth=0.8, linestyle=":", label="kept")
    _label(axes, "Validation F1", "step", "F1 (%)")
    axes.set_ylim(bottom=0)
    _legend(axes)
    return figure


def alpha_histogram(
    edges: Sequence[float], counts: Mapping[str, Sequence[int]], cuts: Mapping[str, float] | None = None
) -> Figure:
    """Where the gates' alpha lie, and which density a cut at each alpha gives.

    Args:
        edges: n + 1 ascending bin edges of alpha.
        counts: {dataset: n gates a bin}.
        cuts: {dataset: the alpha at which its mask was cut}, marked on its curve.
    """
    figure = Figure(figsize=(WIDTH, 6.2), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    upper, lower = figure.subplots(2, 1, sharex=True)
    for index, (name, bins) in enumerate(counts.items()):
        total, style = sum(bins) or 1, _style(name, index)
        upper.stairs(
            [100 * count / total for count in bins],
            edges,
            label=name,
            color=style["color"],
            linestyle=style["linestyle"],
        )
        above = [sum(bins[place:]) for place in range(len(bins) + 1)]
        lower.plot(
            edges,
            [100 * count / total for count in above],
            label=name,
            color=style["color"],
            linestyle=style["linestyle"],
        )
        if cuts and name in cuts:
            cut = cuts[name]
            lower.plot(
                [cut],
                [_interpolate(edges, above, cut) * 100 / total],
                marker=style["marker"],
                color=style["color"],
                markersize=7,
            )
    _label(upper, "Alpha of the gates", "", "gates a bin (%)")
    _label(lower, "", "alpha", "gates above this alpha (%)")
    if cuts:
        lower.set_title("markers: the cut that made the mask", fontsize=9, loc="right")
    _legend(upper)
    return figure


def _figure(height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(WIDTH, height), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots()


def _heat_map(
    rows: Sequence[Sequence[float]],
    row_names: Sequence[str],
    names: Sequence[str],
    title: str,
    x: str,
    y: str,
    unit: str,
    top: float | None = None,
) -> Figure:
    figure, axes = _figure(1.9 + 0.36 * max(len(row_names), 1))
    if rows and names:
        image = axes.imshow(rows, aspect="auto", cmap=MAP, vmin=0, vmax=top)
        figure.colorbar(image, ax=axes, label=unit, fraction=0.05, pad=0.02)
        axes.set_xticks(range(len(names)), names)
        axes.set_yticks(range(len(row_names)), row_names)
        _slant(axes, names)
        low, high = image.get_clim()
        form = "{:.1f}" if top is None else "{:.2f}"
        size = 8.5 if len(names) <= 10 else 7 if len(names) <= 14 else 0
        for i, row in enumerate(rows):
            for j, value in enumerate(row):
                if size and value == value:  # NaN: nothing known
                    colour = "black" if value > (low + high) / 2 else "white"
                    axes.text(j, i, form.format(value), ha="center", va="center", fontsize=size, color=colour)
    axes.set_title(title, loc="left", fontweight="bold")
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    return figure


def _lines(axes: Axes, series: Mapping[str, Points], draw: str = "default") -> None:
    for index, (name, points) in enumerate(series.items()):
        style = _style(name, index)
        if name == "macro":
            style |= {"color": "black", "linestyle": "-", "linewidth": 2.6, "zorder": 5}
        axes.plot(
            [point[0] for point in points],
            [point[1] for point in points],
            label=name,
            drawstyle=draw,
            markersize=4,
            **style,
        )


def _style(name: str, index: int) -> dict[str, Any]:
    for datasets, line in ((IN_DOMAIN, "-"), (OUT_OF_DOMAIN, "--")):
        if name in datasets:
            index = datasets.index(name)
            return {"color": COLOURS[index], "marker": MARKERS[index], "linestyle": line, "linewidth": 1.5}
    return {
        "color": COLOURS[index % len(COLOURS)],
        "marker": MARKERS[index % len(MARKERS)],
        "linestyle": "-.",
        "linewidth": 1.5,
    }


def _label(axes: Axes, title: str, x: str, y: str) -> None:
    axes.set_title(title, loc="left", fontweight="bold")
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(axis="y", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _legend(axes: Axes) -> None:
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=9)


def _slant(axes: Axes, names: Sequence[str]) -> None:
    if sum(len(name) + 2 for name in names) > 80:
        axes.tick_params(axis="x", rotation=40)
        for label in axes.get_xticklabels():
            label.set_horizontalalignment("right")
            label.set_rotation_mode("anchor")


def _union(mappings: Iterable[Mapping[str, float]]) -> list[str]:
    """Every key, in the order first met."""
    return list(dict.fromkeys(key for mapping in mappings for key in mapping))


def _percent(share: float | None) -> float:
    return float("nan") if share is None else 100 * share


def _running_mean(values: Sequence[float], span: int) -> list[float]:
    """Mean of each value and the `span` - 1 before it."""
    return [
        sum(values[max(0, end - span) : end]) / (end - max(0, end - span))
        for end in range(1, len(values) + 1)
    ]


def _interpolate(edges: Sequence[float], values: Sequence[float], x: float) -> float:
    """`values` at `edges`, read linearly at `x`; held constant beyond the ends."""
    for (left, right), (low, high) in zip(pairwise(edges), pairwise(values), strict=True):
        if left <= x <= right:
            return low + (high - low) * (x - left) / (right - left)
    return values[0] if x < edges[0] else values[-1]
