"""What one result says of itself must fit together: averages, masks, deviation."""

from __future__ import annotations

import math
from collections.abc import Iterator

from benchmark.rendering.phrases import counted, enumerated
from benchmark.results_check.findings import Findings, shown
from benchmark.results_check.records import Record
from benchmark.runs.predictions import TOLERANCE

SLACK = 0.005
"""By which shares may miss their bounds: foreign results are often rounded to two decimals."""
SUMS = 1e-3
"""By which the squares of the layers' distances may miss the square of the whole, relative."""
EDITED = "an edit, or masks of another run: evaluate the run again"

Contradictions = Iterator[tuple[str, str, str]]
"""Where in the JSON, what stands there, and what belongs there."""


def check_plausible(records: list[Record], findings: Findings) -> None:
    """Averages are those of the datasets; densities, unions, overlaps and distances are ones that masks and
    weights can have.
    """
    for record in records:
        for contradiction in _averages(record):
            findings.fault("means", record.file, *contradiction)
        for parts in (_masks, _densities, _overlaps, _deviation):
            for contradiction in parts(record):
                findings.fault("masks", record.file, *contradiction, EDITED)
    with_masks = sum(record.values.get("mask") is not None for record in records)
    still = [record.cell for record in records if not record.run.deviation]
    moved = len(records) - len(still)
    findings.looked["masks"] = f"{counted(with_masks, 'run')} with masks, {moved} with a deviation"
    findings.note_absent("masks", "deviation", still, len(records), "how far these runs moved is not known")


def _averages(record: Record) -> Contradictions:
    scored = {name: entry for name, entry in record.datasets.items() if entry["examples"]}
    for domain, average in (record.values.get("averages") or {}).items():
        where, names = f"averages.{domain}", average.get("datasets")
        members = [name for name, entry in scored.items() if entry.get("domain") == domain]
        if names is None and not members:
            continue
        names = members if names is None else names
        if unknown := [name for name in names if name not in scored]:
            yield f"{where}.datasets", enumerated(unknown), f"there are scores of {enumerated(scored)}"
        elif members and sorted(names) != sorted(members):
            expected = f"the datasets of this domain are {enumerated(members, 12)}"
            yield f"{where}.datasets", f"over {enumerated(names, 12)}", expected
        else:
            for metric in ("em", "f1"):
                stated = average.get(metric)
                mean = math.fsum(scored[name][metric] for name in names) / len(names) if names else math.nan
                if stated is not None and not abs(stated - mean) <= 2 * TOLERANCE:
                    expected = f"the mean of its {counted(len(names), 'dataset')} is {mean:.4g}"
                    yield f"{where}.{metric}", f"{stated:.6g}", expected
    if both := sorted(set(record.values.get("missing_datasets") or ()) & set(scored)):
        yield "missing_datasets", enumerated(both), "these are scored under `datasets`"


def mask_kind(record: Record) -> str | None:
    """`none`, or the kind of the masks; None where the result does not say.

    A null alone may mean "not recorded"; beside a number of mask steps it means that there was no mask.
    """
    if record.values.get("mask") is not None:
        kind: str | None = record.mask.get("kind")
        return kind
    return "none" if "mask" in record.values and record.run.mask_steps is not None else None


def regularizer_kind(record: Record) -> str | None:
    """`none`, or the regularizer in a mask's place; None where the result does not say."""
    if "regularizer" not in record.values:
        return None
    kind: str | None = (record.values["regularizer"] or {"kind": "none"}).get("kind")
    return kind


def _masks(record: Record) -> Contradictions:
    kind, mask, p_f, steps = mask_kind(record), record.mask, record.run.p_f, record.run.mask_steps
    if kind == "none" and p_f is not None:
        yield "p_f", shown(p_f), "a run without a mask has none"
    if kind in ("none", "random") and steps:
        what = "without a mask" if kind == "none" else "with a random mask"
        yield "budget.mask_steps", shown(steps), f"a run {what} learns none: 0"
    if mask.get("p_f") is not None and p_f is not None and mask["p_f"] != p_f:
        yield "mask.p_f", shown(mask["p_f"]), f"p_f of the run is {shown(p_f)}"
    run_seed, whose = source_seed(record), "run" if record.run.identity.K is None else "source run"
    for where, stated in (("mask", mask), ("mask.about", mask.get("about") or {})):
        if isinstance(seed := stated.get("seed"), int) and run_seed is not None and seed != run_seed:
            yield f"{where}.seed", shown(seed), f"the {whose}'s seed is {run_seed}"


