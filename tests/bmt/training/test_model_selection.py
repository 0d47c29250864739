"""What an evaluation notes and reports, exactly."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import bmt.training.model_selection
from bmt.deviation import deviations, pretrained_copy
from bmt.runtime.control import RunControl
from bmt.runtime.ranks import Ranks
from bmt.runtime.stopping import StoppedError
from bmt.settings import SamplingSettings
from bmt.training.course import Course
from bmt.training.model_selection import SourceSelection
from bmt.training.plan import Plan
from bmt.training.sampling import Sampler
from tests.support import tiny


def selection(control: RunControl) -> tuple[SourceSelection, Sampler]:
    sets = [tiny.windows("A", 8), tiny.windows("B", 8, seed=1)]
    data = tiny.training_data(sets, {"A": np.arange(2), "B": np.arange(6)}, np.arange(6, 8))
    model = tiny.bert()
    pretrained = pretrained_copy(model)
    with torch.no_grad():
        model.bert.embeddings.word_embeddings.weight[3, :4] += 0.5
    sampler = Sampler(data.rows, 4, SamplingSettings(floor=0.0), 0)
    return SourceSelection(model, data, Plan(), sampler, pretrained, control), sampler


def test_an_evaluation_notes_its_row_and_reports_its_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    reports: list[Any] = []
    choose, sampler = selection(RunControl(lambda *row: reports.append(row)))
    second = {"A": (40.0, 10.0), "B": (40.0, 60.0)}
    scores = iter([{"A": (10.0, 20.0), "B": (30.0, 50.0)}, second, second])
    monkeypatch.setattr(bmt.training.model_selection, "evaluate", lambda *_: next(scores))
    course = Course(step=4, loss=1.5, tokens=300, padded=400, seconds=0.0)
    assert choose(course) is True
    assert (course.best_f1, course.best_step, course.without_gain) == (35.0, 4, 0)
    moved = deviations(choose.model, choose.pretrained)["total"]
    first = {
        "step": 4.0,
        "loss": 1.5,
        "macro_f1": 35.0,
        "deviation": moved.l2,
        "relative_deviation": moved.relative,
        "f1/A": 20.0,
        "f1/B": 50.0,
        "em/A": 10.0,
        "em/B": 30.0,
        "weight/A": 0.5,
        "weight/B": 0.5,
    }
    assert list(course.curve[0].items()) == list(first.items())  # keys in this order: curve.csv's columns
    course.step, course.seconds = 8, 2.0
    assert choose(course) is False  # the same macro F1: no gain
    assert (course.best_f1, course.best_step, course.without_gain) == (35.0, 4, 1)
    assert sampler.weights.tolist() == [0.5, 0.5]  # both moved by 20
    (one, told), (two, again) = reports
    assert choose(course) is False and course.without_gain == 2
    assert (one, two) == (4, 8)
    assert told == {
        "validation/f1/macro": 35.0,
        "weights/deviation_l2": moved.l2,
        "weights/deviation_relative": moved.relative,
        "weights/changed": moved.changed,
        "validation/em/A": 10.0,
        "validation/em/B": 30.0,
        "validation/f1/A": 20.0,
        "validation/f1/B": 50.0,
        "sampling/weight/A": 0.5,
        "sampling/weight/B": 0.5,
        "perf/padding_waste": 0.25,
    }
    assert again["perf/tokens_per_s"] == 150.0 and again["validation/em/A"] == 40.0


def test_a_stop_in_an_evaluation_notes_nothing() -> None:
    reports: list[Any] = []
    choose, sampler = selection(RunControl(lambda *row: reports.append(row), stop=lambda: True))
    course, weights = Course(step=4), sampler.weights.tolist()
    with pytest.raises(StoppedError, match=r"^stopped during an evaluation, which starts again$"):
        choose(course)
    assert course == Course(step=4) and not reports and sampler.weights.tolist() == weights
    assert sampler.state()["scores"] is None


def test_all_ranks_go_by_the_scores_of_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    class Second(Ranks):
        def of_first(self, value: Any) -> Any:
            assert value == {"A": (0.0, 0.0), "B": (0.0, 0.0)}
            return {"A": (1.0, 2.0), "B": (3.0, 4.0)}

    choose, sampler = selection(RunControl(ranks=Second(1, 2)))
    monkeypatch.setattr(bmt.training.model_selection, "evaluate", lambda *_: dict.fromkeys("AB", (0.0, 0.0)))
    course = Course(step=1)
    assert choose(course) and course.best_f1 == 3.0 and sampler.state()["scores"] == [3.0, 7.0]
