"""Studies that train: tiny models from end to end, what MLflow has of them, and that a trial is what `benchmark.train` does."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from optuna.trial import TrialState

from benchmark import delivery, fetch, tracking
from benchmark import search as command
from benchmark.cells import parse
from benchmark.config import load
from benchmark.journal import journals, read_entries
from benchmark.prepare import prepare
from benchmark.studies import tracks
from benchmark.studies.identity import identity_of
from benchmark.studies.settings import read_settings
from benchmark.studies.storage import find_study, requeue, storage_url
from benchmark.train import train_cell
from bmt.errors import ConfigError, DataError, ModelError
from bmt.sample_corpus import write as write_corpus
from tests import project
from tests.conftest import ROOT
from tests.study_maker import SPACE, Formula, enter, search
from tests.tracking_store import contents, make


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "FLUSH_SECONDS", 0.05)
    monkeypatch.delenv("OPTUNA_STORAGE", raising=False)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project on a tiny BERT whose train files are prepared; nothing of its dev files is left."""
    root, corpus = tmp_path_factory.mktemp("project"), tmp_path_factory.mktemp("corpus")
    write_corpus(corpus)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BMT_ROOT", str(root))
        patch.setenv("BMT_TRACKING", "journal")
        project.write_bert(root / "backbones" / "bert", project.corpus_texts(corpus))
        values = project.params(["bert"], ["bert.mt.bmt.s0"], manifest=str(corpus))
        values["training"]["evaluate_every"] = 2
        project.write_params(root, values)
        assert fetch.main([]) == 0
        prepare(load(), workers=1)
        for folder in (root / "data" / "features" / "tiny" / "bert").glob("*.dev"):
            shutil.rmtree(folder)
        yield root


def run(*arguments: str) -> int:
    return command.main(["--study", "first", *arguments])


