"""A study's trials as a table, and what they come to in numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

import optuna
from optuna.trial import FrozenTrial, TrialState

from benchmark.cli.progress import duration
from benchmark.rendering.document import Column, Document, Paragraph, TextCell, Tone, text_table
from benchmark.studies.identity import identity_of
from bmt.errors import BMTError

STATES = {
    TrialState.COMPLETE: "finished",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "queued",
}
TONES: dict[TrialState, Tone] = {
    TrialState.COMPLETE: "good",
    TrialState.PRUNED: "quiet",
    TrialState.FAIL: "bad",
    TrialState.RUNNING: "open",
    TrialState.WAITING: "open",
}


def finished(study: optuna.Study) -> list[FrozenTrial]:
    """The trials that have a score.

    Raises:
        BMTError: there is none.
    """
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if not trials:
        raise BMTError(
            f"study {study.study_name!r}: no finished trial ({counts_text(study)}): run `--trials N` first"
        )
    return trials


def counts(study: optuna.Study) -> dict[str, int]:
    """{state: number of trials}, every state named."""
    states = Counter(trial.state for trial in study.get_trials(deepcopy=False))
    return {name: states[state] for state, name in STATES.items()}


def counts_text(study: optuna.Study) -> str:
    """`11 finished, 3 pruned`; `no trial`."""
    return ", ".join(f"{number} {name}" for name, number in counts(study).items() if number) or "no trial"


def front(study: optuna.Study) -> list[FrozenTrial]:
    """The best trials, best F1 first: one, or the Pareto front; none where no trial has finished."""
    best = sorted(study.best_trials, key=lambda trial: (-trial.values[0], trial.values[-1], trial.number))
    return best if len(study.directions) > 1 else best[:1]


def front_text(study: optuna.Study) -> str:
    """`Pareto front: trials 3, 7`; empty for a search for one value."""
    if len(study.directions) == 1:
        return ""
    return f"Pareto front: trials {', '.join(str(trial.number) for trial in front(study))}"


def status_document(study: optuna.Study) -> Document:
    """Every trial: state, scores, values, time; then what the study is and its best."""
    identity = identity_of(study)
    names = list(identity.space)
    columns = [Column("trial"), Column("state", "left"), Column("macro F1"), Column("union density", drop=2)]
    columns += [*map(Column, names), Column("time", drop=1), Column("", "left", label="remark", least=12)]
    rows = [_row(trial, names) for trial in study.get_trials(deepcopy=False)]
    title = (
        f"study {study.study_name}: {identity.cell}, profile {identity.profile}, objective "
        f"{identity.objective}, pruner {identity.pruner}, seeds {','.join(map(str, identity.seeds))}"
    )
    lines = [counts_text(study)]
    if best := front(study):
        lines.append(front_text(study) or f"best: trial {best[0].number}")
    return Document(title, (text_table(columns, rows), *map(Paragraph, lines)), wrapped=False)


def _row(trial: FrozenTrial, names: Sequence[str]) -> list[str | TextCell]:
    return [
        str(trial.number),
        TextCell(STATES[trial.state], TONES[trial.state]),
        _number(trial.values[0] if trial.values else None, ".2f"),
        _number(trial.user_attrs.get("density"), ".3f"),
        *(_number(trial.params.get(name)) for name in names),
        _time(trial),
        _remark(trial),
    ]


def _remark(trial: FrozenTrial) -> str:
    retried = trial.system_attrs.get("failed_trial")
    words = [
        "the params file's own values" if trial.user_attrs.get("from") == "params" else "",
        f"again for trial {retried}" if retried is not None else "",
        str(trial.user_attrs.get("failure", "")),
    ]
    return ", ".join(word for word in words if word)


def _number(value: float | None, form: str = ".4g") -> str:
    return "-" if value is None else format(value, form)


def _time(trial: FrozenTrial) -> str:
    if trial.datetime_start is None:
        return "-"
    return duration(((trial.datetime_complete or datetime.now()) - trial.datetime_start).total_seconds())
