"""What comes of a study: its trials as a table, its files, its best values in a params file."""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmark.cli.messages import say
from benchmark.config.params import repository_root
from benchmark.rendering import print_document
from benchmark.studies import apply, export, status, study_page
from benchmark.studies.mlflow_runs import log_files
from benchmark.studies.settings import read_settings
from benchmark.studies.storage import find_study, reachable, storage_url
from bmt.runtime.files import write_text


def show_study(options: argparse.Namespace) -> None:
    """Print the table, write the best values' file and the figures' page; the files go to MLflow too."""
    url = storage_url(options.study, options.storage)
    study = find_study(options.study, url)
    with reachable(url):
        if options.status:
            print_document(status.status_document(study))
        written: list[Path] = []
        if options.export:
            written.append(export.export(study, options.trial))
        if options.figures:
            written.append(study_page.write_page(study))
        if written:
            log_files(study, written)
    for path in written:
        say(f"written: {path.relative_to(repository_root())}")


def apply_best(options: argparse.Namespace) -> None:
    """Show, and with --yes write, what the best values change in the params file."""
    best = export.read_best(options.study)
    target = read_settings(options.params, options.profile)
    text, lines = apply.difference(target.path, target.shown, best["profile"], best["values"])
    if not lines:
        say(f"{target.shown} has the values of study {options.study} already")
        return
    say(*lines.splitlines())
    if best.get("changed"):
        changes = ", ".join(f"{key}={value}" for key, value in best["changed"].items())
        say(f"the study itself ran with {changes}; that is not applied")
    if options.yes:
        write_text(target.path, text)
        say(f"{target.shown}: written; `dvc repro` runs what depends on it")
    else:
        say("nothing written: the same command with --yes writes it")
