"""The gate: why runs cannot be held against the paper's numbers, in words. No reason, and the statistics may
speak.

Some reasons are about runs (another profile, backbone, revision, evaluator, budget), some about their data
(another digest, another number of examples) and some about what is missing (runs, seeds, files). `mixed`
marks those where even a mean of ours would be of unlike things, and none is shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmark.paper.tables import Requirements
from benchmark.runs.results import Fault, Run

FEWEST_SEEDS = 2
PUBLISHED = (
    "scored as it was published: it has no seeds, so nothing says how far from the printed numbers is too far"
)


@dataclass(frozen=True, slots=True)
class Reason:
    """Why not. mixed: the runs are of unlike things, so that their mean means nothing."""

    text: str
    mixed: bool = False


@dataclass(frozen=True, slots=True)
class TableData:
    """What every run of a table must agree on, and where they do not: by dataset, and the evaluator. copies:
    runs that repeat another run's scores, and whose.
    """

    differences: dict[str, Reason]
    evaluators: tuple[str, ...]
    copies: dict[str, str] = field(default_factory=dict)


def table_data(
    runs: Sequence[Run],
    datasets: Sequence[str] = (),
    different: dict[str, str] | None = None,
    copies: dict[str, str] | None = None,
) -> TableData:
    """The differences between all runs of a table.

    Args:
        runs: those that any row or claim of the table needs.
        datasets: the table's.
        different: datasets whose example ids differ between runs, and between which.
        copies: as in `TableData`.
    """
    differences = {
        dataset: Reason(f"mixed examples: {text}", True) for dataset, text in (different or {}).items()
    }
    for dataset in datasets:
        if reason := _mixed_data([run for run in runs if dataset in run.datasets], dataset):
            differences[dataset] = reason
    evaluators = sorted({run.evaluator for run in runs if run.evaluator})
    return TableData(differences, tuple(evaluators), copies or {})


def _mixed_data(runs: Sequence[Run], dataset: str) -> Reason | None:
    """How the runs' data of a dataset differ, by the first two that do.

    Few-shot runs of another K may be scored on more or fewer examples: not on those that they were tuned on.
    """
    digests = {run.cell: digest[:8] for run in runs if (digest := run.datasets[dataset].sha256)}
    by_shots: dict[int | None, dict[str, str]] = {}
    for run in runs:
        by_shots.setdefault(run.identity.K, {})[run.cell] = f"{run.datasets[dataset].examples:,}"
    for what, values in (
        ("data digests", digests),
        *(("numbers of examples", counts) for counts in by_shots.values()),
    ):
        cells = list(values.items())
        for cell, value in cells[1:]:
            if value != cells[0][1]:
                return Reason(f"mixed {what}: {cells[0][1]} in {cells[0][0]}, {value} in {cell}", True)
    return None


def mixed(what: str, values: Iterable[str], unit: str = "") -> list[Reason]:
    """The reason against runs that should have one value in common and do not, or none."""
    distinct = sorted(set(values))
    return [Reason(f"mixed {what}: {', '.join(distinct)}{unit}", True)] if len(distinct) > 1 else []


def run_reasons(
    runs: Sequence[Run], requires: Requirements, backbone: str, p_f: float | None, data: TableData
) -> list[Reason]:
    """Reasons that lie in the runs themselves. backbone, p_f: those of the printed row, whatever stands in
    for it.
    """
    reasons = mixed("profiles", (run.profile for run in runs))
    other = [run.profile for run in runs if requires.profile and run.profile != requires.profile]
    used = sorted({run.identity.backbone for run in runs} - {backbone})
    differences = [f"profile {other[0]}"] if other else []
    differences += [f"backbone {', '.join(used)} instead of {backbone}"] if used else []
    if differences and not reasons:
        reasons.append(Reason(": ".join(differences)))
    reasons += mixed("evaluator versions", data.evaluators)
    reasons += _instead("p_F", p_f, [run.p_f for run in runs], "{:g}".format)
    if not other:
        reasons += _paper_reasons(runs, requires, backbone)
    return reasons + mixed("step budgets", (str(run.mask_steps) for run in runs), " mask steps")


def _paper_reasons(runs: Sequence[Run], requires: Requirements, backbone: str) -> list[Reason]:
    """What runs of the paper's profile must have beyond its name."""
    identity, cells = runs[0].identity, [run.cell for run in runs]
    revision = requires.backbones.get(backbone) if identity.backbone == backbone else None
    trained = identity.K is None and not identity.published
    epochs = requires.epochs.get(identity.regime.split("-")[0]) if trained else None
    reasons = [
        *_instead("backbone revision", revision, [run.revision for run in runs], _short, cells),
        *_instead("evaluator", requires.evaluator, [run.evaluator for run in runs], str, cells),
        *_instead("step budget", epochs, [run.epochs for run in runs], "{:g} epochs".format, cells),
    ]
    if copied := next((run for run in runs if run.from_hub), None):
        named = f"{', '.join(copied.from_hub)} ({copied.cell})"
        reasons.append(Reason(f"data of the hub's copy, not known to be the official examples: {named}"))
    return reasons


