"""What a check found, as text, status and document."""

from __future__ import annotations

import json
from typing import Any

import pytest

from benchmark.rendering import render
from benchmark.results_check.check_document import check_document, check_json
from benchmark.results_check.findings import (
    CHECKS,
    Findings,
    FolderCheck,
    ResultFault,
    UncheckedNote,
    quoted,
    shown,
)
from benchmark.results_check.records import note_absent, read_records
from tests.support.records import make_record, said

FAULT = ResultFault("seeds", "b.json", "seed", "3", "4 belongs there", "mend it")


def folder(faults: int = 0, notes: int = 0) -> FolderCheck:
    findings = Findings(looked={"seeds": "2 runs, pair by pair"})
    findings.faults += [FAULT] * faults
    findings.notes += [UncheckedNote("masks", "no mask")] * notes
    return FolderCheck("results/x", "mini", 2, 1234, findings)


@pytest.mark.parametrize(
    ("faults", "notes", "plain", "strict"), [(0, 0, 0, 0), (0, 1, 0, 1), (1, 0, 1, 1), (2, 1, 1, 1)]
)
def test_the_status_is_1_for_a_fault_and_if_strict_for_what_could_not_be_checked(
    faults, notes, plain, strict
):
    checked = folder(faults, notes)
    assert (checked.status(), checked.status(strict=True)) == (plain, strict)
    for asked in (False, True):
        assert json.loads(check_json(checked, asked))["status"] == checked.status(asked)


def test_a_fault_is_one_line():
    assert str(FAULT) == "b.json: seed: 3; 4 belongs there: mend it"
    assert str(ResultFault("files", "b.json", "", "absent", "needed", "make it")) == (
        "b.json: absent; needed: make it"
    )
    findings = Findings()
    findings.fault("files", "f", "w", "x", "y")
    assert findings.faults == [
        ResultFault("files", "f", "w", "x", "y", "restore the file, or evaluate the run again")
    ]


def test_values_and_ids_are_cut():
    assert (shown("é"), shown({"b": 1, "a": None}), shown(1.5)) == ('"é"', '{"a": null, "b": 1}', "1.5")
    assert shown("x" * 98) == f'"{"x" * 98}"'
    assert shown("x" * 99) == f'"{"x" * 96}...'
    assert quoted(["a", "b"]) == '"a", "b"'
    assert quoted(f"q{number}" for number in range(5)) == '"q0", "q1", "q2" and 2 others'


def test_what_is_absent_is_said_of_whom():
    findings = Findings()
    findings.note_absent("masks", "x", [], 3, "why")
    assert findings.notes == []
    findings.note_absent("masks", "x", ["a", "b"], 3, "why")
    findings.note_absent("masks", "x", ["a", "b", "c"], 3, "why")
    findings.note_absent("masks", "x", list("abcde"), 9, "why")
    assert [note.text for note in findings.notes] == [
        "no x in a, b (2 of 3 runs): why",
        "no x in any run: why",
        "no x in a, b, c and 2 others (5 of 9 runs): why",
    ]


def test_what_a_clean_run_of_the_same_commit_has_was_taken_out():
    def run(seed: int, commit: str | None, dirty: bool | None) -> Any:
        return make_record(f"m.mt.none.s{seed}", git={"commit": commit, "dirty": dirty})

    records = [
        run(0, "a", False),
        run(1, "a", False),
        run(2, "b", False),
        run(3, "a", True),
        run(4, "a", None),
    ]
    findings = Findings()
    note_absent("digests", "key", {record.cell for record in records[1:]}, records, "why", findings)
    assert said(findings) == ["m.mt.none.s1.json: key: absent; m.mt.none.s0, of the same commit, has it"]
    assert [note.text for note in findings.notes] == [
        "no key in m.mt.none.s2, m.mt.none.s3, m.mt.none.s4 (3 of 5 runs): why"
    ]
    findings = Findings()
    dirty = [run(0, "a", True), run(1, "a", False)]
    note_absent("digests", "key", {"m.mt.none.s1"}, dirty, "why", findings)
    assert findings.faults == []  # what a run with uncommitted changes wrote, its commit need not write


@pytest.mark.parametrize(
    ("faults", "notes", "strict", "verdict"),
    [
        (0, 0, False, "no fault"),
        (0, 0, True, "no fault"),
        (0, 1, False, "no fault; 1 thing could not be checked"),
        (0, 2, True, "no fault, but --strict: 2 things could not be checked"),
        (1, 0, False, "1 fault in 1 file"),
        (2, 3, True, "2 faults in 1 file"),
    ],
)
def test_the_last_line_is_the_verdict(faults, notes, strict, verdict):
    checked = folder(faults, notes)
    text = render(check_document(checked, strict), "terminal")
    lines = text.splitlines()
    assert lines[0] == "results/x: 2 runs of profile mini, 1,234 predictions"
    assert lines[-1] == verdict
    assert lines.count("fault: b.json: seed: 3; 4 belongs there: mend it") == faults
    assert lines.count("not checked: no mask") == notes
    table = {line.strip().split("  ")[0]: line.split("  ")[-1].strip() for line in lines if line[:2] == "  "}
    assert table[CHECKS["seeds"]] == ("ok", "1 fault", "2 faults")[faults]
    assert table[CHECKS["masks"]] == ("not checked in full" if notes else "ok")
    assert table[CHECKS["files"]] == "ok"


