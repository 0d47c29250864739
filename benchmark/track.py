"""`python -m benchmark.track sync|list`: the runs' journals, and their delivery to MLflow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from benchmark.cli.commands import command_parser, run_command
from benchmark.config.params import repository_root
from benchmark.tracking import journal_upload as delivery
from benchmark.tracking import mlflow_store as tracking
from benchmark.tracking.journal import journals, read_entries, read_state
from bmt.errors import BMTError, DataError

LIST = "{:<28} {:<9} {:>7} {:>9}  {:<32}  {}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    parser = command_parser(
        "track",
        "What runs recorded while MLflow was missing, down or slow waits in their journals. `sync` delivers it, each entry once; "
        "`list` shows what waits.",
        "python -m benchmark.track sync\n  MLFLOW_TRACKING_URI=http://server:5000 python -m benchmark.track sync runs/paper",
    )
    parser.add_argument("action", choices=("sync", "list"))
    parser.add_argument(
        "folders",
        nargs="*",
        type=Path,
        metavar="FOLDER",
        help="runs, or folders that hold runs (default: runs/)",
    )
    options = parser.parse_args(arguments)
    folders = options.folders or [repository_root() / "runs"]
    for folder in options.folders:
        if not folder.is_dir():
            raise DataError(f"{folder}: no such folder: name a run's folder, or one that holds runs")
    if not journals(folders):
        print(f"no journal below {', '.join(map(str, folders))}")
        return 0
    return _list(folders) if options.action == "list" else _sync(folders)


def _sync(folders: Sequence[Path]) -> int:
    try:
        outcomes = delivery.sync(folders, tracking.connect())
    except delivery.UnreachableError as error:
        raise BMTError(f"{error}: nothing is lost, run the same command again when it answers") from error
    for outcome in outcomes:
        if outcome.state != "up to date" or outcome.detail:
            words = [
                outcome.state,
                f"{outcome.entries} entries" if outcome.entries else "",
                outcome.run_id or "",
                outcome.detail,
            ]
            print(f"{outcome.path}: {', '.join(word for word in words if word)}")
    counts = Counter(outcome.state for outcome in outcomes)
    print(
        f"{len(outcomes)} journals: "
        + ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))
    )
    return 1 if counts["failed"] else 0


def _list(folders: Sequence[Path]) -> int:
    uri = tracking.public(tracking.store_uri())
    print(f"store: {uri}")
    print(LIST.format("run", "status", "entries", "delivered", "MLflow run", "journal"))
    failed = 0
    for path in journals(folders):
        try:
            entries, _ = read_entries(path)
        except DataError as error:
            print(error)
            failed = 1
            continue
        state = read_state(path, uri)
        last = entries[-1] if entries else {"kind": "", "seq": 0}
        status = (
            last["status"]
            if last["kind"] == "end"
            else state.get("status", "RUNNING")
            if entries
            else "empty"
        )
        name = entries[0].get("name", "?") if entries else "?"
        print(
            LIST.format(
                name, status, last["seq"], state.get("delivered", 0), state.get("run_id") or "-", path
            )
        )
    return failed


if __name__ == "__main__":
    run_command(main)
