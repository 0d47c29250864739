"""Which runs answer which printed number: a table's cells with our values, one per seed, or the state that
they are in.

A row names its runs (backbone, regime, arm, adapter, K). Under any profile but the paper's, the profile's
backbone stands in for the backbone of the table's first model; the rows of the other models are then missing.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from statistics import fmean

from benchmark.comparison.gate import Reason, TableData, data_reasons, run_reasons, seed_reasons
from benchmark.config.cells import ZERO_SHOT
from benchmark.paper.tables import AVERAGE, Ours, Requirements, Row, Table
from benchmark.runs.results import Fault, Identity, Results, Run

LITERATURE, NO_DATA, MISSING, NOT_COMPARABLE = "literature", "no data", "missing", "not comparable"


@dataclass(frozen=True, slots=True)
class Setting:
    """What is compared.

    Attributes:
        profile: of the runs.
        seeds: those that count; None: all.
        listed: the cells that the profile's params file lists.
        active: that file is params.yaml.
        whole: the results folder should hold all listed cells.
        commands: this project makes the runs (those of another paper it does not).
        sizes: the few-shot K that the profile asks for; empty: not known.
    """

    profile: str
    seeds: tuple[int, ...] | None = None
    listed: tuple[str, ...] = ()
    active: bool = True
    whole: bool = False
    commands: bool = True
    sizes: tuple[int, ...] = ()

    def expected(self, identity: Identity) -> tuple[int, ...]:
        """Seeds that this cell should have: those asked for, else those that the profile lists; none where
        there are no seeds.
        """
        if identity.published:
            return ()
        if self.seeds is not None or not self.whole:
            return self.seeds or ()
        cells = (name.rpartition(".s") for name in self.listed)
        return tuple(sorted(int(seed) for stem, _, seed in cells if stem == identity.stem))

    def command(self, identity: Identity) -> str:
        """How the runs of this cell are made, or what keeps them from it; empty where nothing can be said."""
        if not self.commands:
            return ""
        if identity.published:
            return f"`{self.switched(f'python -m benchmark.unifiedqa {identity.backbone}')}`"
        names = [f"{identity.stem}.s{seed}" for seed in self.expected(identity) or (0,)]
        if set(names) <= set(self.listed):
            return f"`{self.switched('dvc repro')}`"
        if self.listed and identity.backbone not in {name.split(".")[0] for name in self.listed}:
            return (
                f"profile {self.profile} has no {identity.backbone}; `python -m benchmark.profile paper` has"
            )
        if identity.K is not None:
            source = f"{replace(identity, K=None).stem}.s0"
            command = self.switched(f"python -m benchmark.transfer {source} --k {identity.K}")
            return f"`{command}`, once {source} is trained"
        more = f" (then {', '.join(names[1:])})" if names[1:] else ""
        train, evaluate = (f"python -m benchmark.{verb} {names[0]}" for verb in ("train", "evaluate"))
        return f"`{self.switched(f'{train} && {evaluate}')}`{more}"

    def not_asked(self, identity: Identity) -> str:
        """Why the profile makes no such few-shot run: its `fewshot.sizes` lack the K. Empty if it does, or
        nothing can be said.
        """
        if identity.K is None or not self.commands or not self.sizes or identity.K in self.sizes:
            return ""
        return f"profile {self.profile} asks for K = {', '.join(map(str, self.sizes))}"

    def counts(self, seed: int | None) -> bool:
        """Whether this seed counts."""
        return self.seeds is None or seed in self.seeds

    def switched(self, command: str) -> str:
        """A command, after the one that makes this profile the active one if it is not."""
        if self.active or not self.listed:
            return command
        return f"python -m benchmark.profile {self.profile} && {command}"


@dataclass(frozen=True, slots=True)
class Match:
    """One printed number and our runs of it.

    Attributes:
        state: one of the words above, or None where the statistics decide.
        values: ours, one per seed, in the order of `seeds`; percent.
        partial: an average over fewer datasets than the paper's, whose difference from it would mean nothing.
    """

    row: Row
    dataset: str
    metric: str
    published: float | None
    decimals: int
    state: str | None
    reason: str = ""
    values: tuple[float, ...] = ()
    seeds: tuple[int, ...] = ()
    runs: tuple[str, ...] = ()
    partial: bool = False


@dataclass(slots=True)
class Matcher:
    """The runs of a results folder by identity, and what their table has in common."""

    results: Results
    requires: Requirements
    setting: Setting
    stand_in: dict[str, str]
    data: TableData = field(default_factory=lambda: TableData({}, ()))
    by_identity: dict[Identity, list[Run]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        for run in sorted(self.results.runs, key=lambda run: run.seed):
            if self.setting.counts(run.seed) or run.identity.published:
                self.by_identity.setdefault(run.identity, []).append(run)

    def identity(self, ours: Ours, K: int | None, dataset: str) -> Identity:
        """The runs that answer a row's column; an ST row has other runs for each dataset."""
        regime = "mt" if ours.regime == "mt" else f"st-{dataset}"
        return Identity(self.stand_in.get(ours.backbone, ours.backbone), regime, ours.arm, ours.adapter, K)

    def runs(self, identity: Identity) -> list[Run]:
        """The runs of this identity, by seed."""
        return self.by_identity.get(identity, [])

    def faults(self, identity: Identity) -> list[Fault]:
        """The damaged files of these runs, of the seeds that count."""
        return [
            fault
            for fault in self.results.faults
            if fault.identity == identity and self.setting.counts(fault.seed)
        ]

    def row_runs(self, row: Row, datasets: tuple[str, ...]) -> list[Run]:
        """All runs of a row."""
        if row.ours is None:
            return []
        identities = dict.fromkeys(self.identity(row.ours, row.K, dataset) for dataset in datasets)
        return [run for identity in identities for run in self.runs(identity)]


