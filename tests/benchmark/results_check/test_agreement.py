"""What results of one folder have in common: who is blamed, and what may differ."""

from __future__ import annotations

from typing import Any

import pytest

from benchmark.results_check.agreement import check_agreement
from benchmark.results_check.findings import Findings
from benchmark.results_check.records import Record
from tests.support.records import make_record, said


def check(*records: Record, profile: str | None = None) -> Findings:
    findings = Findings()
    check_agreement(list(records), profile, findings)
    return findings


def faults(*records: Record, profile: str | None = None) -> list[str]:
    return said(check(*records, profile=profile))


def one(**fields: Any) -> dict[str, Any]:
    """A dataset's entry."""
    return {"datasets": {"one": {"em": 50.0, "f1": 60.0, "examples": 10} | fields}}


A, B, C, D = (f"m.mt.none.s{seed}" for seed in range(4))


def test_the_run_that_differs_from_most_is_blamed_and_of_two_the_second():
    def evaluated(*versions: str | None) -> list[str]:
        return faults(*(make_record(f"m.mt.none.s{n}", evaluator_version=v) for n, v in enumerate(versions)))

    assert evaluated("x", "x", None) == []
    assert evaluated("x", "y") == [f'{B}.json: evaluator_version: "y"; "x" in {A}']
    assert evaluated("x", "y", "y") == [f'{A}.json: evaluator_version: "x"; "y" in {B}, {C}']
    assert evaluated("x", None, "x", "z") == [f'{D}.json: evaluator_version: "z"; "x" in {A}, {C}']


def test_runs_without_an_evaluator_are_named():
    findings = check(make_record(A, evaluator_version="x"), make_record(B))
    assert findings.notes[0].text == (
        f"no evaluator_version in {B} (1 of 2 runs): that one evaluator scored them all is taken on trust"
    )
    whole = check(*(make_record(cell, evaluator_version="x") for cell in (A, B)))
    assert not [note for note in whole.notes if "evaluator" in note.text]


def test_a_profile_is_that_of_most_or_the_one_asked_for():
    mini, paper, other = (make_record(f"m.mt.none.s{n}", profile=p) for n, p in enumerate(("x", "y", "y")))
    assert faults(mini, paper, other) == [f'{A}.json: profile: "x"; "y" in {B}, {C}']
    assert faults(mini, paper, other, profile="x") == [
        f'{cell}.json: profile: "y"; this folder is of "x"' for cell in (B, C)
    ]


def test_each_backbone_has_its_own_revision_and_only_one():
    records = [
        make_record("m.mt.none.s0", backbone_revision="m@1"),
        make_record("n.mt.none.s0", backbone_revision="n@1"),
        make_record("n.mt.none.s1", backbone_revision="n@1"),
        make_record("n.mt.bmt.s0", backbone_revision="n@2"),
    ]
    assert faults(*records) == [
        'n.mt.bmt.s0.json: backbone_revision: "n@2"; "n@1" in n.mt.none.s0, n.mt.none.s1'
    ]


def test_sizes_are_compared_among_runs_of_one_k_and_contexts_only_where_nothing_is_left_out():
    def sized(K: int | None, seed: int, **fields: Any) -> Record:
        return make_record(f"m.mt.none.s{seed}", K=K, **one(**fields))

    whole = sized(None, 0, examples=20, contexts=7)
    assert faults(whole, sized(4, 1, examples=16, contexts=6), sized(8, 2, examples=12, contexts=5)) == []
    assert faults(whole, sized(4, 1, examples=16, contexts=6), sized(4, 2, examples=16, contexts=5)) == []
    assert faults(whole, sized(4, 1, examples=16), sized(4, 2, examples=15)) == [
        f"{C}.json: datasets.one.examples: 15; 16 in {B}"
    ]
    assert faults(whole, sized(None, 1, examples=20, contexts=8)) == [
        f"{B}.json: datasets.one.contexts: 8; 7 in {A}"
    ]
    digests = (
        sized(None, 0, data_sha256="a", examples=20),
        sized(4, 1, data_sha256="b", examples=16),
        sized(4, 2, data_sha256="a", examples=16),
    )
    assert faults(*digests) == [f'{B}.json: datasets.one.data_sha256: "b"; "a" in {A}, {C}']


def test_what_data_was_scored_is_said_not_to_be_known_of_each_run_that_lacks_a_digest_anywhere():
    def both(one: str | None, two: str | None) -> dict[str, Any]:
        entry = {"em": 1.0, "f1": 1.0, "examples": 5}
        return {"datasets": {"one": entry | {"data_sha256": one}, "two": entry | {"data_sha256": two}}}

    findings = check(make_record(A, **both("x", None)), make_record(B, **both("x", "y")))
    assert [note.text for note in findings.notes if "data_sha256" in note.text] == [
        f"no data_sha256 in {A} (1 of 2 runs): which data was scored is known by its examples only"
    ]
    assert findings.looked["agreement"] == "2 runs, 2 datasets"
    assert findings.looked["arms"] == "1 arm by 2 seeds"


def test_training_files_of_one_name_have_one_digest():
    both = {"DROP.train": "1", "two.train": "2"}
    records = [
        make_record("m.mt.none.s0", train_data_sha256=both),
        make_record("m.st-DROP.none.s0", train_data_sha256={"DROP.train": "3"}),
        make_record("m.mt.bmt.s0", train_data_sha256=both),
    ]
    assert faults(*records) == [
        'm.st-DROP.none.s0.json: train_data_sha256.DROP.train: "3"; "1" in m.mt.none.s0, m.mt.bmt.s0'
    ]


