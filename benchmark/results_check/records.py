"""The files of a results folder: each JSON read, its fields, name and seal checked, and every pair of files
complete.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.rendering.phrases import counted
from benchmark.results_check.fields import check_fields
from benchmark.results_check.findings import RESTORE, Findings, shown
from benchmark.runs import results
from benchmark.runs.results import Identity, Run, UnusableFileError
from benchmark.runs.seal import SEAL, seal

MAKE_AGAIN = "an interrupted write or an edit: restore the file, or evaluate the run again"


@dataclass(frozen=True, slots=True)
class Record:
    """One result. values: its JSON, without the optional fields that are faulty; run: the same as compare
    reads it.
    """

    path: Path
    values: dict[str, Any]
    run: Run

    @property
    def cell(self) -> str:
        """The run's name."""
        return self.run.cell

    @property
    def file(self) -> str:
        """The name of the JSON file."""
        return self.path.name

    @property
    def parquet(self) -> Path:
        """Where the run's predictions are."""
        return self.path.with_suffix(".parquet")


class _KeyTwiceError(ValueError):
    """A key stands twice in one object of a JSON file."""


def result_files(folder: Path) -> tuple[list[Path], list[Path]]:
    """The JSON files of runs, and the Parquet files. Raises OSError where the folder cannot be listed."""
    names = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    runs = [path for path in names if path.suffix == ".json" and not path.stem.startswith("table_")]
    return runs, [path for path in names if path.suffix == ".parquet"]


def read_records(folder: Path, findings: Findings) -> list[Record]:
    """Every run that can be read, in the order of the names; the others are faults."""
    runs, parquets = result_files(folder)
    records = [record for path in runs if (record := _read(path, findings))]
    stems = {path.stem for path in runs}
    for path in parquets:
        if path.stem not in stems:
            findings.fault(
                "files",
                path.name,
                "",
                "no JSON beside it",
                f"predictions belong to a {path.stem}.json",
                RESTORE,
            )
    for path in sorted(folder.glob(".*.part")):
        findings.note("files", f"{path.name} is what an interrupted write left; it can be removed")
    tables = sorted(folder.glob("table_*.json"))
    for path in tables:
        _, fault = results.read_facts(folder, path.stem.removeprefix("table_"))
        if fault:
            findings.fault(
                "files",
                path.name,
                "",
                fault.reason,
                "a table of counted numbers as in docs/compare.md",
                "make it again",
            )
    also = f", {counted(len(tables), 'table')} of facts" if tables else ""
    findings.looked["files"] = (
        f"{counted(len(runs), 'JSON file')}, {counted(len(parquets), 'Parquet file')}{also}"
    )
    findings.looked["names"] = findings.looked["fields"] = counted(len(runs), "JSON file")
    unsealed = {record.cell for record in records if record.values.get(SEAL) is None}
    note_absent(
        "digests", SEAL, unsealed, records, "an edit of a JSON that agrees with itself is not seen", findings
    )
    undigested = {record.cell for record in records if record.values.get("predictions_sha256") is None}
    note_absent(
        "digests",
        "predictions_sha256",
        undigested,
        records,
        "an edit of a Parquet that agrees with itself is not seen",
        findings,
    )
    digests, seals = (len(records) - len(absent) for absent in (undigested, unsealed))
    findings.looked["digests"] = f"{digests} of predictions, {seals} of whole results"
    return records


def note_absent(
    check: str, what: str, absent: set[str], records: list[Record], why: str, findings: Findings
) -> None:
    """Say that `what` is absent from the runs `absent`, and what is therefore not checked.

    A fault for a run whose very code, a clean commit, wrote it into another: there it was taken out.
    """
    writing = {
        record.run.commit: record.cell
        for record in records
        if record.cell not in absent and record.run.dirty is False
    }
    lost = [
        record
        for record in records
        if record.cell in absent and record.run.dirty is False and record.run.commit in writing
    ]
    for record in lost:
        expected = f"{writing[record.run.commit]}, of the same commit, has it"
        findings.fault(check, record.file, what, "absent", expected, f"it was taken out: {RESTORE}")
    gone = {record.cell for record in lost}
    findings.note_absent(
        check, what, [record.cell for record in records if record.cell in absent - gone], len(records), why
    )


def _read(path: Path, findings: Findings) -> Record | None:
    """One result; None where compare could not use it either."""
    run, reason = None, ""
    try:
        run = results.read_run(path, tolerant=True)
    except UnusableFileError as error:
        reason = str(error)
    except (ValueError, OverflowError):  # a number of hundreds of digits
        reason = "no JSON that can be read"
    try:
        values = json.loads(path.read_bytes(), object_pairs_hook=_once)
        if not isinstance(values, dict):
            raise UnusableFileError(reason)
        before = len(findings.faults)
        seal_now = seal(values)
        _check_name(path, values, run, findings)
        if values.get(SEAL) not in (None, seal_now):
            stands, expected = f"{shown(values[SEAL])[:14]}…", f"the fields have {seal_now[:12]}…"
            findings.fault("digests", path.name, SEAL, stands, expected, f"a field was edited: {RESTORE}")
        check_fields(values, path.name, findings)
    except _KeyTwiceError as error:
        findings.fault("files", path.name, str(error), "stands twice", "allowed: once", RESTORE)
        return None
    except (OSError, ValueError, UnusableFileError, RecursionError):
        findings.fault(
            "files", path.name, "", reason or "nested too deeply", "needs one JSON object", MAKE_AGAIN
        )
        return None
    if run is None and len(findings.faults) == before:
        findings.fault("fields", path.name, "", reason, "needs the fields of docs/compare.md")
    return Record(path, values, run) if run else None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of a JSON file; the last of two equal keys would otherwise win silently."""
    values = dict(pairs)
    if len(values) < len(pairs):
        keys = [key for key, _ in pairs]
        raise _KeyTwiceError(next(key for key in keys if keys.count(key) > 1))
    return values


def _check_name(path: Path, values: dict[str, Any], run: Run | None, findings: Findings) -> None:
    """A result is called as its file, and a name of this project's form says what the fields say."""
    if isinstance(values.get("cell"), str) and values["cell"] != path.stem:
        advice = "a renamed or relabelled file: give it its own name back, or evaluate the run again"
        findings.fault(
            "names", path.name, "cell", shown(values["cell"]), f"the file is called {path.stem}", advice
        )
    named = results.fault(path, "")  # a foreign name that has not this form says nothing
    if run is None or named.identity is None:
        return
    advice = "a result under another's name, or an edit: give it its own name back, or evaluate the run again"
    for key, stands, said in [*_parts(run.identity, named.identity), ("seed", run.seed, named.seed)]:
        if stands != said:
            findings.fault("names", path.name, key, shown(stands), f"its name says {shown(said)}", advice)


def _parts(stated: Identity, named: Identity) -> list[tuple[str, Any, Any]]:
    return [
        (key, getattr(stated, key), getattr(named, key))
        for key in ("backbone", "regime", "arm", "adapter", "K")
    ]