def find_stand_in(
    table: Table, results: Results, requires: Requirements, listed: tuple[str, ...] = ()
) -> dict[str, str]:
    """{backbone of the table's first model: the backbone that stands in for it}; empty without need, as under
    the paper's profile.
    """
    rows = [row.ours for row in table.rows if row.ours]
    named = [ours.backbone for ours in rows if ours.arm != ZERO_SHOT]
    backbones = results.backbones or tuple(dict.fromkeys(name.split(".")[0] for name in listed))
    if not named or requires.profile in (None, *results.profiles) or named[0] in backbones:
        return {}
    others = [backbone for backbone in backbones if backbone not in {ours.backbone for ours in rows}]
    return {named[0]: others[0]} if others else {}


def match_row(table: Table, row: Row, matcher: Matcher) -> list[Match]:
    """Every printed number of a row of scores: by metric, datasets first and the average last."""
    matches = []
    for metric in table.metrics:
        cells = [_match_dataset(table, row, metric, dataset, matcher) for dataset in table.datasets]
        matches += cells
        if table.average:
            matches.append(_match_average(table, row, metric, cells))
    return matches


def _match_dataset(table: Table, row: Row, metric: str, dataset: str, matcher: Matcher) -> Match:
    """One dataset's number of a row."""
    match = Match(row, dataset, metric, row.values[metric][dataset], table.decimals[metric], LITERATURE)
    if row.ours is None:
        return match
    identity = matcher.identity(row.ours, row.K, dataset)
    runs, faults = matcher.runs(identity), matcher.faults(identity)
    if not runs and not faults:
        state, reason = _why_no_run(identity, matcher)
        return replace(match, state=state, reason=reason)
    match = replace(match, state=NO_DATA, runs=tuple(run.cell for run in runs))
    scored = [run for run in runs if dataset in run.datasets]
    if runs and not scored:
        empty = next((f"0 examples in {run.cell}" for run in runs if dataset in run.empty), None)
        return replace(match, reason=empty or f"{dataset} is not in these results")
    values = [score for run in scored if (score := run.datasets[dataset].metric(metric)) is not None]
    if len(values) < len(scored):
        return replace(match, reason=f"results have EM and F1, no {metric}")
    present = {run.seed for run in runs} | {fault.seed for fault in faults}
    missing = [
        f"{identity.stem}.s{seed}" for seed in matcher.setting.expected(identity) if seed not in present
    ]
    reasons = seed_reasons(runs, faults, missing, matcher.data.copies)
    if runs:
        reasons = run_reasons(runs, matcher.requires, row.ours.backbone, row.p_f, matcher.data) + reasons
        reasons += data_reasons(scored, dataset, matcher.requires, matcher.data)
        if lacking := [run.cell for run in runs if dataset not in run.datasets]:
            reasons.append(Reason(f"no {dataset} in {', '.join(lacking)}"))
    text = "; ".join(reason.text for reason in reasons)
    match = replace(match, state=NOT_COMPARABLE if reasons else None, reason=text)
    if any(reason.mixed for reason in reasons):
        return match
    return replace(match, values=tuple(values), seeds=tuple(run.seed for run in scored))


