"""`python -m benchmark.report`: everything that the results say, as one HTML page.

All tables of the paper with their verdicts, the claims, masks, deviations, the course of training, where the
runs come from. Reads the paper as data, a results folder and, where they lie beside it, the runs' folders; no
DVC, no torch, and MLflow only for `--track`.
"""

from __future__ import annotations

from pathlib import Path

from benchmark.cli.command_line import command_line
from benchmark.cli.commands import add_results_options, command_parser, run_command
from benchmark.cli.messages import tell
from bmt.errors import ConfigError

ABOUT = "Write one HTML page of all that the results say; it loads nothing and runs no script."
EXAMPLE = "python -m benchmark.report --profile sample"


def main(arguments: list[str] | None = None) -> int:
    """Read, write, and say where; 0 also where results cannot be used, which the page and stderr then say."""
    parser = command_parser("report", ABOUT, EXAMPLE)
    add = parser.add_argument
    add_results_options(parser)
    paper = "a folder of tables and claims (default: the paper of this project)"
    add("--paper", type=Path, metavar="DIR", help=paper)
    add("--out", type=Path, metavar="FILE", help="the page (default: reports/<profile>/report.html)")
    add(
        "--track", action="store_true", help="also log the page and its counts to MLflow, as the run `report`"
    )
    options = parser.parse_args(arguments)

    from benchmark.config.cells import is_word
    from benchmark.config.params import repository_root
    from benchmark.config.results_options import chosen_seeds
    from benchmark.reporting.report_data import log_report, read_report_data
    from benchmark.reporting.report_page import report_page
    from bmt.runtime.files import write_text

    if options.out and options.out.is_dir():
        example = options.out / "report.html"
        raise ConfigError(f"--out {options.out}: a folder: name the page's file, for example {example}")
    seeds = chosen_seeds(options.seeds)
    data = read_report_data(options.results, options.profile, options.paper, seeds, options.params)
    name = data.profile if is_word(data.profile) else "report"
    out = options.out or repository_root() / "reports" / name / "report.html"
    command = command_line(parser, options)
    write_text(out, report_page(data, command))
    tell(f"wrote {out}")
    for fault in data.faults:
        tell(f"warning: {data.source}/{fault}")
    if options.track:
        log_report(data, out, name)
    return 0


if __name__ == "__main__":
    run_command(main)
