"""What each stage of the pipeline depends on, as small files that DVC compares (docs/pipeline.md).

python -m benchmark.digests                 # settings and code of every stage: data/digests/<profile>/
python -m benchmark.digests inputs          # the data that each cell reads: data/inputs/<profile>/
python -m benchmark.digests scores CELL     # what sampling is held against, of a trained ST cell: data/scores/<profile>/
python -m benchmark.digests references      # the same by the cells that need it: data/references/<profile>/
"""

from __future__ import annotations

from benchmark.cli.commands import command_parser, run_command
from benchmark.config.folders import Places
from benchmark.config.params import find_cell, load
from benchmark.pipeline.digest_files import write_digests, write_inputs, write_references, write_scores
from bmt.errors import ConfigError


def main(arguments: list[str] | None = None) -> int:
    """Write the files."""
    parser = command_parser(
        "digests", (__doc__ or "").split("\n")[0], "python -m benchmark.digests && dvc status"
    )
    parser.add_argument(
        "what", nargs="?", default="settings", choices=("settings", "inputs", "scores", "references")
    )
    parser.add_argument("cell", nargs="?", help="an ST cell, for scores")
    parser.add_argument("--params", help="params file (default: params.yaml at the repository's root)")
    given = parser.parse_args(arguments)
    config = load(given.params)
    places = Places.of(config)
    if (given.what == "scores") != (given.cell is not None):
        raise ConfigError(f"{given.what}: {'needs a cell' if given.what == 'scores' else 'takes no cell'}")
    if given.what == "scores":
        count = write_scores(config, find_cell(config, given.cell), places)
    else:
        write = {"settings": write_digests, "inputs": write_inputs, "references": write_references}[
            given.what
        ]
        count = write(config, places)
    print(f"{count} files of {given.what} written")
    return 0


if __name__ == "__main__":
    run_command(main)
