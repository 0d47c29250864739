"""What each stage of the pipeline depends on, as small files that DVC compares (docs/pipeline.md).

python -m benchmark.digests                 # settings and code of every stage: data/digests/<profile>/
python -m benchmark.digests inputs          # the data that each cell reads: data/inputs/<profile>/
python -m benchmark.digests scores CELL     # what sampling is held against, of a trained ST cell:
data/scores/<profile>/
python -m benchmark.digests references      # the same by the cells that need it: data/references/<profile>/
"""

from __future__ import annotations

from benchmark.cli.commands import add_params_options, command_parser, run_command
from benchmark.cli.messages import say
from bmt.errors import ConfigError


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and write the files."""
    parser = command_parser("digests", __doc__, "python -m benchmark.digests && dvc status")
    parser.add_argument(
        "what", nargs="?", default="settings", choices=("settings", "inputs", "scores", "references")
    )
    parser.add_argument("cell", nargs="?", help="an ST cell, for scores")
    add_params_options(parser)
    options = parser.parse_args(arguments)
    if (options.what == "scores") != (options.cell is not None):
        raise ConfigError(f"{options.what}: {'needs a' if options.cell is None else 'takes no'} cell")

    from benchmark.config.folders import Places
    from benchmark.config.params import find_cell
    from benchmark.config.profiles import chosen_config
    from benchmark.pipeline import digest_files

    config, _ = chosen_config(options)
    places = Places.of(config)
    writers = {
        "settings": digest_files.write_digests,
        "inputs": digest_files.write_inputs,
        "references": digest_files.write_references,
    }
    if options.what == "scores":
        count = digest_files.write_scores(find_cell(config, options.cell), places)
    else:
        count = writers[options.what](config, places)
    say(f"{count} files of {options.what} written")
    return 0


if __name__ == "__main__":
    run_command(main)
