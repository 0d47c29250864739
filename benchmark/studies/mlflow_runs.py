"""MLflow: one run for the study, a nested one for each trial, with the status that the trial came to.

A finished trial is FINISHED, and so is a pruned one, which its tag `trial.state` tells apart; a failed one is
FAILED with the reason, an interrupted one KILLED; a killed worker's run is KILLED when its trial is queued
again, or by `python -m benchmark.track sync`.
"""

from __future__ import annotations

import fcntl
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from itertools import accumulate
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import TrialState

from benchmark.config.params import as_flat, repository_root
from benchmark.studies.identity import StudyIdentity, identity_of
from benchmark.studies.settings import Settings
from benchmark.studies.space import Space, Values
from benchmark.studies.status import counts, front
from benchmark.tracking import environment
from benchmark.tracking import journal_upload as delivery
from benchmark.tracking import mlflow_store as tracking
from bmt.errors import BMTError

REFERENCE, EXPERIMENT = "mlflow.run", "mlflow.experiment"
WAIT_SECONDS = 30.0  # for another worker to make the study's run


def folder_of(study: str) -> Path:
    """Where a study's journals are."""
    return repository_root() / "runs" / "studies" / study


def trial_folder(study: str, number: int) -> Path:
    """Where a trial's journal is."""
    return folder_of(study) / f"t{number:03d}"


def experiment_of(config: Any) -> str:
    """The MLflow experiment of a profile's studies."""
    return f"{config.tracking.experiment}-{config.profile}-studies"


@contextmanager
def study_run(
    study: optuna.Study, experiment: str, params: Mapping[str, Any]
) -> Iterator[tracking.TrackedRun | None]:
    """The study's run: made by the first call, gone on with by later ones; None for a worker beside one that
    holds it.
    """
    folder = folder_of(study.study_name)
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "study.lock", "ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield None
            return
        known = study.user_attrs.get(REFERENCE)
        tags = {"stage": "study", "mlflow.source.name": command()}
        with tracking.start(study.study_name, experiment, folder, params, tags, run_id=known) as run:
            if run.reference and run.reference != known:
                study.set_user_attr(EXPERIMENT, experiment)
                study.set_user_attr(REFERENCE, run.reference)
            yield run
            log_course(run, study)


def reference(study: optuna.Study) -> str | None:
    """The study's run, waiting a while for the worker that makes it."""
    end = time.monotonic() + WAIT_SECONDS
    while (run := study.user_attrs.get(REFERENCE)) is None and time.monotonic() < end:
        time.sleep(0.5)
    return run


def trial_runs(
    study: optuna.Study, settings: Settings, space: Space, identity: StudyIdentity
) -> Callable[[optuna.Trial, Values], AbstractContextManager[tracking.TrackedRun]]:
    """The context that each trial is recorded in."""
    described, parent = environment.describe(), reference(study)
    experiment = experiment_of(settings.config())

    @contextmanager
    def recorded(trial: optuna.Trial, values: Values) -> Iterator[tracking.TrackedRun]:
        name, pruned = f"{study.study_name}.t{trial.number:03d}", None
        config = settings.config(space.changes(values))
        params = as_flat(config) | {
            "trial": trial.number,
            "cell": identity.cell,
            "seeds": ",".join(map(str, identity.seeds)),
        }
        tags = {
            "stage": "trial",
            "study": study.study_name,
            "study.digest": identity.digest,
            "mlflow.source.name": command(),
        }
        retried = study.get_trials(deepcopy=False)[trial.number].system_attrs.get("failed_trial")
        if retried is not None:
            tags["trial.retry_of"] = str(retried)
        place = trial_folder(study.study_name, trial.number)
        with tracking.start(
            name, experiment, place, params, tags, parent=parent, environment=described
        ) as run:
            try:
                yield run
                run.tag("trial.state", "COMPLETE")
            except optuna.TrialPruned as why:
                run.tag("trial.state", "PRUNED")
                run.tag("trial.pruned", str(why))
                pruned = why
        if pruned is not None:
            raise pruned

    return recorded


def bury(study: str, number: int) -> None:
    """End a killed worker's trial as KILLED, if its journal is on this host; what fails is left to
    `benchmark.track sync`.
    """
    place = trial_folder(study, number)
    if place.is_dir() and os.environ.get("BMT_TRACKING") != "journal":
        with suppress(BMTError, OSError):
            delivery.sync([place], tracking.connect())


def log_course(run: tracking.TrackedRun, study: optuna.Study) -> None:
    """Each finished trial's score at its number, the best so far, and what the trials came to."""
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    f1 = [trial.values[0] for trial in trials]
    for trial, score, best in zip(trials, f1, accumulate(f1, max), strict=True):
        density = trial.user_attrs.get("density")
        run.log({"study/f1": score, "study/best_f1": best, "study/union_density": density}, trial.number)
    for state, count in counts(study).items():
        run.tag(f"trials.{state}", count)
    if trials:
        run.tag("best.trial", ",".join(str(trial.number) for trial in front(study)))


def log_files(study: optuna.Study, paths: Sequence[Path]) -> None:
    """Put files beside the study's run, going on with it."""
    identity = identity_of(study)
    experiment = study.user_attrs.get(EXPERIMENT, f"bmt-{identity.profile}-studies")
    tags = {"stage": "study", "mlflow.source.name": command()}
    place = folder_of(study.study_name)
    with tracking.start(
        study.study_name, experiment, place, {}, tags, run_id=study.user_attrs.get(REFERENCE)
    ) as run:
        log_course(run, study)
        for path in paths:
            run.artifact(path)


def command() -> str:
    """This command, without passwords."""
    return " ".join(["python", *map(tracking.public, sys.orig_argv[1:])])
