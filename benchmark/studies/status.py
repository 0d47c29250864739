"""A study's trials as a table, and what they come to in numbers."""

from __future__ import annotations

from collections import Counter
from datetime import datetime

import optuna
from optuna.trial import FrozenTrial, TrialState

from benchmark.cli.progress import duration
from benchmark.studies.identity import identity_of
from bmt.errors import BMTError

STATES = {
    TrialState.COMPLETE: "finished",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "queued",
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
    """The best trials, best F1 first: one, or the Pareto front."""
    if len(study.directions) == 1:
        return [study.best_trial]
    return sorted(study.best_trials, key=lambda trial: (-trial.values[0], trial.values[1], trial.number))


def table(study: optuna.Study) -> str:
    """Every trial: state, scores, values, time; then what the study is and its best."""
    identity = identity_of(study)
    names = list(identity.space)
    rows = [["trial", "state", "macro F1", "union density", *names, "time", ""]]
    for trial in study.get_trials(deepcopy=False):
        rows.append(
            [
                str(trial.number),
                STATES[trial.state],
                _number(trial.values[0] if trial.values else None, 2),
                _number(trial.user_attrs.get("density"), 3),
                *(_number(trial.params.get(name)) for name in names),
                _time(trial),
                _remark(trial),
            ]
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(text.rjust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    head = (
        f"study {study.study_name}: {identity.cell}, profile {identity.profile}, objective "
        f"{identity.objective}, pruner {identity.pruner}, seeds {','.join(map(str, identity.seeds))}"
    )
    return "\n".join([head, *lines, *_best(study)])


def _best(study: optuna.Study) -> list[str]:
    lines = [counts_text(study)]
    if study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        best = front(study)
        numbers = ", ".join(str(trial.number) for trial in best)
        lines.append(f"{'best: trial' if len(study.directions) == 1 else 'Pareto front: trials'} {numbers}")
    return lines


def _remark(trial: FrozenTrial) -> str:
    retried = trial.system_attrs.get("failed_trial")
    words = [
        "the params file's own values" if trial.user_attrs.get("from") == "params" else "",
        f"again for trial {retried}" if retried is not None else "",
        str(trial.user_attrs.get("failure", "")),
    ]
    return ", ".join(word for word in words if word)


def _number(value: float | None, decimals: int | None = None) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if decimals is None else f"{value:.{decimals}f}"


def _time(trial: FrozenTrial) -> str:
    if trial.datetime_start is None:
        return "-"
    return duration(((trial.datetime_complete or datetime.now()) - trial.datetime_start).total_seconds())
