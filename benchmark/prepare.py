"""`python -m benchmark.prepare`: MRQA files to windows, for the tokenizer of every backbone of the profile."""

from __future__ import annotations

import os

from benchmark.acquisition.feature_files import prepare
from benchmark.cli.commands import command_parser, run_command
from benchmark.config.params import load
from bmt.errors import ConfigError


def main() -> int:
    """Parse the command line and prepare."""
    parser = command_parser("prepare", __doc__ or "", "python -m benchmark.prepare --workers 2")
    parser.add_argument("backbone", nargs="?", help="of params.yaml (default: all)")
    parser.add_argument("--params", help="params file (default: params.yaml at the repository's root)")
    parser.add_argument(
        "--workers",
        type=int,
        default=min(4, os.cpu_count() or 1),
        help="processes that tokenise (default: %(default)s)",
    )
    parser.add_argument("--strict", action="store_true", help="the first irregularity of a file is an error")
    arguments = parser.parse_args()
    if arguments.workers < 1:
        raise ConfigError(f"--workers: {arguments.workers} is not allowed: at least 1")
    prepare(load(arguments.params), arguments.workers, arguments.strict, arguments.backbone)
    return 0


if __name__ == "__main__":
    run_command(main)
