"""What one result says of itself must fit together: averages, masks, deviation."""

from __future__ import annotations

import math
from typing import Any

from benchmark.rendering.phrases import counted, enumerated
from benchmark.results_check.findings import Findings, shown
from benchmark.results_check.records import Record
from benchmark.runs.predictions import TOLERANCE

SLACK = 0.005
"""By which shares may miss their bounds: foreign results are often rounded to two decimals."""
SUMS = 1e-3
"""By which the squares of the layers' distances may miss the square of the whole, relative."""
EDITED = "an edit, or masks of another run: evaluate the run again"


def check_plausible(records: list[Record], findings: Findings) -> None:
    """Averages are those of the datasets; densities, unions, overlaps and distances are ones that masks and
    weights can have.
    """
    for record in records:
        _averages(record, findings)
        _masks(record, findings)
        _deviation(record, findings)
    with_masks = sum(record.values.get("mask") is not None for record in records)
    moved = sum(bool(record.run.deviation) for record in records)
    findings.looked["masks"] = f"{counted(with_masks, 'run')} with masks, {moved} with a deviation"
    absent = [record.cell for record in records if not record.run.deviation]
    findings.note_absent("masks", "deviation", absent, len(records), "how far these runs moved is not known")


def _averages(record: Record, findings: Findings) -> None:
    values = record.values
    scored = {name: entry for name, entry in values["datasets"].items() if entry["examples"]}
    for domain, average in (values.get("averages") or {}).items():
        where, names = f"averages.{domain}", average.get("datasets")
        members = [name for name, entry in scored.items() if entry.get("domain") == domain]
        if names is None and not members:
            continue
        names = members if names is None else names
        if unknown := [name for name in names if name not in scored]:
            findings.fault(
                "means",
                record.file,
                f"{where}.datasets",
                enumerated(unknown),
                f"there are scores of {enumerated(scored)}",
            )
            continue
        if members and sorted(names) != sorted(members):
            stands, expected = (
                f"over {enumerated(names, 12)}",
                f"the datasets of this domain are {enumerated(members, 12)}",
            )
            findings.fault("means", record.file, f"{where}.datasets", stands, expected)
            continue
        for metric in ("em", "f1"):
            stated = average.get(metric)
            mean = math.fsum(scored[name][metric] for name in names) / len(names) if names else math.nan
            if stated is not None and not abs(stated - mean) <= 2 * TOLERANCE:
                expected = f"the mean of its {counted(len(names), 'dataset')} is {mean:.4g}"
                findings.fault("means", record.file, f"{where}.{metric}", f"{stated:.6g}", expected)
    if both := sorted(set(values.get("missing_datasets") or ()) & set(scored)):
        findings.fault(
            "means", record.file, "missing_datasets", enumerated(both), "these are scored under `datasets`"
        )


def mask_kind(values: dict[str, Any]) -> str | None:
    """`none`, or the kind of the masks; None where the result does not say.

    A null alone may mean "not recorded"; beside a number of mask steps it means that there was no mask.
    """
    mask = values.get("mask")
    if mask is not None:
        kind: str | None = mask.get("kind")
        return kind
    recorded = "mask" in values and (values.get("budget") or {}).get("mask_steps") is not None
    return "none" if recorded else None


def regularizer_kind(values: dict[str, Any]) -> str | None:
    """`none`, or the regularizer in a mask's place; None where the result does not say."""
    kind: str | None = (
        (values["regularizer"] or {"kind": "none"}).get("kind") if "regularizer" in values else None
    )
    return kind


def _masks(record: Record, findings: Findings) -> None:
    values, file = record.values, record.file
    kind, mask, p_f = mask_kind(values), values.get("mask") or {}, values.get("p_f")
    steps = (values.get("budget") or {}).get("mask_steps")
    if kind == "none" and p_f is not None:
        findings.fault("masks", file, "p_f", shown(p_f), "a run without a mask has none", EDITED)
    if kind in ("none", "random") and steps:
        what = "without a mask" if kind == "none" else "with a random mask"
        findings.fault(
            "masks", file, "budget.mask_steps", shown(steps), f"a run {what} learns none: 0", EDITED
        )
    if mask.get("p_f") is not None and p_f is not None and mask["p_f"] != p_f:
        findings.fault(
            "masks", file, "mask.p_f", shown(mask["p_f"]), f"p_f of the run is {shown(p_f)}", EDITED
        )
    run_seed = source_seed(record)
    for where, seed in (
        ("mask.seed", mask.get("seed")),
        ("mask.about.seed", (mask.get("about") or {}).get("seed")),
    ):
        if isinstance(seed, int) and run_seed is not None and seed != run_seed:
            whose = "run" if record.run.identity.K is None else "source run"
            findings.fault("masks", file, where, shown(seed), f"the {whose}'s seed is {run_seed}", EDITED)
    _densities(record, mask, findings)


