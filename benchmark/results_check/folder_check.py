"""All checks of a results folder, one after the other, and which folder is meant."""

from __future__ import annotations

from pathlib import Path

from benchmark.cli.progress import progress
from benchmark.config.params import load, repository_root
from benchmark.config.results_options import results_place
from benchmark.results_check.agreement import check_agreement
from benchmark.results_check.copies import check_copies
from benchmark.results_check.examples import check_examples
from benchmark.results_check.findings import CHECKS, Findings, FolderCheck
from benchmark.results_check.origin import check_declared, check_trained
from benchmark.results_check.plausibility import check_plausible
from benchmark.results_check.records import read_records, result_files
from benchmark.results_check.scoring import check_scores
from benchmark.results_check.tables import PredictionTables, read_table, row_count
from bmt.errors import ConfigError

LARGE = 200_000
"""Predictions from which progress is shown."""


def check_folder(folder: Path, profile: str | None = None) -> FolderCheck:
    """Everything that is wrong with a results folder.

    Args:
        folder: of `<cell>.json` and `<cell>.parquet`, as docs/compare.md describes them.
        profile: the one that every run must be of; None: they must be of one, whichever.

    Returns:
        What was found, in the order of CHECKS and of the files' names.
    """
    findings, tables = Findings(), PredictionTables()
    records = read_records(folder, findings)
    check_plausible(records, findings)
    check_agreement(records, profile, findings)
    check_declared(records, findings)
    check_trained(records, _trained_runs(folder), findings)
    counts = {record.cell: row_count(record) for record in records}
    rows = sum(counts.values())
    with progress("read", rows, "predictions", shown=rows >= LARGE) as bar:
        for record in records:
            read_table(record, tables, findings)
            bar.advance(counts[record.cell], record.cell)
    check_examples(records, tables, findings)
    with progress("score", rows, "predictions", shown=rows >= LARGE) as bar:
        check_scores(records, tables, findings, bar)
    check_copies(records, tables, findings)
    order = {check: place for place, check in enumerate(CHECKS)}
    findings.faults.sort(key=lambda fault: (order[fault.check], fault.file))
    findings.notes.sort(key=lambda note: order[note.check])
    return FolderCheck(
        str(folder),
        ", ".join(sorted({record.run.profile for record in records})),
        len(records),
        rows,
        findings,
    )


def results_folder(
    folder_option: Path | None, profile: str | None, params: str | None = None
) -> tuple[Path, str | None]:
    """The folder that is meant, and the profile that its runs must be of.

    Args:
        folder_option: None: `results/<profile>`.
        profile, params: as `config.profiles.params_file` takes them; both None: for a given folder any
            profile, else that of params.yaml.

    Raises:
        ConfigError: there is no such folder or profile, it cannot be read, or it holds no results.
    """
    if folder_option is None:
        folder, profile, _, _ = results_place(None, profile, params)
        what = f"--profile {profile}: {folder}"
    else:
        folder, profile = folder_option, load(params).profile if params else profile
        what = str(folder_option)
    if not folder.is_dir():
        raise ConfigError(
            f"{what}: no such folder: name one of <cell>.json and <cell>.parquet (docs/compare.md), or run "
            "`dvc repro`"
        )
    try:
        files = result_files(folder)
    except OSError as error:
        raise ConfigError(f"{what}: cannot be read ({error.strerror}): make it readable") from None
    if not any(files):
        raise ConfigError(
            f"{what}: no results there: needs <cell>.json and <cell>.parquet (docs/compare.md), or run "
            "`dvc repro`"
        )
    return folder, profile


def _trained_runs(folder: Path) -> Path | None:
    """Where the trained runs of this project's own results are; None for any other folder."""
    runs = repository_root() / "runs" / folder.resolve().name
    ours = (repository_root() / "results").resolve() == folder.resolve().parent
    return runs if ours and runs.is_dir() else None
