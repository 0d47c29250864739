"""What `benchmark.plan` shows: a document, or the documented JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from benchmark.cli.progress import duration
from benchmark.paper.tables import Table, table_name
from benchmark.planning.assembly import Item, TablePlan
from benchmark.planning.commands import shown
from benchmark.planning.schedule import JobOutcome
from benchmark.planning.states import RESULTS, TRAINED
from benchmark.rendering.document import (
    Block,
    Column,
    Document,
    Paragraph,
    TextCell,
    TextRow,
    text_table,
    with_code,
)
from benchmark.rendering.phrases import counted

FORMAT = 1
COLUMNS = (
    Column("state", "left"),
    Column("run", "left"),
    Column("time"),
    Column("disk", drop=1),
    Column("command", "left", least=30),
)


@dataclass(frozen=True, slots=True)
class Terms:
    """How the plan is to be run.

    params: the params file that commands name, or None. wall: seconds with `slots` runs at a time. free:
        bytes of the disk. threads: that
    the profile gives every run. listed: the profile's own cells.
    """

    table: Table
    profile: str
    params: str | None
    stand_in: Mapping[str, str]
    slots: int
    gpus: tuple[str, ...]
    keep: str
    wall: float
    free: int
    threads: int | None = None
    listed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over what is to be run; bytes. running: checkpoints, and with `keep: none` models, of the jobs
    that run at a time.
    """

    there: int
    to_run: int
    seconds: float
    kept: int
    kept_without_models: int
    running: int


def totals(plan: TablePlan, terms: Terms) -> Totals:
    """What a plan comes to."""
    disks = [item.disk for item in plan.to_run if item.disk is not None]
    heaviest = sorted(
        (disk.checkpoints + (disk.model if terms.keep == "none" else 0) for disk in disks), reverse=True
    )
    return Totals(
        there=sum(not item.to_run and item.state.kind in (RESULTS, TRAINED) for item in plan.items),
        to_run=len(plan.to_run),
        seconds=sum(item.seconds for item in plan.to_run),
        kept=sum(disk.kept("best") for disk in disks),
        kept_without_models=sum(disk.kept("none") for disk in disks),
        running=sum(heaviest[: terms.slots]),
    )


def plan_document(plan: TablePlan, terms: Terms) -> Document:
    """What a table needs, run by run; what cannot be made; and what the rest comes to."""
    sums = totals(plan, terms)
    stands = "".join(f"; {ours} stands in for {theirs}" for theirs, ours in terms.stand_in.items())
    title = (
        f"{table_name(terms.table.table)} on profile {terms.profile}{stands}: "
        f"{counted(len(plan.items), 'run')}, {sums.there} there, {sums.to_run} to run"
    )
    blocks: list[Block] = []
    if plan.preparation:
        blocks.append(Paragraph(f"first: {shown(plan.preparation)}"))
    if plan.items:
        blocks.append(text_table(COLUMNS, [_row(item, terms.keep) for item in plan.items]))
    lines = [f"{rows}: {reason}" for rows, reason in _unavailable(plan)]
    lines += [
        f"speed: {basis}" for basis in dict.fromkeys(item.speed.basis for item in plan.to_run if item.speed)
    ]
    if any(item.work and not item.work.prepared for item in plan.to_run):
        lines.append(
            "features are not all prepared: the paper's numbers of questions, one whole window each, are "
            "assumed for the missing ones"
        )
    blocks += [Paragraph(with_code(line)) for line in (*lines, *_closing(plan, terms, sums))]
    return Document(title, tuple(blocks), wrapped=False)


def _row(item: Item, keep: str) -> TextRow:
    """One run."""
    state = TextCell(item.state.kind, "good" if not item.to_run else "open")
    if not item.to_run:
        return TextRow((state, item.needed.name, "", "", item.state.note))
    waits = f"  [after {', '.join(sorted(item.after))}]" if item.after else ""
    note = f"  [{item.state.note}]" if item.state.note else ""
    disk = size(item.disk.kept(keep)) if item.disk else ""
    command = f"{shown(item.commands)}{waits}{note}"
    return TextRow((state, item.needed.name, duration(item.seconds), disk, command))


def _unavailable(plan: TablePlan) -> list[tuple[str, str]]:
    """Rows that cannot be made, by reason."""
    by_reason: dict[str, list[str]] = {}
    for entry in plan.unavailable:
        by_reason.setdefault(entry.reason, []).append(entry.row)
    return [(", ".join(rows), reason) for reason, rows in by_reason.items()]


