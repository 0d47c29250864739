"""Studies whose trials cost nothing: the score is a closed form of the values, the dataset and the seed.

python -m tests.support.study_maker URL NAME TRIALS SECONDS HEARTBEAT TOGETHER

is one worker, whose trials take SECONDS each; its first one ends when TOGETHER workers have begun one.
"""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import optuna

from benchmark.cli.commands import run_command
from benchmark.studies.identity import StudyIdentity
from benchmark.studies.objective import Objective, Recorder, Score
from benchmark.studies.space import Range, Space, Values
from benchmark.studies.storage import open_storage, reachable
from benchmark.studies.worker import TrialBudget, enter_study, work
from benchmark.tracking.mlflow_store import TrackedRun, untracked
from bmt.errors import ModelError
from bmt.settings import IN_DOMAIN

DATASETS = IN_DOMAIN
SPACE = Space(
    (
        Range("lam", "mask.lam", 1e-9, 1e-5, log=True),
        Range("gamma", "mask.gamma", -3.0, -0.1),
        Range("zeta", "mask.zeta", 1.1, 4.0),
        Range("density", "mask.density", 0.05, 0.9),
    )
)
BEST = {"lam": 1e-7, "gamma": -1.0, "zeta": 2.0}
EVALUATIONS = 9


def macro(values: Values, seed: int = 100) -> float:
    """80 at BEST, falling with the square of the distance; a seed adds a tenth; more open weights give a
    little more.
    """
    far = (
        math.log10(values["lam"] / BEST["lam"]) ** 2
        + 4 * (values["gamma"] - BEST["gamma"]) ** 2
        + (values["zeta"] - BEST["zeta"]) ** 2
    )
    return 80 - 5 * far + 0.1 * (seed % 10) + 2 * values["density"]


@dataclass(frozen=True, slots=True)
class Formula:
    """Scores a seed by `macro`; evaluation k of EVALUATIONS has k / EVALUATIONS of it. seconds: that a score
    takes. begun: called when one begins.
    """

    seconds: float = 0.0
    begun: Callable[[], None] = lambda: None
    fails: Callable[[Values], bool] = lambda values: False

    @property
    def datasets(self) -> tuple[str, ...]:
        return DATASETS

    @property
    def evaluations(self) -> int:
        return EVALUATIONS

    def __call__(
        self, values: Values, seed: int, evaluated: Callable[[int, float], None], recorder: Recorder
    ) -> Score:
        self.begun()
        if self.fails(values):
            raise ModelError("the training loss is nan near step 7")
        score = macro(values, seed)
        for number in range(1, EVALUATIONS + 1):
            time.sleep(self.seconds / EVALUATIONS)
            recorder.log({"validation/f1/macro": score * number / EVALUATIONS}, number)
            evaluated(number, score * number / EVALUATIONS)
        return Score(
            {name: score + place - 2.5 for place, name in enumerate(DATASETS)},
            values["density"],
            0.02,
        )


def identity(**changes: Any) -> StudyIdentity:
    fields: dict[str, Any] = {
        "profile": "tiny",
        "cell": "bert.mt.bmt",
        "space": SPACE.plain(),
        "objective": "f1",
        "pruner": "none",
        "seeds": [100],
        "settings": "a" * 64,
        "data": "b" * 64,
        "weights": "sha256:c",
        "changed": {},
        "params_sha256": "d" * 64,
    }
    return StudyIdentity(**(fields | changes))


def enter(
    url: str,
    name: str = "first",
    sampling: tuple[str, int, int] = ("tpe", 0, 5),
    heartbeat: int = 20,
    **changes: Any,
) -> optuna.Study:
    """The study with our identity but for `changes`."""
    return enter_study(open_storage(url, heartbeat), name, identity(**changes), EVALUATIONS, sampling)


def unrecorded(trial: optuna.Trial, values: Values) -> AbstractContextManager[TrackedRun]:
    """Record a trial nowhere."""
    return untracked()


def search(
    study: optuna.Study,
    trials: int,
    measure: Formula | None = None,
    heartbeat: int = 20,
    finished: int = 0,
    recorded: Any = unrecorded,
) -> list[str]:
    """Run trials with what the study's identity says; the lines that were told."""
    from benchmark.studies.identity import identity_of

    known, lines = identity_of(study), []
    objective = Objective(SPACE, measure or Formula(), known.seeds, known.objective, known.pruner, recorded)
    work(study, objective, TrialBudget(trials, finished, heartbeat=heartbeat), lines.append)
    return lines


def main(url: str, name: str, trials: str, seconds: str, heartbeat: str, together: str) -> None:
    """One worker."""
    with reachable(url):
        study = enter(url, name, heartbeat=int(heartbeat))

        def meet() -> None:
            study.set_user_attr(f"worker {os.getpid()}", True)
            while sum(key.startswith("worker ") for key in study.user_attrs) < int(together):
                time.sleep(0.02)

        objective = Objective(SPACE, Formula(float(seconds), meet), [100], "f1", "none", unrecorded)
        work(
            study,
            objective,
            TrialBudget(int(trials), heartbeat=int(heartbeat)),
            lambda line: print(line, flush=True),
        )


if __name__ == "__main__":
    run_command(lambda: main(*sys.argv[1:]))
