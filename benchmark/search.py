"""Search an arm's parameters on validation carved from train, with Optuna."""

from __future__ import annotations

import sys

from benchmark.cli.commands import run_command


def main(arguments: list[str] | None = None) -> int:
    """Run trials, then show, write or apply what came of them; returns the exit status."""
    from benchmark.studies.search_options import parse_arguments

    command_line = list(sys.argv[1:] if arguments is None else arguments)
    options = parse_arguments(command_line)
    if options.trials is not None:
        from benchmark.studies.request import read_request

        request = read_request(options)

        from benchmark.studies.study_run import run

        run(request, command_line)  # its workers are called with the same arguments
    if options.status or options.export or options.figures:
        from benchmark.studies.outputs import show_study

        show_study(options)
    if options.apply:
        from benchmark.studies.outputs import apply_best

        apply_best(options)
    return 0


if __name__ == "__main__":
    run_command(main)
