"""`python -m benchmark.evaluate CELL`: score a trained cell on the dev sets; keep every prediction.

On several GPUs or machines (which share the project's folder) the questions are shared out: `accelerate
launch -m benchmark.evaluate CELL`.
"""

from __future__ import annotations

from benchmark.cli.allocator import keep_freed_memory
from benchmark.cli.commands import command_parser, run_command
from benchmark.config.params import find_cell, load
from benchmark.runs.evaluation_run import evaluate_cell
from bmt.runtime.ranks import launched


def main() -> int:
    """Parse the command line and evaluate."""
    parser = command_parser("evaluate", __doc__ or "", "python -m benchmark.evaluate minilm.mt.bmt.s0")
    parser.add_argument("cell", help="<backbone>.<mt|st-Dataset>.<arm>.s<seed>")
    parser.add_argument("--params", help="params file (default: params.yaml at the repository's root)")
    arguments = parser.parse_args()
    keep_freed_memory()
    config = load(arguments.params)
    cell = find_cell(config, arguments.cell)
    with launched() as ranks:
        evaluate_cell(config, cell, arguments.params, ranks)
    return 0


if __name__ == "__main__":
    run_command(main)
