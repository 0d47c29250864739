"""`python -m benchmark.data`: look at MRQA files: their sizes, one example with its windows, and whatever is
irregular in them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmark.acquisition.inspection import DataFolder, check, show, stats
from benchmark.cli.commands import command_parser, run_command
from bmt.errors import ConfigError


def main() -> int:
    """Parse the command line and run one of the commands."""
    parser = command_parser(
        "data",
        __doc__ or "",
        "python -m benchmark.data stats\n  python -m benchmark.data check data/raw/mini",
    )
    parser.add_argument(
        "--params", help="params file that names the profile (default: params.yaml at the repository's root)"
    )
    commands = parser.add_subparsers(dest="command", required=True)

    def add(name: str, text: str, example: str) -> argparse.ArgumentParser:
        epilog = f"example:\n  python -m benchmark.data {example}"
        return commands.add_parser(
            name,
            help=text,
            description=text,
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )

    folder_help = "folder of MRQA files, or one file (default: the raw data of the profile)"
    stats_parser = add(
        "stats", "Sizes of MRQA files: contexts, questions, mean words.", "stats ../shared/data/mrqa_real"
    )
    stats_parser.add_argument("folder", nargs="?", help=folder_help)
    stats_parser.add_argument(
        "--json",
        action="store_true",
        help="write Table 1 to results/<profile>/table_1.json, for benchmark.compare",
    )
    check_parser = add(
        "check",
        "Read MRQA files to their end and report what is irregular, with file and line.",
        "check data/raw/mini --strict",
    )
    check_parser.add_argument("folder", nargs="?", help=folder_help)
    check_parser.add_argument("--strict", action="store_true", help="a file's first irregularity is an error")
    check_parser.add_argument(
        "--list", type=int, default=10, metavar="N", help="places shown a file (default: %(default)s)"
    )
    show_parser = add(
        "show",
        "One question with its windows and spans marked.",
        "show 5733be284776f41900661182 --backbone minilm",
    )
    show_parser.add_argument("id", help="the question's id")
    show_parser.add_argument("--data", metavar="FOLDER", help=folder_help)
    show_parser.add_argument(
        "--features", metavar="FOLDER", help="features of a profile (default: data/features/<profile>)"
    )
    show_parser.add_argument(
        "--backbone", metavar="NAME", help="whose windows (default: the first backbone that has some)"
    )

    arguments = parser.parse_args()
    place = DataFolder.of(
        arguments.data if arguments.command == "show" else arguments.folder, arguments.params
    )
    if arguments.command == "stats":
        return stats(place, arguments.json)
    if arguments.command == "check":
        if arguments.list < 0:
            raise ConfigError(f"--list: {arguments.list} is not allowed: at least 0")
        return check(place, arguments.strict, arguments.list)
    return show(
        arguments.id,
        place,
        Path(arguments.features) if arguments.features else place.features,
        arguments.backbone,
    )


if __name__ == "__main__":
    run_command(main)
