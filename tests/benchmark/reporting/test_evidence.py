"""What the report takes from a results file; a file with a number that cannot be is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmark.reporting import evidence
from benchmark.runs import results

RECORD = {
    "schema": 1,
    "cell": "m.mt.bmt.s0",
    "profile": "mini",
    "backbone": "m",
    "regime": "mt",
    "arm": "bmt",
    "seed": 0,
    "datasets": {
        "SQuAD": {"em": 1.0, "f1": 2.0, "examples": 3},
        "Other": {"examples": 0, "domain": "out_of_domain"},
    },
}


def evidence_of(folder: Path, **fields: Any) -> tuple[list[evidence.Evidence], list[str]]:
    """The evidence of one run whose file holds these fields beside its scores, and why it was refused."""
    (folder / "m.mt.bmt.s0.json").write_text(json.dumps(RECORD | fields))
    read = results.read(folder)
    return evidence.read(read, None), [fault.reason for fault in read.faults]


@pytest.mark.parametrize("number", [-0.1, 1.1, True, None, "0.5", 10**400])
def test_a_density_is_a_number_of_0_to_1(number, tmp_path):
    mask = {"kind": "learned", "density": {"SQuAD": number, "DROP": 0, "RACE": 1}}
    runs, (reason,) = evidence_of(tmp_path, mask=mask)
    assert runs == [] and reason.startswith("mask.density.SQuAD") and "a number of 0 to 1" in reason


@pytest.mark.parametrize("field", ["seconds", "mask", "budget"])
@pytest.mark.parametrize("number", [True, "9", 10**400])
def test_what_is_no_number_is_refused(field, number, tmp_path):
    value = {"seconds": number, "mask": {"union_density": number}, "budget": {"steps": number}}[field]
    runs, (reason,) = evidence_of(tmp_path, **{field: value})
    assert runs == [] and reason.startswith(field)


def test_what_is_absent_or_null_is_not_known(tmp_path):
    for fields in (
        {},
        {"seconds": None, "mask": None, "budget": {"steps": None}, "device": 3, "environment": []},
    ):
        (run,), _ = evidence_of(tmp_path, **fields)
        assert (run.figures, run.union, run.steps, run.best_step, run.device) == ({}, None, None, None, None)
        assert (run.density, run.by_layer, run.environment, run.tracked, run.notes) == ({}, {}, {}, None, ())
        assert run.domains == {"SQuAD": "in_domain", "Other": "out_of_domain"}


def test_what_is_known_is_taken(tmp_path):
    mask = {"kind": "learned", "density": {"DROP": 0, "RACE": 1}, "overlap": {"DROP": {"RACE": 0.5}}}
    by = {"total": {"relative": 1}, "layer/layer_00": {"relative": 0.25}, "layer/layer_01": {"relative": 2e6}}
    (run,), faults = evidence_of(
        tmp_path, mask=mask, deviation_by=by, seconds=9, trained_with={}, environment={"cpu": "x"}
    )
    assert (run.kind, run.density, run.overlap) == (
        "learned",
        {"DROP": 0, "RACE": 1},
        {"DROP": {"RACE": 0.5}},
    )
    assert (run.deviation, run.figures, run.environment) == ({"layer_00": 0.25}, {"seconds": 9}, {"cpu": "x"})
    assert run.notes == (
        "m.mt.bmt.s0: deviation_by: 1 of 2 entries are not names and numbers of 0 to 1e+06, and are left out",
    )
    assert not faults


def test_the_environment_is_that_of_the_training_and_else_of_the_evaluation(tmp_path):
    for trained, evaluated, environment in (
        ({"cpu": "t"}, {"cpu": "e"}, {"cpu": "t"}),
        (None, {"cpu": "e"}, {"cpu": "e"}),
        ({"cpu": "t"}, None, {"cpu": "t"}),
    ):
        (run,), _ = evidence_of(tmp_path, trained_with=trained, environment=evaluated)
        assert run.environment == environment
