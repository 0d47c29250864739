"""Studies that train tiny models, from the first trial to params.yaml: a trial is what `benchmark.train`
does.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from optuna.trial import TrialState

from benchmark import fetch
from benchmark import search as command
from benchmark.acquisition.feature_files import prepare
from benchmark.acquisition.sample_corpus import write as write_corpus
from benchmark.config.cells import parse
from benchmark.config.params import load
from benchmark.runs.training_run import train_cell
from benchmark.studies import mlflow_runs
from benchmark.studies.storage import find_study, storage_url
from benchmark.tracking.journal import journals, read_entries
from bmt.errors import ConfigError, DataError
from tests.support import project


@pytest.fixture(autouse=True)
def _no_storage_of_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPTUNA_STORAGE", raising=False)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project on a tiny BERT whose train files are prepared; nothing of its dev files is left."""
    root, corpus = tmp_path_factory.mktemp("project"), tmp_path_factory.mktemp("corpus")
    write_corpus(corpus)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BMT_ROOT", str(root))
        patch.setenv("BMT_TRACKING", "journal")
        project.write_bert(root / "backbones" / "bert", project.corpus_texts(corpus), num_hidden_layers=1)
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


def test_a_study_from_the_first_trial_to_params_yaml(
    prepared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--trials", "2", "--pruner", "none", "--seeds", "100,101", "--export", "--figures") == 0
    out = capsys.readouterr().out
    assert (
        "study first: bert.mt.bmt, lam 1e-09 to 1e-05 (log), gamma -3 to -0.1, zeta 1.1 to 4; 1 queued so far"
        in out
    )
    study = find_study("first", storage_url("first"))
    trials = study.trials
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 2
    assert trials[0].params == {
        "lam": 1.25e-7,
        "gamma": -1.5,
        "zeta": 1.5,
    }  # the params file's own values come first
    best = yaml.safe_load((prepared / "studies" / "first.best.yaml").read_text())
    assert (
        best["profile"] == "tiny"
        and best["seeds"] == [100, 101]
        and set(best["values"]) == {"mask.lam", "mask.gamma", "mask.zeta"}
    )
    assert (prepared / "studies" / "first.html").read_text().startswith("<!DOCTYPE html>")
    before = (prepared / "params.yaml").read_text()
    assert run("--apply", "--yes", "--export", "--trial", "1") == 0
    capsys.readouterr()
    scores, moved = [], []
    for seed in (100, 101):  # the same values, seed and data in `benchmark.train`
        train_cell(load(), parse(f"bert.mt.bmt.s{seed}"))
        record = json.loads(
            (prepared / "runs" / "tiny" / f"bert.mt.bmt.s{seed}" / "training.json").read_text()
        )
        scores.append(record["validation_f1"])
        moved.append(record["deviation"]["total"]["relative"])
        assert record["mask"]["union_density"] == pytest.approx(trials[1].user_attrs["density"], abs=0.01)
    assert trials[1].value == pytest.approx(sum(scores) / 2, abs=1e-9)
    assert trials[1].user_attrs["deviation"] == pytest.approx(sum(moved) / 2, rel=1e-9) and min(moved) > 0
    (prepared / "params.yaml").write_text(before)


def test_the_same_call_goes_on_and_another_search_is_refused(
    prepared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call = ("--pruner", "none", "--seeds", "7", "--arm", "mask")
    assert command.main(["--study", "again", "--trials", "1", *call]) == 0
    assert command.main(["--study", "again", "--trials", "2", *call]) == 0
    out = capsys.readouterr().out
    assert "1 finished so far" in out and "2 finished; best macro F1" in out
    study = find_study("again", storage_url("again"))
    assert [trial.user_attrs["density"] for trial in study.trials] == [
        0.5,
        pytest.approx(study.trials[1].params["p_f"], abs=1e-4),
    ]
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
    call = [
        "--study",
        "pruned",
        "--trials",
        "8",
        "--seeds",
        "3",
        "--range",
        "density=0.001:0.9",
        "--set",
        "training.lr=0.003",
    ]
    assert command.main([*call, "--set", "training.evaluate_every=1"]) == 0
    study = find_study("pruned", storage_url("pruned"))
    cut = [trial for trial in study.trials if trial.state == TrialState.PRUNED]
    assert cut and len(cut) < 8
    for trial in cut:
        entries = [
            entry
            for path in journals([mlflow_runs.trial_folder("pruned", trial.number)])
            for entry in read_entries(path)[0]
        ]
        seen = [
            e["values"]["s3/validation/f1/macro"]
            for e in entries
            if e["kind"] == "metrics" and "s3/validation/f1/macro" in e["values"]
        ]
        assert len(seen) == trial.last_step < 8 and trial.value == pytest.approx(
            max(seen)
        )  # the training ended there, of 8 evaluations
        assert entries[-1]["status"] == "FINISHED"
        assert {"trial.state": "PRUNED"}.items() <= {
            e["name"]: e["value"] for e in entries if e["kind"] == "tag"
        }.items()


def test_f1_against_density_trades_one_for_the_other(
    prepared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        command.main(
            [
                "--study",
                "front",
                "--trials",
                "2",
                "--objective",
                "f1_density",
                "--search",
                "density",
                "--export",
            ]
        )
        == 0
    )
    study = find_study("front", storage_url("front"))
    for trial in study.trials:
        density = trial.params["density"]
        assert (
            density - 0.01 <= trial.values[1] <= min(1.0, 2 * density + 0.01)
        )  # the union of two masks of this density
    said = yaml.safe_load((prepared / "studies" / "front.best.yaml").read_text())
    assert {entry["trial"] for entry in said["pareto"]} == {trial.number for trial in study.best_trials}
    assert "Pareto front: trials" in capsys.readouterr().out


def test_features_that_are_not_prepared_are_one_error(prepared: Path) -> None:
    with pytest.raises(DataError, match=r"no features there: run `python -m benchmark.prepare`"):
        command.main(["--study", "other", "--trials", "1", "--set", "data.train=[NewsQA]"])
    assert not (prepared / "studies" / "other.db").exists()
