"""A study as one HTML page that loads nothing and runs no script: history, importance, gamma against zeta, F1
against density.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from itertools import accumulate
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial, TrialState

from benchmark.config.params import repository_root
from benchmark.reporting.figure import as_table, figure, fixed, line_legend, mark_legend, note, section
from benchmark.reporting.markup import Markup, tag
from benchmark.reporting.plots import HEIGHT, Axes, Line, Mark, line_plot, scatter_plot
from benchmark.reporting.scales import Scale, spanning
from benchmark.reporting.style import stylesheet
from benchmark.studies.identity import StudyIdentity, identity_of
from benchmark.studies.space import words
from benchmark.studies.status import counts_text, finished, front
from benchmark.studies.value_field import bar_plot, field_plot
from bmt.runtime.files import write_text

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
PARTS = {
    "history": "History",
    "importance": "Importance",
    "stretches": "Gamma and zeta",
    "pareto": "F1 against density",
}
FEWEST = 4  # finished trials below which an importance says nothing
TRIAL, PRUNED, BEST = 0, 6, 1  # places in the palette


def page_path(study: str) -> Path:
    """The file of a study's figures."""
    return repository_root() / "studies" / f"{study}.html"


def draw(study: optuna.Study) -> Path:
    """Write the page. Raises BMTError where no trial has finished."""
    path = page_path(study.study_name)
    write_text(path, page(study))
    return path


def page(study: optuna.Study) -> str:
    """The page as HTML."""
    identity, done = identity_of(study), finished(study)
    ranges = ", ".join(
        f"{name} {own['low']:g} to {own['high']:g}{' (log)' if own['log'] else ''}"
        for name, own in identity.space.items()
    )
    said = (
        f"{identity.cell} · profile {identity.profile} · {counts_text(study)} · seeds {', '.join(map(str, identity.seeds))} · "
        f"searched: {ranges}"
    )
    main = tag(
        "main",
        history(study),
        importance(study, done),
        stretches(identity, done),
        pareto(study, done),
        id="content",
        tabindex="-1",
    )
    header = tag(
        "header",
        tag("h1", f"Study {study.study_name}"),
        tag("p", "Macro F1 on validation questions carved from train; no dev set was read.", class_="about"),
        tag("p", said, class_="quiet"),
    )
    skip = tag("a", "Skip to the content", href="#content", class_="skip")
    contents = tag(
        "nav",
        tag("ul", *(tag("li", tag("a", name, href=f"#{key}")) for key, name in PARTS.items())),
        aria_label="Contents",
    )
    command = f"python -m benchmark.search --study {study.study_name} --figures"
    footer = tag("footer", tag("p", f"Made by {command}. The page loads nothing and runs no script."))
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        Markup(f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("link", rel="icon", href="data:,"),
        tag("title", f"Study {study.study_name}"),
        tag("style", Markup(stylesheet())),
    )
    return f'<!DOCTYPE html>\n<html lang="en">{head}{tag("body", skip, header, tag("div", contents, main, class_="columns"), footer)}</html>\n'


def history(study: optuna.Study) -> Markup:
    """Macro F1 of every trial, and the best so far."""
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
    done = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    cut = [trial for trial in trials if trial.state == TrialState.PRUNED and trial.value is not None]
    best = tuple(
        zip(
            [float(trial.number) for trial in done],
            accumulate((trial.values[0] for trial in done), max),
            strict=True,
        )
    )
    reached = max(point for _, point in best)
    first = next(x for x, point in best if point == reached)
    lines = [
        Line("best so far", BEST, best, kept=(first, reached)),
        Line("finished trials", TRIAL, tuple((float(trial.number), trial.values[0]) for trial in done)),
        *(
            [
                Line(
                    "pruned trials, where they stood",
                    PRUNED,
                    tuple((float(t.number), float(t.value or 0)) for t in cut),
                )
            ]
            if cut
            else []
        ),
    ]
    places = [x for line in lines for x, _ in line.points]
    scores = [y for line in lines for _, y in line.points]
    axes = Axes(spanning(places), spanning(scores, HEIGHT, 0, margin=0.1), "trial", "macro F1")
    plot = line_plot(
        "history-plot",
        "Macro F1 by trial",
        f"{len(done)} finished trials; the best macro F1 is {fixed(reached)}.",
        lines,
        axes,
    )
    rows = [
        [
            str(trial.number),
            trial.state.name.lower(),
            fixed(trial.values[0] if trial.values else None),
            words(trial.params),
        ]
        for trial in trials
    ]
    data = as_table("Macro F1 by trial", ("trial", "state", "macro F1", "values"), rows)
    legend = line_legend([(line.series, line.name) for line in lines], "Lines")
    return section(
        "history",
        PARTS["history"],
        "h2",
        figure("history-figure", "Macro F1 by trial", plot, legend=legend, data=data),
    )


