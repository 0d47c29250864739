"""What MLflow has of a study: one run for it, a nested one for each trial, with the status that the trial
came to.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState

from benchmark import search as command
from benchmark.studies import mlflow_runs
from benchmark.studies.identity import identity_of
from benchmark.studies.settings import read_settings
from benchmark.studies.storage import requeue, storage_url
from benchmark.tracking import journal_upload as delivery
from benchmark.tracking import mlflow_store as tracking
from benchmark.tracking.journal import Journal
from bmt.errors import ModelError
from tests.support.repository import ROOT
from tests.support.study_maker import SPACE, Formula, enter, search
from tests.support.tracking_store import contents, make


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "FLUSH_SECONDS", 0.05)
    monkeypatch.delenv("OPTUNA_STORAGE", raising=False)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A root with the sample profile and an MLflow store of its own."""
    make(tmp_path)
    shutil.copyfile(ROOT / "profiles" / "sample.yaml", tmp_path / "params.yaml")
    monkeypatch.setenv("BMT_ROOT", str(tmp_path))
    monkeypatch.delenv("BMT_TRACKING", raising=False)
    return tmp_path


def tracked(study: Any, trials: int, measure: Formula) -> None:
    """Run trials with the study's run and the trials' below it."""
    settings = read_settings()
    experiment = mlflow_runs.experiment_of(settings.config())
    with mlflow_runs.study_run(study, experiment, {"objective": "f1"}):
        recorded = mlflow_runs.trial_runs(study, settings, SPACE, identity_of(study))
        search(study, trials, measure, recorded=recorded)


def test_every_trial_is_a_nested_run_with_the_status_it_came_to(repository: Path) -> None:
    study = enter(storage_url("first"), pruner="hyperband", sampling=("tpe", 0, 20))
    tracked(study, 4, Formula(fails=lambda values: -2.8 < values["gamma"] < -2.6))
    uri = tracking.store_uri()
    runs = contents(uri, "bmt-sample-studies")
    assert set(runs) == {"first", *(f"first.t{trial.number:03d}" for trial in study.trials)}
    parent = runs["first"]
    assert parent["status"] == "FINISHED" and parent["id"] == study.user_attrs[mlflow_runs.REFERENCE]
    states = set()
    for trial in study.trials:
        own = runs[f"first.t{trial.number:03d}"]
        states.add(trial.state)
        assert own["tags"]["mlflow.parentRunId"] == parent["id"] and own["params"]["mask.gamma"] == str(
            SPACE.ranges[1].rounded(trial.params["gamma"])
        )
        assert own["status"] == ("FAILED" if trial.state == TrialState.FAIL else "FINISHED")
        assert own["tags"].get("trial.state") == {
            TrialState.COMPLETE: "COMPLETE",
            TrialState.PRUNED: "PRUNED",
        }.get(trial.state)
        if trial.state == TrialState.FAIL:
            assert own["tags"]["failure"] == "ModelError: the training loss is nan near step 7"
        if trial.state == TrialState.COMPLETE:
            assert [point[1] for point in own["metrics"]["study/f1"]] == [trial.value]
            assert len(own["metrics"]["s100/validation/f1/macro"]) == 9
    assert states == {TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL}
    finished = [trial for trial in study.trials if trial.state == TrialState.COMPLETE]
    assert [point[:2] for point in parent["metrics"]["study/f1"]] == [
        (trial.number, trial.value) for trial in finished
    ]
    assert (
        parent["tags"]["best.trial"] == str(study.best_trial.number)
        and parent["tags"]["trials.failed"] >= "1"
    )


def test_a_later_call_goes_on_with_the_studys_run_and_files_are_put_beside_it(repository: Path) -> None:
    study = enter(storage_url("first"))
    tracked(study, 1, Formula())
    tracked(enter(storage_url("first")), 2, Formula())
    assert command.main(["--study", "first", "--export", "--figures"]) == 0
    runs = contents(tracking.store_uri(), "bmt-sample-studies")
    assert set(runs) == {"first", "first.t000", "first.t001"} and {
        one["status"] for one in runs.values()
    } == {"FINISHED"}
    assert {"first.best.yaml", "first.html"} <= set(runs["first"]["artifacts"])
    assert (
        runs["first"]["artifacts"]["first.best.yaml"]
        == (repository / "studies" / "first.best.yaml").read_bytes()
    )
    assert {runs[name]["tags"]["mlflow.parentRunId"] for name in ("first.t000", "first.t001")} == {
        runs["first"]["id"]
    }


def test_a_second_worker_uses_the_run_of_the_first(repository: Path) -> None:
    study = enter(storage_url("first"))
    with (
        mlflow_runs.study_run(study, "bmt-sample-studies", {}) as first,
        mlflow_runs.study_run(study, "bmt-sample-studies", {}) as second,
    ):
        assert first is not None and second is None
        assert mlflow_runs.reference(enter(storage_url("first"))) == first.reference
    assert set(contents(tracking.store_uri(), "bmt-sample-studies")) == {"first"}


@pytest.mark.filterwarnings("ignore:Heartbeat of storage")
def test_a_killed_trials_run_is_ended_as_killed_when_it_is_queued_again(repository: Path) -> None:
    study = enter(storage_url("first"))
    trial = study.ask()
    SPACE.suggest(trial)
    place = mlflow_runs.trial_folder("first", 0)
    dead = Journal(place / "journal" / "20260101T000000-00000000.jsonl")
    dead.append(
        "run",
        key=dead.key,
        name="first.t000",
        experiment="bmt-sample-studies",
        params={},
        tags={},
        resume=None,
        parent=None,
    )
    dead.close()  # as a kill leaves it: no end
    study.tell(trial, state=TrialState.FAIL)
    requeue(study, study.get_trials()[0])
    assert contents(tracking.store_uri(), "bmt-sample-studies")["first.t000"]["status"] == "KILLED"
    tracked(study, 1, Formula())
    again = contents(tracking.store_uri(), "bmt-sample-studies")["first.t001"]
    assert again["status"] == "FINISHED" and again["tags"]["trial.retry_of"] == "0"


def test_no_password_reaches_mlflow(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "sys.orig_argv",
        ["python", "-m", "benchmark.search", "--storage", "postgresql+psycopg://me:secret@host/d"],
    )
    study = enter(storage_url("first"))
    tracked(study, 1, Formula())
    for one in contents(tracking.store_uri(), "bmt-sample-studies").values():
        assert one["tags"].get("mlflow.source.name", "") == "" and "secret" not in json.dumps(
            one["tags"] | one["params"]
        )
    assert mlflow_runs.command() == "python -m benchmark.search --storage postgresql+psycopg://host/d"


def test_three_failures_end_the_study_but_not_without_a_word(repository: Path) -> None:
    study = enter(storage_url("first"))
    with pytest.raises(ModelError, match="3 trials failed one after the other"):
        tracked(study, 2, Formula(fails=lambda values: True))
    runs = contents(tracking.store_uri(), "bmt-sample-studies")
    assert (
        runs["first"]["status"] == "FAILED"
        and [runs[f"first.t00{number}"]["status"] for number in range(3)] == ["FAILED"] * 3
    )
