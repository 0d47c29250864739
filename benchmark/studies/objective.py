"""One trial: the values, a training for each seed, what the pruner and the study are told of it.

How a seed is scored is a parameter (`Measure`): `benchmark.studies.training` trains, tests take a closed
form.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Protocol

import optuna

from benchmark.studies.pruning import give_up
from benchmark.studies.space import Space, Values
from bmt.errors import ModelError


@dataclass(frozen=True, slots=True)
class Score:
    """What one seed's training came to, at its best evaluation.

    Attributes:
        f1: validation F1 by dataset, in percent.
        density: share of the weights that some mask opens, 0 to 1.
        deviation: of all weights from the pretrained ones, relative.
    """

    f1: dict[str, float]
    density: float
    deviation: float

    @property
    def macro(self) -> float:
        """Mean F1 over the datasets."""
        return fmean(self.f1.values())


class Recorder(Protocol):
    """Where a trial's course is recorded; `benchmark.tracking.mlflow_store.TrackedRun` is one."""

    def log(self, values: Mapping[str, Any], step: int = 0) -> None: ...  # noqa: D102


class Measure(Protocol):
    """Scores one seed.

    Attributes:
        datasets: whose F1 it gives, in order.
        evaluations: how many evaluations a training has at most.
    """

    @property
    def datasets(self) -> Sequence[str]: ...  # noqa: D102
    @property
    def evaluations(self) -> int: ...  # noqa: D102
    def __call__(
        self, values: Values, seed: int, evaluated: Callable[[int, float], None], recorder: Recorder
    ) -> Score:
        """Train with `values`; calls `evaluated(number from 1, macro F1)` at each evaluation, which may raise
        TrialPruned.
        """
        ...


@dataclass(frozen=True, slots=True)
class Objective:
    """What Optuna optimises.

    Attributes:
        space: what is searched.
        measure: how one seed is scored.
        seeds: of the trainings of a trial; the score is the mean over them.
        objective, pruner: as `search_options` has them.
        recorded: the context that a trial is recorded in.
    """

    space: Space
    measure: Measure
    seeds: Sequence[int]
    objective: str
    pruner: str
    recorded: Callable[[optuna.Trial, Values], AbstractContextManager[Recorder]]

    def __call__(self, trial: optuna.Trial) -> float | tuple[float, float]:
        """Score a trial.

        Raises:
            optuna.TrialPruned: the pruner gives it up.
            ModelError: a training failed; why is kept with the trial.
            SystemExit: it was interrupted. Optuna leaves such a trial as it is: when its heartbeat has
                stopped, it is queued again.
        """
        values = self.space.suggest(trial)
        try:
            with self.recorded(trial, values) as run:
                scores = self._scores(trial, values, run)
                done = scores.values()
                f1, density = fmean(score.macro for score in done), fmean(score.density for score in done)
                trial.set_user_attr("f1", {str(seed): score.f1 for seed, score in scores.items()})
                trial.set_user_attr("density", density)
                trial.set_user_attr("deviation", fmean(score.deviation for score in done))
                by_dataset = {
                    f"study/f1/{name}": fmean(score.f1[name] for score in done)
                    for name in self.measure.datasets
                }
                run.log({"study/f1": f1, "study/union_density": density} | by_dataset)
        except ModelError as error:
            trial.set_user_attr("failure", str(error))
            raise
        except KeyboardInterrupt:
            raise SystemExit(130) from None
        return f1 if self.objective == "f1" else (f1, density)

    def _scores(self, trial: optuna.Trial, values: Values, run: Recorder) -> dict[int, Score]:
        """The score of each seed. With Wilcoxon's test each trial begins with another seed, so that no pair
        is tested more than others.
        """
        begin = time.perf_counter()
        shift = trial.number % len(self.seeds) if self.pruner == "wilcoxon" else 0
        done: dict[int, Score] = {}
        for seed in [*self.seeds[shift:], *self.seeds[:shift]]:
            evaluated = self._at_evaluation(trial, done)
            done[seed] = self.measure(values, seed, evaluated, _Prefixed(run, f"s{seed}/"))
            trial.set_user_attr("seconds", round(time.perf_counter() - begin, 1))
            if self.pruner == "wilcoxon":
                self._after_seed(trial, seed, done)
        return done

    def _at_evaluation(self, trial: optuna.Trial, done: Mapping[int, Score]) -> Callable[[int, float], None]:
        best = -1.0

        def evaluated(number: int, macro: float) -> None:
            nonlocal best
            best = max(best, macro)  # a training keeps its best weights
            if self.pruner == "hyperband":
                step = len(done) * self.measure.evaluations + number
                trial.report(fmean([*(score.macro for score in done.values()), best]), step)
                if step < len(self.seeds) * self.measure.evaluations:
                    give_up(trial, f"macro F1 {best:.2f} at evaluation {step}")

        return evaluated

    def _after_seed(self, trial: optuna.Trial, seed: int, done: Mapping[int, Score]) -> None:
        datasets = self.measure.datasets
        for place, dataset in enumerate(datasets):
            trial.report(done[seed].f1[dataset], self.seeds.index(seed) * len(datasets) + place)
        if len(done) == len(self.seeds):
            return
        try:
            give_up(trial, f"below the best trial after {len(done)} of {len(self.seeds)} seeds")
        except optuna.TrialPruned:
            # Optuna takes the last report as a pruned trial's value, and TPE ranks by it: the mean, under a
            # number of its own
            trial.report(fmean(score.macro for score in done.values()), len(self.seeds) * len(datasets))
            raise


@dataclass(frozen=True, slots=True)
class _Prefixed:
    """A recorder whose metrics are under a prefix: one run holds the courses of several seeds."""

    run: Recorder
    prefix: str

    def log(self, values: Mapping[str, Any], step: int = 0) -> None:
        self.run.log({f"{self.prefix}{name}": value for name, value in values.items()}, step)