def _why_no_run(identity: Identity, matcher: Matcher) -> tuple[str, str]:
    """State and reason of a number that no run answers."""
    setting = matcher.setting
    if identity.published and matcher.requires.profile not in (None, setting.profile):
        return NO_DATA, f"profile {setting.profile} names no weights of {identity.backbone}"
    if reason := setting.not_asked(identity):
        return NO_DATA, reason
    command = setting.command(identity)
    return MISSING, f"no run of {identity.stem}" + (f": {command}" if command else "")


def _match_average(table: Table, row: Row, metric: str, cells: list[Match]) -> Match:
    """The macro average of a row over the datasets with data: one value per seed that all of them have."""
    published, decimals = row.values[metric][AVERAGE], table.decimals[metric]
    match = Match(row, AVERAGE, metric, published, decimals, cells[0].state, cells[0].reason)
    if row.ours is None or all(cell.state == MISSING for cell in cells):
        return match
    match = replace(match, runs=tuple(dict.fromkeys(name for cell in cells for name in cell.runs)))
    if all(cell.state == NO_DATA for cell in cells):
        return replace(match, reason="none of its datasets is in these results") if match.runs else match
    scored = [cell for cell in cells if cell.values]
    common = sorted(set.intersection(*(set(cell.seeds) for cell in scored))) if scored else []
    reasons = _average_reasons(cells, scored, decimals)
    if any(set(cell.seeds) != set(common) for cell in scored):
        reasons.append("its datasets have different seeds")
    by_seed = [dict(zip(cell.seeds, cell.values, strict=True)) for cell in scored]
    return replace(
        match,
        state=NOT_COMPARABLE if reasons else None,
        reason="; ".join(reasons),
        values=tuple(fmean(scores[seed] for scores in by_seed) for seed in common),
        seeds=tuple(common),
        partial=len(scored) < len(cells),
    )


def _average_reasons(cells: list[Match], scored: list[Match], decimals: int) -> list[str]:
    """Why an average cannot be held against the paper's; `scored`: the cells that it is over."""
    gated = [cell for cell in cells if cell.state == NOT_COMPARABLE]
    reasons = list(dict.fromkeys(cell.reason for cell in gated))
    if len(reasons) > 1:
        reasons = [f"{cell.dataset}: {cell.reason}" for cell in gated]
    if missing := [cell.dataset for cell in cells if cell.state == MISSING]:
        reasons.append(f"missing runs: {', '.join(missing)}")
    left_out = [cell for cell in cells if not cell.values]
    if left_out and scored:
        names = ", ".join(cell.dataset for cell in left_out)
        why = "no data:" if all(cell.state == NO_DATA for cell in left_out) else "without"
        reason = f"average over {len(scored)} of {len(cells)} datasets ({why} {names})"
        published = [cell.published for cell in scored if cell.published is not None]
        if len(published) == len(scored):
            reason += f"; the paper's over the same {len(scored)}: {fmean(published):.{decimals}f}"
        reasons.append(reason)
    return reasons
