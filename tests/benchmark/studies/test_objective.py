"""One trial: what is told to the pruner, to the study and to the tracker, by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import optuna
import pytest

from benchmark.studies.objective import Objective, Score
from benchmark.studies.space import Values
from bmt.errors import ModelError
from tests.support.study_maker import BEST, SPACE

COURSES = {100: (10.0, 30.0, 20.0), 105: (40.0, 5.0, 6.0)}
"""Macro F1 at each of three evaluations, by seed: both fall again."""
F1 = {100: {"SQuAD": 20.0, "DROP": 40.0}, 105: {"SQuAD": 50.0, "DROP": 30.0}}


class Trial:
    """As far as an objective asks a trial. prunes: whether it is to be given up, asked the nth time."""

    def __init__(self, number: int = 0, prunes: Callable[[int], bool] = lambda asked: False) -> None:
        self.number, self.prunes = number, prunes
        self.reports: list[tuple[int, float]] = []
        self.attributes: dict[str, Any] = {}
        self.asked: list[int] = []

    def suggest_float(self, name: str, low: float, high: float, log: bool) -> float:
        return BEST.get(name, 0.25)

    def report(self, value: float, step: int) -> None:
        self.reports.append((step, value))

    def should_prune(self) -> bool:
        self.asked.append(len(self.reports))
        return self.prunes(len(self.asked))

    def set_user_attr(self, name: str, value: Any) -> None:
        self.attributes[name] = value


class Course:
    """A measure with these courses; keeps the order of seeds."""

    datasets = ("SQuAD", "DROP")
    evaluations = 3

    def __init__(self, error: BaseException | None = None) -> None:
        self.error, self.seeds = error, list[int]()

    def __call__(
        self, values: Values, seed: int, evaluated: Callable[[int, float], None], recorder: Any
    ) -> Score:
        self.seeds.append(seed)
        assert values == BEST | {"density": 0.25}
        if self.error:
            raise self.error
        for number, macro in enumerate(COURSES[seed], 1):
            recorder.log({"f1": macro}, number)
            evaluated(number, macro)
        return Score(F1[seed], 0.5 if seed == 100 else 0.7, 0.01 if seed == 100 else 0.03)


class Recorder:
    def __init__(self) -> None:
        self.logged: list[tuple[int, dict[str, Any]]] = []

    def log(self, values: Mapping[str, Any], step: int = 0) -> None:
        self.logged.append((step, dict(values)))


def objective(
    pruner: str, measure: Any, seeds: Sequence[int] = (100, 105), aim: str = "f1"
) -> tuple[Objective, Recorder]:
    kept = Recorder()

    @contextmanager
    def recorded(trial: Any, values: Values) -> Iterator[Recorder]:
        yield kept

    return Objective(SPACE, measure, list(seeds), aim, pruner, recorded), kept


def test_hyperband_is_told_the_best_of_the_present_seed_beside_the_seeds_that_are_done() -> None:
    trial = Trial()
    assert objective("hyperband", Course())[0](trial) == 35.0
    assert trial.reports == [(1, 10), (2, 30), (3, 30), (4, 35), (5, 35), (6, 35)]
    assert trial.asked == [1, 2, 3, 4, 5]  # after the last evaluation nothing is left to give up
    pruned = Trial(prunes=lambda asked: asked == 3)
    with pytest.raises(optuna.TrialPruned, match=r"^macro F1 30.00 at evaluation 3$"):
        objective("hyperband", Course())[0](pruned)


def test_without_a_pruner_nothing_is_reported_or_asked() -> None:
    trial = Trial(prunes=lambda asked: True)
    assert objective("none", Course())[0](trial) == 35.0
    assert not trial.reports and not trial.asked


def test_a_trial_s_score_is_the_mean_over_seeds_and_each_seed_is_kept() -> None:
    trial = Trial()
    made, kept = objective("none", Course(), aim="f1_density")
    assert made(trial) == (35.0, pytest.approx(0.6))
    assert trial.attributes["f1"] == {"100": F1[100], "105": F1[105]}
    assert trial.attributes["density"] == pytest.approx(0.6)
    assert trial.attributes["deviation"] == pytest.approx(0.02)
    assert trial.attributes["seconds"] >= 0 and "failure" not in trial.attributes
    assert kept.logged[:6] == [
        (number, {f"s{seed}/f1": macro}) for seed in COURSES for number, macro in enumerate(COURSES[seed], 1)
    ]
    assert kept.logged[6:] == [
        (
            0,
            {
                "study/f1": 35.0,
                "study/union_density": pytest.approx(0.6),
                "study/f1/SQuAD": 35.0,
                "study/f1/DROP": 35.0,
            },
        )
    ]


@pytest.mark.parametrize(("number", "order"), [(0, [100, 105]), (1, [105, 100]), (2, [100, 105])])
def test_wilcoxon_is_told_each_dataset_under_its_seed_s_number_whichever_comes_first(
    number: int, order: list[int]
) -> None:
    trial, measure = Trial(number), Course()
    objective("wilcoxon", measure)[0](trial)
    assert measure.seeds == order
    assert sorted(trial.reports) == [(0, 20), (1, 40), (2, 50), (3, 30)]
    assert trial.asked == [2]  # between the two seeds, not after the last
    pruned = Trial(number, prunes=lambda asked: True)
    with pytest.raises(optuna.TrialPruned, match=r"^below the best trial after 1 of 2 seeds$"):
        objective("wilcoxon", Course())[0](pruned)
    assert pruned.reports[-1] == (4, 30.0 if order[0] == 100 else 40.0)  # the mean, not a dataset's


def test_with_another_pruner_the_seeds_keep_their_order() -> None:
    measure = Course()
    objective("hyperband", measure)[0](Trial(1))
    assert measure.seeds == [100, 105]


def test_a_failure_is_kept_with_its_reason_and_ctrl_c_leaves_the_trial_as_it_is() -> None:
    trial = Trial()
    with pytest.raises(ModelError, match="the loss is nan"):
        objective("none", Course(ModelError("the loss is nan")))[0](trial)
    assert trial.attributes == {"failure": "the loss is nan"}
    trial = Trial()
    with pytest.raises(SystemExit) as left:
        objective("none", Course(KeyboardInterrupt()))[0](trial)
    assert left.value.code == 130 and not trial.attributes
