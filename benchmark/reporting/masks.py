"""What the masks look like: density by layer and dataset, and how much two datasets' masks overlap, as heat
maps.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from markupsafe import Markup

from benchmark.rendering.phrases import counted, fixed
from benchmark.reporting.charts import Chart, ChartSection
from benchmark.reporting.evidence import (
    Evidence,
    Matrix,
    by_arm,
    in_order,
    layer_name,
    layer_order,
    mean_by_key,
    mean_matrix,
)
from benchmark.reporting.heat_maps import HeatGrid, colour_bar, heat_chart, scale_top

WHOLE = "whole mask"
DENSITY = (
    "The share of weights that a dataset's mask leaves open, layer by layer, mean over seeds. An even "
    "column would mean that the mask prefers no layer; a pale row, that few of a layer's weights may move."
)
OVERLAP = (
    "Jaccard index of two datasets' masks: the weights that both leave open, over those that at least one "
    "does; mean over seeds. 1: the same mask. Masks that prefer the same layers overlap more than chance "
    "without agreeing on a single weight."
)
NO_RUNS = "There are no runs, and so no masks."
Groups = dict[tuple[str, str], list[Evidence]]
"""{(backbone and regime, arm): its runs}."""


def mask_section(runs: Sequence[Evidence]) -> ChartSection:
    """The whole section."""
    kinds = _kinds(runs)
    why = "" if kinds else "No run of these results has a mask." if runs else NO_RUNS
    parts = (_density_section(runs), _overlap_section(runs))
    return ChartSection("masks", "Masks", note=why, sentences=kinds, parts=parts)


def density_grid(group: Sequence[Evidence]) -> HeatGrid:
    """Layers and the whole mask down, datasets across: densities of an arm, means over its runs."""
    by_layer = mean_matrix([one.by_layer for one in group])
    whole = mean_by_key([one.density for one in group])
    datasets = in_order([*by_layer, *whole])
    layers = layer_order([layer for row in by_layer.values() for layer in row])
    values = [[by_layer.get(dataset, {}).get(layer) for dataset in datasets] for layer in layers]
    if whole:
        values.append([whole.get(dataset) for dataset in datasets])
    return HeatGrid([*map(layer_name, layers), *([WHOLE] if whole else [])], datasets, values)


def overlap_grid(group: Sequence[Evidence]) -> HeatGrid:
    """The Jaccard index of each pair of datasets, means over an arm's runs; None on the diagonal, where it
    says nothing.
    """
    overlap = mean_matrix([one.overlap for one in group])
    datasets = in_order([*overlap, *(name for row in overlap.values() for name in row)])
    values = [[None if a == b else overlap.get(a, {}).get(b) for b in datasets] for a in datasets]
    return HeatGrid(datasets, datasets, values)


def chance(p: float, q: float) -> float:
    """The Jaccard index that two masks of densities p and q have on average when their weights are drawn
    anywhere: pq / (p + q - pq).
    """
    both = p * q
    return both / (p + q - both) if both else 0.0


def _kinds(runs: Sequence[Evidence]) -> list[Markup]:
    """One sentence per arm: what its masks are."""
    sentences = []
    for (place, arm), group in by_arm(runs).items():
        kinds = [one.kind for one in group if one.kind]
        if not kinds:
            continue
        means = mean_by_key([one.density for one in group])
        unions = [one.union for one in group if one.union is not None]
        shares = sorted({one.p_f for one in group if one.p_f is not None})
        if means:
            over = f"on average over {counted(len(means), 'dataset')}"
            union = fixed(fmean(unions), 3) if unions else "not recorded"
            said = f"density {fixed(fmean(means.values()), 3)} {over}, union {union}"
        elif shares:
            said = f"p_F {', '.join(f'{value:g}' for value in shares)}, drawn anew each step"
        else:
            said = "density not recorded"
        names = " and ".join(dict.fromkeys(kinds))
        sentences.append(_about(arm, place, f"{names} mask, {said}; {counted(len(kinds), 'run')}."))
    return sentences


def _density_section(runs: Sequence[Evidence]) -> ChartSection:
    key, heading = "density", "Density by layer and dataset"
    groups = {name: group for name, group in by_arm(runs).items() if any(one.by_layer for one in group)}
    if not groups:
        return ChartSection(key, heading, note=_why(runs, "density by layer"))
    grids = [density_grid(group) for group in groups.values()]
    top = scale_top([value for grid in grids for value in grid.known])
    charts = _charts(key, groups, grids, "Density", top)
    legend = colour_bar(top, "share of weights open")
    return ChartSection(key, heading, reading=DENSITY, legend=legend, charts=charts)


def _overlap_section(runs: Sequence[Evidence]) -> ChartSection:
    key, heading, what = "overlap", "Overlap between datasets", "Jaccard index"
    groups = {
        name: group for name, group in by_arm(runs).items() if any(len(one.overlap) > 1 for one in group)
    }
    if not groups:
        return ChartSection(key, heading, note=_why(runs, "overlap between datasets"))
    sentences = [_about(arm, place, _against_chance(group)) for (place, arm), group in groups.items()]
    charts = _charts(key, groups, [overlap_grid(group) for group in groups.values()], what, 1.0)
    return ChartSection(
        key, heading, reading=OVERLAP, sentences=sentences, legend=colour_bar(1.0, what), charts=charts
    )


def _about(arm: str, place: str, text: str) -> Markup:
    return Markup("<code>{}</code> ({}): {}").format(arm, place, text)


def _charts(key: str, groups: Groups, grids: Sequence[HeatGrid], what: str, top: float) -> list[Chart]:
    """One heat map per arm."""
    charts = []
    for index, (((place, arm), group), grid) in enumerate(zip(groups.items(), grids, strict=True)):
        name = f"{arm} · {place} · {counted(len(group), 'run')}"
        known = grid.known
        said = f"{what} from {fixed(min(known), 3)} to {fixed(max(known), 3)}." if known else "No values."
        charts.append(heat_chart(f"{key}-{index}", name, said, grid, top))
    return charts


def _against_chance(group: Sequence[Evidence]) -> str:
    overlap: Matrix = mean_matrix([one.overlap for one in group])
    pairs = [(a, b) for a in overlap for b in overlap[a] if a < b]
    if not pairs:
        return "no pair of datasets."
    density = mean_by_key([one.density for one in group])
    mean = fixed(fmean(overlap[a][b] for a, b in pairs))
    said = f"mean Jaccard index {mean} over {counted(len(pairs), 'pair')}"
    if not all(a in density and b in density for a, b in pairs):
        return f"{said}; densities by dataset are not recorded, so chance cannot be told."
    expected = fmean(chance(density[a], density[b]) for a, b in pairs)
    return f"{said}; masks of these densities drawn anywhere at random would have {fixed(expected)}."


def _why(runs: Sequence[Evidence], what: str) -> str:
    """Why a figure of masks is not there."""
    if not runs:
        return NO_RUNS
    learned = [one for one in runs if one.density or one.kind == "learned"]
    if not learned:
        return "No run of these results learned masks: nothing to show."
    return f"No run of these results says its {what} ({counted(len(learned), 'run')} with masks by dataset)."
