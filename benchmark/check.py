"""`python -m benchmark.check [DIR]`: is a results folder what it says it is? docs/compare.md lists what is
checked.

Offline: it reads the folder, and of this project the profile's arms and, beside the project's own results,
the trained runs. No MLflow, no DVC, no torch.
"""

from __future__ import annotations

from pathlib import Path

from benchmark.cli.commands import add_params_options, command_parser, run_command

ABOUT = """Check a results folder: files, fields, examples, scores computed again, masks, copies, seals.
Every run must be of the profile that --params or --profile names (default: that of params.yaml; with DIR: of
one, whichever). Exit status: 0 no fault, 1 faults."""


def main(arguments: list[str] | None = None) -> int:
    """Check, print, and say by the status how it went: 0 no fault, 1 faults (see --strict); ConfigError (2)
    where there is no folder.
    """
    parser = command_parser("check", ABOUT, "python -m benchmark.check results/mini")
    add = parser.add_argument
    add("folder", nargs="?", type=Path, metavar="DIR", help="the results folder (default: results/<profile>)")
    add_params_options(parser)
    add("--format", default="terminal", choices=("terminal", "json"), help="default: terminal")
    add("--strict", action="store_true", help="exit status 1 also for what could not be checked")
    options = parser.parse_args(arguments)

    from benchmark.rendering.output import write_document
    from benchmark.results_check.check_document import check_document, check_json
    from benchmark.results_check.folder_check import check_folder, results_folder

    checked = check_folder(*results_folder(options.folder, options.profile, options.params))
    document = check_document(checked, options.strict)
    write_document(document, [options.format], texts={"json": lambda: check_json(checked, options.strict)})
    return checked.status(options.strict)


if __name__ == "__main__":
    run_command(main)
