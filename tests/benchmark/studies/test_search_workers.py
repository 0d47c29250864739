"""Several workers of one study, killed workers, and a study on a PostgreSQL server."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import optuna
import pytest
import sqlalchemy
from optuna.trial import TrialState

from benchmark.rendering import render
from benchmark.studies import search_options, study_run
from benchmark.studies.objective import Objective
from benchmark.studies.status import counts, status_document
from benchmark.studies.worker import TrialBudget, work
from bmt.errors import BMTError
from tests.support import postgres
from tests.support.repository import ROOT
from tests.support.study_maker import SPACE, Formula, enter, search, unrecorded
from tests.support.waiting import wait_until

HEARTBEAT = 1  # seconds


@pytest.fixture(autouse=True)
def _repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BMT_ROOT", str(tmp_path))
    monkeypatch.setenv("BMT_TRACKING", "journal")
    monkeypatch.setattr("benchmark.studies.storage.SILENCE", 1)  # a worker that misses one heartbeat is dead
    monkeypatch.setattr("benchmark.studies.worker.POLL_SECONDS", 0.05)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'study.db'}"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    if reason := postgres.missing():
        pytest.skip(reason)
    with postgres.server() as address:
        yield address


def worker(
    url: str, trials: int, seconds: float, name: str = "first", together: int = 1
) -> subprocess.Popen[str]:
    arguments = [url, name, str(trials), str(seconds), str(HEARTBEAT), str(together)]
    return subprocess.Popen(
        [sys.executable, "-m", "tests.support.study_maker", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_for(what: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    wait_until(what, lambda: process.poll() is None)


def kill_in_a_trial(url: str) -> optuna.Study:
    """Start a worker, and kill -9 it in its first trial, after it has given a sign of life."""
    study = enter(url, heartbeat=HEARTBEAT)
    killed = worker(url, 2, 600)
    engine = sqlalchemy.create_engine(url)

    def gave_a_sign_of_life() -> bool:
        drawn = [trial._trial_id for trial in study.get_trials() if len(trial.params) == len(SPACE.ranges)]
        beats = sqlalchemy.text("SELECT trial_id FROM trial_heartbeats")
        with engine.connect() as connection:
            return bool(set(drawn) & set(connection.execute(beats).scalars()))

    wait_for(gave_a_sign_of_life, killed)
    engine.dispose()
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()
    assert [trial.state for trial in study.get_trials()] == [TrialState.RUNNING]
    return study


def check_taken_up(study: optuna.Study) -> None:
    """Another worker ends the dead one's trial as failed and runs its values again."""
    lines = search(study, 2, heartbeat=HEARTBEAT)
    trials = study.get_trials()
    again = [trial for trial in trials if trial.system_attrs.get("failed_trial") == 0]
    assert trials[0].state == TrialState.FAIL and len(again) == 1 and again[0].state == TrialState.COMPLETE
    assert again[0].params == trials[0].params
    assert Counter(trial.state for trial in trials) == {TrialState.COMPLETE: 2, TrialState.FAIL: 1}
    assert any(line.startswith(f"trial {again[0].number}: macro F1 ") for line in lines)
    assert "again for trial 0" in render(status_document(study), "terminal")


def check_shared(url: str, name: str) -> None:
    """Two workers at once, on a database that neither has seen: every trial once, all with different values,
    a third joins later.
    """
    both = [worker(url, 6, 0.05, name, together=2) for _ in range(2)]
    said = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    study = enter(url, name)
    ran = [
        {int(line.split()[1].rstrip(":")) for line in text.splitlines() if line.startswith("trial ")}
        for text in said
    ]
    trials = study.get_trials()
    assert ran[0] | ran[1] == set(range(len(trials))) and not ran[0] & ran[1]
    assert len(trials) in (6, 7)  # both may begin the last one
    assert all(ran), "one worker did it all"
    assert len({trial.params["gamma"] for trial in trials}) == len(trials) and counts(study)[
        "finished"
    ] == len(trials)
    search(study, len(trials) + 1)
    assert counts(enter(url, name))["finished"] == len(trials) + 1


def test_a_killed_workers_trial_is_queued_again_and_another_takes_it_up(url: str) -> None:
    check_taken_up(kill_in_a_trial(url))


