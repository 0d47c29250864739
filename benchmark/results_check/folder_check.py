"""`python -m benchmark.check [DIR]`: is a results folder what it says it is? docs/compare.md lists what is
checked.

Offline: it reads the folder, and of this project the profile's arms and, beside the project's own results,
the trained runs.
No MLflow, no DVC, no torch.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from benchmark.cli.progress import Bar, progress, silent
from benchmark.config.params import load, repository_root
from benchmark.results_check.agreement import check_agreement
from benchmark.results_check.copies import check_copies
from benchmark.results_check.examples import check_examples
from benchmark.results_check.findings import CHECKS, Checked, Findings
from benchmark.results_check.origin import check_declared, check_trained
from benchmark.results_check.plausibility import check_plausible
from benchmark.results_check.records import read_records, result_files
from benchmark.results_check.scoring import check_scores
from benchmark.results_check.tables import Tables, read_table, row_count
from bmt.errors import ConfigError

LARGE = 200_000
"""Predictions from which progress is shown."""


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
    return Checked(
        str(folder),
        ", ".join(sorted({record.run.profile for record in records})),
        len(records),
        rows,
        findings,
    )


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
        raise ConfigError(
            f"{what}: no such folder: name one of <cell>.json and <cell>.parquet (docs/compare.md), or run `dvc repro`"
        )
    try:
        found = result_files(folder)
    except OSError as error:
        raise ConfigError(f"{what}: cannot be read ({error.strerror}): make it readable") from None
    if not any(found):
        raise ConfigError(
            f"{what}: no results there: needs <cell>.json and <cell>.parquet (docs/compare.md), or run `dvc repro`"
        )
    return folder, profile


def _trained(folder: Path) -> Path | None:
    """Where the trained runs of this project's own results are; None for any other folder."""
    runs = repository_root() / "runs" / folder.resolve().name
    own = (repository_root() / "results").resolve() == folder.resolve().parent
    return runs if own and runs.is_dir() else None
