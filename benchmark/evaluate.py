"""Score a trained cell on the dev sets; keep every prediction.

On several GPUs or machines (which share the project's folder) the questions are shared out:
`accelerate launch -m benchmark.evaluate CELL`.
"""

from __future__ import annotations

from benchmark.cli.commands import add_params_options, command_parser, run_command


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and evaluate."""
    parser = command_parser("evaluate", __doc__, "python -m benchmark.evaluate minilm.mt.bmt.s0")
    parser.add_argument("cell", help="<backbone>.<mt|st-Dataset>.<arm>[.adapter].s<seed>")
    add_params_options(parser)
    options = parser.parse_args(arguments)

    from benchmark.cli.allocator import keep_freed_memory
    from benchmark.config.params import find_cell
    from benchmark.config.profiles import chosen_config

    keep_freed_memory()
    config, file = chosen_config(options)
    cell = find_cell(config, options.cell)

    from benchmark.runs.evaluation_run import evaluate_cell
    from bmt.runtime.ranks import launched

    with launched() as ranks:
        evaluate_cell(config, cell, file, ranks)
    return 0


if __name__ == "__main__":
    run_command(main)
