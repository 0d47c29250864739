"""Look at MRQA files: their sizes, one example with its windows, and whatever is irregular in them."""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmark.cli.commands import add_params_options, command_parser, run_command
from benchmark.cli.messages import say
from bmt.errors import ConfigError

FOLDER = "folder of MRQA files, or one file (default: the raw data of the profile)"
EXAMPLES = "python -m benchmark.data stats\n  python -m benchmark.data check data/raw/mini"


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = command_parser("data", __doc__, EXAMPLES)
    add_params_options(parser)
    commands = parser.add_subparsers(dest="command", required=True)

    def subcommand(name: str, text: str, example: str) -> argparse.ArgumentParser:
        epilog = f"example:\n  python -m benchmark.data {example}"
        plain = argparse.RawDescriptionHelpFormatter
        made = commands.add_parser(name, help=text, description=text, epilog=epilog, formatter_class=plain)
        add_params_options(made, default=argparse.SUPPRESS)
        return made

    sizes = "Sizes of MRQA files: contexts, questions, mean words."
    stats = subcommand("stats", sizes, "stats ../shared/data/mrqa_real")
    stats.add_argument("folder", nargs="?", help=FOLDER)
    table = "write Table 1 to results/<profile>/table_1.json, for benchmark.compare"
    stats.add_argument("--json", action="store_true", help=table)
    read = "Read MRQA files to their end and report what is irregular, with file and line."
    check = subcommand("check", read, "check data/raw/mini --strict")
    check.add_argument("folder", nargs="?", help=FOLDER)
    check.add_argument("--strict", action="store_true", help="a file's first irregularity is an error")
    check.add_argument("--list", type=int, default=10, metavar="N", help="places per file (default: 10)")
    example = "show 5733be284776f41900661182 --backbone minilm"
    show = subcommand("show", "One question with its windows and spans marked.", example)
    show.add_argument("id", help="the question's id")
    show.add_argument("--data", metavar="FOLDER", dest="folder", help=FOLDER)
    features = "features of a profile (default: data/features/<profile>)"
    show.add_argument("--features", type=Path, metavar="FOLDER", help=features)
    whose = "whose windows (default: the first backbone with some)"
    show.add_argument("--backbone", metavar="NAME", help=whose)
    options = parser.parse_args(arguments)
    if options.params is not None and options.profile is not None:  # one before the subcommand, one after
        parser.error("argument --profile: not allowed with argument --params")
    return options


def main(arguments: list[str] | None = None) -> int:
    """Look, and print; 1 where a file cannot be read or, with --strict, is irregular."""
    options = parse_arguments(arguments)
    from benchmark.acquisition import inspection
    from benchmark.config.profiles import params_file
    from benchmark.rendering import print_document
    from bmt.runtime.files import write_json

    status = 0
    folder, places = inspection.inspected(options.folder, params_file(options.params, options.profile))
    if options.command == "stats":
        document, table = inspection.size_document(folder, places.profile)
    elif options.command == "check":
        if options.list < 0:
            raise ConfigError(f"--list: {options.list} is not allowed: at least 0")
        document, status = inspection.irregularity_document(folder, options.strict, options.list)
    else:
        features = options.features or places.features("any").parent
        document = inspection.question_document(options.id, folder, features, options.backbone)
    print_document(document)
    if options.command == "stats" and options.json:
        path = places.results / "table_1.json"
        write_json(path, table)
        say(f"wrote {path}")
    return status


if __name__ == "__main__":
    run_command(main)
