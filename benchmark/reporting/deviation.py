"""How far training moved the weights, against what it brought: a scatter plot by arm, and the deviation layer
by layer.
"""

from __future__ import annotations

from collections.abc import Sequence

from benchmark.reporting.evidence import (
    DOMAINS,
    FARTHEST,
    Evidence,
    in_order,
    layer_name,
    layer_order,
    mean_by_key,
)
from benchmark.reporting.figure import as_table, figure, fixed, grid, mark_legend, note, plural, section
from benchmark.reporting.heat import colour_bar, heat_figure, highest
from benchmark.reporting.markup import Markup, tag
from benchmark.reporting.palette import arm_series
from benchmark.reporting.plots import HEIGHT, Axes, Mark, scatter_plot
from benchmark.reporting.scales import spanning

READING = (
    "A mark a run: how far training moved the encoder from its pretrained weights (L2 distance over their norm, percent) and the mean F1 "
    "that came of it. Up is better; to the left, the weights stayed closer to where they were."
)
LAYERS = "Relative deviation from the pretrained weights, percent of each layer's norm, layer by layer and arm by arm; means over seeds."
NAMES = {"in_domain": "in-domain", "out_of_domain": "out-of-domain"}


def deviation(runs: Sequence[Evidence]) -> Markup:
    """The whole section."""
    scatter = section("deviation-f1", "Against F1", "h3", *_scatter(runs))
    layers = section("deviation-layers", "By layer", "h3", *_layers(runs))
    return section("deviation", "Weight deviation", "h2", scatter, layers)


def panels_of(runs: Sequence[Evidence]) -> dict[tuple[str, str], tuple[list[str], list[Evidence]]]:
    """{(backbone and regime, domain): (the datasets that all its runs scored, the runs)}: what can stand in
    one plot.

    A run trained on one dataset is set against its own dataset only; few-shot runs are left out, they start
    from another run.
    """
    panels: dict[tuple[str, str], tuple[list[str], list[Evidence]]] = {}
    usable = [
        one
        for one in runs
        if 0 <= one.run.deviation.get("relative", -1.0) <= FARTHEST and one.run.identity.K is None
    ]
    for place in dict.fromkeys(one.place for one in usable):
        group = [one for one in usable if one.place == place]
        shared = [name for name in group[0].run.datasets if all(name in one.run.datasets for one in group)]
        own = group[0].run.identity.regime.removeprefix("st-")
        if own != group[0].run.identity.regime:
            if own in shared:
                panels[place, own] = ([own], group)
            continue
        for domain in DOMAINS:
            if datasets := [name for name in in_order(shared) if group[0].domains.get(name) == domain]:
                panels[place, domain] = (datasets, group)
    return panels


def _scatter(runs: Sequence[Evidence]) -> list[Markup]:
    panels = panels_of(runs)
    if not panels:
        return [
            note(
                "No run of these results says how far it moved the weights."
                if runs
                else "There are no runs, and so no deviations."
            )
        ]
    series = arm_series(one.arm for _, group in panels.values() for one in group)
    drawn = []
    for index, ((place, domain), (datasets, group)) in enumerate(panels.items()):
        marks = [
            Mark(
                f"{one.run.cell}: deviation {fixed(100 * one.run.deviation['relative'])} %, F1 {fixed(one.mean_f1(datasets))}",
                series[one.arm],
                100 * one.run.deviation["relative"],
                one.mean_f1(datasets),
            )
            for one in group
        ]
        x = spanning([mark.x for mark in marks], margin=0.1)
        axes = Axes(
            x,
            spanning([mark.y for mark in marks], HEIGHT, 0, margin=0.1),
            "deviation, % of the norm",
            "mean F1",
        )
        name = f"{place}: {NAMES.get(domain, domain)} F1 ({plural(len(datasets), 'dataset')})"
        said = f"{plural(len(marks), 'run')}; the values stand in the table below."
        table = [
            [one.run.cell, one.arm, str(one.run.seed), fixed(mark.x, 4), fixed(mark.y)]
            for one, mark in zip(group, marks, strict=True)
        ]
        plot = scatter_plot(f"scatter-{index}", name, said, marks, axes)
        data = as_table(name, ("run", "arm", "seed", "deviation, %", "mean F1"), table)
        drawn.append(figure(f"scatter-{index}", name, plot, heading="h4", data=data))
    legend = mark_legend([(place, arm) for arm, place in series.items()], "Arms")
    return [tag("p", READING, class_="reading"), legend, grid(drawn)]


def _layers(runs: Sequence[Evidence]) -> list[Markup]:
    usable = [one for one in runs if one.deviation and one.run.identity.K is None]
    if not usable:
        return [
            note(
                "No run of these results says its deviation by layer."
                if runs
                else "There are no runs, and so no deviations."
            )
        ]
    read = []
    for place in dict.fromkeys(one.place for one in usable):
        arms = list(dict.fromkeys(one.arm for one in usable if one.place == place))
        means = {
            arm: mean_by_key([one.deviation for one in usable if (one.place, one.arm) == (place, arm)])
            for arm in arms
        }
        layers = layer_order([layer for by_layer in means.values() for layer in by_layer])
        values = [
            [None if layer not in means[arm] else 100 * means[arm][layer] for arm in arms] for layer in layers
        ]
        read.append((place, [*map(layer_name, layers)], arms, values))
    top = highest([value for _, _, _, values in read for row in values for value in row])
    panels = [
        heat_figure(
            f"layers-{index}", place, "Relative deviation by layer and arm, percent.", rows, arms, values, top
        )
        for index, (place, rows, arms, values) in enumerate(read)
    ]
    return [tag("p", LAYERS, class_="reading"), colour_bar(top, "percent of the norm"), grid(panels)]
