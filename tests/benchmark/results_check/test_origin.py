"""Results held against what the profile declares and against the trained runs; and which folder has any."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmark.results_check import folder_check
from benchmark.results_check.findings import Findings
from benchmark.results_check.folder_check import check_folder, results_folder
from benchmark.results_check.origin import check_declared, check_trained
from benchmark.runs.result_schema import KEPT
from benchmark.runs.seal import SEAL
from bmt.errors import ConfigError
from tests.support.records import make_record, said
from tests.support.repository import ROOT
from tests.support.results_maker import make_results

CELL = "m.mt.bmt.s0"
AVERAGES = {"in": {"em": 1.0, "f1": 2.0}, "out": {"em": 3.0, "f1": 4.0}}


def write(path: Path, values: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values))


def test_every_field_that_a_result_takes_over_from_its_training_is_held_against_it(tmp_path):
    fields = {
        "backbone_revision": "m@1",
        "p_f": 0.5,
        "mask": {"kind": "random"},
        "budget": {"epochs": 3},
        "mlflow_run_id": "f00",
        "deviation": {"l2": 2.0},
        "averages": AVERAGES,
    }
    record = make_record(CELL, **fields)
    training = {key: record.values[key] for key in KEPT} | {"deviation": {"total": {"l2": 2.0}, "by": {}}}
    headline = {"f1": {"in": 2.0, "out": 4.0}, "em": {"in": 1.0, "out": 3.0}}

    def faults(training: Any, metrics: Any = headline) -> list[str]:
        write(tmp_path / CELL / "training.json", training)
        write(tmp_path / CELL / "metrics.json", metrics)
        findings = Findings()
        check_trained([record], tmp_path, findings)
        assert findings.looked == {"origin": "1 of 1 run"} and findings.notes == []
        return said(findings)

    assert faults(training) == []
    for key in KEPT:
        shown = json.dumps(record.values[key], sort_keys=True)
        assert faults(training | {key: "other"}) == [
            f'{CELL}.json: {key}: {shown}; {CELL}/training.json of the trained run has "other"'
        ]
        assert faults({name: value for name, value in training.items() if name != key}) == []
    assert faults(training | {"deviation": {"total": {"l2": 3.0}}}) == [
        f'{CELL}.json: deviation: {{"l2": 2.0}}; {CELL}/training.json of the trained run has {{"l2": 3.0}}'
    ]
    assert faults(training | {"deviation": {"l2": 3.0}}) == faults(training | {"deviation": None}) == []
    for metric, domain, value in (
        ("em", "in", 1.0),
        ("em", "out", 3.0),
        ("f1", "in", 2.0),
        ("f1", "out", 4.0),
    ):
        assert faults(training, {metric: {domain: 9.5}}) == [
            f"{CELL}.json: averages.{domain}.{metric}: {value}; "
            f"{CELL}/metrics.json of the trained run has 9.5"
        ]
    assert faults(training, {}) == faults(training, {"f1": None}) == faults(training, [1]) == []


def test_runs_without_a_training_are_named_where_they_have_no_seal_either(tmp_path):
    write(tmp_path / CELL / "training.json", {"cell": CELL})
    sealed = make_record("m.mt.bmt.s1", **{SEAL: "0" * 64})
    records = [make_record(CELL), sealed, make_record("m.mt.bmt.s2")]
    (tmp_path / "m.mt.bmt.s2").mkdir()
    (tmp_path / "m.mt.bmt.s2" / "training.json").write_text("[no JSON")
    findings = Findings()
    check_trained(records, tmp_path, findings)
    text = "no trained run (runs/<profile>/<cell>), and no record_sha256, in m.mt.bmt.s2 (1 of 3 runs): "
    assert [(note.check, note.text) for note in findings.notes] == [
        ("origin", text + "that scores were not exchanged between arms is taken on trust")
    ]
    assert findings.looked == {"origin": "1 of 3 runs"}
    findings = Findings()
    check_trained(records, None, findings)
    assert findings.looked == {"origin": "0 of 3 runs"} and said(findings) == []
    assert findings.notes[0].text.startswith(
        "no trained run (runs/<profile>/<cell>), and no record_sha256, in m.mt.bmt.s0, m.mt.bmt.s2 (2 of 3"
    )


@pytest.mark.parametrize(
    ("arm", "fields", "fault"),
    [
        ("bmt", {"mask": {"kind": "learned"}, "regularizer": None}, ""),
        ("bmt", {}, ""),
        ("theirs", {"mask": {"kind": "x"}, "p_f": 0.1}, ""),
        ("mask_p30", {"mask": {"kind": "random"}, "p_f": 0.3}, ""),
        ("mask_p30", {"mask": {"kind": "random"}, "p_f": 0.5}, "p_f: 0.5; {} p_f: 0.3"),
        ("mask_p30", {"mask": {"kind": "random"}}, "p_f: null; {} p_f: 0.3"),
        ("mask_p30", {}, ""),
        ("none", {"p_f": 0.5}, "p_f: 0.5; {} p_f: null"),
        ("none", {"mask": {"kind": "learned"}}, 'mask.kind: "learned"; {} mask: none'),
        ("none", {"mask": None, "budget": {"mask_steps": 0}}, ""),
        ("none", {"regularizer": {"kind": "l2"}}, 'regularizer.kind: "l2"; {} regularizer: none'),
    ],
)
def test_an_arm_is_what_its_profile_declares(arm, fields, fault):
    findings = Findings()
    check_declared([make_record(f"m.mt.{arm}.s0", profile="paper", **fields)], findings)
    declares = fault.format(f"profile paper declares the arm {arm} with")
    assert said(findings) == ([f"m.mt.{arm}.s0.json: {declares}"] if fault else [])
    foreign = Findings()
    check_declared([make_record(f"m.mt.{arm}.s0", profile="theirs", **fields)], foreign)
    assert foreign == Findings()


def test_each_run_is_held_against_its_own_profile_and_a_broken_one_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("BMT_ROOT", str(tmp_path))
    (tmp_path / "profiles").mkdir()
    sample = (ROOT / "profiles" / "mini.yaml").read_text()
    (tmp_path / "params.yaml").write_text(sample)
    (tmp_path / "profiles" / "paper.yaml").write_text("profile: paper\nnothing: else\n")
    records = [make_record("m.mt.none.s0", profile="paper", p_f=0.5)]
    records += [make_record("m.mt.none.s1", profile="mini", p_f=0.5)]
    findings = Findings()
    check_declared(records, findings)
    assert [line.split(";")[0] for line in said(findings)] == ["m.mt.none.s1.json: p_f: 0.5"]
    (note,) = findings.notes
    assert (
        note.text.startswith("what the arms of profile paper are is not known: ") and "nothing" in note.text
    )


# --- the folder ---------------------------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with one result and a training that it is not of."""
    monkeypatch.setenv("BMT_ROOT", str(tmp_path))
    make_results(
        tmp_path / "results" / "theirs", profile="theirs", arms=["none"], seeds=[0], sizes={"DROP": 3}
    )
    write(tmp_path / "runs" / "theirs" / "roberta-base.mt.none.s0" / "training.json", {"seed": 9})
    return tmp_path


