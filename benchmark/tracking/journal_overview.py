"""The journals below some folders: what waits in each as a document, what a delivery came to as lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from benchmark.rendering.document import Column, Document, Remark, text_table
from benchmark.tracking.journal import journals, read_entries, read_state
from benchmark.tracking.journal_upload import UnreachableError, sync
from benchmark.tracking.mlflow_store import connect, public, store_uri
from bmt.errors import BMTError, DataError

COLUMNS = (
    Column("run", "left"),
    Column("status", "left"),
    Column("entries"),
    Column("delivered"),
    Column("MLflow run", "left", least=8),
    Column("journal", "left", least=20),
)


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


def overview(folders: Sequence[Path]) -> tuple[Document, bool]:
    """A row per journal: run, status, entries, delivered, MLflow run; and whether each could be read."""
    uri = public(store_uri())
    rows: list[tuple[str, ...]] = []
    faults: list[Remark] = []
    for path in journals(folders):
        try:
            entries, _ = read_entries(path)
        except DataError as error:
            faults.append(Remark(str(error), tone="bad"))
            continue
        state = read_state(path, uri)
        name, status, seq = "?", "empty", 0
        if entries:
            name, seq = entries[0].get("name", "?"), entries[-1]["seq"]
            status = entries[-1].get("status") or state.get("status", "RUNNING")
        delivered, run = state.get("delivered", 0), state.get("run_id") or "-"
        rows.append((str(name), str(status), str(seq), str(delivered), str(run), str(path)))
    table = text_table(COLUMNS, rows)
    return Document(f"store: {uri}", (table, *faults), wrapped=False), not faults
