"""What the masks look like: density by layer and dataset, and how much two datasets' masks overlap, as heat
maps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import fmean

from markupsafe import Markup

from benchmark.rendering.phrases import counted, fixed
from benchmark.reporting.charts import ChartSection
from benchmark.reporting.evidence import (
    Evidence,
    Matrix,
    by_arm,
    in_order,
    mean_by_key,
    mean_matrix,
)
from benchmark.reporting.heat_maps import HeatGrid, heat_section, layer_grid

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
    return layer_grid(
        {
            name: by_layer.get(name, {}) | ({WHOLE: whole[name]} if name in whole else {})
            for name in in_order([*by_layer, *whole])
        }
    )


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
    section = ChartSection("density", "Density by layer and dataset")
    groups = {name: group for name, group in by_arm(runs).items() if any(one.by_layer for one in group)}
    if not groups:
        return replace(section, note=_why(runs, "density by layer"))
    grids = _by_title(groups, density_grid)
    return heat_section(replace(section, reading=DENSITY), grids, "Density", "share of weights open")


def _overlap_section(runs: Sequence[Evidence]) -> ChartSection:
    section = ChartSection("overlap", "Overlap between datasets")
    groups = {
        name: group for name, group in by_arm(runs).items() if any(len(one.overlap) > 1 for one in group)
    }
    if not groups:
        return replace(section, note=_why(runs, "overlap between datasets"))
    sentences = [_about(arm, place, _against_chance(group)) for (place, arm), group in groups.items()]
    section = replace(section, reading=OVERLAP, sentences=sentences)
    return heat_section(section, _by_title(groups, overlap_grid), "Jaccard index", "Jaccard index", top=1.0)


def _by_title(groups: Groups, grid: Callable[[Sequence[Evidence]], HeatGrid]) -> dict[str, HeatGrid]:
    return {
        f"{arm} · {place} · {counted(len(group), 'run')}": grid(group)
        for (place, arm), group in groups.items()
    }


def _about(arm: str, place: str, text: str) -> Markup:
    return Markup("<code>{}</code> ({}): {}").format(arm, place, text)


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
