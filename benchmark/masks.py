"""`python -m benchmark.masks CELL [CELL]`: what trained cells' masks open, and how far masks agree beyond
chance.

One cell: density by dataset, layer and kind of tensor, and the overlap of every two datasets. Two cells, for
instance two seeds of an arm:
the overlap of each dataset's two masks. Chance is what independent masks with the same density in every
tensor would have.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmark.cli.commands import command_parser, run_command
from benchmark.config.params import find_cell, load, repository_root
from benchmark.runs.mask_report import masks_of, one_cell, two_cells
from bmt.errors import ConfigError

EXAMPLE = "python -m benchmark.masks minilm.mt.bmt.s0 minilm.mt.bmt.s1"


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and print."""
    parser: argparse.ArgumentParser = command_parser("masks", __doc__ or "", EXAMPLE)
    parser.add_argument("cells", nargs="+", metavar="CELL", help="one trained cell, or two to be compared")
    parser.add_argument(
        "--params", type=Path, help="params file (default: params.yaml at the repository's root)"
    )
    parser.add_argument("--profile", help="a profile of profiles/ instead of --params")
    given = parser.parse_args(arguments)
    if len(given.cells) > 2:
        raise ConfigError(f"{len(given.cells)} cells: not allowed: one, or two to be compared")
    config = load(repository_root() / "profiles" / f"{given.profile}.yaml" if given.profile else given.params)
    found = [masks_of(config, find_cell(config, name)) for name in given.cells]
    print("\n".join(one_cell(found[0]) if len(found) == 1 else two_cells(*found)))
    return 0


if __name__ == "__main__":
    run_command(main)
