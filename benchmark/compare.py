"""`python -m benchmark.compare --paper-table N`: a table of the paper beside our runs, with verdicts.

Reads the paper as data and a results folder; no MLflow, no DVC, no torch. docs/compare.md documents its
formats.
"""

from __future__ import annotations

from pathlib import Path

from benchmark.cli.commands import add_results_options, command_parser, run_command
from benchmark.cli.messages import tell

FORMATS = ("terminal", "markdown", "latex", "json", "html")
EXAMPLE = "python -m benchmark.compare --paper-table 3 --format markdown,json --out reports/mini/table_3"


def main(arguments: list[str] | None = None) -> int:
    """Compare, print or write, and say by the status how it went: 0, 1 (see --strict), 2 for unreadable
    results.
    """
    parser = command_parser("compare", "Hold a table of the paper against our runs.", EXAMPLE)
    add = parser.add_argument
    add("--paper-table", required=True, metavar="N", help="1 to 9 or A.10 (any table of --paper)")
    forms_help = f"of {', '.join(FORMATS)} (default: terminal); several need --out"
    add("--format", default="terminal", metavar="F[,F]", help=forms_help)
    add_results_options(parser)
    paper_help = "a folder of tables and claims (default: the paper of this project)"
    add("--paper", type=Path, metavar="DIR", help=paper_help)
    add("--strict", action="store_true", help="exit status 0 only if every trainable cell is reproduced")
    out_help = "write there; a name without suffix gets the format's, several formats one file each"
    add("--out", type=Path, metavar="FILE", help=out_help)
    options = parser.parse_args(arguments)

    from benchmark.config.results_options import chosen_seeds
    from benchmark.paper.table_files import check_table
    from benchmark.rendering.output import chosen_formats, write_document

    check_table(options.paper_table, options.paper)
    forms, seeds = chosen_formats(options.format, FORMATS, options.out), chosen_seeds(options.seeds)

    from benchmark.comparison.inputs import read_inputs
    from benchmark.comparison.report_json import to_json
    from benchmark.comparison.table_comparison import compare
    from benchmark.comparison.table_document import table_document

    inputs = read_inputs(options.results, options.profile, options.paper, seeds, options.params)
    report = compare(inputs, inputs.paper.table(options.paper_table))
    write_document(table_document(report), forms, options.out, {"json": lambda: to_json(report)})
    for fault in report.faults:
        tell(f"error: {inputs.results.folder / fault.file}: {fault.reason}")
    return report.status(options.strict)


if __name__ == "__main__":
    run_command(main)
