"""`python -m benchmark.compare --paper-table N`: a table of the paper beside our runs, with verdicts, and its
claims tested.

Reads the paper as data and a results folder; no MLflow, no DVC, no torch. docs/compare.md documents its
formats.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmark.cli.commands import command_parser, run_command
from benchmark.config.params import CompareSettings
from benchmark.config.results_options import (
    chosen_formats,
    chosen_seeds,
    configuration,
    output_path,
    results_place,
    shown_folder,
)
from bmt.errors import ConfigError

FORMATS = ("terminal", "markdown", "latex", "json", "html")
EXAMPLE = "python -m benchmark.compare --paper-table 3 --format markdown,json --out reports/mini/table_3"


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = command_parser("compare", "Hold a table of the paper against our runs.", EXAMPLE)
    add = parser.add_argument
    add("--paper-table", required=True, metavar="N", help="1 to 9 or A.10 (any table of --paper)")
    add(
        "--format",
        default="terminal",
        metavar="F[,F]",
        help=f"of {', '.join(FORMATS)} (default: terminal); several need --out",
    )
    add("--profile", help="the profile of the runs (default: that of params.yaml)")
    add("--seeds", metavar="LIST", help="seeds that count, as 0,1,2 (default: all)")
    add("--results", type=Path, metavar="DIR", help="the results folder (default: results/<profile>)")
    add(
        "--paper",
        type=Path,
        metavar="DIR",
        help="a folder of tables and claims (default: the paper of this project)",
    )
    add("--strict", action="store_true", help="exit status 0 only if every trainable cell is reproduced")
    add(
        "--out",
        type=Path,
        metavar="FILE",
        help="write there; a name without suffix gets the format's, several formats one file each",
    )
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Compare, print or write, and say by the status how it went: 0, 1 (see --strict), 2 for unreadable
    results.
    """
    given = parse_arguments(arguments)
    forms, seeds = chosen_formats(given.format, FORMATS, given.out), chosen_seeds(given.seeds)
    from benchmark import rendering
    from benchmark.comparison import table_comparison as comparison
    from benchmark.comparison.matching import Setting
    from benchmark.paper import tables as papers
    from benchmark.runs import results

    paper = papers.load(given.paper)
    table = paper.tables.get(papers.table_id(given.paper_table))
    if table is None:
        raise ConfigError(f"--paper-table {given.paper_table}: not allowed: one of {', '.join(paper.tables)}")
    folder, profile, config, active = results_place(given.results, given.profile)
    found = results.read(folder)
    if given.results and not given.profile and len(found.profiles) == 1:
        config, active = configuration(found.profiles[0])
    setting = Setting(
        profile=profile or ", ".join(found.profiles) or "unknown",
        seeds=seeds,
        listed=tuple(config.every_cell) if config else (),
        active=active,
        whole=given.results is None,
        commands=given.paper is None,
        sizes=tuple(config.fewshot.sizes) if config else (),
    )
    report = comparison.compare(
        paper, table, found, setting, config.compare if config else CompareSettings(), shown_folder(folder)
    )
    if given.out is None and forms == ["terminal"]:
        from benchmark.rendering.layout import lay_out
        from benchmark.rendering.terminal import print_report

        print_report(lay_out(report))
    for form in forms if given.out or forms != ["terminal"] else []:
        text = rendering.render(report, form)
        if given.out is None:
            sys.stdout.write(text)
        else:
            from bmt.runtime.files import write_text

            path = output_path(given.out, form, rendering.SUFFIXES, len(forms) > 1)
            write_text(path, text)
            print(f"wrote {path}", file=sys.stderr)
    for fault in report.faults:
        print(f"error: {folder / fault.file}: {fault.reason}", file=sys.stderr)
    return report.status(given.strict)


if __name__ == "__main__":
    run_command(main)