def test_a_study_from_the_first_trial_to_params_yaml(prepared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--trials", "3", "--pruner", "none", "--seeds", "100,101", "--export", "--figures") == 0
    out = capsys.readouterr().out
    assert "study first: bert.mt.bmt, lam 1e-09 to 1e-05 (log), gamma -3 to -0.1, zeta 1.1 to 4; 1 queued so far" in out
    study = find_study("first", storage_url("first"))
    trials = study.trials
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 3
    assert trials[0].params == {"lam": 1.25e-7, "gamma": -1.5, "zeta": 1.5}  # the params file's own values come first
    best = yaml.safe_load((prepared / "studies" / "first.best.yaml").read_text())
    assert best["profile"] == "tiny" and best["seeds"] == [100, 101] and set(best["values"]) == {"mask.lam", "mask.gamma", "mask.zeta"}
    assert (prepared / "studies" / "first.html").read_text().startswith("<!DOCTYPE html>")
    before = (prepared / "params.yaml").read_text()
    assert run("--apply", "--yes", "--export", "--trial", "2") == 0
    capsys.readouterr()
    scores = []
    for seed in (100, 101):  # the same values, seed and data in `benchmark.train`
        train_cell(load(), parse(f"bert.mt.bmt.s{seed}"))
        record = json.loads((prepared / "runs" / "tiny" / f"bert.mt.bmt.s{seed}" / "training.json").read_text())
        scores.append(record["validation_f1"])
        assert record["mask"]["union_density"] == pytest.approx(trials[2].user_attrs["density"], abs=0.01)
    assert trials[2].value == pytest.approx(sum(scores) / 2, abs=1e-9) and trials[2].value > 0
    (prepared / "params.yaml").write_text(before)


def test_the_same_call_goes_on_and_another_search_is_refused(prepared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call = ("--pruner", "none", "--seeds", "7", "--arm", "mask")
    assert command.main(["--study", "again", "--trials", "1", *call]) == 0
    assert command.main(["--study", "again", "--trials", "2", *call]) == 0
    out = capsys.readouterr().out
    assert "1 finished so far" in out and "2 finished; best macro F1" in out
    study = find_study("again", storage_url("again"))
    assert [trial.user_attrs["density"] for trial in study.trials] == [0.5, pytest.approx(study.trials[1].params["p_f"], abs=1e-4)]
    for other, said in (
        (("--seeds", "8"), "it has seeds 7, here 8"),
        (("--arm", "mask_p30"), "it has cell bert.mt.mask, here bert.mt.mask_p30; space p_f"),
        (("--range", "p_f=0.2:0.4"), r"it has space p_f 0.1 to 0.9, here p_f 0.2 to 0.4"),
        (("--set", "training.lr=0.001"), "it has settings [0-9a-f]{12}, here [0-9a-f]{12}"),
        (("--pruner", "hyperband"), "it has pruner none, here hyperband"),
    ):
        with pytest.raises(ConfigError, match=f"study 'again' is another one: .*{said}"):
            command.main(["--study", "again", "--trials", "3", *call, *other])
    assert len(find_study("again", storage_url("again")).trials) == 2


def test_hyperband_prunes_a_training_at_an_evaluation(prepared: Path) -> None:
    call = ["--study", "pruned", "--trials", "6", "--seeds", "3", "--range", "density=0.001:0.9", "--set", "training.lr=0.003"]
    assert command.main([*call, "--set", "training.evaluate_every=1"]) == 0
    study = find_study("pruned", storage_url("pruned"))
    cut = [trial for trial in study.trials if trial.state == TrialState.PRUNED]
    assert cut and len(cut) < 6
    for trial in cut:
        entries = [entry for path in journals([tracks.trial_folder("pruned", trial.number)]) for entry in read_entries(path)[0]]
        seen = [
            e["values"]["s3/validation/f1/macro"] for e in entries if e["kind"] == "metrics" and "s3/validation/f1/macro" in e["values"]
        ]
        assert len(seen) == trial.last_step < 8 and trial.value == pytest.approx(max(seen))  # the training ended there, of 8 evaluations
        assert entries[-1]["status"] == "FINISHED"
        assert {"trial.state": "PRUNED"}.items() <= {e["name"]: e["value"] for e in entries if e["kind"] == "tag"}.items()


def test_f1_against_density_trades_one_for_the_other(prepared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--study", "front", "--trials", "2", "--objective", "f1_density", "--search", "density", "--export"]) == 0
    study = find_study("front", storage_url("front"))
    for trial in study.trials:
        density = trial.params["density"]
        assert density - 0.01 <= trial.values[1] <= min(1.0, 2 * density + 0.01)  # the union of two masks of this density
    said = yaml.safe_load((prepared / "studies" / "front.best.yaml").read_text())
    assert {entry["trial"] for entry in said["pareto"]} == {trial.number for trial in study.best_trials}
    assert "Pareto front: trials" in capsys.readouterr().out


def test_features_that_are_not_prepared_are_one_error(prepared: Path) -> None:
    with pytest.raises(DataError, match=r"no features there: run `python -m benchmark.prepare`"):
        command.main(["--study", "other", "--trials", "1", "--set", "data.train=[NewsQA]"])
    assert not (prepared / "studies" / "other.db").exists()


# --- MLflow ---------------------------------------------------------------------------------------------------------------------


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
    experiment = tracks.experiment_of(settings.config())
    with tracks.study_run(study, experiment, {"objective": "f1"}):
        recorded = tracks.trial_runs(study, settings, SPACE, identity_of(study))
        search(study, trials, measure, recorded=recorded)


def test_every_trial_is_a_nested_run_with_the_status_it_came_to(repository: Path) -> None:
    study = enter(storage_url("first"), pruner="hyperband", sampling=("tpe", 0, 20))
    tracked(study, 8, Formula(fails=lambda values: values["gamma"] > -0.5))
    uri = tracking.store_uri()
    runs = contents(uri, "bmt-sample-studies")
    assert set(runs) == {"first", *(f"first.t{trial.number:03d}" for trial in study.trials)}
    parent = runs["first"]
    assert parent["status"] == "FINISHED" and parent["id"] == study.user_attrs[tracks.REFERENCE]
    states = set()
    for trial in study.trials:
        own = runs[f"first.t{trial.number:03d}"]
        states.add(trial.state)
        assert own["tags"]["mlflow.parentRunId"] == parent["id"] and own["params"]["mask.gamma"] == str(
            SPACE.ranges[1].rounded(trial.params["gamma"])
        )
        assert own["status"] == ("FAILED" if trial.state == TrialState.FAIL else "FINISHED")
        assert own["tags"].get("trial.state") == {TrialState.COMPLETE: "COMPLETE", TrialState.PRUNED: "PRUNED"}.get(trial.state)
        if trial.state == TrialState.FAIL:
            assert own["tags"]["failure"] == "ModelError: the training loss is nan near step 7"
        if trial.state == TrialState.COMPLETE:
            assert [point[1] for point in own["metrics"]["study/f1"]] == [trial.value]
            assert len(own["metrics"]["s100/validation/f1/macro"]) == 9
    assert states == {TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL}
    finished = [trial for trial in study.trials if trial.state == TrialState.COMPLETE]
    assert [point[:2] for point in parent["metrics"]["study/f1"]] == [(trial.number, trial.value) for trial in finished]
    assert parent["tags"]["best.trial"] == str(study.best_trial.number) and parent["tags"]["trials.failed"] >= "1"


def test_a_later_call_goes_on_with_the_studys_run_and_files_are_put_beside_it(repository: Path) -> None:
    study = enter(storage_url("first"))
    tracked(study, 1, Formula())
    tracked(enter(storage_url("first")), 2, Formula())
    assert run("--export", "--figures") == 0
    runs = contents(tracking.store_uri(), "bmt-sample-studies")
    assert set(runs) == {"first", "first.t000", "first.t001"} and {one["status"] for one in runs.values()} == {"FINISHED"}
    assert {"first.best.yaml", "first.html"} <= set(runs["first"]["artifacts"])
    assert runs["first"]["artifacts"]["first.best.yaml"] == (repository / "studies" / "first.best.yaml").read_bytes()
    assert {runs[name]["tags"]["mlflow.parentRunId"] for name in ("first.t000", "first.t001")} == {runs["first"]["id"]}


def test_a_second_worker_uses_the_run_of_the_first(repository: Path) -> None:
    study = enter(storage_url("first"))
    with tracks.study_run(study, "bmt-sample-studies", {}) as first, tracks.study_run(study, "bmt-sample-studies", {}) as second:
        assert first is not None and second is None
        assert tracks.reference(enter(storage_url("first"))) == first.reference
    assert set(contents(tracking.store_uri(), "bmt-sample-studies")) == {"first"}


@pytest.mark.filterwarnings("ignore:Heartbeat of storage")
def test_a_killed_trials_run_is_ended_as_killed_when_it_is_queued_again(repository: Path) -> None:
    from benchmark.journal import Journal

    study = enter(storage_url("first"))
    trial = study.ask()
    SPACE.suggest(trial)
    place = tracks.trial_folder("first", 0)
    dead = Journal(place / "journal" / "20260101T000000-00000000.jsonl")
    dead.append("run", key=dead.key, name="first.t000", experiment="bmt-sample-studies", params={}, tags={}, resume=None, parent=None)
    dead.close()  # as a kill leaves it: no end
    study.tell(trial, state=TrialState.FAIL)
    requeue(study, study.get_trials()[0])
    assert contents(tracking.store_uri(), "bmt-sample-studies")["first.t000"]["status"] == "KILLED"
    tracked(study, 1, Formula())
    again = contents(tracking.store_uri(), "bmt-sample-studies")["first.t001"]
    assert again["status"] == "FINISHED" and again["tags"]["trial.retry_of"] == "0"


def test_no_password_reaches_mlflow(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.orig_argv", ["python", "-m", "benchmark.search", "--storage", "postgresql+psycopg://me:secret@host/d"])
    study = enter(storage_url("first"))
    tracked(study, 1, Formula())
    for one in contents(tracking.store_uri(), "bmt-sample-studies").values():
        assert one["tags"].get("mlflow.source.name", "") == "" and "secret" not in json.dumps(one["tags"] | one["params"])
    assert tracks.command() == "python -m benchmark.search --storage postgresql+psycopg://host/d"


def test_three_failures_end_the_study_but_not_without_a_word(repository: Path) -> None:
    study = enter(storage_url("first"))
    with pytest.raises(ModelError, match="3 trials failed one after the other"):
        tracked(study, 2, Formula(fails=lambda values: True))
    runs = contents(tracking.store_uri(), "bmt-sample-studies")
    assert runs["first"]["status"] == "FAILED" and [runs[f"first.t00{number}"]["status"] for number in range(3)] == ["FAILED"] * 3
