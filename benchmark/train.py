"""Train one cell: learn its masks, tune under them, keep model, masks and course.

On several GPUs or machines (which share the project's folder): `accelerate launch -m benchmark.train CELL`,
or torchrun.
"""

from __future__ import annotations

from benchmark.cli.commands import add_params_options, command_parser, run_command


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and train."""
    parser = command_parser("train", __doc__, "python -m benchmark.train minilm.mt.bmt.s0")
    parser.add_argument("cell", help="<backbone>.<mt|st-Dataset>.<arm>[.adapter].s<seed>")
    add_params_options(parser)
    parser.add_argument(
        "--fresh", action="store_true", help="start again instead of resuming from the cell's checkpoints"
    )
    options = parser.parse_args(arguments)

    from benchmark.cli.allocator import keep_freed_memory
    from benchmark.config.params import find_cell
    from benchmark.config.profiles import chosen_config

    keep_freed_memory()
    config, file = chosen_config(options)
    cell = find_cell(config, options.cell)

    from benchmark.runs.training_run import train_cell
    from bmt.runtime.ranks import launched

    with launched() as ranks:
        train_cell(config, cell, file, options.fresh, ranks)
    return 0


if __name__ == "__main__":
    run_command(main)
