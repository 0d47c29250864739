"""When a trial is given up: never, by Hyperband over the steps of a training, or by Wilcoxon's test over
(dataset, seed).

hyperband: the macro F1 so far is reported at each evaluation, the mean over the seeds done and the best of
the present one. The resource is the number of evaluations; a third goes on at each rung.

wilcoxon: each dataset's F1 is reported after each seed. A trial is given up between two seeds when its F1s,
paired by dataset and seed, are below the best trial's (one-sided signed-rank test, p < .1). So it needs two
seeds or more.
"""

from __future__ import annotations

import optuna
from optuna.pruners import BasePruner, HyperbandPruner, NopPruner, WilcoxonPruner

from bmt.errors import ConfigError

THRESHOLD = 0.1  # of the Wilcoxon test; six datasets give p >= 1/64
REDUCTION = 3  # Hyperband's: a third goes on at each rung


def pruner(kind: str, seeds: int, evaluations: int) -> BasePruner:
    """The pruner `kind` for trials of `seeds` trainings with `evaluations` each."""
    if kind == "hyperband":
        return HyperbandPruner(min_resource=1, max_resource=seeds * evaluations, reduction_factor=REDUCTION)
    return WilcoxonPruner(p_threshold=THRESHOLD) if kind == "wilcoxon" else NopPruner()


def check_pruner(kind: str, objective: str, seeds: int, evaluations: int) -> None:
    """Raises ConfigError where the pruner has nothing to decide on."""
    if kind == "none":
        return
    if objective != "f1":
        raise ConfigError(
            f"--pruner {kind}: not with --objective {objective}: Optuna prunes searches for one value only; "
            "--pruner none"
        )
    if kind == "wilcoxon" and seeds < 2:
        raise ConfigError(
            "--pruner wilcoxon: one seed is not enough, it decides between two: --seeds 100,101"
        )
    if kind == "hyperband" and seeds * evaluations < 2:
        raise ConfigError(
            "--pruner hyperband: a training has one evaluation only, so there is nothing to give up: --set "
            "training.evaluate_every=N"
        )


def give_up(trial: optuna.Trial, why: str) -> None:
    """Raise TrialPruned if the study's pruner says so."""
    if trial.should_prune():
        raise optuna.TrialPruned(why)
