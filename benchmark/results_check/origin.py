"""Where results come from, as far as this project holds it: the arms that the profile declares, and the
trained runs under `runs/`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmark.config.params import Arm, load, repository_root
from benchmark.rendering.phrases import counted
from benchmark.results_check.agreement import ANOTHER_ARM
from benchmark.results_check.findings import Findings, shown
from benchmark.results_check.plausibility import mask_kind, regularizer_kind
from benchmark.results_check.records import Record
from benchmark.runs.result_schema import KEPT
from benchmark.runs.seal import SEAL
from bmt.errors import ConfigError

STALE = "the scores of another training, or an edit: evaluate the run again"


def check_declared(records: list[Record], findings: Findings) -> None:
    """An arm that the profile of a run declares (params.yaml or profiles/) has the masks, p_F and regularizer
    that are declared.
    """
    declared = {
        profile: _arms(profile, findings)
        for profile in dict.fromkeys(record.run.profile for record in records)
    }
    for record in records:
        run = record.run
        arm, kind = declared[run.profile].get(run.identity.arm), mask_kind(record)
        if arm is None:
            continue
        declares = f"profile {run.profile} declares the arm {run.identity.arm} with"
        for where, stands, wanted in (
            ("mask.kind", kind, arm.mask),
            ("regularizer.kind", regularizer_kind(record), arm.regularizer),
        ):
            if stands is not None and stands != wanted:
                expected = f"{declares} {where.split('.')[0]}: {wanted}"
                findings.fault("arms", record.file, where, shown(stands), expected, ANOTHER_ARM)
        if run.p_f != arm.p_f and (run.p_f is not None or kind is not None):
            findings.fault(
                "arms", record.file, "p_f", shown(run.p_f), f"{declares} p_f: {shown(arm.p_f)}", ANOTHER_ARM
            )


def _arms(profile: str, findings: Findings) -> dict[str, Arm]:
    """The arms of a profile of this project; none for a foreign one."""
    root, broken = repository_root(), ""
    for path in (root / "params.yaml", root / "profiles" / f"{profile}.yaml"):
        try:
            if path.is_file() and (config := load(path)).profile == profile:
                return config.arms
        except ConfigError as error:
            broken = str(error)
    if broken:
        findings.note("arms", f"what the arms of profile {profile} are is not known: {broken}")
    return {}


def check_trained(records: list[Record], runs: Path | None, findings: Findings) -> None:
    """Hold results against the trainings that they are of: `<runs>/<cell>/training.json` and `metrics.json`,
    where they are there.
    """
    loose = []
    for record in records:
        training = _json(runs / record.cell / "training.json") if runs else None
        if runs is None or training is None:
            loose.append(record)
            continue
        stated = record.values
        holds = [(key, stated.get(key), "training", training[key]) for key in KEPT if key in training]
        moved = training.get("deviation")
        if isinstance(moved, dict) and "total" in moved:
            holds.append(("deviation", stated.get("deviation"), "training", moved["total"]))
        averages, headline = stated.get("averages") or {}, _json(runs / record.cell / "metrics.json") or {}
        holds += [  # what evaluation wrote for `dvc metrics`
            (f"averages.{domain}.{metric}", averages.get(domain, {}).get(metric), "metrics", value)
            for metric in ("em", "f1")
            for domain, value in (headline.get(metric) or {}).items()
        ]
        for where, stands, file, wanted in holds:
            if stands != wanted:
                expected = f"{record.cell}/{file}.json of the trained run has {shown(wanted)}"
                findings.fault("origin", record.file, where, shown(stands), expected, STALE)
    findings.looked["origin"] = f"{len(records) - len(loose)} of {counted(len(records), 'run')}"
    unsealed = [record.cell for record in loose if record.values.get(SEAL) is None]
    why = "that scores were not exchanged between arms is taken on trust"
    findings.note_absent(
        "origin", f"trained run (runs/<profile>/<cell>), and no {SEAL},", unsealed, len(records), why
    )


def _json(path: Path) -> dict[str, Any] | None:
    """A JSON object, or None where there is none: the stages that write it complain themselves."""
    try:
        values = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return values if isinstance(values, dict) else None
