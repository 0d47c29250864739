"""The journals below some folders as lines: what waits in each, and what a delivery came to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from benchmark.tracking.journal import journals, read_entries, read_state
from benchmark.tracking.journal_upload import UnreachableError, sync
from benchmark.tracking.mlflow_store import connect, public, store_uri
from bmt.errors import BMTError, DataError

COLUMNS = "{:<28} {:<9} {:>7} {:>9}  {:<32}  {}"


def deliver(folders: Sequence[Path]) -> tuple[list[str], bool]:
    """Deliver every journal; a line for each that had something to deliver, and whether none failed.

    Raises:
        BMTError: the store cannot be reached.
    """
    try:
        outcomes = sync(folders, connect())
    except UnreachableError as error:
        raise BMTError(f"{error}: nothing is lost, run the same command again when it answers") from error
    lines = []
    for outcome in outcomes:
        if outcome.state != "up to date" or outcome.detail:
            entries = f"{outcome.entries} entries" if outcome.entries else ""
            words = (outcome.state, entries, outcome.run_id, outcome.detail)
            lines.append(f"{outcome.path}: {', '.join(filter(None, words))}")
    counts = Counter(outcome.state for outcome in outcomes)
    states = ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))
    return [*lines, f"{len(outcomes)} journals: {states}"], not counts["failed"]


def overview(folders: Sequence[Path]) -> tuple[list[str], bool]:
    """A line per journal: run, status, entries, delivered, MLflow run; and whether each could be read."""
    uri = public(store_uri())
    lines = [
        f"store: {uri}",
        COLUMNS.format("run", "status", "entries", "delivered", "MLflow run", "journal"),
    ]
    good = True
    for path in journals(folders):
        try:
            entries, _ = read_entries(path)
        except DataError as error:
            lines.append(str(error))
            good = False
            continue
        state = read_state(path, uri)
        name, status, seq = "?", "empty", 0
        if entries:
            name, seq = entries[0].get("name", "?"), entries[-1]["seq"]
            status = entries[-1].get("status") or state.get("status", "RUNNING")
        delivered, run = state.get("delivered", 0), state.get("run_id") or "-"
        lines.append(COLUMNS.format(name, status, seq, delivered, run, path))
    return lines, good
