"""Cut the questions of MRQA files into windows, for the tokenizer of every backbone of the profile."""

from __future__ import annotations

import os

from benchmark.cli.commands import add_params_options, command_parser, run_command
from bmt.errors import ConfigError


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and prepare."""
    parser = command_parser("prepare", __doc__, "python -m benchmark.prepare --workers 2")
    parser.add_argument("backbone", nargs="?", help="of params.yaml (default: all)")
    add_params_options(parser)
    parser.add_argument(
        "--workers",
        type=int,
        default=min(4, os.cpu_count() or 1),
        help="processes that tokenise (default: %(default)s)",
    )
    parser.add_argument("--strict", action="store_true", help="the first irregularity of a file is an error")
    options = parser.parse_args(arguments)
    if options.workers < 1:
        raise ConfigError(f"--workers: {options.workers} is not allowed: at least 1")

    from benchmark.acquisition.feature_files import prepare
    from benchmark.config.profiles import chosen_config

    config, _ = chosen_config(options)
    prepare(config, options.workers, options.strict, options.backbone)
    return 0


if __name__ == "__main__":
    run_command(main)
