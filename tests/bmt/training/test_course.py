"""When a run evaluates, reads its losses and ends, step by step; and what it counts on the way."""

from __future__ import annotations

import json
from dataclasses import fields

import pytest

from bmt.training.course import Course, Timetable


def run_through(timetable: Timetable, f1: list[float] | None = None) -> tuple[list[int], list[int], int]:
    """The steps that are evaluated, those after which losses are read, and the last one, as the loop asks."""
    course, evaluated, read, scores = Course(), [], [], iter(f1 or [])
    while True:
        if timetable.evaluation_due(course):
            evaluated.append(course.step)
            course.curve.append({"step": float(course.step)})
            gained = next(scores, 1.0) > 0
            course.without_gain = 0 if gained else course.without_gain + 1
            assert not timetable.evaluation_due(course)  # once for each step, also after a resume
        if timetable.ended(course):
            return evaluated, read, course.step
        course.count(1, 1, 1)
        if timetable.loss_due(course):
            read.append(course.step)


@pytest.mark.parametrize(
    ("timetable", "evaluated", "read"),
    [
        (Timetable(10, 5, 2, 9), [5, 10], [2, 4, 5, 6, 8, 10]),
        (Timetable(7, 5, 3, 9), [5, 7], [3, 5, 6, 7]),  # the last step is evaluated in any case
        (Timetable(7, 5, 3, 9, from_start=True), [0, 5, 7], [3, 5, 6, 7]),
        (Timetable(3, 9, 9, 9), [3], [3]),
        (Timetable(0, 5, 1, 9), [], []),
        (Timetable(0, 5, 1, 9, from_start=True), [0], []),
    ],
)
def test_evaluations_and_readings_come_on_time_and_a_loss_is_read_before_each_evaluation(
    timetable: Timetable, evaluated: list[int], read: list[int]
) -> None:
    assert run_through(timetable) == (evaluated, read, timetable.steps)


@pytest.mark.parametrize(
    ("f1", "end"), [([1, 0, 0], 6), ([1, 0, 1, 0, 0], 10), ([0, 0], 4), ([1, 0, 1, 0, 1, 0, 1], 12)]
)
def test_a_run_ends_after_as_many_evaluations_in_a_row_without_a_gain_as_patience_says(
    f1: list[float], end: int
) -> None:
    assert run_through(Timetable(12, 2, 1, 2), f1)[2] == end


def test_a_course_counts_what_it_was_told() -> None:
    course = Course()
    assert course.padding_waste == 0.0 and course.best_f1 == -1.0 and course.best_loss is None
    course.count(8, 60, 80)
    course.count(7, 30, 40)
    assert (course.step, course.windows, course.tokens, course.padded) == (2, 15, 90, 120)
    assert course.padding_waste == pytest.approx(0.25)


def test_seconds_are_those_of_blocks_that_end(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([10.0, 12.5, 20.0, 30.0, 31.0, 31.25])
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    course = Course()
    with course.timed():
        pass
    assert course.seconds == 2.5
    with pytest.raises(InterruptedError), course.timed():
        assert next(clock) == 30.0
        raise InterruptedError
    assert course.seconds == 2.5
    with course.timed():
        pass
    assert course.seconds == 2.75


def test_a_checkpoint_keeps_the_whole_course() -> None:
    values = {entry.name: float(place) for place, entry in enumerate(fields(Course), 1)}
    course = Course(**values | {"curve": [{"step": 3.0}]})  # type: ignore[arg-type]
    again = Course()
    again.restore(json.loads(json.dumps(course.state())))
    assert again == course and again != Course()
