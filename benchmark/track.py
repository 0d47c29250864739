"""Deliver the runs' journals to MLflow, or list them.

What runs recorded while MLflow was missing, down or slow waits in their journals. `sync` delivers it, each
entry once; `list` shows what waits.
"""

from __future__ import annotations

from pathlib import Path

from benchmark.cli.commands import command_parser, run_command
from benchmark.cli.messages import say
from bmt.errors import DataError

EXAMPLES = """python -m benchmark.track sync
  MLFLOW_TRACKING_URI=http://server:5000 python -m benchmark.track sync runs/paper"""


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, deliver or list; 1 where a journal is damaged or was not delivered."""
    parser = command_parser("track", __doc__, EXAMPLES)
    parser.add_argument("action", choices=("sync", "list"))
    parser.add_argument(
        "folders",
        nargs="*",
        type=Path,
        metavar="FOLDER",
        help="runs, or folders that hold runs (default: runs/)",
    )
    options = parser.parse_args(arguments)
    for folder in options.folders:
        if not folder.is_dir():
            raise DataError(f"{folder}: no such folder: name a run's folder, or one that holds runs")

    from benchmark.config.params import repository_root
    from benchmark.rendering import print_document
    from benchmark.tracking.journal import journals
    from benchmark.tracking.journal_overview import deliver, overview

    folders = options.folders or [repository_root() / "runs"]
    if not journals(folders):
        say(f"no journal below {', '.join(map(str, folders))}")
        return 0
    if options.action == "list":
        document, good = overview(folders)
        print_document(document)
    else:
        lines, good = deliver(folders)
        say(*lines)
    return 0 if good else 1


if __name__ == "__main__":
    run_command(main)