def importance(study: optuna.Study, done: Sequence[FrozenTrial]) -> Markup:
    """How much of the difference between good and bad trials goes with each parameter (PED-ANOVA)."""
    shares = importances(study, done)
    if shares is None:
        said = note(
            f"{len(done)} finished trials that differ are too few to say which parameter matters: {FEWEST} at least."
        )
        return section("importance", PARTS["importance"], "h2", said)
    reading = (
        "Share of the importance that Optuna's PED-ANOVA gives each parameter, over the whole range. With tens of trials it is a hint, "
        "not a finding."
    )
    plot = bar_plot(
        "importance-plot",
        "Importance",
        "Shares by parameter; the values stand in the table.",
        list(shares.items()),
    )
    data = as_table(
        "Importance", ("parameter", "share"), [[name, fixed(share, 3)] for name, share in shares.items()]
    )
    drawn = figure("importance-figure", "Importance for the macro F1", plot, reading=reading, data=data)
    return section("importance", PARTS["importance"], "h2", drawn)


def importances(study: optuna.Study, done: Sequence[FrozenTrial]) -> dict[str, float] | None:
    """{parameter: share}, largest first; None where the trials are too few or all alike."""
    if len(done) < FEWEST or len({trial.values[0] for trial in done}) < 2:
        return None
    target: Callable[[FrozenTrial], float] | None = (
        (lambda trial: trial.values[0]) if len(study.directions) > 1 else None
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return dict(optuna.importance.get_param_importances(study, target=target))


def stretches(identity: StudyIdentity, done: Sequence[FrozenTrial]) -> Markup:
    """Macro F1 over gamma and zeta."""
    if not {"gamma", "zeta"} <= identity.space.keys():
        return section(
            "stretches", PARTS["stretches"], "h2", note("This study does not search both gamma and zeta.")
        )
    points = [
        (trial.params["gamma"], trial.params["zeta"], trial.values[0], f"trial {trial.number}")
        for trial in done
    ]
    ends = [(identity.space[name]["low"], identity.space[name]["high"]) for name in ("gamma", "zeta")]
    axes = Axes(Scale(*ends[0]), Scale(*ends[1], HEIGHT, 0), "gamma", "zeta")
    plot = field_plot("stretches-plot", "Macro F1 over gamma and zeta", points, axes)
    reading = (
        "The stronger the colour, the better, from the worst to the best finished trial. Between trials the colour is interpolated "
        "linearly, outside them nothing is known. The other parameters differ from trial to trial."
    )
    rows = [[name, fixed(x, 3), fixed(y, 3), fixed(f1)] for x, y, f1, name in points]
    data = as_table("Macro F1 over gamma and zeta", ("trial", "gamma", "zeta", "macro F1"), rows)
    drawn = figure("stretches-figure", "Macro F1 over gamma and zeta", plot, reading=reading, data=data)
    return section("stretches", PARTS["stretches"], "h2", drawn)


def pareto(study: optuna.Study, done: Sequence[FrozenTrial]) -> Markup:
    """Macro F1 against union density, and the trials that no other beats in both."""
    known = [trial for trial in done if "density" in trial.user_attrs]
    if not known:
        return section("pareto", PARTS["pareto"], "h2", note("No trial says its density."))
    best = {trial.number for trial in (front(study) if len(study.directions) > 1 else not_beaten(known))}
    marks = [
        Mark(
            f"trial {trial.number}: density {fixed(trial.user_attrs['density'], 3)}, macro F1 {fixed(trial.values[0])}",
            BEST if trial.number in best else TRIAL,
            trial.user_attrs["density"],
            trial.values[0],
        )
        for trial in known
    ]
    axes = Axes(
        spanning([mark.x for mark in marks], margin=0.1),
        spanning([mark.y for mark in marks], HEIGHT, 0, margin=0.1),
        "union density",
        "macro F1",
    )
    plot = scatter_plot(
        "pareto-plot",
        "F1 against density",
        f"{len(best)} of {len(known)} trials are on the front.",
        marks,
        axes,
    )
    legend = mark_legend([(BEST, "on the Pareto front"), (TRIAL, "beaten by another")], "Trials")
    rows = [
        [
            str(t.number),
            fixed(t.user_attrs["density"], 4),
            fixed(t.values[0]),
            "yes" if t.number in best else "no",
        ]
        for t in known
    ]
    data = as_table("F1 against density", ("trial", "union density", "macro F1", "on the front"), rows)
    reading = "A mark a trial: the share of weights that some mask opens, and the macro F1 that came of it. Up and to the left is better."
    drawn = figure(
        "pareto-figure", "Macro F1 against union density", plot, reading=reading, legend=legend, data=data
    )
    return section("pareto", PARTS["pareto"], "h2", drawn)


def not_beaten(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """The trials that no other equals or beats in both F1 and density, and beats in one."""

    def beats(a: FrozenTrial, b: FrozenTrial) -> bool:
        mine, theirs = (a.values[0], -a.user_attrs["density"]), (b.values[0], -b.user_attrs["density"])
        return mine != theirs and all(x >= y for x, y in zip(mine, theirs, strict=True))

    return [trial for trial in trials if not any(beats(other, trial) for other in trials)]
