"""What `benchmark.plan` shows: a document, or the documented JSON."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from benchmark.cli.progress import duration
from benchmark.paper.tables import table_name
from benchmark.planning.assembly import Item
from benchmark.planning.commands import shown
from benchmark.planning.schedule import JobOutcome
from benchmark.planning.states import RESULTS, TRAINED
from benchmark.planning.table_plan import RequestedPlan
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
class Totals:
    """Sums over what is to be run. kept: bytes, by `--keep`. running: bytes of the checkpoints, and with
    `--keep none` of the models, of the jobs that run at a time.
    """

    there: int
    to_run: int
    seconds: float
    kept: Mapping[str, int]
    running: int


def totals(requested: RequestedPlan) -> Totals:
    """What a plan comes to."""
    plan, request = requested.plan, requested.request
    disks = [item.disk for item in plan.to_run if item.disk is not None]
    heaviest = sorted(
        (disk.checkpoints + (disk.model if request.keep == "none" else 0) for disk in disks), reverse=True
    )
    return Totals(
        there=sum(not item.commands and item.state.kind in (RESULTS, TRAINED) for item in plan.items),
        to_run=len(plan.to_run),
        seconds=sum(item.seconds for item in plan.to_run),
        kept={keep: sum(disk.kept(keep) for disk in disks) for keep in ("best", "none")},
        running=sum(heaviest[: request.slots]),
    )


def plan_document(requested: RequestedPlan) -> Document:
    """What a table needs, run by run; what cannot be made; and what the rest comes to."""
    plan, sums = requested.plan.on(requested.request.params), totals(requested)
    stands = "".join(f"; {ours} stands in for {theirs}" for theirs, ours in requested.stand_in.items())
    title = (
        f"{table_name(requested.table.table)} on profile {requested.present.config.profile}{stands}: "
        f"{counted(len(plan.items), 'run')}, {sums.there} there, {sums.to_run} to run"
    )
    blocks: list[Block] = []
    if plan.preparation:
        blocks.append(Paragraph(f"first: {shown(plan.preparation)}"))
    if plan.items:
        blocks.append(text_table(COLUMNS, [_row(item, requested.request.keep) for item in plan.items]))
    unavailable: dict[str, list[str]] = {}
    for entry in plan.unavailable:
        unavailable.setdefault(entry.reason, []).append(entry.row)
    lines = [f"{', '.join(rows)}: {reason}" for reason, rows in unavailable.items()]
    lines += dict.fromkeys(f"speed: {item.speed.basis}" for item in plan.to_run if item.speed)
    if any(item.work and not item.work.prepared for item in plan.to_run):
        lines.append(
            "features are not all prepared: the paper's numbers of questions, one whole window each, are "
            "assumed for the missing ones"
        )
    blocks += [Paragraph(with_code(line)) for line in (*lines, *_closing(requested, sums))]
    return Document(title, tuple(blocks), wrapped=False)


def _row(item: Item, keep: str) -> TextRow:
    """One run."""
    name, note = item.needed.name, item.state.note
    if not item.commands:
        return TextRow((TextCell(item.state.kind, "good"), name, "", "", note))
    waits = f"  [after {', '.join(sorted(item.after))}]" if item.after else ""
    disk = size(item.disk.kept(keep)) if item.disk else ""
    command = f"{shown(item.commands)}{waits}{f'  [{note}]' if note else ''}"
    return TextRow((TextCell(item.state.kind, "open"), name, duration(item.seconds), disk, command))


def _closing(requested: RequestedPlan, sums: Totals) -> list[str]:
    """The totals, and what to know of them."""
    request, config = requested.request, requested.present.config
    slots, gpus = request.slots, len(request.gpus)
    if not sums.to_run:
        compare = f"python -m benchmark.compare --paper-table {requested.table.table}"
        profile = f" --profile {config.profile}" if request.params else ""
        made = sums.there == len(requested.plan.items) > 0
        return [f"nothing is {'missing' if made else 'to be run'}: {compare}{profile}"]
    where = f"on {gpus} GPUs" if gpus > 1 else "at a time"
    together = f"; {duration(requested.wall)} with {slots} {where}" if slots > 1 else ""
    shared = " (they share this machine's device)" if slots > 1 and not gpus else ""
    left, other = sums.kept[request.keep], "none" if request.keep == "best" else "best"
    lines = [
        f"time: {duration(sums.seconds)} one after the other{together}{shared}; early stopping makes it less"
    ]
    if left or sums.running:
        lines.append(
            f"disk: {size(left)} in the end (--keep {other}: {size(sums.kept[other])}), and up to "
            f"{size(sums.running)} more while they run"
        )
    free = shutil.disk_usage(requested.present.folders.root).free
    if left + sums.running > free:
        lines.append(f"disk: only {size(free)} are free here")
    if config.training.threads and slots > 1:
        lines.append(
            f"training.threads: each of the {slots} runs takes {config.training.threads} threads; null lets "
            "them share the cores"
        )
    if request.keep == "none":
        lines.append("keep none: no model stays, so neither `benchmark.ask` nor a later transfer has one")
        listed = sum(item.needed.name in config.every_cell for item in requested.plan.to_run)
        if listed:
            lines.append(
                f"keep none: dvc.yaml has the models of {listed} of these cells as outs: `dvc repro` would "
                "train them again"
            )
    return lines


def plan_json(requested: RequestedPlan, outcomes: Mapping[str, JobOutcome]) -> dict[str, Any]:
    """The same for machines; `outcomes` of `--run` by the run's name."""
    request, sums = requested.request, totals(requested)
    plan = requested.plan.on(request.params)
    return {
        "format": FORMAT,
        "table": requested.table.table,
        "profile": requested.present.config.profile,
        "params": request.params,
        "stand_in": requested.stand_in,
        "jobs": request.slots,
        "gpus": request.gpus,
        "keep": request.keep,
        "preparation": plan.preparation,
        "runs": [_entry(item, request.keep, outcomes.get(item.needed.name)) for item in plan.items],
        "unavailable": [asdict(entry) for entry in plan.unavailable],
        "totals": {
            "there": sums.there,
            "to_run": sums.to_run,
            "seconds": round(sums.seconds, 1),
            "wall_seconds": round(requested.wall, 1),
            "bytes": {**sums.kept, "while_running": sums.running},
        },
    }


def _entry(item: Item, keep: str, outcome: JobOutcome | None) -> dict[str, Any]:
    """One run."""
    needed, work, speed = item.needed, item.work, item.speed
    tokens = None
    if work:
        parts = ("tuning", "masks", "validation", "evaluation")
        tokens = {part: round(getattr(work, part)) for part in parts}
        tokens |= {"steps": work.steps, "prepared": work.prepared}
    return {
        "run": needed.name,
        "rows": needed.rows,
        "datasets": needed.datasets,
        "state": item.state.kind,
        "note": item.state.note or None,
        "commands": item.commands,
        "command": shown(item.commands) or None,
        "needs": sorted(item.needs),
        "after": sorted(item.after),
        "seconds": round(item.seconds, 1) if item.commands else None,
        "tokens": tokens,
        "tokens_per_second": round(speed.tokens_per_second, 1) if speed else None,
        "speed_measured": speed.measured if speed else None,
        "speed_basis": speed.basis if speed else None,
        "bytes": item.disk.kept(keep) if item.disk and item.commands else None,
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
