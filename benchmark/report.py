"""`python -m benchmark.report`: everything that the results say, as one HTML page.

All tables of the paper with their verdicts, the claims, masks, deviations, the course of training, where the
runs come from. Reads the
paper as data, a results folder and, where they lie beside it, the runs' folders; no DVC, no torch, and MLflow
only for `--track`.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.cli.commands import command_parser, run_command
from benchmark.config.cells import is_word
from benchmark.config.params import repository_root
from bmt.errors import ConfigError
from bmt.runtime.files import write_text

if TYPE_CHECKING:
    from benchmark.reporting.report_data import ReportData

EXAMPLE = "python -m benchmark.report --profile sample"


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = command_parser(
        "report",
        "Write one HTML page of all that the results say; it loads nothing and runs no script.",
        EXAMPLE,
    )
    add = parser.add_argument
    add("--profile", help="the profile of the runs (default: that of params.yaml)")
    add("--seeds", metavar="LIST", help="seeds that count, as 0,1,2 (default: all)")
    add("--results", type=Path, metavar="DIR", help="the results folder (default: results/<profile>)")
    add(
        "--paper",
        type=Path,
        metavar="DIR",
        help="a folder of tables and claims (default: the paper of this project)",
    )
    add("--out", type=Path, metavar="FILE", help="the page (default: reports/<profile>/report.html)")
    add(
        "--track", action="store_true", help="also log the page and its counts to MLflow, as the run `report`"
    )
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Gather, write, and say where; 0 also where results cannot be used, which the page and stderr then say."""
    given = parse_arguments(arguments)
    from benchmark.config.results_options import chosen_seeds
    from benchmark.reporting.report_data import read_report_data
    from benchmark.reporting.report_page import report_page

    if given.out and given.out.is_dir():
        raise ConfigError(
            f"--out {given.out}: a folder: name the page's file, for example {given.out / 'report.html'}"
        )
    data = read_report_data(given.results, given.profile, given.paper, chosen_seeds(given.seeds))
    name = data.profile if is_word(data.profile) else "report"
    out = given.out or repository_root() / "reports" / name / "report.html"
    write_text(out, report_page(data, command_line(given)))
    print(f"wrote {out}", file=sys.stderr)
    for fault in data.faults:
        print(f"warning: {data.source}/{fault}", file=sys.stderr)
    if given.track:
        track(data, out, name)
    return 0


def command_line(given: argparse.Namespace) -> str:
    """The command as it can be typed again; of an absolute path only the end, so that the page holds no path
    of this machine.
    """
    words = ["python", "-m", "benchmark.report"]
    for option in ("profile", "seeds", "results", "paper", "out"):
        value = getattr(given, option)
        if value is not None:
            words += [
                f"--{option}",
                f"…/{value.name}" if isinstance(value, Path) and value.is_absolute() else str(value),
            ]
    return " ".join(word if word.startswith("…/") else shlex.quote(word) for word in words)


def track(data: ReportData, out: Path, name: str) -> None:
    """Log the page and its counts as the run `report`; where MLflow is absent or down, they wait in
    `runs/<profile>/report/`.
    """
    from benchmark.reporting.overview import cell_counts, claim_counts
    from benchmark.tracking import environment
    from benchmark.tracking import mlflow_store as tracking

    root = repository_root()
    experiment = data.config.tracking.experiment if data.config else "bmt"
    described = {
        # environment.describe would import torch to look for a GPU
        "packages": environment.package_versions(),
        "python": sys.version.split()[0],
        "git": environment.git_state(root),
    }
    params = {"profile": data.profile, "results": data.source, "seeds": data.seeds}
    counts = {f"cells/{verdict}": count for verdict, count in cell_counts(data.tables).items()}
    counts |= {f"claims/{verdict}": count for verdict, count in claim_counts(data.tables).items()}
    with tracking.start(
        "report",
        f"{experiment}-{name}",
        root / "runs" / name / "report",
        params,
        {"stage": "report"},
        environment=described,
    ) as run:
        run.log(counts | {"runs": len(data.runs)})
        run.artifact(out)


if __name__ == "__main__":
    run_command(main)
