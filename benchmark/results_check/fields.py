"""The fields of a result's JSON: which must be there, of what type, in what range
(benchmark/runs/result_schema.py).
"""

from __future__ import annotations

from typing import Any

from benchmark.results_check.findings import Findings, shown
from benchmark.runs.result_schema import hold, in_words, take_out


def check_fields(values: dict[str, Any], file: str, findings: Findings) -> None:
    """Hold a result's fields against the schema.

    What is wrong and optional is taken out of `values`, so that later checks meet only what can be computed
    with.
    """
    for fault in hold(values)[1]:
        value = "missing" if fault.problem == "missing" else shown(fault.value)
        findings.fault("fields", file, fault.key, value, f"allowed: {in_words(fault)}")
        take_out(values, fault)
