"""Few-shot transfer of a trained cell to the datasets out of domain (section 4.6.2, Table 9).

For each K and seed of `fewshot:` in the params file and each target dataset: K of its dev questions, half to
train on and half to validate on, the mean of the cell's adapters weighted by their loss on the K, some
updates under the arm's mask, the answers to the other questions. One result per K and seed:
`results/<profile>/<backbone>.<regime>.<arm>[.adapter].k<K>.s<seed>.json`. What a call that was cut off has
finished is not done again; SIGTERM ends a call at its next update, from which the next call goes on.
(Zero-shot is what `benchmark.evaluate` scores out of domain: the plain mean of adapters.)
"""

from __future__ import annotations

from dataclasses import replace

from benchmark.cli.commands import add_params_options, command_parser, run_command
from bmt.errors import ConfigError

EXAMPLE = "python -m benchmark.transfer minilm.mt.bmt.adapter.s0 --k 16 --seed 7"


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and transfer."""
    parser = command_parser("transfer", __doc__, EXAMPLE)
    add = parser.add_argument
    add("cell", help="a trained cell, <backbone>.mt.<arm>[.adapter].s<seed>")
    add(
        "--k",
        type=int,
        action="append",
        metavar="K",
        help="examples per dataset (may be repeated; default: fewshot.sizes)",
    )
    add(
        "--seed",
        type=int,
        action="append",
        metavar="S",
        help="seed of the K examples (likewise; default: fewshot.seeds)",
    )
    add_params_options(parser)
    options = parser.parse_args(arguments)

    from benchmark.cli.allocator import keep_freed_memory
    from benchmark.config.params import find_cell
    from benchmark.config.profiles import chosen_config

    keep_freed_memory()
    config, file = chosen_config(options)
    settings = replace(
        config.fewshot, sizes=options.k or config.fewshot.sizes, seeds=options.seed or config.fewshot.seeds
    )
    for flag, values in (("--k", settings.sizes), ("--seed", settings.seeds)):
        if min(values) < 0 or len(set(values)) < len(values):
            raise ConfigError(
                f"{flag}: {', '.join(map(str, values))} is not allowed: whole numbers from 0 on, each once"
            )
    cell = find_cell(config, options.cell)

    from benchmark.runs.transfer_run import transfer_cell

    transfer_cell(config, cell, settings, file)
    return 0


if __name__ == "__main__":
    run_command(main)
