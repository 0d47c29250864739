"""The course of training: validation macro F1 and the datasets' sampling weights, step by step."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from statistics import fmean

from benchmark.reporting.curves import Curve, Points
from benchmark.reporting.evidence import arm_of, in_order
from benchmark.reporting.figure import as_table, figure, fixed, grid, line_legend, note, plural, section
from benchmark.reporting.markup import Markup, tag
from benchmark.reporting.palette import SERIES, arm_series
from benchmark.reporting.plots import HEIGHT, Axes, Line, line_plot
from benchmark.reporting.scales import Scale, from_zero, spanning

CURVES = (
    "Macro F1 on the validation split at each evaluation: the mean over seeds, and each seed as a pale line. Rings mark the steps whose "
    "weights were kept."
)
WEIGHTS = (
    "The share of each dataset in the batches up to each evaluation: the mean over seeds, and each seed as a pale line. Under eq. 15 it "
    "is uniform (dotted) until two evaluations exist, and then each dataset's share of the change of EM + F1 between the two before; held "
    "against single-task runs, its share of the distance to them, from the first evaluation on. By size or temperature it does not move."
)
NO_CURVES = (
    "No run of this profile has left a curve.csv beside its results: the course of training is not known."
)


def training(curves: Sequence[Curve]) -> Markup:
    """The whole section."""
    learning = section("curves", "Learning curves", "h3", *_learning(curves))
    weights = section("weights", "Sampling weights", "h3", *_weights(curves))
    return section("training", "Training", "h2", learning, weights)


def _learning(curves: Sequence[Curve]) -> list[Markup]:
    if not curves:
        return [note(NO_CURVES)]
    series = arm_series(arm_of(curve.identity) for curve in curves)
    panels = []
    for index, place in enumerate(dict.fromkeys(map(_place, curves))):
        group = [curve for curve in curves if _place(curve) == place]
        lines: list[Line] = []
        for arm in dict.fromkeys(arm_of(curve.identity) for curve in group):
            own = [curve for curve in group if arm_of(curve.identity) == arm]
            kept = [
                next((point for point in curve.macro if point[0] == curve.best_step), None) for curve in own
            ]
            named = [
                Line(curve.cell, series[arm], curve.macro, kept=ring)
                for curve, ring in zip(own, kept, strict=True)
            ]
            lines += with_mean(arm, named)
        points = [point for curve in group for point in curve.macro]
        axes = Axes(
            _steps(point[0] for point in points),
            spanning([point[1] for point in points], HEIGHT, 0),
            "step",
            "F1",
        )
        best = max(group, key=lambda curve: max(value for _, value in curve.macro))
        said = f"{plural(len(group), 'run')}; the highest point is {fixed(max(value for _, value in best.macro), 1)}, of {best.cell}."
        table = [
            [curve.cell, f"{step:g}", fixed(value), "kept" if step == curve.best_step else ""]
            for curve in group
            for step, value in curve.macro
        ]
        plot = line_plot(f"curve-{index}", place, said, lines, axes)
        data = as_table(f"Validation macro F1, {place}", ("run", "step", "macro F1", "weights"), table)
        panels.append(figure(f"curve-{index}", place, plot, heading="h4", data=data))
    legend = line_legend([(number, arm) for arm, number in series.items()], "Arms")
    return [tag("p", CURVES, class_="reading"), legend, grid(panels)]


def _weights(curves: Sequence[Curve]) -> list[Markup]:
    drawn = [curve for curve in curves if len(curve.weights) > 1]
    if not drawn:
        return [note("No run on several datasets has left its sampling weights." if curves else NO_CURVES)]
    datasets = in_order([name for curve in drawn for name in curve.weights])
    panels = []
    for index, (place, arm) in enumerate(
        dict.fromkeys((_place(curve), arm_of(curve.identity)) for curve in drawn)
    ):
        group = [curve for curve in drawn if (_place(curve), arm_of(curve.identity)) == (place, arm)]
        lines = []
        for number, name in enumerate(datasets):
            seeds = [
                Line(f"{name}, {curve.cell}", number % len(SERIES), curve.weights[name])
                for curve in group
                if name in curve.weights
            ]
            lines += [replace(line, points=stepped(line.points)) for line in with_mean(name, seeds)]
        values = [point for line in lines for point in line.points]
        shares = [value for _, value in values]
        axes = Axes(
            _steps(step for step, _ in values), from_zero(shares, HEIGHT, 0), "step", "share of the batches"
        )
        count = max(len(curve.weights) for curve in group)
        title = f"{arm} · {place}"
        said = f"{plural(len(group), 'run')}, {plural(count, 'dataset')}; shares from {fixed(min(shares), 3)} to {fixed(max(shares), 3)}."
        plot = line_plot(f"weights-{index}", title, said, lines, axes, level=1 / count, dotted=False)
        table = [
            [
                curve.cell,
                f"{step:g}",
                *(fixed(dict(curve.weights.get(column, ())).get(step), 3) for column in datasets),
            ]
            for curve in group
            for step in dict.fromkeys(step for points in curve.weights.values() for step, _ in points)
        ]
        data = as_table(f"Sampling weights, {title}", ("run", "step", *datasets), table)
        panels.append(figure(f"weights-{index}", title, plot, heading="h4", data=data))
    legend = line_legend(
        [*((index % len(SERIES), name) for index, name in enumerate(datasets)), (None, "uniform")], "Datasets"
    )
    return [tag("p", WEIGHTS, class_="reading"), legend, grid(panels)]


def with_mean(name: str, lines: Sequence[Line]) -> list[Line]:
    """The seeds' lines, pale, and their mean at the steps that all of them have; a single line as it is."""
    if len(lines) < 2:
        return list(lines)
    by_step = [dict(line.points) for line in lines]
    shared = [step for step, _ in lines[0].points if all(step in values for values in by_step)]
    mean = tuple((step, fmean(values[step] for values in by_step)) for step in shared)
    whole = Line(f"{name}, mean of {len(lines)} seeds", lines[0].series, mean)
    return [*(replace(line, pale=True) for line in lines), whole]


def stepped(points: Points) -> Points:
    """A weight holds from the evaluation before (at first: step 0) to its own: a flight of steps through
    `points`.
    """
    before = [0.0, *(step for step, _ in points)]
    return tuple(
        place
        for start, (end, value) in zip(before, points, strict=False)
        for place in ((start, value), (end, value))
    )


def _place(curve: Curve) -> str:
    return f"{curve.identity.backbone} · {curve.identity.regime}"


def _steps(steps: Iterable[float]) -> Scale:
    return from_zero(steps, margin=0.02)
