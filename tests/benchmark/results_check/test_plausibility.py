"""What one result says of itself: what is just possible passes, what is just not is a fault."""

from __future__ import annotations

from typing import Any

import pytest

from benchmark.results_check.findings import Findings
from benchmark.results_check.plausibility import (
    check_plausible,
    mask_kind,
    regularizer_kind,
    source_seed,
)
from tests.support.records import make_record, said

BMT = "m.mt.bmt.s3"


def faults(cell: str = BMT, **fields: Any) -> list[str]:
    findings = Findings()
    check_plausible([make_record(cell, **fields)], findings)
    assert {fault.file for fault in findings.faults} <= {f"{cell}.json"}
    return [line.removeprefix(f"{cell}.json: ") for line in said(findings)]


def learned(**fields: Any) -> dict[str, Any]:
    return {"mask": {"kind": "learned"} | fields}


@pytest.mark.parametrize(
    ("mask", "fault"),
    [
        ({"density": {"a": 0.3, "b": 0.5}, "union_density": 0.4951}, ""),
        (
            {"density": {"a": 0.3, "b": 0.5}, "union_density": 0.494},
            "mask.union_density: 0.494; allowed: from 0.5 (the largest density) to 0.8 (their sum)",
        ),
        ({"density": {"a": 0.3, "b": 0.5}, "union_density": 0.8049}, ""),
        (
            {"density": {"a": 0.3, "b": 0.5}, "union_density": 0.806},
            "mask.union_density: 0.806; allowed: from 0.5 (the largest density) to 0.8 (their sum)",
        ),
        ({"density": {"a": 0.7, "b": 0.8}, "union_density": 1.0}, ""),
        ({"density": {"a": 0.0}, "union_density": 0.0}, ""),
        ({"union_density": 0.5}, ""),
        ({"density": {"a": 0.3}, "by_kind": {"a": {"q": 0.2, "k": 0.2951}}}, ""),
        (
            {"density": {"a": 0.3}, "by_kind": {"a": {"q": 0.2, "k": 0.294}}},
            "mask.density.a: 0.3; mask.by_kind has 0.2 to 0.294",
        ),
        (
            {"density": {"a": 0.3}, "by_layer": {"a": {"0": 0.306, "1": 0.5}}},
            "mask.density.a: 0.3; mask.by_layer has 0.306 to 0.5",
        ),
        ({"density": {"a": 0.3}, "by_layer": {"b": {"0": 0.9}, "a": {}}}, ""),
        ({"overlap": {"a": {"a": 0.9951}}}, ""),
        ({"overlap": {"a": {"a": 0.994}}}, "mask.overlap.a.a: 0.994; a mask overlaps itself wholly: 1"),
        ({"overlap": {"a": {"b": 0.5}, "b": {"a": 0.504}}}, ""),
        (
            {"density": {"a": 0.3, "b": 0.3}, "union_density": 0.45, "overlap": {"a": {"b": 0.32}}},
            "",
        ),
        (
            {"density": {"a": 0.3, "b": 0.3}, "union_density": 0.45, "overlap": {"a": {"b": 0.31}}},
            "mask.overlap.a.b: 0.31; then these two alone would open 0.458, more than the union of all "
            "(0.45)",
        ),
    ],
)
def test_densities_are_ones_that_masks_can_have(mask, fault):
    assert faults(**learned(**mask)) == ([fault] if fault else [])


def test_an_overlap_that_is_not_the_same_both_ways_is_told_for_both():
    assert faults(**learned(overlap={"a": {"b": 0.5}, "b": {"a": 0.506}})) == [
        "mask.overlap.a.b: 0.5; the other way round it is 0.506",
        "mask.overlap.b.a: 0.506; the other way round it is 0.5",
    ]


