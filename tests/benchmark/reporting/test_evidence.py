"""What the report takes from a results file: numbers that can be what they are called; the rest is noted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmark.reporting import evidence
from benchmark.runs.results import DatasetScore, Identity, Results, Run


def evidence_of(folder: Path, **fields: Any) -> evidence.Evidence:
    """The evidence of one run whose file holds these fields."""
    run = Run("m.mt.bmt.s0", "mini", Identity("m", "mt", "bmt"), 0, {"SQuAD": DatasetScore(1.0, 2.0, 3)})
    (folder / "m.mt.bmt.s0.json").write_text(json.dumps(fields))
    return evidence.read(Results(folder, (run,)), None)[0]


@pytest.mark.parametrize("number", [-0.1, 1.1, True, None, "0.5", 10**400])
def test_a_density_is_a_number_of_0_to_1(number, tmp_path):
    read = evidence_of(tmp_path, mask={"kind": "learned", "density": {"SQuAD": number, "DROP": 0, "RACE": 1}})
    assert read.density == {"DROP": 0.0, "RACE": 1.0}
    assert read.notes == (
        "m.mt.bmt.s0: mask.density: 1 of 3 entries are not names and numbers of 0 to 1, and are left out",
    )


@pytest.mark.parametrize("number", [True, None, "9", 10**400])
def test_what_is_no_number_is_not_known(number, tmp_path):
    read = evidence_of(tmp_path, seconds=number, mask={"union_density": number}, budget={"steps": number})
    assert (read.figures, read.union, read.steps, read.notes) == ({}, None, None, ())
