"""How far training moved the weights, against what it brought: a scatter plot by arm, and the deviation layer
by layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from benchmark.rendering.phrases import counted, fixed
from benchmark.reporting.chart_colours import arm_series
from benchmark.reporting.charts import Chart, ChartSection, DataTable, mark_legend
from benchmark.reporting.evidence import (
    DOMAINS,
    FARTHEST,
    Evidence,
    Matrix,
    by_arm,
    grouped,
    in_order,
    mean_by_key,
)
from benchmark.reporting.heat_maps import heat_section, layer_grid
from benchmark.reporting.plots import HEIGHT, Axes, Mark, scatter_plot
from benchmark.reporting.scales import spanning

READING = (
    "One mark per run: how far training moved the encoder from its pretrained weights (L2 distance over "
    "their norm, percent) and the mean F1 that came of it. Up is better; to the left, the weights stayed "
    "closer to where they were."
)
LAYERS = (
    "Relative deviation from the pretrained weights, percent of each layer's norm, layer by layer and arm "
    "by arm; means over seeds."
)
NO_RUNS = "There are no runs, and so no deviations."
DOMAIN_NAMES = {"in_domain": "in-domain", "out_of_domain": "out-of-domain"}

Panels = dict[tuple[str, str], tuple[list[str], list[Evidence]]]
"""{(backbone and regime, domain): (the datasets that all its runs scored, the runs)}: what can stand in one
plot.
"""


def deviation_section(runs: Sequence[Evidence]) -> ChartSection:
    """The whole section."""
    return ChartSection("deviation", "Weight deviation", parts=(_scatter_section(runs), _layer_section(runs)))


def scatter_panels(runs: Sequence[Evidence]) -> Panels:
    """The runs that say how far they moved, by what they can be compared on.

    A run trained on one dataset is set against that dataset only; few-shot runs are left out, they start from
    another run.
    """
    panels: Panels = {}
    usable = [
        one
        for one in runs
        if 0 <= one.run.deviation.get("relative", -1.0) <= FARTHEST and one.run.identity.K is None
    ]
    for place, group in grouped(usable, lambda one: one.place).items():
        first = group[0]
        shared = [name for name in first.run.datasets if all(name in one.run.datasets for one in group)]
        trained_on = first.run.identity.regime.removeprefix("st-")
        if trained_on in shared:
            panels[place, trained_on] = ([trained_on], group)
        elif trained_on == first.run.identity.regime:
            for domain in DOMAINS:
                if datasets := [name for name in in_order(shared) if first.domains.get(name) == domain]:
                    panels[place, domain] = (datasets, group)
    return panels


def _scatter_section(runs: Sequence[Evidence]) -> ChartSection:
    key, heading = "deviation-f1", "Against F1"
    panels = scatter_panels(runs)
    if not panels:
        why = "No run of these results says how far it moved the weights."
        return ChartSection(key, heading, note=why if runs else NO_RUNS)
    series = arm_series(one.arm for _, group in panels.values() for one in group)
    charts = [
        _scatter_chart(f"scatter-{index}", f"{place}: {DOMAIN_NAMES.get(domain, domain)} F1", series, *panel)
        for index, ((place, domain), panel) in enumerate(panels.items())
    ]
    legend = mark_legend([(number, arm) for arm, number in series.items()], "Arms")
    return ChartSection(key, heading, reading=READING, legend=legend, charts=charts)


def _scatter_chart(
    key: str, what: str, series: dict[str, int], datasets: Sequence[str], group: Sequence[Evidence]
) -> Chart:
    marks, rows = [], []
    for one in group:
        moved, f1 = 100 * one.run.deviation["relative"], one.mean_f1(datasets)
        name = f"{one.run.cell}: deviation {fixed(moved)} %, F1 {fixed(f1)}"
        marks.append(Mark(name, series[one.arm], moved, f1))
        rows.append([one.run.cell, one.arm, str(one.run.seed), fixed(moved, 4), fixed(f1)])
    across = spanning((mark.x for mark in marks), margin=0.1)
    up = spanning((mark.y for mark in marks), HEIGHT, 0, margin=0.1)
    axes = Axes(across, up, "deviation, % of the norm", "mean F1")
    title = f"{what} ({counted(len(datasets), 'dataset')})"
    said = f"{counted(len(marks), 'run')}; the values stand in the table below."
    data = DataTable(title, ("run", "arm", "seed", "deviation, %", "mean F1"), rows)
    return Chart(key, title, scatter_plot(key, title, said, marks, axes), data)


def _layer_section(runs: Sequence[Evidence]) -> ChartSection:
    """Percent of a layer's norm, layers down and arms across, means over seeds."""
    section = ChartSection("deviation-layers", "By layer")
    usable = [one for one in runs if one.deviation and one.run.identity.K is None]
    if not usable:
        why = "No run of these results says its deviation by layer."
        return replace(section, note=why if runs else NO_RUNS)
    percent: dict[str, Matrix] = {}
    for (place, arm), group in by_arm(usable).items():
        means = mean_by_key([one.deviation for one in group])
        percent.setdefault(place, {})[arm] = {layer: 100 * share for layer, share in means.items()}
    grids = {place: layer_grid(by_arm_and_layer) for place, by_arm_and_layer in percent.items()}
    return heat_section(
        replace(section, reading=LAYERS), grids, "Relative deviation in percent", "percent of the norm"
    )
