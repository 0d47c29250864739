"""A study as one HTML page that loads nothing and runs no script: history, importance, gamma against zeta, F1
against density.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from pathlib import Path

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.trial import FrozenTrial, TrialState
from scipy.interpolate import griddata
from scipy.spatial import QhullError

from benchmark.config.params import repository_root
from benchmark.rendering.phrases import counted, fixed
from benchmark.reporting.charts import (
    Chart,
    ChartSection,
    DataTable,
    Legend,
    chart_page,
    line_legend,
    mark_legend,
)
from benchmark.reporting.plots import HEIGHT, Axes, Line, Mark, bar_plot, field_plot, line_plot, scatter_plot
from benchmark.reporting.scales import Scale, spanning
from benchmark.studies.identity import StudyIdentity, identity_of
from benchmark.studies.space import words
from benchmark.studies.status import counts_text, finished
from bmt.runtime.files import write_text

ACROSS, DOWN = 24, 16
"""Cells of the field."""
FEWEST = 4
"""Finished trials below which an importance says nothing."""
TRIAL, PRUNED, BEST = 0, 6, 1
"""Series of the palette."""
IMPORTANCE = (
    "Share of the importance that Optuna's PED-ANOVA gives each parameter, over the whole range. With tens "
    "of trials it is a hint, not a finding."
)
FIELD = (
    "The stronger the colour, the better, from the worst to the best finished trial. Between trials the "
    "colour is interpolated linearly, outside them nothing is known. The other parameters differ from trial "
    "to trial."
)
PARETO = (
    "One mark per trial: the share of weights that some mask opens, and the macro F1 that came of it. Up "
    "and to the left is better."
)


def write_page(study: optuna.Study) -> Path:
    """Write the page. Raises BMTError where no trial has finished."""
    path = repository_root() / "studies" / f"{study.study_name}.html"
    write_text(path, study_page(study))
    return path


def study_page(study: optuna.Study) -> str:
    """The page as HTML."""
    identity, done = identity_of(study), finished(study)
    ranges = ", ".join(
        f"{name} {ends['low']:g} to {ends['high']:g}{' (log)' if ends['log'] else ''}"
        for name, ends in identity.space.items()
    )
    about = (
        f"{identity.cell} · profile {identity.profile} · {counts_text(study)} · "
        f"seeds {', '.join(map(str, identity.seeds))} · searched: {ranges}"
    )
    sections = (history(study), importance(study, done), value_field(identity, done), pareto(done))
    return chart_page(
        "study.html.j2",
        title=f"Study {study.study_name}",
        heading=f"Study {study.study_name}",
        about=("Macro F1 on validation questions carved from train; no dev set was read.", about),
        contents=[(section.key, section.heading, ()) for section in sections],
        made_by=f"python -m benchmark.search --study {study.study_name} --figures",
        chart_sections=sections,
    )


def history(study: optuna.Study) -> ChartSection:
    """Macro F1 of every trial, of a pruned one where it stood, and the best so far."""
    names = {TRIAL: "finished trial", BEST: "the best", PRUNED: "pruned trial, where it stood"}
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
    done = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    f1 = [trial.values[0] for trial in done]
    first = done[f1.index(max(f1))]
    marks = []
    for trial in trials:
        if trial.values:
            series = BEST if trial is first else TRIAL if trial.state == TrialState.COMPLETE else PRUNED
            name = f"trial {trial.number}: {fixed(trial.values[0])}, {names[series]}"
            marks.append(Mark(name, series, trial.number, trial.values[0]))
    # a new best is a step: what lies between two trials was never tried
    best = list(accumulate([f1[0], *f1], max))
    steps = [(trial.number, y) for trial, pair in zip(done, pairwise(best), strict=True) for y in pair]
    line = Line("best so far", BEST, (*steps, (marks[-1].x, best[-1])))
    # trials have whole numbers: with room for five of them no tick falls in between
    x, y = spanning([0, max(4, marks[-1].x)]), spanning((mark.y for mark in marks), HEIGHT, 0, margin=0.1)
    axes, title = Axes(x, y, "trial", "macro F1"), "Macro F1 by trial"
    said = f"{counted(len(done), 'finished trial')}; the best macro F1 is {fixed(best[-1])}."
    plot = line_plot("history-plot", title, said, [line], axes, dotted=False, marks=marks)
    rows = [
        [
            str(trial.number),
            trial.state.name.lower(),
            fixed(trial.values[0] if trial.values else None),
            words(trial.params),
        ]
        for trial in trials
    ]
    data = DataTable(title, ("trial", "state", "macro F1", "values"), rows)
    drawn = {mark.series for mark in marks}
    shapes = mark_legend([(series, name) for series, name in names.items() if series in drawn], "")
    entries = shapes.entries + line_legend([(BEST, line.name)], "").entries
    legend = Legend("Marks and lines", entries)
    return ChartSection(
        "history", "History", legend=legend, charts=(Chart("history-plot", title, plot, data),)
    )


def importance(study: optuna.Study, done: Sequence[FrozenTrial]) -> ChartSection:
    """How much of the difference between good and bad trials goes with each parameter (PED-ANOVA)."""
    key, heading = "importance", "Importance"
    shares = importances(study, done)
    if shares is None:
        why = (
            f"{counted(len(done), 'finished trial')}: at least {FEWEST}, not all of one score, are needed to"
        )
        return ChartSection(key, heading, note=f"{why} say which parameter matters.")
    said = "Shares by parameter; the values stand in the table."
    plot = bar_plot(f"{key}-plot", "Importance", said, list(shares.items()))
    data = DataTable(
        "Importance", ("parameter", "share"), [[name, fixed(x, 3)] for name, x in shares.items()]
    )
    chart = Chart(f"{key}-plot", "Importance for the macro F1", plot, data)
    return ChartSection(key, heading, reading=IMPORTANCE, charts=(chart,))


def importances(study: optuna.Study, done: Sequence[FrozenTrial]) -> dict[str, float] | None:
    """{parameter: share}, largest first; None where the trials are too few or all alike."""
    if len(done) < FEWEST or len({trial.values[0] for trial in done}) < 2:
        return None
    several = len(study.directions) > 1
    target: Callable[[FrozenTrial], float] | None = (lambda trial: trial.values[0]) if several else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return dict(optuna.importance.get_param_importances(study, target=target))


def value_field(identity: StudyIdentity, done: Sequence[FrozenTrial]) -> ChartSection:
    """Macro F1 over gamma and zeta."""
    key, heading, title = "stretches", "Gamma and zeta", "Macro F1 over gamma and zeta"
    if not {"gamma", "zeta"} <= identity.space.keys():
        return ChartSection(key, heading, note="This study does not search both gamma and zeta.")
    points = [(trial.params["gamma"], trial.params["zeta"], trial.values[0]) for trial in done]
    low, high = min(score for *_, score in points), max(score for *_, score in points)
    gamma, zeta = ((identity.space[name]["low"], identity.space[name]["high"]) for name in ("gamma", "zeta"))
    axes = Axes(Scale(*gamma), Scale(*zeta, HEIGHT, 0), "gamma", "zeta")
    marks = [
        Mark(f"trial {trial.number}: {score:.2f}", BEST if score == high else TRIAL, x, y)
        for trial, (x, y, score) in zip(done, points, strict=True)
    ]
    shares = (interpolated(points, axes) - low) / (high - low or 1.0)
    field = [[None if np.isnan(share) else share for share in row] for row in shares.tolist()]
    said = f"{len(points)} trials, from {low:.2f} to {high:.2f}."
    plot = field_plot(f"{key}-plot", title, said, field, marks, axes)
    rows = [
        [f"trial {trial.number}", fixed(x, 3), fixed(y, 3), fixed(score)]
        for trial, (x, y, score) in zip(done, points, strict=True)
    ]
    data = DataTable(title, ("trial", "gamma", "zeta", "macro F1"), rows)
    legend = mark_legend([(BEST, "the best trial"), (TRIAL, "another finished trial")], "Trials")
    chart = Chart(f"{key}-plot", title, plot, data)
    return ChartSection(key, heading, reading=FIELD, legend=legend, charts=(chart,))


def interpolated(points: Sequence[tuple[float, float, float]], axes: Axes) -> NDArray[np.float64]:
    """The values of `points` (x, y, value) at the middles of the field's cells, linear between the points:
    (DOWN, ACROSS), NaN outside them and where they span no area.
    """
    places = np.array([axes.at(x, y) for x, y, _ in points]) / (100, HEIGHT)
    values = np.array([value for *_, value in points])
    across, down = np.meshgrid((np.arange(ACROSS) + 0.5) / ACROSS, (np.arange(DOWN) + 0.5) / DOWN)
    try:
        return np.asarray(griddata(places, values, (across, down), method="linear"))
    except (QhullError, ValueError):  # fewer than three points, or all on a line
        return np.full((DOWN, ACROSS), np.nan)


def pareto(done: Sequence[FrozenTrial]) -> ChartSection:
    """Macro F1 against union density, and the trials that no other beats in both."""
    key, heading = "pareto", "F1 against density"
    known = [trial for trial in done if "density" in trial.user_attrs]
    if not known:
        return ChartSection(key, heading, note="No trial says its density.")
    best = {trial.number for trial in not_beaten(known)}
    marks, rows = [], []
    for trial in known:
        density, f1, on_front = trial.user_attrs["density"], trial.values[0], trial.number in best
        name = f"trial {trial.number}: density {fixed(density, 3)}, macro F1 {fixed(f1)}"
        marks.append(Mark(name, BEST if on_front else TRIAL, density, f1))
        rows.append([str(trial.number), fixed(density, 4), fixed(f1), "yes" if on_front else "no"])
    x, y = [mark.x for mark in marks], [mark.y for mark in marks]
    axes = Axes(spanning(x, margin=0.1), spanning(y, HEIGHT, 0, margin=0.1), "union density", "macro F1")
    said = f"{len(best)} of {len(known)} trials are on the front."
    plot = scatter_plot(f"{key}-plot", heading, said, marks, axes)
    data = DataTable(heading, ("trial", "union density", "macro F1", "on the front"), rows)
    legend = mark_legend([(BEST, "on the Pareto front"), (TRIAL, "beaten by another")], "Trials")
    chart = Chart(f"{key}-plot", "Macro F1 against union density", plot, data)
    return ChartSection(key, heading, reading=PARETO, legend=legend, charts=(chart,))


def not_beaten(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """The trials that no other equals or beats in both F1 and density, and beats in one."""

    def beats(a: FrozenTrial, b: FrozenTrial) -> bool:
        mine, theirs = (a.values[0], -a.user_attrs["density"]), (b.values[0], -b.user_attrs["density"])
        return mine != theirs and all(x >= y for x, y in zip(mine, theirs, strict=True))

    return [trial for trial in trials if not any(beats(other, trial) for other in trials)]