def test_a_mask_s_seed_is_the_run_s_and_of_a_few_shot_run_that_of_its_source():
    def told(cell: str = BMT, **fields: Any) -> list[str]:
        return faults(cell, **fields)

    assert told(**learned(seed=3, about={"seed": 3})) == []
    assert told(**learned(seed=4, about={"seed": 5})) == [
        "mask.seed: 4; the run's seed is 3",
        "mask.about.seed: 5; the run's seed is 3",
    ]
    shots = {"K": 16, "source_cell": "m.mt.bmt.s12"}
    assert told(**shots, **learned(seed=12)) == []
    assert told(**shots, **learned(seed=3)) == ["mask.seed: 3; the source run's seed is 12"]
    assert told(K=16, **learned(seed=3)) == []


@pytest.mark.parametrize(
    ("source", "seed"), [("m.mt.bmt.s12", 12), ("x", None), (None, None), ("m.mt.bmt.sx", None)]
)
def test_a_source_s_seed_is_read_from_its_name(source, seed):
    assert source_seed(make_record(BMT, K=4, source_cell=source)) == seed
    assert source_seed(make_record(BMT, source_cell=source)) == 3


def test_a_run_without_a_mask_has_no_p_f_and_learns_no_mask():
    nothing = {"mask": None, "budget": {"mask_steps": 0}}
    assert faults(**nothing) == []
    assert faults(**nothing, p_f=0.5) == ["p_f: 0.5; a run without a mask has none"]
    assert faults(mask=None, p_f=0.5) == []  # a mask need not be recorded
    assert faults(mask=None, budget={"mask_steps": 9}) == [
        "budget.mask_steps: 9; a run without a mask learns none: 0"
    ]
    random = {"kind": "random", "p_f": 0.5}
    assert faults(mask=random, p_f=0.5, budget={"mask_steps": 9}) == [
        "budget.mask_steps: 9; a run with a random mask learns none: 0"
    ]
    assert faults(mask=random, p_f=0.3) == ["mask.p_f: 0.5; p_f of the run is 0.3"]
    assert faults(mask=random) == []
    assert faults(**learned(), budget={"mask_steps": 9}) == []


def test_what_kind_of_mask_and_regularizer_a_result_states():
    assert mask_kind(make_record()) is None
    assert mask_kind(make_record(mask=None)) is None
    assert mask_kind(make_record(mask=None, budget={"mask_steps": 0})) == "none"
    assert mask_kind(make_record(budget={"mask_steps": 0})) is None
    assert mask_kind(make_record(mask={"kind": "random"})) == "random"
    assert mask_kind(make_record(mask={})) is None
    assert regularizer_kind(make_record()) is None
    assert regularizer_kind(make_record(regularizer=None)) == "none"
    assert regularizer_kind(make_record(regularizer={"kind": "l2"})) == "l2"
    assert regularizer_kind(make_record(regularizer={"strength": 1})) is None


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"deviation": {"l2": 0, "relative": 0}}, ""),
        (
            {"deviation": {"l2": 0, "relative": 0.1}},
            "deviation.relative: 0.1; l2 is 0: both are 0 or neither",
        ),
        (
            {"deviation": {"l2": 2.0, "relative": 0}},
            "deviation.relative: 0; l2 is 2.0: both are 0 or neither",
        ),
        ({"deviation": {"l2": 2.0, "changed": 0}}, "deviation.changed: 0; weights moved by 2"),
        ({"deviation": {"total": {"l2": 2.0, "changed": 0}}}, "deviation.changed: 0; weights moved by 2"),
        ({"deviation": {"l2": 0, "changed": 0}}, ""),
        ({"deviation": {"changed": 0.4049}, **learned(union_density=0.4)}, ""),
        (
            {"deviation": {"changed": 0.406}, **learned(union_density=0.4)},
            "deviation.changed: 0.406; the masks open 0.4 of the weights",
        ),
        (
            {"deviation": {"l2": 2.0}, "deviation_by": {"total": {"l2": 3.0}}},
            'deviation: {"l2": 2.0}; deviation_by.total is {"l2": 3.0}',
        ),
        ({"deviation_by": {"layer/a": {"l2": 3.0}, "layer/b": {"l2": 4.0}}, "deviation": {"l2": 5.004}}, ""),
        (
            {"deviation_by": {"kind/a": {"l2": 3.0}, "kind/b": {"l2": 4.0}}, "deviation": {"l2": 5.006}},
            "deviation.l2: 5.006; those of deviation_by.kind/* make 5",
        ),
        (
            {"deviation_by": {"layer/a": {"l2": 3.0}, "layer/b": {"l2": 4.0}}, "deviation": {"l2": 4.994}},
            "deviation.l2: 4.994; those of deviation_by.layer/* make 5",
        ),
        ({"deviation_by": {"layer/a": {"relative": 3.0}}, "deviation": {"l2": 5.0}}, ""),
        ({"deviation_by": {"layer/a": {"l2": 3.0}, "total": {"l2": 5.0}}}, "deviation.l2: 5; those of"),
    ],
)
def test_distances_fit_together(fields, fault):
    lines = faults(**fields)
    assert len(lines) == bool(fault) and "".join(lines).startswith(fault)