def source_seed(record: Record) -> int | None:
    """The seed that a run's masks were made under: its own, of a few-shot run that of `source_cell`; None
    where that is not recorded.
    """
    if record.run.identity.K is None:
        return record.run.seed
    last = str(record.values.get("source_cell") or "").rsplit(".s", 1)[-1]
    return int(last) if last.isdecimal() else None


def _densities(record: Record, mask: dict[str, Any], findings: Findings) -> None:
    """max d_i <= union <= min(1, sum d_i); |A or B| = (a + b) / (1 + J) <= union; a whole lies between its
    parts.
    """
    densities, union, file = mask.get("density") or {}, mask.get("union_density"), record.file
    if densities and union is not None:
        low, high = max(densities.values()), min(1.0, math.fsum(densities.values()))
        if not low - SLACK <= union <= high + SLACK:
            expected = f"from {low:.4g} (the largest density) to {high:.4g} (their sum)"
            findings.fault("masks", file, "mask.union_density", shown(union), f"allowed: {expected}", EDITED)
    for group in ("by_layer", "by_kind"):
        for name, parts in (mask.get(group) or {}).items():
            if (
                name in densities
                and parts
                and not min(parts.values()) - SLACK <= densities[name] <= max(parts.values()) + SLACK
            ):
                expected = f"mask.{group} has {min(parts.values()):.4g} to {max(parts.values()):.4g}"
                findings.fault(
                    "masks", file, f"mask.density.{name}", shown(densities[name]), expected, EDITED
                )
    for a, row in (mask.get("overlap") or {}).items():
        for b, jaccard in row.items():
            where, other = f"mask.overlap.{a}.{b}", mask["overlap"].get(b, {}).get(a)
            if a == b and jaccard < 1 - SLACK:
                findings.fault(
                    "masks", file, where, shown(jaccard), "a mask overlaps itself wholly: 1", EDITED
                )
            elif other is not None and abs(other - jaccard) > SLACK:
                findings.fault(
                    "masks", file, where, shown(jaccard), f"the other way round it is {shown(other)}", EDITED
                )
            elif a < b and a in densities and b in densities and union is not None:
                pair = (densities[a] + densities[b]) / (1 + jaccard)
                if pair > union + SLACK:
                    expected = (
                        f"then these two alone would open {pair:.4g}, "
                        f"more than the union of all ({union:.4g})"
                    )
                    findings.fault("masks", file, where, shown(jaccard), expected, EDITED)


def _deviation(record: Record, findings: Findings) -> None:
    """Distances are zero together; closed weights do not move; the groups' squares add up to the whole."""
    values, file = record.values, record.file
    block = values.get("deviation") or {}
    moved = block.get("total") or block
    l2, relative, changed = (moved.get(key) for key in ("l2", "relative", "changed"))
    if l2 is not None and relative is not None and (l2 == 0) != (relative == 0):
        findings.fault(
            "masks",
            file,
            "deviation.relative",
            shown(relative),
            f"l2 is {shown(l2)}: both are 0 or neither",
            EDITED,
        )
    if l2 and changed == 0:
        findings.fault(
            "masks", file, "deviation.changed", shown(changed), f"weights moved by {l2:.4g}", EDITED
        )
    mask = values.get("mask") or {}
    about, union = mask.get("about") or {}, mask.get("union_density")
    held = (
        not about.get("targets")
        and about.get("schedule", "two_phase") == "two_phase"
        and about.get("scope") != "per_batch"
    )
    if changed is not None and union is not None and held and changed > union + SLACK:
        findings.fault(
            "masks",
            file,
            "deviation.changed",
            shown(changed),
            f"the masks open {union:.4g} of the weights",
            EDITED,
        )
    groups = values.get("deviation_by") or {}
    total = groups.get("total", moved).get("l2")
    if moved and "total" in groups and groups["total"] != moved:
        findings.fault(
            "masks",
            file,
            "deviation",
            shown(moved),
            f"deviation_by.total is {shown(groups['total'])}",
            EDITED,
        )
    for prefix in ("layer/", "kind/"):
        parts = [part.get("l2") for key, part in groups.items() if key.startswith(prefix)]
        if parts and None not in parts and total is not None:
            whole = math.sqrt(math.fsum(part * part for part in parts))
            if abs(whole - total) > SUMS * max(total, whole):
                expected = f"those of deviation_by.{prefix}* make {whole:.6g}"
                findings.fault("masks", file, "deviation.l2", f"{total:.6g}", expected, EDITED)
