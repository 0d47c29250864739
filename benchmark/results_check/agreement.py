"""What all results of a folder must have in common, and what sets them apart: profile, evaluator, data;
identity and seed; the arm.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable
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


def _agree(
    values: dict[Record, Any], where: str, findings: Findings, check: str = "agreement", advice: str = UNLIKE
) -> None:
    """A fault for each run whose value, None where it is not recorded, differs from what most runs have."""
    texts = {record: shown(value) for record, value in values.items() if value is not None}
    if len(set(texts.values())) < 2:
        return
    usual = Counter(texts.values()).most_common(1)[0][0]  # of equally many, the one of the first run
    those = [record.cell for record, text in texts.items() if text == usual]
    for record, text in texts.items():
        if text != usual:
            findings.fault(check, record.file, where, text, f"{usual} in {enumerated(those)}", advice)


def _shared(records: list[Record], profile: str | None, findings: Findings) -> None:
    """Profile and evaluator of all runs; the backbone's weights of each backbone."""
    if profile is None:
        _agree({record: record.run.profile for record in records}, "profile", findings)
    for record in records:
        if profile not in (None, record.run.profile):
            stands, expected = shown(record.run.profile), f"this folder is of {shown(profile)}"
            findings.fault("agreement", record.file, "profile", stands, expected, UNLIKE)
    _agree({record: record.run.evaluator for record in records}, "evaluator_version", findings)
    absent = [record.cell for record in records if record.run.evaluator is None]
    why = "that one evaluator scored them all is taken on trust"
    findings.note_absent("agreement", "evaluator_version", absent, len(records), why)
    for of_backbone in _grouped(records, lambda record: record.run.identity.backbone).values():
        _agree({record: record.run.revision for record in of_backbone}, "backbone_revision", findings)


def _data(records: list[Record], findings: Findings) -> None:
    """Digest and size of every dev set, digest of every training set; which datasets were scored."""
    names = dict.fromkeys(name for record in records for name in record.datasets)
    unknown: dict[str, None] = {}
    for name in names:
        entries = {record: record.datasets[name] for record in records if name in record.datasets}
        groups = [("data_sha256", list(entries))]
        for K, of_size in _grouped(entries, lambda record: record.run.identity.K).items():
            groups.append(("examples", of_size))
            if K is None:  # few-shot runs leave out what they were tuned on
                groups.append(("contexts", of_size))
        for key, group in groups:
            _agree({record: entries[record].get(key) for record in group}, f"datasets.{name}.{key}", findings)
        unknown |= {record.cell: None for record in entries if entries[record].get("data_sha256") is None}
    findings.looked["agreement"] = f"{counted(len(records), 'run')}, {counted(len(names), 'dataset')}"
    why = "which data was scored is known by its examples only"
    findings.note_absent("agreement", "data_sha256", list(unknown), len(records), why)
    for key in dict.fromkeys(key for record in records for key in record.trained_on):
        _agree(
            {record: record.trained_on.get(key) for record in records}, f"train_data_sha256.{key}", findings
        )
    for of_setting in _grouped(records, _setting).values():
        every = sorted({name for record in of_setting for name in record.datasets})
        for record in of_setting:
            if lacking := [name for name in every if name not in record.datasets]:
                having = [other.cell for other in of_setting if lacking[0] in other.datasets]
                verb, object_ = "has" if len(having) == 1 else "have", "it" if len(lacking) == 1 else "them"
                stands, expected = f"no {enumerated(lacking, 12)}", f"{enumerated(having)} {verb} {object_}"
                findings.fault("examples", record.file, "datasets", stands, expected)