def averages(**fields: Any) -> list[str]:
    datasets = {
        "a": {"em": 10.0, "f1": 20.0, "examples": 9, "domain": "in"},
        "b": {"em": 30.0, "f1": 50.0, "examples": 1, "domain": "in"},
        "c": {"em": 90.0, "f1": 95.0, "examples": 5, "domain": "out"},
        "d": {"em": None, "f1": None, "examples": 0, "domain": "in"},
    }
    return faults(**({"datasets": datasets} | fields))


def test_averages_are_those_of_their_domain_s_datasets_each_counting_once():
    assert averages(averages={"in": {"em": 20.0, "f1": 35.0, "datasets": ["b", "a"]}}) == []
    assert averages(averages={"in": {"em": 20.009, "f1": 34.991}}) == []
    assert averages(averages={"in": {"em": 20.011, "f1": 34.9}, "out": {"em": 90.0, "f1": 90.0}}) == [
        "averages.in.em: 20.011; the mean of its 2 datasets is 20",
        "averages.in.f1: 34.9; the mean of its 2 datasets is 35",
        "averages.out.f1: 90; the mean of its 1 dataset is 95",
    ]
    assert averages(averages={"elsewhere": {"em": 3.0}}) == []  # its datasets are not named
    assert averages(averages={"mine": {"em": 50.0, "datasets": ["a", "c"]}}) == []
    assert averages(averages={"mine": {"em": 51.0, "datasets": ["a", "c"]}}) == [
        "averages.mine.em: 51; the mean of its 2 datasets is 50"
    ]
    assert averages(averages={"in": {"em": 10.0, "datasets": ["a"]}}) == [
        "averages.in.datasets: over a; the datasets of this domain are a, b"
    ]
    assert averages(averages={"in": {"em": 20.0, "datasets": ["a", "b", "d"]}}) == [
        "averages.in.datasets: d; there are scores of a, b, c"
    ]
    assert averages(averages={"none": {"em": 1.0, "datasets": []}}) == [
        "averages.none.em: 1; the mean of its 0 datasets is nan"
    ]


def test_a_dataset_is_not_both_missing_and_scored():
    assert averages(missing_datasets=["e", "d"]) == []
    assert averages(missing_datasets=["c", "a", "e"]) == [
        "missing_datasets: a, c; these are scored under `datasets`"
    ]


def test_runs_that_do_not_say_how_far_they_moved_are_named():
    records = [make_record("m.mt.bmt.s0", deviation={"l2": 1.0}, **learned()), make_record("m.mt.none.s0")]
    findings = Findings()
    check_plausible(records, findings)
    assert findings.looked == {"masks": "1 run with masks, 1 with a deviation"}
    assert [(note.check, note.text) for note in findings.notes] == [
        ("masks", "no deviation in m.mt.none.s0 (1 of 2 runs): how far these runs moved is not known")
    ]