@pytest.mark.filterwarnings("ignore:Heartbeat of storage")
def test_a_trial_is_queued_again_three_times_at_most(url: str) -> None:
    from benchmark.studies.storage import requeue

    study = enter(url)
    for number in range(5):
        trial = study.ask()
        assert trial.number == number
        trial.suggest_float("gamma", -3, -0.1)
        frozen = study.tell(trial, state=TrialState.FAIL)
        requeue(study, study.get_trials()[frozen.number])
    waiting = [trial for trial in study.get_trials() if trial.state == TrialState.WAITING]
    assert [trial.system_attrs["retry_history"] for trial in waiting] == [
        [4]
    ]  # 0 to 3 were one trial's runs, 4 is a new one
    assert study.get_trials()[3].system_attrs["retry_history"] == [0, 1, 2]


@pytest.mark.filterwarnings("ignore:Heartbeat of storage")
def test_a_worker_killed_before_its_values_are_drawn_does_not_hold_the_study(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = enter(url, heartbeat=HEARTBEAT)
    study.ask()  # a trial without values and without a heartbeat
    monkeypatch.setattr("benchmark.studies.worker.SILENCE", 0.0)
    search(study, 1, heartbeat=HEARTBEAT)
    assert [trial.state for trial in study.get_trials()] == [TrialState.FAIL, TrialState.COMPLETE]


def test_two_workers_share_a_study_on_sqlite(url: str) -> None:
    check_shared(url, "shared")


def test_a_worker_waits_for_the_last_trials_of_the_others(url: str) -> None:
    study, lines = enter(url), []
    other = worker(url, 1, 0, together=2)  # its trial ends when a second worker is there
    wait_for(lambda: bool(study.get_trials()), other)

    def tell(line: str) -> None:
        lines.append(line)
        study.set_user_attr("worker of the test", True)

    objective = Objective(SPACE, Formula(), [100], "f1", "none", unrecorded)
    work(study, objective, TrialBudget(1), tell)
    assert lines == ["study first: 0 trials, 1 with other workers: waiting for them"]
    other.communicate()
    assert other.returncode == 0 and counts(study)["finished"] == 1


def test_workers_get_the_calls_arguments_but_its_own() -> None:
    given = [
        "--study",
        "x",
        "--storage",
        "postgresql://u:secret@h/d",
        "--workers=2",
        "--trials",
        "4",
        "--export",
        "--trial",
        "3",
        "--figures",
    ]
    assert study_run._for_worker(given) == ["--study", "x", "--trials", "4"]
    options = search_options.parser().parse_args(
        study_run._for_worker([*given, "--storage=a", "--workers", "3", "--range", "gamma=-1:-0.5"])
    )
    assert (options.workers, options.ranges, options.storage) == (1, ["gamma=-1:-0.5"], None)


def test_a_call_whose_workers_all_fail_fails(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setattr(study_run, "_for_worker", lambda given: ["--study", "a/b", "--status"])
    with pytest.raises(BMTError, match="all 2 workers failed"):
        study_run._start_workers([], 2, url)


def test_two_workers_share_a_study_on_postgresql(server: str) -> None:
    check_shared(server, "shared")


def test_a_killed_worker_on_postgresql_is_replaced(server: str) -> None:
    check_taken_up(kill_in_a_trial(server))


def test_a_server_that_goes_away_is_one_line(tmp_path: Path) -> None:
    if reason := postgres.missing():
        pytest.skip(reason)
    with postgres.server() as address:
        running_worker = worker(address, 1000, 0.3)
        study = enter(address, heartbeat=HEARTBEAT)
        wait_for(lambda: any(trial.params for trial in study.get_trials()), running_worker)
    out = running_worker.communicate(timeout=120)[0]
    assert running_worker.returncode == 1
    assert (
        "error: the study's database postgresql+psycopg:///postgres?host=" in out
        and "run the same command again when it" in out
    )
    assert "Traceback" not in out


def test_a_worker_whose_trial_was_given_to_another_goes_on_with_the_next(url: str) -> None:
    study, told = enter(url), []

    def taken_away(values: object) -> bool:
        if not told:
            told.append(1)
            enter(url).tell(0, state=TrialState.FAIL)  # what another worker does after a long silence
        return False

    lines = search(study, 2, Formula(fails=taken_away))
    assert lines[0].startswith("a trial gave no sign of life for so long that it was given to another worker")
    assert [trial.state.name for trial in study.get_trials()] == ["FAIL", "COMPLETE", "COMPLETE"]


def test_a_formula_is_what_it_says() -> None:
    """The oracle of these tests has its best values where it says."""
    from tests.support.study_maker import BEST, macro

    top = macro(BEST | {"density": 0.0})
    assert top == 80.0
    for name, change in (("lam", 10.0), ("gamma", 1.1), ("zeta", 1.1)):
        assert macro(BEST | {"density": 0.0, name: BEST[name] * change}) < top
    assert Formula().evaluations == 9
