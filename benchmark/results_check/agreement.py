"""What all results of a folder must have in common, and what sets them apart: profile, evaluator, data;
identity and seed; the arm.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from decimal import Decimal
from statistics import median_low
from typing import Any

from benchmark.rendering.phrases import counted, enumerated
from benchmark.results_check.findings import Findings, shown
from benchmark.results_check.plausibility import mask_kind, regularizer_kind
from benchmark.results_check.records import Record

UNLIKE = "results of unlike things: keep them in folders of their own, or evaluate again"
COPY = "one is a copy of the other: evaluate it again from its own training"
ANOTHER_ARM = "a file of another arm under this name, or an edit: evaluate the run again"
NORM = 0.01
"""By which ||theta_0|| = l2 / relative may differ between runs of one backbone, relative, beyond the rounding
of both.
"""

Value = Callable[[Record], Any]


def check_agreement(records: list[Record], profile: str | None, findings: Findings) -> None:
    """Compare the results with one another. profile: the one that they must all be of, or None for any single
    one.
    """
    _shared(records, profile, findings)
    _data(records, findings)
    _identities(records, findings)
    _arms(records, findings)
    _norms(records, findings)


def _shared(records: list[Record], profile: str | None, findings: Findings) -> None:
    """Profile and evaluator of all runs; the backbone's weights of each backbone."""
    if profile is not None:
        for record in (record for record in records if record.run.profile != profile):
            findings.fault(
                "agreement",
                record.file,
                "profile",
                shown(record.run.profile),
                f"this folder is of {shown(profile)}",
                UNLIKE,
            )
    else:
        findings.agree(
            "agreement", "profile", {record.cell: record.run.profile for record in records}, UNLIKE
        )
    findings.agree(
        "agreement", "evaluator_version", {record.cell: record.run.evaluator for record in records}, UNLIKE
    )
    absent = [record.cell for record in records if record.run.evaluator is None]
    findings.note_absent(
        "agreement",
        "evaluator_version",
        absent,
        len(records),
        "that one evaluator scored them all is taken on trust",
    )
    for of_backbone in _grouped(records, lambda record: record.run.identity.backbone).values():
        findings.agree(
            "agreement",
            "backbone_revision",
            {record.cell: record.run.revision for record in of_backbone},
            UNLIKE,
        )


def _data(records: list[Record], findings: Findings) -> None:
    """Digest and size of every dev set, digest of every training set; which datasets were scored."""
    names = list(dict.fromkeys(name for record in records for name in record.values["datasets"]))
    unknown: dict[str, list[str]] = {}
    for name in names:
        entries = {
            record.cell: record.values["datasets"][name]
            for record in records
            if name in record.values["datasets"]
        }
        digests = {cell: entry.get("data_sha256") for cell, entry in entries.items()}
        findings.agree("agreement", f"datasets.{name}.data_sha256", digests, UNLIKE)
        for K, of_size in _grouped(records, lambda record: record.run.identity.K).items():
            for key in (
                ("examples",) if K is not None else ("examples", "contexts")
            ):  # few-shot runs leave out what they were tuned on
                sizes = {
                    record.cell: entries[record.cell].get(key) for record in of_size if record.cell in entries
                }
                findings.agree("agreement", f"datasets.{name}.{key}", sizes, UNLIKE)
        for cell, entry in entries.items():
            if entry.get("data_sha256") is None:
                unknown.setdefault(cell, []).append(name)
    findings.looked["agreement"] = f"{counted(len(records), 'run')}, {counted(len(names), 'dataset')}"
    findings.note_absent(
        "agreement",
        "data_sha256",
        list(unknown),
        len(records),
        "which data was scored is known by its examples only",
    )
    trained = [key for record in records for key in record.values.get("train_data_sha256") or {}]
    for key in dict.fromkeys(trained):
        digests = {record.cell: (record.values.get("train_data_sha256") or {}).get(key) for record in records}
        findings.agree("agreement", f"train_data_sha256.{key}", digests, UNLIKE)
    for of_setting in _grouped(records, _setting).values():
        scored = {record.cell: sorted(record.values["datasets"]) for record in of_setting}
        every = sorted({name for datasets in scored.values() for name in datasets})
        for cell, datasets in scored.items():
            if lacking := [name for name in every if name not in datasets]:
                having = [other for other, theirs in scored.items() if lacking[0] in theirs]
                verb, object_ = "has" if len(having) == 1 else "have", "it" if len(lacking) == 1 else "them"
                expected = f"{enumerated(having)} {verb} {object_}"
                findings.fault(
                    "examples", f"{cell}.json", "datasets", f"no {enumerated(lacking, 12)}", expected
                )


