"""`python -m benchmark.masks CELL [CELL]`: what trained cells' masks open, and how far masks agree beyond
chance.

One cell: density by dataset, layer and kind of tensor, and the overlap of every two datasets. Two cells, for
instance two seeds of an arm: the overlap of each dataset's two masks. Chance is what independent masks with
the same density in every tensor would have.
"""

from __future__ import annotations

from benchmark.cli.commands import add_format_option, add_params_options, command_parser, run_command
from bmt.errors import ConfigError

EXAMPLE = "python -m benchmark.masks minilm.mt.bmt.s0 minilm.mt.bmt.s1"


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and print."""
    parser = command_parser("masks", __doc__, EXAMPLE)
    parser.add_argument("cells", nargs="+", metavar="CELL", help="one trained cell, or two to be compared")
    add_params_options(parser)
    add_format_option(parser)
    options = parser.parse_args(arguments)
    if len(options.cells) > 2:
        raise ConfigError(f"{len(options.cells)} cells: not allowed: one, or two to be compared")

    from benchmark.config.params import find_cell
    from benchmark.config.profiles import chosen_config
    from benchmark.rendering.output import usual_format, write_document

    config, _ = chosen_config(options)
    cells = [find_cell(config, name) for name in options.cells]

    from benchmark.runs.mask_report import kept_masks, masks_document, overlap_document

    masks = [kept_masks(config, cell) for cell in cells]
    document = masks_document(masks[0]) if len(masks) == 1 else overlap_document(*masks)
    write_document(document, [options.format or usual_format()])
    return 0


if __name__ == "__main__":
    run_command(main)