def source_seed(record: Record) -> int | None:
    """The seed that a run's masks were made under: its own, of a few-shot run that of `source_cell`; None
    where that is not recorded.
    """
    if record.run.identity.K is None:
        return record.run.seed
    last = str(record.values.get("source_cell") or "").rsplit(".s", 1)[-1]
    return int(last) if last.isdecimal() else None


def _densities(record: Record) -> Contradictions:
    """max d_i <= union <= min(1, sum d_i); a whole lies between its parts."""
    mask = record.mask
    densities, union = mask.get("density") or {}, mask.get("union_density")
    if densities and union is not None:
        low, high = max(densities.values()), min(1.0, math.fsum(densities.values()))
        if not low - SLACK <= union <= high + SLACK:
            expected = f"allowed: from {low:.4g} (the largest density) to {high:.4g} (their sum)"
            yield "mask.union_density", shown(union), expected
    for group in ("by_layer", "by_kind"):
        for name, parts in (mask.get(group) or {}).items():
            low, high = min(parts.values(), default=0), max(parts.values(), default=1)
            if name in densities and not low - SLACK <= densities[name] <= high + SLACK:
                expected = f"mask.{group} has {low:.4g} to {high:.4g}"
                yield f"mask.density.{name}", shown(densities[name]), expected


def _overlaps(record: Record) -> Contradictions:
    """|A or B| = (a + b) / (1 + J) <= union."""
    overlap, union = record.mask.get("overlap") or {}, record.mask.get("union_density")
    densities = record.mask.get("density") or {}
    for a, row in overlap.items():
        for b, jaccard in row.items():
            where, other = f"mask.overlap.{a}.{b}", overlap.get(b, {}).get(a)
            if a == b and jaccard < 1 - SLACK:
                yield where, shown(jaccard), "a mask overlaps itself wholly: 1"
            elif other is not None and abs(other - jaccard) > SLACK:
                yield where, shown(jaccard), f"the other way round it is {shown(other)}"
            elif a < b and a in densities and b in densities and union is not None:
                pair = (densities[a] + densities[b]) / (1 + jaccard)
                if pair > union + SLACK:
                    expected = (
                        f"then these two alone would open {pair:.4g}, "
                        f"more than the union of all ({union:.4g})"
                    )
                    yield where, shown(jaccard), expected


def _deviation(record: Record) -> Contradictions:
    """Distances are zero together; closed weights do not move; the groups' squares add up to the whole."""
    block, groups = record.values.get("deviation") or {}, record.values.get("deviation_by") or {}
    moved = block.get("total") or block
    l2, relative, changed = (moved.get(key) for key in ("l2", "relative", "changed"))
    if l2 is not None and relative is not None and (l2 == 0) != (relative == 0):
        yield "deviation.relative", shown(relative), f"l2 is {shown(l2)}: both are 0 or neither"
    if l2 and changed == 0:
        yield "deviation.changed", shown(changed), f"weights moved by {l2:.4g}"
    about, union = record.mask.get("about") or {}, record.mask.get("union_density")
    held = (
        not about.get("targets")
        and about.get("schedule", "two_phase") == "two_phase"
        and about.get("scope") != "per_batch"
    )
    if changed is not None and union is not None and held and changed > union + SLACK:
        yield "deviation.changed", shown(changed), f"the masks open {union:.4g} of the weights"
    total = groups.get("total", moved)
    if moved and total != moved:
        yield "deviation", shown(moved), f"deviation_by.total is {shown(total)}"
    whole = total.get("l2")
    for prefix in ("layer/", "kind/"):
        parts = [part.get("l2") for key, part in groups.items() if key.startswith(prefix)]
        if parts and None not in parts and whole is not None:
            made = math.sqrt(math.fsum(part * part for part in parts))
            if abs(made - whole) > SUMS * max(whole, made):
                expected = f"those of deviation_by.{prefix}* make {made:.6g}"
                yield "deviation.l2", f"{whole:.6g}", expected