def _identities(records: list[Record], findings: Findings) -> None:
    """One file per run, one tracked run per file."""
    for (identity, seed), same_run in _grouped(
        records, lambda record: (record.run.identity, record.run.seed)
    ).items():
        for record in same_run[1:]:
            advice = "keep the one that is this run, and evaluate the other again under its own name"
            stated, expected = f"{seed}, as in {same_run[0].cell}", f"one file a run of {identity.stem}"
            findings.fault("seeds", record.file, "seed", stated, expected, advice)
    for reference, same_reference in _grouped(
        records, lambda record: record.values.get("mlflow_run_id")
    ).items():
        for record in same_reference[1:] if reference else []:
            stated, expected = (
                f"that of {same_reference[0].cell}",
                "each run was tracked as one of its own",
            )
            findings.fault("seeds", record.file, "mlflow_run_id", stated, expected, COPY)


def _arms(records: list[Record], findings: Findings) -> None:
    """Runs that differ by their seed only had the same masks, the same p_F and the same budget."""
    recorded: dict[str, Value] = {
        "p_f": lambda record: record.run.p_f,
        "mask.kind": lambda record: mask_kind(record.values),
        "regularizer.kind": lambda record: regularizer_kind(record.values),
        "mask.density (its datasets)": lambda record: (
            sorted((record.values.get("mask") or {}).get("density") or {}) or None
        ),
        "budget.mask_steps": lambda record: record.run.mask_steps,
        "budget.epochs": lambda record: record.run.epochs,
        "train_data_sha256 (its files)": lambda record: (
            sorted(record.values.get("train_data_sha256") or {}) or None
        ),
    }
    groups = _grouped(records, lambda record: record.run.identity)
    for of_identity in groups.values():
        for where, value in recorded.items():
            findings.agree("arms", where, {record.cell: value(record) for record in of_identity}, ANOTHER_ARM)
    findings.looked["arms"] = (
        f"{counted(len(groups), 'arm')} by {counted(len({record.run.seed for record in records}), 'seed')}"
    )
    for record in records:
        files, regime = record.values.get("train_data_sha256") or {}, record.run.identity.regime
        wanted = f"{regime.removeprefix('st-')}.train"
        if files and regime != "mt" and list(files) != [wanted]:
            findings.fault(
                "arms",
                record.file,
                "train_data_sha256",
                enumerated(files, 12),
                f"{regime} trains on {wanted} alone",
                ANOTHER_ARM,
            )
    silent = [record.cell for record in records if mask_kind(record.values) is None]
    findings.note_absent(
        "arms",
        "mask beside budget.mask_steps",
        silent,
        len(records),
        "an arm under another's name is not seen by it",
    )


def _norms(records: list[Record], findings: Findings) -> None:
    """l2 / relative is the norm of the pretrained weights: one number for every run of a backbone."""
    for of_weights in _grouped(
        records,
        lambda record: (record.run.identity.backbone, record.run.revision, record.run.identity.adapter),
    ).values():
        moved = {record.cell: record.run.deviation for record in of_weights}
        norms = {
            cell: (both["l2"] / both["relative"], _rounding(both["l2"]) + _rounding(both["relative"]))
            for cell, both in moved.items()
            if both.get("l2") and both.get("relative")
        }
        if not norms:
            continue
        usual = median_low(norm for norm, _ in norms.values())
        slack = next(rounding for norm, rounding in norms.values() if norm == usual)
        for cell, (norm, rounding) in norms.items():
            if abs(norm / usual - 1) > NORM + slack + rounding:
                stated = f"l2 / relative is {norm:.4g}"
                expected = (
                    f"the pretrained weights of this backbone have the norm {usual:.4g} in the other runs"
                )
                findings.fault("masks", f"{cell}.json", "deviation", stated, expected)


def _rounding(value: float) -> float:
    """Half a unit of the last decimal that is written, relative to the value."""
    exponent = Decimal(repr(value)).as_tuple().exponent
    return 0.5 * 10.0 ** int(exponent) / abs(value)


def _setting(record: Record) -> Hashable:
    """Runs that should have been scored on the same datasets."""
    identity = record.run.identity
    return identity.backbone, identity.regime, identity.adapter, identity.K


def _grouped(records: list[Record], key: Callable[[Record], Any]) -> dict[Any, list[Record]]:
    groups: dict[Any, list[Record]] = {}
    for record in records:
        groups.setdefault(key(record), []).append(record)
    return groups
