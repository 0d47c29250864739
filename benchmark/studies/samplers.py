"""Where a trial's values come from: TPE, a Gaussian process or NSGA-II, each draw keyed by the sampler's seed
and the trial's number.

Optuna's samplers hold one stream of random numbers: two workers with one seed would try the same values, and
a study that goes on would begin that stream again. Here every trial has a sampler of its own, so that what a
trial draws depends on its number and on what the study knows by then, and not on which worker takes it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, GPSampler, NSGAIISampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

from bmt.runtime.files import json_digest

POPULATION = 10  # NSGA-II's, sized to studies of tens of trials


class Keyed(BaseSampler):
    """A sampler made anew for each trial by `make(seed)`."""

    def __init__(self, make: Callable[[int], BaseSampler], seed: int) -> None:
        self._make, self._seed = make, seed
        self._own = make(seed)

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Make the trial's sampler."""
        self._own = self._make(int(json_digest([self._seed, trial.number])[:7], 16))
        self._own.before_trial(study, trial)

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """As the trial's sampler."""
        return self._own.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """As the trial's sampler."""
        return self._own.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> float | int | str | bool | None:
        """As the trial's sampler."""
        return self._own.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(
        self, study: optuna.Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        """As the trial's sampler."""
        self._own.after_trial(study, trial, state, values)


def sampler(kind: str, seed: int, startup: int) -> BaseSampler:
    """The sampler `kind`; its first `startup` trials are drawn at random (NSGA-II: its
    first generation is).
    """

    def make(trial_seed: int) -> BaseSampler:
        if kind == "nsga2":
            return NSGAIISampler(seed=trial_seed, population_size=POPULATION)
        if kind == "gp":
            return GPSampler(seed=trial_seed, n_startup_trials=startup)
        return TPESampler(seed=trial_seed, n_startup_trials=startup, multivariate=True)

    return Keyed(make, seed)
