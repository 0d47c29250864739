"""What the masks look like: density by layer and dataset, and how much two datasets' masks overlap, as heat
maps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import fmean

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
from benchmark.reporting.figure import bullet_list, code, fixed, grid, note, plural, section
from benchmark.reporting.heat import colour_bar, heat_figure, highest
from benchmark.reporting.markup import Markup, join, tag

WHOLE = "whole mask"
DENSITY = (
    "The share of weights that a dataset's mask leaves open, layer by layer, mean over seeds. An even column would mean that the mask "
    "prefers no layer; a pale row, that few of a layer's weights may move."
)
OVERLAP = (
    "Jaccard index of two datasets' masks: the weights that both leave open, over those that at least one does; mean over seeds. 1: the "
    "same mask. Masks that prefer the same layers overlap more than chance without agreeing on a single weight."
)


def masks(runs: Sequence[Evidence]) -> Markup:
    """The whole section."""
    density = section("density", "Density by layer and dataset", "h3", *_density(runs))
    overlap = section("overlap", "Overlap between datasets", "h3", *_overlap(runs))
    return section("masks", "Masks", "h2", *_kinds(runs), density, overlap)


def density_values(group: Sequence[Evidence]) -> tuple[list[str], list[str], list[list[float | None]]]:
    """Rows (layers, then the whole mask), columns (datasets) and densities of an arm, means over its runs."""
    by_layer = mean_matrix([one.by_layer for one in group])
    whole = mean_by_key([one.density for one in group])
    datasets = in_order([*by_layer, *whole])
    layers = layer_order([layer for row in by_layer.values() for layer in row])
    values = [[by_layer.get(dataset, {}).get(layer) for dataset in datasets] for layer in layers]
    if whole:
        values.append([whole.get(dataset) for dataset in datasets])
    return [*map(layer_name, layers), *([WHOLE] if whole else [])], datasets, values


def overlap_values(group: Sequence[Evidence]) -> tuple[list[str], list[list[float | None]]]:
    """Datasets, and the Jaccard index of each pair, means over an arm's runs; None on the diagonal, where it
    says nothing.
    """
    overlap = mean_matrix([one.overlap for one in group])
    datasets = in_order([*overlap, *(name for row in overlap.values() for name in row)])
    return datasets, [[None if a == b else overlap.get(a, {}).get(b) for b in datasets] for a in datasets]


def chance(p: float, q: float) -> float:
    """The Jaccard index that two masks of densities p and q have on average when their weights are drawn
    anywhere: pq / (p + q - pq).
    """
    both = p * q
    return both / (p + q - both) if both else 0.0


def _kinds(runs: Sequence[Evidence]) -> list[Markup]:
    """A sentence an arm: what its masks are."""
    lines = []
    for (place, arm), group in by_arm(runs).items():
        kinds = [one.kind for one in group if one.kind]
        if not kinds:
            continue
        means, unions = (
            mean_by_key([one.density for one in group]),
            [one.union for one in group if one.union is not None],
        )
        share = sorted({one.p_f for one in group if one.p_f is not None})
        if means:
            said = (
                f"density {fixed(fmean(means.values()), 3)} on average over {plural(len(means), 'dataset')}"
            )
            said += f", union {fixed(fmean(unions), 3)}" if unions else ", union not recorded"
        else:
            said = (
                f"p_F {', '.join(f'{value:g}' for value in share)}, drawn anew each step"
                if share
                else "density not recorded"
            )
        lines.append(
            join(
                [
                    code(arm),
                    f" ({place}): {' and '.join(dict.fromkeys(kinds))} mask, {said}; {plural(len(kinds), 'run')}.",
                ]
            )
        )
    if not lines:
        return [
            note("No run of these results has a mask." if runs else "There are no runs, and so no masks.")
        ]
    return [bullet_list(lines)]


def _density(runs: Sequence[Evidence]) -> list[Markup]:
    groups = {key: group for key, group in by_arm(runs).items() if any(one.by_layer for one in group)}
    if not groups:
        return [note(_why(runs, lambda one: bool(one.by_layer), "density by layer"))]
    read = {key: density_values(group) for key, group in groups.items()}
    top = highest([value for _, _, values in read.values() for row in values for value in row])
    panels = []
    for index, ((place, arm), (rows, columns, values)) in enumerate(read.items()):
        name = f"{arm} · {place} · {plural(len(groups[place, arm]), 'run')}"
        panels.append(
            heat_figure(f"density-{index}", name, _range(values, "Density"), rows, columns, values, top)
        )
    return [tag("p", DENSITY, class_="reading"), colour_bar(top, "share of weights open"), grid(panels)]


def _overlap(runs: Sequence[Evidence]) -> list[Markup]:
    groups = {key: group for key, group in by_arm(runs).items() if any(len(one.overlap) > 1 for one in group)}
    if not groups:
        return [note(_why(runs, lambda one: len(one.overlap) > 1, "overlap between datasets"))]
    panels, sentences = [], []
    for index, ((place, arm), group) in enumerate(groups.items()):
        datasets, values = overlap_values(group)
        name = f"{arm} · {place} · {plural(len(group), 'run')}"
        panels.append(
            heat_figure(
                f"overlap-{index}", name, _range(values, "Jaccard index"), datasets, datasets, values, 1.0
            )
        )
        sentences.append(
            join(
                [
                    code(arm),
                    f" ({place}): {_against_chance(mean_matrix([one.overlap for one in group]), group)}",
                ]
            )
        )
    return [
        tag("p", OVERLAP, class_="reading"),
        bullet_list(sentences),
        colour_bar(1.0, "Jaccard index"),
        grid(panels),
    ]


def _against_chance(overlap: Matrix, group: Sequence[Evidence]) -> str:
    pairs = [(a, b) for a in overlap for b in overlap[a] if a < b]
    if not pairs:
        return "no pair of datasets."
    found, density = fmean(overlap[a][b] for a, b in pairs), mean_by_key([one.density for one in group])
    said = f"mean Jaccard index {fixed(found)} over {plural(len(pairs), 'pair')}"
    if not all(a in density and b in density for a, b in pairs):
        return f"{said}; densities by dataset are not recorded, so chance cannot be told."
    expected = fmean(chance(density[a], density[b]) for a, b in pairs)
    return f"{said}; masks of these densities drawn anywhere at random would have {fixed(expected)}."


def _range(values: Sequence[Sequence[float | None]], what: str) -> str:
    known = [value for row in values for value in row if value is not None]
    return f"{what} from {fixed(min(known), 3)} to {fixed(max(known), 3)}." if known else "No values."


def _why(runs: Sequence[Evidence], has: Callable[[Evidence], bool], what: str) -> str:
    """Why a figure of masks is not there."""
    if not runs:
        return "There are no runs, and so no masks."
    learned = [one for one in runs if one.density or one.kind == "learned"]
    if not learned:
        return "No run of these results learned masks: nothing to show."
    return f"No run of these results says its {what} ({plural(len(learned), 'run')} with masks by dataset)."