def test_runs_of_one_setting_are_scored_on_the_same_datasets():
    entry = {"em": 1.0, "f1": 1.0, "examples": 5}
    every = {"datasets": {"one": entry, "two": entry, "three": entry}}
    short = {"datasets": {"one": entry}}
    for other in ("m.mt.none.adapter.s0", "m.st-DROP.none.s0", "n.mt.none.s0"):
        assert faults(make_record(A, **every), make_record(other, **short)) == []
    assert faults(make_record(A, **every), make_record(B, K=4, **short)) == []
    assert faults(make_record(A, **short), make_record("m.mt.bmt.s0", **every)) == [
        f"{A}.json: datasets: no three, two; m.mt.bmt.s0 has them"
    ]
    two = {"datasets": {"one": entry, "two": entry}}
    assert faults(make_record(A, **two), make_record(B, **two), make_record(C, **short)) == [
        f"{C}.json: datasets: no two; {A}, {B} have it"
    ]


def test_a_run_has_one_file_and_a_tracked_run_is_one_run():
    again = make_record("n.mt.none.s1", backbone="m", seed=0)
    assert faults(make_record(A), again, make_record(B)) == [
        f"n.mt.none.s1.json: seed: 0, as in {A}; one file per run of m.mt.none"
    ]
    tracked = [make_record(cell, mlflow_run_id=run) for cell, run in ((A, "f"), (B, "f"), (C, "f"), (D, "g"))]
    assert faults(*tracked, make_record("m.mt.bmt.s0"), make_record("m.mt.bmt.s1")) == [
        f"{cell}.json: mlflow_run_id: that of {A}; each run was tracked as one of its own" for cell in (B, C)
    ]


@pytest.mark.parametrize(
    ("field", "usual", "other", "where", "stands"),
    [
        ("p_f", 0.5, 0.3, "p_f", "0.3; 0.5"),
        ("mask", {"kind": "random"}, {"kind": "learned"}, "mask.kind", '"learned"; "random"'),
        ("regularizer", None, {"kind": "l2"}, "regularizer.kind", '"l2"; "none"'),
        (
            "mask",
            {"density": {"b": 0.1, "a": 0.1}},
            {"density": {"a": 0.1}},
            "mask.density (its datasets)",
            '["a"]; ["a", "b"]',
        ),
        ("budget", {"mask_steps": 9}, {"mask_steps": 8}, "budget.mask_steps", "8; 9"),
        ("budget", {"epochs": 3}, {"epochs": 4}, "budget.epochs", "4.0; 3.0"),
        (
            "train_data_sha256",
            {"b": "1", "a": "1"},
            {"a": "1"},
            "train_data_sha256 (its files)",
            '["a"]; ["a", "b"]',
        ),
    ],
)
def test_runs_that_differ_by_their_seed_only_are_of_one_arm(field, usual, other, where, stands):
    records = [make_record(cell, **{field: value}) for cell, value in ((A, usual), (B, usual), (C, other))]
    assert faults(*records) == [f"{C}.json: {where}: {stands} in {A}, {B}"]
    assert faults(*records[:2], make_record("m.mt.bmt.s0", **{field: other})) == []  # another arm


def test_a_single_data_run_trains_on_its_own_dataset_alone():
    def trained(cell: str, *files: str) -> list[str]:
        return faults(make_record(cell, train_data_sha256=dict.fromkeys(files, "1")))

    assert trained("m.st-DROP.none.s0", "DROP.train") == trained("m.mt.none.s0", "one.train") == []
    assert trained("m.st-DROP.none.s0", "two.train") == [
        "m.st-DROP.none.s0.json: train_data_sha256: two.train; st-DROP trains on DROP.train alone"
    ]
    assert trained("m.st-DROP.none.s0", "DROP.train", "two.train") == [
        "m.st-DROP.none.s0.json: train_data_sha256: DROP.train, two.train; st-DROP trains on DROP.train alone"
    ]


def moved(cell: str, l2: float, relative: float = 1.000001, **fields: Any) -> Record:
    return make_record(cell, deviation={"l2": l2, "relative": relative}, **fields)


def test_the_pretrained_weights_have_one_norm_up_to_one_percent_and_rounding():
    usual = [moved(A, 10.000001), moved(B, 10.000001)]
    assert faults(*usual, moved(C, 10.099001)) == []
    assert faults(*usual, moved(C, 10.101001)) == [
        f"{C}.json: deviation: l2 / relative is 10.1; the pretrained weights of this backbone have the norm "
        "10 in the other runs"
    ]
    assert faults(*usual, moved(C, 9.890001)) != []
    assert faults(*usual, moved(C, 10.1)) == [] != faults(*usual, moved(C, 10.2))  # 10.1: of one decimal
    assert faults(*usual, moved(C, 10.1, 0.998)) == []  # 1.2 percent off, half a percent of it by rounding
    assert faults(*usual, moved(C, 11.000001, 1.1)) == []
    rough = [moved(A, 10.1), moved(B, 10.1)]  # the usual norm is then known to half a percent only
    assert faults(*rough, moved(C, 10.231001)) == [] != faults(*rough, moved(C, 10.260001))
    for other in (
        moved("m.mt.none.adapter.s0", 20.000001),
        moved("n.mt.none.s0", 20.000001),
        moved(C, 20.000001, backbone_revision="m@2"),
    ):
        lines = [line for line in faults(*usual, other) if "l2 / relative" in line]
        assert lines == []
    assert faults(*usual, moved(C, 0.0, 0.0), make_record(D, deviation={"l2": 3.0})) == []
    assert [line.split(":")[0] for line in faults(moved(A, 10.000001), moved(B, 20.000001))] == [f"{B}.json"]
