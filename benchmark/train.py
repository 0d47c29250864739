"""`python -m benchmark.train CELL`: train one cell: learn its masks, tune under them, keep model, masks and
course.

On several GPUs or machines (which share the project's folder): `accelerate launch -m benchmark.train CELL`,
or torchrun.
"""

from __future__ import annotations

from benchmark.cli.allocator import keep_freed_memory
from benchmark.cli.commands import command_parser, run_command
from benchmark.config.params import find_cell, load
from benchmark.runs.training_run import train_cell
from bmt.runtime.ranks import launched


def main() -> int:
    """Parse the command line and train."""
    parser = command_parser("train", __doc__ or "", "python -m benchmark.train minilm.mt.bmt.s0")
    parser.add_argument("cell", help="<backbone>.<mt|st-Dataset>.<arm>[.adapter].s<seed>")
    parser.add_argument("--params", help="params file (default: params.yaml at the repository's root)")
    parser.add_argument(
        "--fresh", action="store_true", help="start again instead of resuming from the cell's checkpoints"
    )
    arguments = parser.parse_args()
    keep_freed_memory()
    config = load(arguments.params)
    cell = find_cell(config, arguments.cell)
    with launched() as ranks:
        train_cell(config, cell, arguments.params, arguments.fresh, ranks)
    return 0


if __name__ == "__main__":
    run_command(main)