def _instead(
    what: str, wanted: Any, values: Sequence[Any], shown: Callable[[Any], str], cells: Sequence[str] = ()
) -> list[Reason]:
    """The reason against the first of `values` that is not the one wanted (None: any will do), with its run's
    name where `cells` has the names.
    """
    for index, value in enumerate(values if wanted is not None else ()):
        if value != wanted:
            text = shown(value) if value or value == 0 else "not recorded"
            where = f" ({cells[index]})" if cells else ""
            return [Reason(f"{what} {text} instead of {shown(wanted)}{where}")]
    return []


def seed_reasons(
    runs: Sequence[Run], faults: Iterable[Fault], missing: Sequence[str], copies: Mapping[str, str]
) -> list[Reason]:
    """Reasons that lie in the seeds. missing: names of runs that should exist and do not. copies: as in
    `TableData`.
    """
    reasons = [Reason(f"unreadable {fault}") for fault in faults]
    seeds = [run.seed for run in runs]
    if twice := sorted({seed for seed in seeds if seeds.count(seed) > 1}):
        cells = ", ".join(run.cell for run in runs if run.seed == twice[0])
        reasons.append(Reason(f"duplicate seeds: {twice[0]} in {cells}", True))
    elif again := next((run.cell for run in runs if run.cell in copies), None):
        reasons.append(Reason(f"duplicate runs: every score of {again} is that of {copies[again]}", True))
    if missing:
        reasons.append(Reason(f"missing runs: {', '.join(missing)}"))
    if runs and runs[0].identity.published:
        reasons.append(Reason(PUBLISHED))
    elif runs and len(set(seeds)) < FEWEST_SEEDS:
        reasons.append(Reason(f"one seed ({seeds[0]}): at least {FEWEST_SEEDS} are needed"))
    return reasons


def data_reasons(runs: Sequence[Run], dataset: str, requires: Requirements, data: TableData) -> list[Reason]:
    """Reasons that lie in the data of one dataset, which all of `runs` have scores of."""
    reasons = [data.differences[dataset]] if dataset in data.differences else []
    if any(run.profile != requires.profile for run in runs if requires.profile):
        return reasons
    entries = [run.datasets[dataset] for run in runs]
    wanted, digest = requires.examples.get(dataset), requires.data_sha256.get(dataset)
    reasons += _instead("split size", wanted, [entry.examples for entry in entries], "{:,}".format)
    return reasons + _instead("data digest", digest, [entry.sha256 for entry in entries], _short)


def _short(revision: str) -> str:
    """A digest or `name@commit`, its hexadecimal part cut to 12 digits."""
    name, at, digest = revision.rpartition("@")
    return f"{name}{at}{digest[:12]}"
