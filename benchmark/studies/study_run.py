"""A call that runs trials: the study made or joined, one worker or several."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence

from benchmark.cli.allocator import keep_freed_memory
from benchmark.cli.messages import say
from benchmark.config.digests import params_digest, section_digest
from benchmark.runs.cell_run import CellRun
from benchmark.studies import mlflow_runs
from benchmark.studies.identity import StudyIdentity
from benchmark.studies.objective import Objective
from benchmark.studies.pruning import check_pruner
from benchmark.studies.request import StudyRequest
from benchmark.studies.space import present
from benchmark.studies.status import counts_text, front, front_text
from benchmark.studies.storage import HEARTBEAT, open_storage, reachable, storage_url
from benchmark.studies.training import Trained
from benchmark.studies.worker import TrialBudget, enter_study, work
from benchmark.tracking.environment import cpu_count
from bmt.errors import BMTError
from bmt.runtime.files import json_digest
from bmt.runtime.ranks import Ranks

WITH_VALUE = ("--workers", "--trial", "--storage")
OF_THE_CALL = (*WITH_VALUE, "--status", "--export", "--figures", "--apply", "--yes")
"""Options that are this call's own and not its workers'."""


def run(request: StudyRequest, command_line: Sequence[str]) -> None:
    """Run the trials that are asked for; `command_line` are the arguments that the request came from.

    Raises:
        ConfigError: something in the call or the study does not fit. DataError: no features.
        BMTError: the database cannot be reached.
    """
    keep_freed_memory()
    options, settings, space = request.options, request.settings, request.space
    config, cell = request.config, request.cell
    trained = Trained(settings, space, CellRun.of(config, cell, Ranks()))
    kind = options.pruner or ("hyperband" if options.objective == "f1" else "none")
    check_pruner(kind, options.objective, len(options.seeds), trained.evaluations)
    identity = _identity(options, trained, kind)
    url = storage_url(options.study, options.storage)
    beat = options.heartbeat or HEARTBEAT
    storage = open_storage(url, beat)
    with reachable(url):
        study = enter_study(
            storage,
            options.study,
            identity,
            trained.evaluations,
            (options.sampler, options.sampler_seed, options.startup),
            present(config, space),
        )
        say(f"study {options.study}: {identity.cell}, {space.text}; {counts_text(study)} so far")
        told = {"study.digest": identity.digest} | {
            key: getattr(identity, key)
            for key in ("objective", "pruner", "space", "cell", "seeds", "changed")
        }
        with mlflow_runs.study_run(study, mlflow_runs.experiment_of(config), told):
            if options.workers > 1:
                _start_workers(command_line, options.workers, url)
            else:
                recorded = mlflow_runs.trial_runs(study, settings, space, identity)
                objective = Objective(space, trained, options.seeds, options.objective, kind, recorded)
                work(study, objective, TrialBudget(options.trials, options.finished, options.timeout, beat))
        best = front(study)
        if not best:
            reached = "none finished"
        else:
            reached = front_text(study) or f"best macro F1 {best[0].value:.2f}, trial {best[0].number}"
        say(f"study {options.study}: {counts_text(study)}; {reached}")


def _identity(options: argparse.Namespace, trained: Trained, kind: str) -> StudyIdentity:
    """What the study is. The searched values are at one end in its digest of settings: the params file's own
    do not matter.
    """
    run, settings = trained.run, trained.settings
    at_low = settings.config({part.key: part.low for part in trained.space.ranges})
    return StudyIdentity(
        profile=run.config.profile,
        cell=run.cell.name.rpartition(".")[0],
        space=trained.space.plain(),
        objective=options.objective,
        pruner=kind,
        seeds=list(options.seeds),
        settings=json_digest([section_digest(at_low, run.cell)]),
        data=run.data.digest,
        weights=run.backbone.identity,
        changed=settings.changed,
        params_sha256=params_digest(settings.path),
    )


def _start_workers(command_line: Sequence[str], workers: int, url: str) -> None:
    """Run the call in several processes that share the cores, and wait for all of them.

    Raises:
        BMTError: every worker failed, each with its own line on stderr.
    """
    command = [sys.executable, "-m", "benchmark.search", *_for_worker(command_line)]
    threads = str(max(1, cpu_count() // workers))
    environment = {"OMP_NUM_THREADS": threads} | os.environ | {"OPTUNA_STORAGE": url}
    # a session each: Ctrl-C reaches them through the end of this block alone, and is told in one line
    started = [subprocess.Popen(command, env=environment, start_new_session=True) for _ in range(workers)]
    try:
        statuses = [process.wait() for process in started]
    finally:
        for process in started:
            if process.poll() is None:
                process.terminate()
        for process in started:
            process.wait()
    if all(statuses):
        raise BMTError(f"all {workers} workers failed: what happened to each stands above")


def _for_worker(command_line: Sequence[str]) -> list[str]:
    """The arguments without those that are the call's own; the URL goes by the environment, where no list of
    processes shows it.
    """
    kept, skip = [], False
    for argument in command_line:
        name, sign, _ = argument.partition("=")
        if skip:
            skip = False
        elif name in OF_THE_CALL:
            skip = not sign and name in WITH_VALUE
        else:
            kept.append(argument)
    return kept
