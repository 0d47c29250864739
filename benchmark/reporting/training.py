"""The course of training: validation macro F1 and the datasets' sampling weights, step by step."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from statistics import fmean

from benchmark.rendering.phrases import counted, fixed
from benchmark.reporting.chart_colours import SERIES, arm_series
from benchmark.reporting.charts import Chart, ChartSection, DataTable, line_legend
from benchmark.reporting.curves import Curve, Points
from benchmark.reporting.evidence import grouped, in_order
from benchmark.reporting.plots import HEIGHT, Axes, Line, line_plot
from benchmark.reporting.scales import Scale, from_zero, spanning

CURVES = (
    "Macro F1 on the validation split at each evaluation: the mean over seeds, and each seed as a pale "
    "line. Rings mark the steps whose weights were kept."
)
WEIGHTS = (
    "The share of each dataset in the batches up to each evaluation: the mean over seeds, and each seed as "
    "a pale line. Under eq. 15 it is uniform (dotted) until two evaluations exist, and then each dataset's "
    "share of the change of EM + F1 between the two before; held against single-task runs, its share of the "
    "distance to them, from the first evaluation on. By size or temperature it does not move."
)
NO_CURVES = (
    "No run of this profile has left a curve.csv beside its results: the course of training is not known."
)


def training_section(curves: Sequence[Curve]) -> ChartSection:
    """The whole section."""
    return ChartSection("training", "Training", parts=(_curve_section(curves), _weight_section(curves)))


def _curve_section(curves: Sequence[Curve]) -> ChartSection:
    key, heading = "curves", "Learning curves"
    if not curves:
        return ChartSection(key, heading, note=NO_CURVES)
    series = arm_series(curve.arm for curve in curves)
    charts = [
        _curve_chart(f"curve-{index}", place, group, series)
        for index, (place, group) in enumerate(grouped(curves, lambda curve: curve.place).items())
    ]
    legend = line_legend([(number, arm) for arm, number in series.items()], "Arms")
    return ChartSection(key, heading, reading=CURVES, legend=legend, charts=charts)


def _curve_chart(key: str, place: str, group: Sequence[Curve], series: dict[str, int]) -> Chart:
    lines: list[Line] = []
    for arm, curves in grouped(group, lambda curve: curve.arm).items():
        seeds = []
        for curve in curves:
            kept = next((point for point in curve.macro if point[0] == curve.best_step), None)
            seeds.append(Line(curve.cell, series[arm], curve.macro, kept=kept))
        lines += with_mean(arm, seeds)
    points = [(*point, curve) for curve in group for point in curve.macro]
    scores = spanning((score for _, score, _ in points), HEIGHT, 0)
    axes = Axes(_step_scale(step for step, *_ in points), scores, "step", "F1")
    _, highest, best = max(points, key=lambda point: point[1])
    said = f"{counted(len(group), 'run')}; the highest point is {fixed(highest, 1)}, of {best.cell}."
    rows = [
        [curve.cell, f"{step:g}", fixed(score), "kept" if step == curve.best_step else ""]
        for step, score, curve in points
    ]
    data = DataTable(f"Validation macro F1, {place}", ("run", "step", "macro F1", "weights"), rows)
    return Chart(key, place, line_plot(key, place, said, lines, axes), data)


def _weight_section(curves: Sequence[Curve]) -> ChartSection:
    key, heading = "weights", "Sampling weights"
    several = [curve for curve in curves if len(curve.weights) > 1]
    if not several:
        why = "No run on several datasets has left its sampling weights." if curves else NO_CURVES
        return ChartSection(key, heading, note=why)
    datasets = in_order([name for curve in several for name in curve.weights])
    groups = grouped(several, lambda curve: f"{curve.arm} · {curve.place}")
    charts = [
        _weight_chart(f"weights-{index}", title, group, datasets)
        for index, (title, group) in enumerate(groups.items())
    ]
    names = [(index % len(SERIES), name) for index, name in enumerate(datasets)]
    legend = line_legend([*names, (None, "uniform")], "Datasets")
    return ChartSection(key, heading, reading=WEIGHTS, legend=legend, charts=charts)


def _weight_chart(key: str, title: str, group: Sequence[Curve], datasets: Sequence[str]) -> Chart:
    lines: list[Line] = []
    for number, name in enumerate(datasets):
        seeds = [
            Line(f"{name}, {curve.cell}", number % len(SERIES), curve.weights[name])
            for curve in group
            if name in curve.weights
        ]
        lines += [replace(line, points=stepped(line.points)) for line in with_mean(name, seeds)]
    steps, shares = zip(*(point for line in lines for point in line.points), strict=True)
    axes = Axes(_step_scale(steps), from_zero(shares, HEIGHT, 0), "step", "share of the batches")
    count = max(len(curve.weights) for curve in group)
    said = f"{counted(len(group), 'run')}, {counted(count, 'dataset')}; "
    said += f"shares from {fixed(min(shares), 3)} to {fixed(max(shares), 3)}."
    plot = line_plot(key, title, said, lines, axes, level=1 / count, dotted=False)
    rows = []
    for curve in group:
        by_dataset = [dict(curve.weights.get(name, ())) for name in datasets]
        for step in dict.fromkeys(step for points in curve.weights.values() for step, _ in points):
            rows.append([curve.cell, f"{step:g}", *(fixed(known.get(step), 3) for known in by_dataset)])
    return Chart(key, title, plot, DataTable(f"Sampling weights, {title}", ("run", "step", *datasets), rows))


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
    """A flight of steps through `points`: a weight holds from the evaluation before (at first: step 0) to the
    one that it was recorded at.
    """
    before = [0.0, *(step for step, _ in points)]
    return tuple(
        place
        for start, (end, value) in zip(before, points, strict=False)
        for place in ((start, value), (end, value))
    )


def _step_scale(steps: Iterable[float]) -> Scale:
    return from_zero(steps, margin=0.02)
