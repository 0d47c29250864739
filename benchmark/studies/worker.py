"""One worker of a study: it takes trial after trial until the study has as many as it is to have, whoever has
run them.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import optuna
from optuna.exceptions import DuplicatedStudyError, UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from benchmark.cli.messages import say
from benchmark.cli.progress import duration
from benchmark.studies.identity import StudyIdentity, claim
from benchmark.studies.objective import Objective
from benchmark.studies.pruning import pruner
from benchmark.studies.samplers import sampler
from benchmark.studies.search_options import OBJECTIVES
from benchmark.studies.space import Values, words
from benchmark.studies.storage import HEARTBEAT, SILENCE
from bmt.errors import ModelError

FAILURES = 3  # one after the other, and the worker gives up: it is not the values
POLL_SECONDS = 1.0  # between two looks at what the other workers do


@dataclass(frozen=True, slots=True)
class TrialBudget:
    """When a worker stops.

    Attributes:
        trials: of the whole study that finished or were pruned.
        finished: of the whole study that finished: where many are pruned, more trials are run than `trials`.
        timeout: seconds of this call; None: no limit.
        heartbeat: the storage's, in seconds.
    """

    trials: int
    finished: int = 0
    timeout: float | None = None
    heartbeat: int = HEARTBEAT

    def reached(self, finished: int, pruned: int) -> bool:
        """Whether these are enough."""
        return finished + pruned >= self.trials and finished >= self.finished


def enter_study(
    storage: optuna.storages.BaseStorage,
    name: str,
    identity: StudyIdentity,
    evaluations: int,
    sampling: tuple[str, int, int] = ("tpe", 0, 5),
    first: Values | None = None,
) -> optuna.Study:
    """Make the study, or join it where it is the same one.

    Args:
        evaluations: of one training, for Hyperband.
        sampling: sampler, its seed, its random trials (`samplers.sampler`).
        first: values to be tried first, the params file's own.

    Raises:
        ConfigError: the database has another study of this name.
    """
    options = {
        "study_name": name,
        "storage": storage,
        "sampler": sampler(*sampling),
        "pruner": pruner(identity.pruner, len(identity.seeds), evaluations),
    }
    try:
        study = optuna.create_study(directions=OBJECTIVES[identity.objective], **options)
    except DuplicatedStudyError:
        study = optuna.load_study(**options)
    if claim(study, identity) and first is not None:
        study.enqueue_trial(first, user_attrs={"from": "params"}, skip_if_exists=True)
    return study


def work(
    study: optuna.Study, objective: Objective, budget: TrialBudget, tell: Callable[[str], None] = say
) -> None:
    """Run trials until the study has as many as the budget says, or the time is over.

    Where other workers run the last of them, this one waits: a killed worker's trial is queued again and
    taken up here. Trials that end by a ModelError (a loss that is no number) are failed ones, and others
    follow.

    Raises:
        ModelError: FAILURES of this worker's trials failed one after the other.
    """
    end = None if budget.timeout is None else time.monotonic() + budget.timeout
    failed: list[str] = []
    told = False

    def after(study: optuna.Study, trial: FrozenTrial) -> None:
        tell(trial_line(study, trial))
        if trial.state == TrialState.FAIL:
            failed.append(_failure(trial))
        else:
            failed.clear()

    while end is None or time.monotonic() < end:
        optuna.storages.fail_stale_trials(study)  # whose workers are dead: they are queued again
        trials = study.get_trials(deepcopy=False)
        _fail_unborn(study, trials, 10 * SILENCE * budget.heartbeat)
        states = Counter(trial.state for trial in trials)
        finished, pruned = states[TrialState.COMPLETE], states[TrialState.PRUNED]
        running = states[TrialState.RUNNING]
        if budget.reached(finished, pruned):
            return
        if running and budget.reached(finished + running, pruned):
            if not told:
                tell(
                    f"study {study.study_name}: {finished + pruned} trials, {running} with other workers: "
                    "waiting for them"
                )
                told = True
            time.sleep(POLL_SECONDS)
            continue
        try:
            study.optimize(objective, n_trials=1, catch=(ModelError,), callbacks=[after])
        except (UpdateFinishedTrialError, ValueError) as error:
            if isinstance(error, ValueError) and "Cannot tell a" not in str(error):
                raise
            tell(
                "a trial gave no sign of life for so long that it was given to another worker: what came of "
                "it here is dropped"
            )
        if len(failed) >= FAILURES:
            raise ModelError(
                f"study {study.study_name}: {FAILURES} trials failed one after the other, the last: "
                f"{failed[-1]}"
            )
    tell(f"study {study.study_name}: the time is over")


def _fail_unborn(study: optuna.Study, trials: list[FrozenTrial], longest: float) -> None:
    """Fail trials whose worker was killed while their values were drawn: before the first heartbeat, so that
    none is ever missed.
    """
    for trial in trials:
        if trial.state != TrialState.RUNNING or trial.params or trial.datetime_start is None:
            continue
        if (datetime.now() - trial.datetime_start).total_seconds() > longest:
            study.tell(trial.number, state=TrialState.FAIL)


def trial_line(study: optuna.Study, trial: FrozenTrial) -> str:
    """What a trial came to, on one line."""
    took = f"; {duration(trial.duration.total_seconds()) if trial.duration else '-'}"
    if trial.state == TrialState.FAIL:
        outcome, took = f"failed: {_failure(trial)}", ""
    elif trial.state == TrialState.PRUNED:
        outcome = "pruned" if trial.value is None else f"pruned at macro F1 {trial.value:.2f}"
    elif len(trial.values) > 1:
        outcome = f"macro F1 {trial.values[0]:.2f}, union density {trial.values[1]:.3f}"
    else:
        best = study.best_trial
        beside = "the best" if best.number == trial.number else f"best {best.value:.2f}, trial {best.number}"
        outcome = f"macro F1 {trial.value:.2f} ({beside})"
    return f"trial {trial.number}: {outcome}; {words(trial.params)}{took}"


def _failure(trial: FrozenTrial) -> str:
    return str(trial.user_attrs.get("failure", "no reason known"))
