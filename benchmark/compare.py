"""`python -m benchmark.compare --paper-table N`: a table of the paper beside our runs, with verdicts, and its claims tested.

Reads the paper as data and a results folder; no MLflow, no DVC, no torch. docs/compare.md documents its formats.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from benchmark.command import command_parser, run_command
from benchmark.config import CompareSettings, Config, load, repository_root
from bmt.errors import ConfigError

FORMATS = ("terminal", "markdown", "latex", "json", "html")
EXAMPLE = "python -m benchmark.compare --paper-table 3 --format markdown,json --out reports/mini/table_3"


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = command_parser("compare", "Hold a table of the paper against our runs.", EXAMPLE)
    add = parser.add_argument
    add("--paper-table", required=True, metavar="N", help="1 to 9 or A.10 (any table of --paper)")
    add("--format", default="terminal", metavar="F[,F]", help=f"of {', '.join(FORMATS)} (default: terminal); several need --out")
    add("--profile", help="the profile of the runs (default: that of params.yaml)")
    add("--seeds", metavar="LIST", help="seeds that count, as 0,1,2 (default: all)")
    add("--results", type=Path, metavar="DIR", help="the results folder (default: results/<profile>)")
    add("--paper", type=Path, metavar="DIR", help="a folder of tables and claims (default: the paper of this project)")
    add("--strict", action="store_true", help="exit status 0 only if every trainable cell is reproduced")
    add("--out", type=Path, metavar="FILE", help="write there; a name without suffix gets the format's, several formats one file each")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Compare, print or write, and say by the status how it went: 0, 1 (see --strict), 2 for unreadable results."""
    given = parse_arguments(arguments)
    forms, seeds = _forms(given.format, given.out), _seeds(given.seeds)
    from benchmark import comparison, papers, rendering, results
    from benchmark.matching import Setting

    paper = papers.load(given.paper)
    table = paper.tables.get(papers.table_id(given.paper_table))
    if table is None:
        raise ConfigError(f"--paper-table {given.paper_table}: not allowed: one of {', '.join(paper.tables)}")
    folder, profile, config, active = _place(given.results, given.profile)
    found = results.read(folder)
    if given.results and not given.profile and len(found.profiles) == 1:
        config, active = _config(found.profiles[0])
    setting = Setting(
        profile=profile or ", ".join(found.profiles) or "unknown",
        seeds=seeds,
        listed=tuple(config.cells) if config else (),
        active=active,
        whole=given.results is None,
        commands=given.paper is None,
    )
    report = comparison.compare(paper, table, found, setting, config.compare if config else CompareSettings(), _shown(folder))
    if given.out is None and forms == ["terminal"]:
        from benchmark.rendering.layout import lay_out
        from benchmark.rendering.terminal import print_report

        print_report(lay_out(report))
    for form in forms if given.out or forms != ["terminal"] else []:
        text = rendering.render(report, form)
        if given.out is None:
            sys.stdout.write(text)
        else:
            from bmt.files import write_text

            path = given.out if given.out.suffix and len(forms) == 1 else given.out.with_name(given.out.name + rendering.SUFFIXES[form])
            write_text(path, text)
            print(f"wrote {path}", file=sys.stderr)
    for fault in report.faults:
        print(f"error: {folder / fault.file}: {fault.reason}", file=sys.stderr)
    return report.status(given.strict)


def _forms(text: str, out: Path | None) -> list[str]:
    forms = list(dict.fromkeys(part.strip() for part in text.split(",")))
    for form in forms:
        if form not in FORMATS:
            raise ConfigError(f"--format {form!r}: not allowed: of {', '.join(FORMATS)}")
    if len(forms) > 1 and out is None:
        raise ConfigError(f"--format {text}: several formats need --out, a name that each format's suffix is put to")
    return forms


def _seeds(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and len(part) <= 10 for part in parts) or len(set(map(int, parts))) < len(parts):
        raise ConfigError(f"--seeds {text!r}: not allowed: whole numbers with commas between, each once, as 0,1,2")
    return tuple(sorted(map(int, parts)))


def _place(given: Path | None, profile: str | None) -> tuple[Path, str, Config | None, bool]:
    """The results folder, the profile ("" where only the runs can say), its configuration if there is one, and whether it is active."""
    if given is not None:
        if not given.is_dir():
            raise ConfigError(f"--results {given}: no such folder: a folder of <cell>.json and <cell>.parquet (docs/compare.md)")
        return given, profile or "", *(_config(profile) if profile else (None, False))
    root = repository_root()
    config, active = _config(profile)
    name = profile or (config.profile if config else "")
    if config is None and not (root / "results" / name).is_dir():
        known = ", ".join(sorted(path.stem for path in (root / "profiles").glob("*.yaml")))
        raise ConfigError(
            f"--profile {name}: not allowed: one of {known or 'those with a file in profiles/'}, or one with a folder results/{name}"
        )
    return root / "results" / name, name, config, active


def _config(profile: str | None) -> tuple[Config | None, bool]:
    """The configuration of a profile (None: the active one), and whether it is params.yaml's."""
    root = repository_root()
    own = root / "params.yaml"
    if profile is None or own.exists():
        config = load(own)
        if profile in (None, config.profile):
            return config, True
    other = root / "profiles" / f"{profile}.yaml"
    return (load(other) if other.exists() else None), False


def _shown(folder: Path) -> str:
    """The folder relative to the repository where it is in it: reports hold no path of this machine."""
    root = repository_root().resolve()
    shown = str(folder.resolve().relative_to(root)) if folder.resolve().is_relative_to(root) else folder.name
    return os.fsencode(shown).decode("utf-8", "replace")  # a folder's name need not be UTF-8, a report must be


if __name__ == "__main__":
    run_command(main)
