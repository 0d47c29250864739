"""Get the files of a data source, each verified before it takes its name.

Writes `<out>/<domain>/<Dataset>.<split>.jsonl.gz`, `<out>/manifest.yaml` (a copy) and `<out>/fetch.json`
(what came from where).
"""

from __future__ import annotations

from pathlib import Path

from benchmark.cli.commands import add_params_options, command_parser, run_command
from bmt.errors import ConfigError

EXAMPLES = """python -m benchmark.fetch                      # what the params file's source.manifest names
  python -m benchmark.fetch --manifest mrqa2019 --out data/raw/paper --only SQuAD DROP
  python -m benchmark.fetch --source hub         # the same questions from the Hugging Face hub
  python -m benchmark.fetch --offline            # nothing from the network: verify what is there"""


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, fetch and say what is there."""
    parser = command_parser("fetch", __doc__, EXAMPLES)
    add_params_options(parser)
    add = parser.add_argument
    add("--manifest", help="sample, real, mrqa2019, or a folder, file or URL (default: source.manifest)")
    add("--out", metavar="DIR", help="folder to write to (default: data/raw/<profile>)")
    add(
        "--source",
        choices=("files", "hub"),
        help="files: the manifest's own; hub: the Hugging Face hub's copy",
    )
    add("--only", nargs="+", metavar="DATASET", help="these datasets only")
    add("--offline", action="store_true", help="take nothing from the network; verify what is there")
    add("--jobs", type=int, default=4, help="files at a time (default: %(default)s)")
    options = parser.parse_args(arguments)

    from benchmark.acquisition.download import Patience
    from benchmark.acquisition.fetch import fetch, print_report
    from benchmark.config.params import repository_root
    from benchmark.config.profiles import chosen_config

    manifest, out, root = options.manifest, options.out, Path()
    if manifest is None or out is None:
        config, _ = chosen_config(options)
        if manifest is None:
            manifest, root = config.source.manifest, repository_root()
        out = out or repository_root() / "data" / "raw" / config.profile
    elif option := "--params" if options.params else "--profile" if options.profile else "":
        raise ConfigError(
            f"{option}: --manifest and --out leave nothing to read from it: drop one of the three"
        )
    report = fetch(
        manifest,
        out,
        options.only,
        options.offline,
        source=options.source,
        patience=Patience(jobs=options.jobs),
        root=root,
    )
    return print_report(report, Path(out))


if __name__ == "__main__":
    run_command(main)
