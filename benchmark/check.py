"""`python -m benchmark.check [DIR]`: is a results folder what it says it is? docs/compare.md lists what is checked.

Offline: it reads the folder, and of this project the profile's arms and, beside the project's own results, the trained runs.
No MLflow, no DVC, no torch.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from benchmark.checking.agreement import check_agreement
from benchmark.checking.copies import check_copies
from benchmark.checking.examples import check_examples
from benchmark.checking.findings import CHECKS, Checked, Findings
from benchmark.checking.origin import check_declared, check_trained
from benchmark.checking.output import print_checked, to_json
from benchmark.checking.plausible import check_plausible
from benchmark.checking.records import read_records, result_files
from benchmark.checking.scoring import check_scores
from benchmark.checking.tables import Tables, read_table, row_count
from benchmark.command import command_parser, run_command
from benchmark.config import load, repository_root
from benchmark.progress import Bar, progress, silent
from bmt.errors import ConfigError

LARGE = 200_000
"""Predictions from which progress is shown."""


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    about = (
        "Check a results folder: files, fields, examples, scores computed again, masks, copies, seals. Exit status: 0 no fault, 1 faults."
    )
    parser = command_parser("check", about, "python -m benchmark.check results/mini")
    add = parser.add_argument
    add("folder", nargs="?", type=Path, metavar="DIR", help="the results folder (default: results/<profile>)")
    add("--profile", help="the profile that every run must be of (default: that of params.yaml; with DIR: one, whichever)")
    add("--format", default="terminal", choices=("terminal", "json"), help="default: terminal")
    add("--strict", action="store_true", help="exit status 1 also for what could not be checked")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Check, print, and say by the status how it went: 0 no fault, 1 faults (see --strict); ConfigError (2) where there is no folder."""
    given = parse_arguments(arguments)
    checked = check_folder(*_place(given.folder, given.profile))
    if given.format == "json":
        sys.stdout.write(to_json(checked, given.strict))
    else:
        print_checked(checked, given.strict)
    return checked.status(given.strict)


def check_folder(folder: Path, profile: str | None = None) -> Checked:
    """Everything that is wrong with a results folder.

    Args:
        folder: of `<cell>.json` and `<cell>.parquet`, as docs/compare.md describes them.
        profile: the one that every run must be of; None: they must be of one, whichever.

    Returns:
        What was found, in the order of CHECKS and of the files' names.
    """
    findings, tables = Findings(), Tables()
    records = read_records(folder, findings)
    check_plausible(records, findings)
    check_agreement(records, profile, findings)
    check_declared(records, findings)
    check_trained(records, _trained(folder), findings)
    counts = {record.cell: row_count(record) for record in records}
    rows = sum(counts.values())
    with _bar("read", rows) as bar:
        for record in records:
            read_table(record, tables, findings)
            bar.advance(counts[record.cell], record.cell)
    check_examples(records, tables, findings)
    with _bar("score", rows) as bar:
        check_scores(records, tables, findings, bar)
    check_copies(records, tables, findings)
    order = list(CHECKS)
    findings.faults.sort(key=lambda fault: (order.index(fault.check), fault.file))
    findings.notes.sort(key=lambda note: order.index(note.check))
    return Checked(str(folder), ", ".join(sorted({record.run.profile for record in records})), len(records), rows, findings)


def _bar(name: str, rows: int) -> AbstractContextManager[Bar]:
    return progress(name, rows, "predictions") if rows >= LARGE else nullcontext(silent())


def _place(given: Path | None, profile: str | None) -> tuple[Path, str | None]:
    """The folder, and the profile that its runs must be of.

    Raises:
        ConfigError: there is no such folder, it cannot be read, or it holds no results.
    """
    if given is None:
        profile = profile or load().profile
    folder = repository_root() / "results" / str(profile) if given is None else given
    what = f"--profile {profile}: {folder}" if given is None else f"{given}"
    if not folder.is_dir():
        raise ConfigError(f"{what}: no such folder: name one of <cell>.json and <cell>.parquet (docs/compare.md), or run `dvc repro`")
    try:
        found = result_files(folder)
    except OSError as error:
        raise ConfigError(f"{what}: cannot be read ({error.strerror}): make it readable") from None
    if not any(found):
        raise ConfigError(f"{what}: no results there: needs <cell>.json and <cell>.parquet (docs/compare.md), or run `dvc repro`")
    return folder, profile


def _trained(folder: Path) -> Path | None:
    """Where the trained runs of this project's own results are; None for any other folder."""
    runs = repository_root() / "runs" / folder.resolve().name
    own = (repository_root() / "results").resolve() == folder.resolve().parent
    return runs if own and runs.is_dir() else None


if __name__ == "__main__":
    run_command(main)