def _identities(records: list[Record], findings: Findings) -> None:
    """One file per run, one tracked run per file."""
    advice = "keep the one that is this run, and evaluate the other again under its own name"
    runs = _grouped(records, lambda record: (record.run.identity, record.run.seed))
    for (identity, seed), (first, *others) in runs.items():
        for record in others:
            stands, expected = f"{seed}, as in {first.cell}", f"one file a run of {identity.stem}"
            findings.fault("seeds", record.file, "seed", stands, expected, advice)
    tracked = [record for record in records if record.values.get("mlflow_run_id")]
    for first, *others in _grouped(tracked, lambda record: record.values["mlflow_run_id"]).values():
        for record in others:
            stands, expected = f"that of {first.cell}", "each run was tracked as one of its own"
            findings.fault("seeds", record.file, "mlflow_run_id", stands, expected, COPY)


def _arms(records: list[Record], findings: Findings) -> None:
    """Runs that differ by their seed only had the same masks, the same p_F and the same budget."""
    recorded: dict[str, Value] = {
        "p_f": lambda record: record.run.p_f,
        "mask.kind": mask_kind,
        "regularizer.kind": regularizer_kind,
        "mask.density (its datasets)": lambda record: sorted(record.mask.get("density") or {}) or None,
        "budget.mask_steps": lambda record: record.run.mask_steps,
        "budget.epochs": lambda record: record.run.epochs,
        "train_data_sha256 (its files)": lambda record: sorted(record.trained_on) or None,
    }
    groups = _grouped(records, lambda record: record.run.identity)
    for of_identity in groups.values():
        for where, value in recorded.items():
            values = {record: value(record) for record in of_identity}
            _agree(values, where, findings, "arms", ANOTHER_ARM)
    seeds = len({record.run.seed for record in records})
    findings.looked["arms"] = f"{counted(len(groups), 'arm')} by {counted(seeds, 'seed')}"
    for record in records:
        files, regime = list(record.trained_on), record.run.identity.regime
        wanted = f"{regime.removeprefix('st-')}.train"
        if files and regime != "mt" and files != [wanted]:
            stands, expected = enumerated(files, 12), f"{regime} trains on {wanted} alone"
            findings.fault("arms", record.file, "train_data_sha256", stands, expected, ANOTHER_ARM)
    silent = [record.cell for record in records if mask_kind(record) is None]
    why = "an arm under another's name is not seen by it"
    findings.note_absent("arms", "mask beside budget.mask_steps", silent, len(records), why)


def _norms(records: list[Record], findings: Findings) -> None:
    """l2 / relative is the norm of the pretrained weights: one number for every run of a backbone."""
    moved = [
        record
        for record in records
        if record.run.deviation.get("l2") and record.run.deviation.get("relative")
    ]
    for of_weights in _grouped(moved, _weights).values():
        norms = [
            (record.run.deviation["l2"] / record.run.deviation["relative"], _rounding(record), record)
            for record in of_weights
        ]
        usual = median_low(norm for norm, *_ in norms)
        slack = next(rounding for norm, rounding, _ in norms if norm == usual)
        for norm, rounding, record in norms:
            if abs(norm / usual - 1) > NORM + slack + rounding:
                stands = f"l2 / relative is {norm:.4g}"
                expected = (
                    f"the pretrained weights of this backbone have the norm {usual:.4g} in the other runs"
                )
                findings.fault("masks", record.file, "deviation", stands, expected)


def _rounding(record: Record) -> float:
    """Half a unit of the last decimals of l2 and relative as they are written, relative to the values."""
    values = (record.run.deviation["l2"], record.run.deviation["relative"])
    return sum(0.5 * 10.0 ** int(Decimal(repr(value)).as_tuple().exponent) / abs(value) for value in values)


def _weights(record: Record) -> Hashable:
    """Runs that began with the same weights."""
    return record.run.identity.backbone, record.run.revision, record.run.identity.adapter


def _setting(record: Record) -> Hashable:
    """Runs that should have been scored on the same datasets."""
    identity = record.run.identity
    return identity.backbone, identity.regime, identity.adapter, identity.K


def _grouped(records: Iterable[Record], key: Callable[[Record], Any]) -> dict[Any, list[Record]]:
    groups: dict[Any, list[Record]] = {}
    for record in records:
        groups.setdefault(key(record), []).append(record)
    return groups
