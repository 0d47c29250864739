"""Single results as `benchmark.check` holds them, made without files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmark.config.cells import parse
from benchmark.results_check.findings import Findings
from benchmark.results_check.records import Record
from benchmark.runs.result_schema import hold
from benchmark.runs.results import run_of


def make_record(cell: str = "m.mt.none.s0", folder: Path = Path(), **fields: Any) -> Record:
    """The result of a cell, of one dataset where `fields` say nothing else."""
    named = parse(cell)
    values: dict[str, Any] = {
        "schema": 1,
        "cell": cell,
        "profile": "theirs",
        "backbone": named.backbone,
        "regime": named.regime,
        "arm": named.arm,
        "adapter": named.adapter,
        "seed": named.seed,
        "datasets": {"one": {"em": 50.0, "f1": 60.0, "examples": 10}},
    } | fields
    result, faults = hold(values)
    assert faults == []
    return Record(folder / f"{cell}.json", values, run_of(result, values))


def said(findings: Findings, check: str = "") -> list[str]:
    """The faults as lines, up to what to do about them; check: of which one."""
    return [
        str(fault).removesuffix(f": {fault.advice}")
        for fault in findings.faults
        if check in ("", fault.check)
    ]