def _closing(plan: TablePlan, terms: Terms, sums: Totals) -> list[str]:
    """The totals, and what to know of them."""
    compare = f"python -m benchmark.compare --paper-table {terms.table.table}" + (
        f" --profile {terms.profile}" if terms.params else ""
    )
    if not sums.to_run:
        made = sums.there == len(plan.items)
        return [
            f"nothing is missing: {compare}" if plan.items and made else f"nothing is to be run: {compare}"
        ]
    where = f"on {len(terms.gpus)} GPUs" if len(terms.gpus) > 1 else "at a time"
    together = f"; {duration(terms.wall)} with {terms.slots} {where}" if terms.slots > 1 else ""
    shared = " (they share this machine's device)" if terms.slots > 1 and not terms.gpus else ""
    left = sums.kept if terms.keep == "best" else sums.kept_without_models
    other = (
        f"--keep none: {size(sums.kept_without_models)}"
        if terms.keep == "best"
        else f"--keep best: {size(sums.kept)}"
    )
    lines = [
        f"time: {duration(sums.seconds)} one after the other{together}{shared}; early stopping makes it less"
    ]
    if left or sums.running:
        lines.append(
            f"disk: {size(left)} in the end ({other}), and up to {size(sums.running)} more while they run"
        )
    if left + sums.running > terms.free:
        lines.append(f"disk: only {size(terms.free)} are free here")
    if terms.threads and terms.slots > 1:
        lines.append(
            f"training.threads: each of the {terms.slots} runs takes {terms.threads} threads; null lets "
            "them share the cores"
        )
    if terms.keep == "none":
        lines.append("keep none: no model stays, so neither `benchmark.ask` nor a later transfer has one")
        if listed := [item.needed.name for item in plan.to_run if item.needed.name in terms.listed]:
            lines.append(
                f"keep none: dvc.yaml has the models of {len(listed)} of these cells as outs: `dvc repro` "
                "would train them again"
            )
    return lines


def plan_json(
    plan: TablePlan, terms: Terms, outcomes: Mapping[str, JobOutcome] | None = None
) -> dict[str, Any]:
    """The same for machines; `outcomes` of `--run` by the run's name."""
    sums = totals(plan, terms)
    return {
        "format": FORMAT,
        "table": terms.table.table,
        "profile": terms.profile,
        "params": terms.params,
        "stand_in": dict(terms.stand_in),
        "jobs": terms.slots,
        "gpus": list(terms.gpus),
        "keep": terms.keep,
        "preparation": [list(command) for command in plan.preparation],
        "runs": [_entry(item, terms.keep, outcomes or {}) for item in plan.items],
        "unavailable": [{"row": entry.row, "reason": entry.reason} for entry in plan.unavailable],
        "totals": {
            "there": sums.there,
            "to_run": sums.to_run,
            "seconds": round(sums.seconds, 1),
            "wall_seconds": round(terms.wall, 1),
            "bytes": {"best": sums.kept, "none": sums.kept_without_models, "while_running": sums.running},
        },
    }


def _entry(item: Item, keep: str, outcomes: Mapping[str, JobOutcome]) -> dict[str, Any]:
    """One run."""
    needed, work = item.needed, item.work
    outcome = outcomes.get(needed.name)
    return {
        "run": needed.name,
        "rows": list(needed.rows),
        "datasets": list(needed.datasets),
        "state": item.state.kind,
        "note": item.state.note or None,
        "commands": [list(command) for command in item.commands],
        "command": shown(item.commands) or None,
        "needs": sorted(item.needs),
        "after": sorted(item.after),
        "seconds": round(item.seconds, 1) if item.to_run else None,
        "tokens": {
            "tuning": round(work.tuning),
            "masks": round(work.masks),
            "validation": round(work.validation),
            "evaluation": round(work.evaluation),
            "steps": work.steps,
            "prepared": work.prepared,
        }
        if work
        else None,
        "tokens_per_second": round(item.speed.tokens_per_second, 1) if item.speed else None,
        "speed_measured": item.speed.measured if item.speed else None,
        "speed_basis": item.speed.basis if item.speed else None,
        "bytes": item.disk.kept(keep) if item.disk and item.to_run else None,
        "outcome": {"state": outcome.state, "seconds": round(outcome.seconds, 1), "text": outcome.text}
        if outcome
        else None,
    }


def size(count: int) -> str:
    """`4.2 GB`, `310 MB`, `40 kB`."""
    for name, unit in (("GB", 1e9), ("MB", 1e6)):
        if count >= unit:
            return f"{count / unit:.1f} {name}" if count < 100 * unit else f"{count / unit:.0f} {name}"
    return f"{count / 1e3:.0f} kB"