def origin(folder: Path) -> list[str]:
    return said(check_folder(folder).findings, "origin")


def test_this_project_s_results_are_held_against_its_runs_however_the_folder_is_named(project, monkeypatch):
    """By an absolute path, by a relative one as in the command's example, and through a link."""
    told = [
        "roberta-base.mt.none.s0.json: seed: 0; "
        "roberta-base.mt.none.s0/training.json of the trained run has 9"
    ]
    assert origin(project / "results" / "theirs") == told
    monkeypatch.chdir(project)
    assert origin(Path("results/theirs")) == told
    monkeypatch.chdir(project / "results")
    assert origin(Path("theirs")) == origin(Path("../results/theirs")) == told
    (project / "link").symlink_to(project / "results" / "theirs")
    assert origin(project / "link") == told


def test_a_folder_elsewhere_is_nobody_s_training(project, tmp_path_factory):
    other = tmp_path_factory.mktemp("other") / "results" / "theirs"
    other.parent.mkdir()
    (project / "results" / "theirs").rename(other)
    assert origin(other) == []
    within = project / "results" / "more" / "theirs"
    within.parent.mkdir()
    other.rename(within)
    assert origin(within) == []


def test_which_profile_a_folder_s_runs_must_be_of(project):
    folder = project / "results" / "theirs"
    assert results_folder(folder, None) == (folder, None)
    assert results_folder(folder, "mini") == (folder, "mini")
    assert results_folder(None, "theirs") == (folder, "theirs")
    (project / "results" / "mini").mkdir()
    (project / "results" / "mini" / "x.parquet").touch()
    params = str(ROOT / "profiles" / "mini.yaml")
    assert results_folder(folder, None, params) == (folder, "mini")
    assert results_folder(None, None, params) == (project / "results" / "mini", "mini")


def test_a_folder_that_may_not_be_read_is_one_line(project, monkeypatch):
    def forbidden(folder: Path) -> None:
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr(folder_check, "result_files", forbidden)
    folder = project / "results" / "theirs"
    with pytest.raises(ConfigError) as caught:
        results_folder(folder, None)
    assert str(caught.value) == f"{folder}: cannot be read (Permission denied): make it readable"


def test_faults_stand_in_the_order_of_the_checks_and_of_the_files(project):
    """Whatever finds them first."""
    folder = project / "results" / "theirs"
    make_results(folder, profile="other", arms=["bmt"], seeds=[0], sizes={"DROP": 3})
    (folder / "zzz.json").write_text("{")
    (folder / "aaa.parquet").touch()
    checked = check_folder(folder, "mini")
    found = [(fault.check, fault.file) for fault in checked.findings.faults]
    order = ("files", "digests", "scores", "agreement", "origin")
    assert [check for check, _ in found] == sorted((check for check, _ in found), key=order.index)
    assert found[:2] == [("files", "aaa.parquet"), ("files", "zzz.json")]
    assert [file for check, file in found if check == "agreement"] == [
        "roberta-base.mt.bmt.s0.json",
        "roberta-base.mt.none.s0.json",
    ]
    assert (checked.profile, checked.runs, checked.predictions) == ("other, theirs", 2, 6)
    assert checked.folder == str(folder)
