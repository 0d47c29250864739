"""Get the files of a data source, each verified before it takes its name.

    python -m benchmark.fetch                                        # what params.yaml's `source.manifest`
    names
    python -m benchmark.fetch --manifest mrqa2019 --out data/raw/paper --only SQuAD DROP
    python -m benchmark.fetch --source hub                           # the same questions from the Hugging
    Face hub
    python -m benchmark.fetch --offline                              # nothing from the network: verify what
    is there

Writes `<out>/<domain>/<Dataset>.<split>.jsonl.gz`, `<out>/manifest.yaml` (a copy) and `<out>/fetch.json`
(what came from where).
"""

from __future__ import annotations

from pathlib import Path

from benchmark.acquisition.download import Patience
from benchmark.acquisition.fetch import SOURCES, _bar, _print, fetch
from benchmark.cli.commands import command_parser, run_command
from benchmark.config.params import load, repository_root
from bmt.errors import ConfigError


def main(argv: list[str] | None = None) -> int:
    """The command; its exit status."""
    parser = command_parser(
        "fetch", __doc__.split("\n")[0], "python -m benchmark.fetch --only SQuAD DROP --jobs 2"
    )
    parser.add_argument("--params", metavar="FILE", help="params file (default: params.yaml)")
    parser.add_argument(
        "--manifest",
        help="sample, real, mrqa2019, or a folder, file or URL (default: the params file's source.manifest)",
    )
    parser.add_argument("--out", metavar="DIR", help="folder to write to (default: data/raw/<profile>)")
    parser.add_argument(
        "--source", choices=SOURCES, help="files: the manifest's own; hub: the Hugging Face hub's copy"
    )
    parser.add_argument("--only", nargs="+", metavar="DATASET", help="these datasets only")
    parser.add_argument(
        "--offline", action="store_true", help="take nothing from the network; verify what is there"
    )
    parser.add_argument("--jobs", type=int, default=4, help="files at a time (default: 4)")
    options = parser.parse_args(argv)
    manifest, out, root = options.manifest, options.out, Path()
    if manifest is None or out is None:
        config = load(options.params)
        if manifest is None:
            manifest, root = config.source.manifest, repository_root()
        out = out or repository_root() / "data" / "raw" / config.profile
    elif options.params:
        raise ConfigError(
            "--params: --manifest and --out leave nothing to read from it: drop one of the three"
        )
    patience = Patience(jobs=options.jobs)
    report = fetch(
        manifest,
        out,
        options.only,
        options.offline,
        _bar,
        source=options.source,
        patience=patience,
        root=root,
    )
    return _print(report, Path(out))


if __name__ == "__main__":
    run_command(main)