def test_the_verdict_counts_files_and_not_places():
    findings = Findings()
    for file, where in (("a", "x"), ("b", "x"), ("b", "y"), ("b", "z")):
        findings.fault("files", file, where, "1", "2")
    text = render(check_document(FolderCheck("r", "", 1, 1, findings), False), "terminal")
    assert text.splitlines()[0] == "r: 1 run of profile ?, 1 prediction"
    assert text.splitlines()[-1] == "4 faults in 2 files"


def test_the_json_counts_faults_and_notes_by_check():
    said_of = json.loads(check_json(folder(2, 3), False))
    assert [entry["title"] for entry in said_of["checks"]] == list(CHECKS.values())
    counts = {entry["check"]: (entry["faults"], entry["not_checked"]) for entry in said_of["checks"]}
    assert counts == dict.fromkeys(CHECKS, (0, 0)) | {"seeds": (2, 0), "masks": (0, 3)}
    assert {entry["check"]: entry["looked_at"] for entry in said_of["checks"]}[
        "seeds"
    ] == "2 runs, pair by pair"
    assert said_of["not_checked"] == [{"check": "masks", "text": "no mask"}] * 3
    assert (said_of["folder"], said_of["profile"], said_of["runs"], said_of["predictions"]) == (
        "results/x",
        "mini",
        2,
        1234,
    )


# --- the files of a folder ----------------------------------------------------------------------------------


def test_hidden_files_and_tables_of_facts_are_no_runs_and_what_an_interrupted_write_left_is_said(tmp_path):
    record = make_record("m.mt.none.s0", tmp_path)
    record.path.write_text(json.dumps(record.values))
    record.parquet.touch()
    (tmp_path / ".hidden.json").write_text("{")
    (tmp_path / ".hidden.parquet").touch()
    (tmp_path / ".m.json.part").touch()
    facts = {"schema": 1, "table": "7", "rows": {}}
    (tmp_path / "table_7.json").write_text(json.dumps(facts))
    (tmp_path / "notes.txt").touch()
    findings = Findings()
    assert [one.cell for one in read_records(tmp_path, findings)] == ["m.mt.none.s0"]
    assert said(findings) == []
    assert findings.looked["files"] == "1 JSON file, 1 Parquet file, 1 table of facts"
    assert findings.looked["names"] == findings.looked["fields"] == "1 JSON file"
    assert findings.looked["digests"] == "0 of predictions, 0 of whole results"
    assert findings.notes[0].text == ".m.json.part is what an interrupted write left; it can be removed"


@pytest.mark.parametrize(
    ("field", "stands", "name"),
    [
        ("backbone", "n", "m"),
        ("regime", "st-DROP", "mt"),
        ("arm", "bmt", "none"),
        ("adapter", True, False),
        ("seed", 1, 0),
        ("K", 4, None),
    ],
)
def test_a_name_of_this_project_s_form_says_what_every_field_says(tmp_path, field, stands, name):
    record = make_record("m.mt.none.s0", tmp_path, **{field: stands})
    record.path.write_text(json.dumps(record.values))
    findings = Findings()
    read_records(tmp_path, findings)
    assert said(findings, "names") == [
        f"m.mt.none.s0.json: {field}: {json.dumps(stands)}; its name says {json.dumps(name)}"
    ]


def test_a_foreign_name_says_nothing(tmp_path):
    record = make_record("m.mt.none.s0", tmp_path)
    (tmp_path / "anybody 3.json").write_text(json.dumps(record.values | {"cell": "anybody 3", "seed": 5}))
    findings = Findings()
    assert len(read_records(tmp_path, findings)) == 1 and said(findings, "names") == []


def test_a_fault_in_what_may_be_absent_leaves_the_run_and_one_in_what_may_not_does_not(tmp_path):
    for number, change in enumerate(({"p_f": 7}, {"seed": "x"}, {"mask": {"density": {"a": 2}}})):
        record = make_record(f"m.mt.none.s{number}", tmp_path)
        record.path.write_text(json.dumps(record.values | change))
    findings = Findings()
    records = read_records(tmp_path, findings)
    assert [one.cell for one in records] == ["m.mt.none.s0", "m.mt.none.s2"]
    assert [one.run.p_f for one in records] == [None, None]
    assert [line.split(";")[0] for line in said(findings, "fields")] == [
        "m.mt.none.s0.json: p_f: 7",
        'm.mt.none.s1.json: seed: "x"',
        "m.mt.none.s2.json: mask.density.a: 2",
    ]
