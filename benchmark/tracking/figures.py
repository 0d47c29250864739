"""Figures of a run, from plain data. No pyplot, no global state, no MLflow: each function returns a
matplotlib Figure, drawn by Agg.

A dataset keeps its colour in every figure (Okabe and Ito's palette, told apart by the colour-blind);
in-domain datasets have solid lines, out-of-domain ones dashed lines. Figures are 900 pixels wide.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from bmt.settings import IN_DOMAIN, OUT_OF_DOMAIN

DPI = 100
WIDTH = 9.0  # inches
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8A8A00")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
MAP = "cividis"

Points = Sequence[tuple[float, float]]
Table = Mapping[str, Mapping[str, float]]


def density(shares: Table, group: str) -> Figure:
    """Mask density by `group` ("layer" or "kind of tensor") and dataset, a heat map.

    Args:
        shares: {dataset: {layer or kind: share of its weights that the mask leaves open, 0..1}}.
    """
    percent = {name: {key: 100 * share for key, share in row.items()} for name, row in shares.items()}
    return _heat_map(percent, f"Mask density by {group}", group, "weights left open (%)")


def mask_overlap(overlap: Table) -> Figure:
    """Overlap of the datasets' masks, a matrix.

    Args:
        overlap: {dataset: {dataset: Jaccard index |A and B| / |A or B|, 0..1}}.
    """
    return _heat_map(overlap, "Overlap of the masks", "mask of dataset", "Jaccard index", 1.0)


def deviation_by_layer(deviation: Mapping[str, float]) -> Figure:
    """Distance from the pretrained weights by layer, bars.

    Args:
        deviation: {layer: relative L2 distance, norm of the change over norm of the pretrained weights}.
    """
    figure, axes = _figure(4.6)
    axes.bar(range(len(deviation)), list(deviation.values()), 0.8, color=COLOURS[0])
    axes.set_xticks(range(len(deviation)), list(deviation))
    _slant(axes, deviation)
    _label(axes, "Weight deviation by layer", "layer", "relative L2 deviation")
    return figure


def loss_curve(points: Points) -> Figure:
    """Training loss over steps. A long series is also drawn smoothed (running mean), its points pale behind
    it.

    Args:
        points: [(step, loss), …].
    """
    figure, axes = _figure(4.6)
    steps, losses = np.transpose(points)
    span, label = len(points) // 25, "train"
    if span > 1:
        axes.plot(steps, losses, color=COLOURS[0], alpha=0.25, linewidth=0.8)
        losses, label = _running_mean(losses, span), f"train (mean of {span})"
    axes.plot(steps, losses, color=COLOURS[0], label=label, marker="." if len(points) < 20 else None)
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
    figure, axes = _courses(weights, "steps-post")
    axes.axhline(1 / len(weights), color="#999999", linewidth=0.8, linestyle=":", label="uniform")
    _label(axes, "Sampling weights", "step", "weight of the dataset")
    _legend(axes)
    return figure


def validation_f1(f1: Mapping[str, Points], best_step: float) -> Figure:
    """Validation F1 by dataset over steps.

    Args:
        f1: {dataset: [(step, F1 in percent), …]}; a series named "macro" is drawn thick and black.
        best_step: the step whose weights were kept, marked by a vertical line.
    """
    figure, axes = _courses(f1, "default")
    axes.axvline(best_step, color="#999999", linewidth=0.8, linestyle=":", label="kept")
    _label(axes, "Validation F1", "step", "F1 (%)")
    _legend(axes)
    return figure


def alpha_histogram(
    edges: Sequence[float], counts: Mapping[str, Sequence[int]], cuts: Mapping[str, float]
) -> Figure:
    """Where the gates' alpha lie, and which density a cut at each alpha gives.

    Args:
        edges: n + 1 ascending bin edges of alpha.
        counts: {dataset: n gates per bin}.
        cuts: {dataset: the alpha at which its mask was cut}, marked on its curve.
    """
    figure = _canvas(6.2)
    upper, lower = figure.subplots(2, 1, sharex=True)
    for index, (name, bins) in enumerate(counts.items()):
        look = _style(name, index)
        marker, line = look["marker"], {"color": look["color"], "linestyle": look["linestyle"]}
        share = 100 * np.array(bins) / (sum(bins) or 1)
        above = np.append(np.cumsum(share[::-1])[::-1], 0.0)
        upper.stairs(share, edges, label=name, **line)
        lower.plot(edges, above, label=name, **line)
        if name in cuts:
            at_cut = np.interp(cuts[name], edges, above)
            lower.plot([cuts[name]], [at_cut], marker=marker, color=look["color"], markersize=7)
    _label(upper, "Alpha of the gates", "", "gates a bin (%)")
    _label(lower, "", "alpha", "gates above this alpha (%)")
    if cuts:
        lower.set_title("markers: the cut that made the mask", fontsize=9, loc="right")
    _legend(upper)
    return figure


def _canvas(height: float) -> Figure:
    figure = Figure(figsize=(WIDTH, height), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _figure(height: float) -> tuple[Figure, Axes]:
    figure = _canvas(height)
    return figure, figure.subplots()


def _heat_map(table: Table, title: str, x: str, unit: str, top: float | None = None) -> Figure:
    rows = [list(row.values()) for row in table.values()]
    names = list(next(iter(table.values())))
    figure, axes = _figure(1.9 + 0.36 * len(rows))
    image = axes.imshow(rows, aspect="auto", cmap=MAP, vmin=0, vmax=top)
    figure.colorbar(image, ax=axes, label=unit, fraction=0.05, pad=0.02)
    axes.set_xticks(range(len(names)), names)
    axes.set_yticks(range(len(rows)), list(table))
    _slant(axes, names)
    if len(names) <= 14:
        size, form = 8.5 if len(names) <= 10 else 7, "{:.1f}" if top is None else "{:.2f}"
        for (i, j), value in np.ndenumerate(rows):
            colour = "black" if value > sum(image.get_clim()) / 2 else "white"
            axes.text(j, i, form.format(value), ha="center", va="center", fontsize=size, color=colour)
    axes.set_title(title, loc="left", fontweight="bold")
    axes.set_xlabel(x)
    axes.set_ylabel("mask of dataset")
    return figure


def _courses(series: Mapping[str, Points], draw: str) -> tuple[Figure, Axes]:
    figure, axes = _figure(4.8)
    for index, (name, points) in enumerate(series.items()):
        style = _style(name, index)
        if name == "macro":
            style |= {"color": "black", "linestyle": "-", "linewidth": 2.6, "zorder": 5}
        axes.plot(*np.transpose(points), label=name, drawstyle=draw, markersize=4, **style)
    axes.set_ylim(bottom=0)
    return figure, axes


def _style(name: str, index: int) -> dict[str, Any]:
    line = "-."
    for datasets, dashes in ((IN_DOMAIN, "-"), (OUT_OF_DOMAIN, "--")):
        if name in datasets:
            index, line = datasets.index(name), dashes
    colour, marker = COLOURS[index % len(COLOURS)], MARKERS[index % len(MARKERS)]
    return {"color": colour, "marker": marker, "linestyle": line, "linewidth": 1.5}


def _label(axes: Axes, title: str, x: str, y: str) -> None:
    axes.set_title(title, loc="left", fontweight="bold")
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(axis="y", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _legend(axes: Axes) -> None:
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=9)


def _slant(axes: Axes, names: Collection[str]) -> None:
    if sum(len(name) + 2 for name in names) > 80:
        axes.tick_params(axis="x", rotation=40)
        for label in axes.get_xticklabels():
            label.set_horizontalalignment("right")
            label.set_rotation_mode("anchor")


def _running_mean(values: Sequence[float], span: int) -> Any:
    """Mean of each value and the `span` - 1 before it."""
    sums = np.cumsum(values)
    sums[span:] -= sums[:-span].copy()
    return sums / np.minimum(np.arange(1, len(sums) + 1), span)
