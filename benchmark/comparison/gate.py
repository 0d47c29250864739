"""The gate: why runs cannot be held against the paper's numbers, in words. No reason, and the statistics may
speak.

Some reasons are about runs (another profile, backbone, revision, evaluator, budget), some about their data
(another digest, another number of examples) and some about what is missing (runs, seeds, files). `mixed`
marks those where even a mean of ours would be of unlike things, and none is shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

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
    return TableData(
        differences, tuple(sorted({run.evaluator for run in runs if run.evaluator})), copies or {}
    )


def _mixed_data(runs: Sequence[Run], dataset: str) -> Reason | None:
    """How the runs' data of a dataset differ.

    Few-shot runs of another K may be scored on more or fewer examples: not on those that they were tuned on.
    """
    digests = {run.cell: run.datasets[dataset].sha256 for run in runs}
    by_shots: dict[int | None, dict[str, str]] = {}
    for run in runs:
        by_shots.setdefault(run.identity.K, {})[run.cell] = f"{run.datasets[dataset].examples:,}"
    known = {cell: digest[:8] for cell, digest in digests.items() if digest}
    for what, values in (
        ("data digests", known),
        *(("numbers of examples", counts) for counts in by_shots.values()),
    ):
        if len(set(values.values())) > 1:
            return Reason(f"mixed {what}: {_two(values)}", True)
    return None


def run_reasons(
    runs: Sequence[Run], requires: Requirements, backbone: str, p_f: float | None, data: TableData
) -> list[Reason]:
    """Reasons that lie in the runs themselves. backbone, p_f: those of the printed row, whatever stands in
    for it.
    """
    reasons: list[Reason] = []
    profiles = sorted({run.profile for run in runs})
    other = [profile for profile in profiles if requires.profile and profile != requires.profile]
    used = sorted({run.identity.backbone for run in runs} - {backbone})
    instead = f"backbone {', '.join(used)} instead of {backbone}" if used else ""
    if len(profiles) > 1:
        reasons.append(Reason(f"mixed profiles: {', '.join(profiles)}", True))
    elif other:
        reasons.append(Reason(f"profile {other[0]}" + (f": {instead}" if instead else "")))
    elif instead:
        reasons.append(Reason(instead))
    if len(data.evaluators) > 1:
        reasons.append(Reason(f"mixed evaluator versions: {', '.join(data.evaluators)}", True))
    if p_f is not None and (wrong_p_f := [run.p_f for run in runs if run.p_f != p_f]):
        shown = "not recorded" if wrong_p_f[0] is None else f"{wrong_p_f[0]:g}"
        reasons.append(Reason(f"p_F {shown} instead of {p_f:g}"))
    if not other:
        reasons += _paper_reasons(runs, requires, backbone)
    if len(steps := {run.mask_steps for run in runs}) > 1:
        reasons.append(
            Reason(f"mixed step budgets: {', '.join(map(str, sorted(steps, key=str)))} mask steps", True)
        )
    return reasons


def _paper_reasons(runs: Sequence[Run], requires: Requirements, backbone: str) -> list[Reason]:
    """What runs of the paper's profile must have beyond its name."""
    reasons = []
    revision = requires.backbones.get(backbone)
    if revision and (
        wrong := [run for run in runs if run.identity.backbone == backbone and run.revision != revision]
    ):
        shown = f"{_short(wrong[0].revision)} instead of {_short(revision)} ({wrong[0].cell})"
        reasons.append(Reason(f"backbone revision {shown}"))
    if requires.evaluator and (wrong := [run for run in runs if run.evaluator != requires.evaluator]):
        shown = f"{wrong[0].evaluator or 'not recorded'} instead of {requires.evaluator} ({wrong[0].cell})"
        reasons.append(Reason(f"evaluator {shown}"))
    trained = runs[0].identity.K is None and not runs[0].identity.published
    epochs = requires.epochs.get(runs[0].identity.regime.split("-")[0]) if trained else None
    if epochs and (wrong := [run for run in runs if run.epochs != epochs]):
        budget = "not recorded" if wrong[0].epochs is None else f"{wrong[0].epochs:g} epochs"
        reasons.append(Reason(f"step budget {budget} instead of {epochs:g} epochs ({wrong[0].cell})"))
    if copied := next((run for run in runs if run.from_hub), None):
        named = f"{', '.join(copied.from_hub)} ({copied.cell})"
        reasons.append(Reason(f"data of the hub's copy, not known to be the official examples: {named}"))
    return reasons


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
    """Reasons that lie in the data of one dataset."""
    reasons = [data.differences[dataset]] if dataset in data.differences else []
    if any(run.profile != requires.profile for run in runs if requires.profile):
        return reasons
    entries = [run.datasets[dataset] for run in runs if dataset in run.datasets]
    wanted, digest = requires.examples.get(dataset), requires.data_sha256.get(dataset)
    sizes = [entry.examples for entry in entries if entry.examples != wanted]
    if wanted and sizes:
        reasons.append(Reason(f"split size {sizes[0]:,} instead of {wanted:,}"))
    other = [entry.sha256 for entry in entries if entry.sha256 != digest]  # absent is not equal
    if digest and other:
        reasons.append(Reason(f"data digest {_short(other[0])} instead of {_short(digest)}"))
    return reasons


def _two(values: dict[str, str]) -> str:
    """Two cells that differ, and how."""
    first = next(iter(values.items()))
    second = next(item for item in values.items() if item[1] != first[1])
    return f"{first[1]} in {first[0]}, {second[1]} in {second[0]}"


def _short(revision: str | None) -> str:
    """A digest or `name@commit`, its hexadecimal part cut to 12 digits."""
    name, at, digest = (revision or "").rpartition("@")
    return f"{name}{at}{digest[:12]}" if revision else "not recorded"
