"""A results folder as runs and faults: what a run takes of its JSON, and how a file that cannot be used is
told.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from benchmark.runs.results import DatasetScore, Identity, Results, Run, fault, read, read_facts, read_run
from benchmark.runs.results import UnusableFileError as Unusable

CELL = "minilm.mt.bmt.adapter.k16.s3"
WHOLE: dict[str, Any] = {
    "schema": 1,
    "cell": CELL,
    "profile": "mini",
    "backbone": "minilm",
    "regime": "mt",
    "arm": "bmt",
    "adapter": True,
    "K": 16,
    "seed": 3,
    "p_f": 0.5,
    "datasets": {
        "SQuAD": {"em": 40.0, "f1": 50.5, "examples": 6, "data_sha256": "d"},
        "DROP": {"em": None, "f1": None, "examples": 0},
    },
    "backbone_revision": "sha256:w",
    "evaluator_version": "2",
    "mask": {"kind": "learned", "foreign": 1},
    "deviation": {"l2": 9.0, "total": {"l2": 1.5, "relative": 0.25, "cosine": 0.5}},
    "budget": {"epochs": 1.5, "mask_steps": 18},
    "git": {"commit": "c", "dirty": True},
    "from_hub": ["SQuAD.dev"],
}
LEAST: dict[str, Any] = {
    key: WHOLE[key] for key in ("schema", "cell", "profile", "backbone", "regime", "arm", "seed")
} | {"datasets": {"SQuAD": {"em": 0, "f1": 100, "examples": 1}}}


def run_from(folder: Path, values: Any) -> Run:
    path = folder / f"{CELL}.json"
    path.write_text(json.dumps(values), encoding="utf-8")
    return read_run(path)


def test_a_run_is_what_its_json_says(tmp_path: Path) -> None:
    assert run_from(tmp_path, WHOLE) == Run(
        cell=CELL,
        profile="mini",
        identity=Identity("minilm", "mt", "bmt", True, 16),
        seed=3,
        datasets={"SQuAD": DatasetScore(40.0, 50.5, 6, "d")},
        empty=("DROP",),
        revision="sha256:w",
        p_f=0.5,
        evaluator="2",
        mask={"kind": "learned", "foreign": 1},
        deviation={"l2": 1.5, "relative": 0.25},
        epochs=1.5,
        mask_steps=18,
        commit="c",
        dirty=True,
        from_hub=("SQuAD.dev",),
    )
    assert run_from(tmp_path, LEAST) == Run(
        cell=CELL,
        profile="mini",
        identity=Identity("minilm", "mt", "bmt"),
        seed=3,
        datasets={"SQuAD": DatasetScore(0.0, 100.0, 1)},
    )
    flat = run_from(tmp_path, LEAST | {"deviation": {"l2": 9.0, "changed": 0.5}, "mask": {}})
    assert (flat.deviation, flat.mask) == ({"l2": 9.0}, None)
    score = flat.datasets["SQuAD"]
    assert (score.metric("EM"), score.metric("f1"), score.metric("K")) == (0.0, 100.0, None)


def test_names_of_runs_without_their_seed() -> None:
    assert Identity("b", "mt", "bmt", True, 16).stem == "b.mt.bmt.adapter.k16"
    assert Identity("b", "st-SQuAD", "none").stem == "b.st-SQuAD.none"
    assert Identity("b", "mt", "zero_shot").published and not Identity("b", "mt", "none").published


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (WHOLE | {"schema": 2}, "schema 2 is not allowed: 1"),
        ({}, "schema null is not allowed: 1"),
        (WHOLE | {"cell": "other"}, f'cell "other" is not allowed: {CELL}, as in the file\'s name'),
        ([1], "[1] is not allowed: an object"),
        (WHOLE | {"datasets": {}}, "datasets: missing: at least one, with em, f1 and examples"),
        (WHOLE | {"seed": -1}, "seed: -1 is not allowed: a whole number, at least 0"),
        (
            WHOLE | {"arm": ["x" * 60]},
            'arm: ["' + "x" * 55 + "... is not allowed: a text",
        ),
        (WHOLE | {"arm": ["x" * 56]}, 'arm: ["' + "x" * 56 + '"] is not allowed: a text'),
    ],
)
def test_why_a_run_cannot_be_used(values: Any, reason: str, tmp_path: Path) -> None:
    with pytest.raises(Unusable) as caught:
        run_from(tmp_path, values)
    assert str(caught.value) == reason


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (
            b'{\n"a": 1',
            "line 2: no JSON (Expecting ',' delimiter); an interrupted write or an edit: make it again",
        ),
        (b'{"a": "\xe9"}', "no UTF-8 text"),
        (b'{"a": "\\ud800"}', "a text in it is no Unicode (half of a surrogate pair)"),
        (b'{"a": ' + b"9" * 5000 + b"}", "no results: nested too deeply, or a number too long"),
        (b"[" * 200000, "no results: nested too deeply, or a number too long"),
    ],
)
def test_what_is_no_json(content: bytes, reason: str, tmp_path: Path) -> None:
    (tmp_path / "b.mt.none.s0.json").write_bytes(content)
    results = read(tmp_path)
    assert results.runs == () and [one.reason for one in results.faults] == [reason]
    assert str(results.faults[0]) == f"b.mt.none.s0.json: {reason}"


def test_a_folder_is_read_in_the_order_of_names_and_tables_are_no_runs(tmp_path: Path) -> None:
    assert read(tmp_path / "none") == Results(tmp_path / "none", ())
    for name in ("b.mt.bmt.s1", "a.mt.bmt.s0", "b.mt.bmt.s0", "c.mt.bmt.s0"):
        cell = {"cell": name, "backbone": name[0], "profile": f"of {name[-1]}"}
        (tmp_path / f"{name}.json").write_text(json.dumps(LEAST | cell))
    (tmp_path / "table_1.json").write_text("{")
    (tmp_path / "a.mt.bmt.s0.parquet").write_text("{")
    (tmp_path / "b.mt.bmt.s9.json").mkdir()
    (tmp_path / "aa.json").write_text("{}")
    results = read(tmp_path)
    assert [run.cell for run in results.runs] == ["a.mt.bmt.s0", "b.mt.bmt.s0", "b.mt.bmt.s1", "c.mt.bmt.s0"]
    assert [(one.file, one.seed) for one in results.faults] == [("aa.json", None), ("b.mt.bmt.s9.json", 9)]
    assert results.faults[1].reason == "cannot be read: Is a directory"
    assert results.backbones == ("b", "a", "c") and results.profiles == ("of 0", "of 1")


@pytest.mark.parametrize(
    ("name", "identity", "seed"),
    [
        ("b.mt.bmt.s12.json", Identity("b", "mt", "bmt"), 12),
        ("b.st-DROP.none.adapter.s0.parquet", Identity("b", "st-DROP", "none", True), 0),
        ("b.mt.bmt.adapter.k64.s7.json", Identity("b", "mt", "bmt", True, 64), 7),
        ("b.mt.bmt.k16.s7.json", Identity("b", "mt", "bmt", False, 16), 7),
        ("anything.json", None, None),
    ],
)
def test_a_fault_is_of_the_cell_that_its_file_names(
    name: str, identity: Identity | None, seed: int | None
) -> None:
    told = fault(Path("folder") / name, "why")
    assert (told.file, told.reason, told.identity, told.seed) == (name, "why", identity, seed)


def test_a_file_s_name_that_is_no_utf_8_can_be_printed() -> None:
    told = fault(Path(os.fsdecode(b"b\xff.json")), "why")
    assert told.file == "b\N{REPLACEMENT CHARACTER}.json" and told.file.encode()


def test_a_table_of_facts_is_read_or_said_to_be_another_one(tmp_path: Path) -> None:
    assert read_facts(tmp_path, "7") == (None, None)
    path = tmp_path / "table_7.json"
    whole = {"schema": 1, "table": "7", "rows": {"SQuAD": {"train": 3, "dev": None}}}
    path.write_text(json.dumps(whole))
    assert read_facts(tmp_path, "7") == (whole, None)
    for changes, reason in (
        ({"table": "8"}, "schema 1, table \"8\" are not allowed: 1 and '7'"),
        ({"schema": 2}, "schema 2, table \"7\" are not allowed: 1 and '7'"),
        ({"rows": {"SQuAD": {"train": "3"}}}, 'rows.SQuAD.train: "3" is not allowed: a finite number'),
        ({"rows": {"SQuAD": 3}}, "rows.SQuAD: 3 is not allowed: metrics and numbers"),
    ):
        path.write_text(json.dumps(whole | changes))
        values, told = read_facts(tmp_path, "7")
        assert values is None and told is not None
        assert (told.file, told.reason) == ("table_7.json", reason)
