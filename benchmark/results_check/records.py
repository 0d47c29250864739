"""The files of a results folder: each JSON read, its fields, name and seal checked, and every pair of files
complete.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmark.rendering.phrases import counted
from benchmark.results_check.findings import RESTORE, Findings, shown
from benchmark.runs import results
from benchmark.runs.result_schema import hold, in_words, take_out
from benchmark.runs.results import Run, UnusableFileError
from benchmark.runs.seal import SEAL, seal

MAKE_AGAIN = "an interrupted write or an edit: restore the file, or evaluate the run again"


@dataclass(frozen=True, slots=True, eq=False)
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

    @property
    def datasets(self) -> dict[str, dict[str, Any]]:
        """What the JSON says of each dataset."""
        entries: dict[str, dict[str, Any]] = self.values["datasets"]
        return entries

    @property
    def mask(self) -> dict[str, Any]:
        """What it says of the masks; empty where that is nothing."""
        return self.run.mask or {}

    @property
    def trained_on(self) -> dict[str, str]:
        """The digests of the training files; empty where they are not recorded."""
        return self.values.get("train_data_sha256") or {}


class _KeyTwiceError(Exception):
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
    for path in parquets:
        if path.with_suffix(".json") not in runs:
            expected = f"predictions belong to a {path.stem}.json"
            findings.fault("files", path.name, "", "no JSON beside it", expected)
    for path in sorted(folder.glob(".*.part")):
        findings.note("files", f"{path.name} is what an interrupted write left; it can be removed")
    tables = sorted(folder.glob("table_*.json"))
    for path in tables:
        _, fault = results.read_facts(folder, path.stem.removeprefix("table_"))
        if fault:
            expected = "a table of counted numbers as in docs/compare.md"
            findings.fault("files", path.name, "", fault.reason, expected, "make it again")
    also = f", {counted(len(tables), 'table')} of facts" if tables else ""
    files = counted(len(runs), "JSON file")
    findings.looked["files"] = f"{files}, {counted(len(parquets), 'Parquet file')}{also}"
    findings.looked["names"] = findings.looked["fields"] = files
    having = []
    for key, what in ((SEAL, "JSON"), ("predictions_sha256", "Parquet")):
        absent = {record.cell for record in records if record.values.get(key) is None}
        why = f"an edit of a {what} that agrees with itself is not seen"
        note_absent("digests", key, absent, records, why, findings)
        having.append(len(records) - len(absent))
    findings.looked["digests"] = f"{having[1]} of predictions, {having[0]} of whole results"
    return records


def note_absent(
    check: str, what: str, absent: set[str], records: list[Record], why: str, findings: Findings
) -> None:
    """Say that `what` is absent from the runs `absent`, and what is therefore not checked.

    A fault for a run whose very code, a clean commit, wrote it into another: there it was taken out.
    """
    clean = [record for record in records if record.run.dirty is False]
    writing = {record.run.commit: record.cell for record in clean if record.cell not in absent}
    lost = [record for record in clean if record.cell in absent and record.run.commit in writing]
    for record in lost:
        expected = f"{writing[record.run.commit]}, of the same commit, has it"
        findings.fault(check, record.file, what, "absent", expected, f"it was taken out: {RESTORE}")
    silent = [record.cell for record in records if record.cell in absent and record not in lost]
    findings.note_absent(check, what, silent, len(records), why)


def _read(path: Path, findings: Findings) -> Record | None:
    """One result; None where compare could not use it either.

    What is wrong and optional is taken out of its values, so that later checks meet only what can be computed
    with.
    """
    try:
        values = results.read_object(path, _once)
        seal_now = seal(values)
    except _KeyTwiceError as error:
        findings.fault("files", path.name, str(error), "stands twice", "allowed: once")
        return None
    except (UnusableFileError, RecursionError) as error:
        reason = str(error) if isinstance(error, UnusableFileError) else "nested too deeply"
        findings.fault("files", path.name, "", reason, "needs one JSON object", MAKE_AGAIN)
        return None
    if isinstance(values.get("cell"), str) and values["cell"] != path.stem:
        advice = "a renamed or relabelled file: give it its own name back, or evaluate the run again"
        expected = f"the file is called {path.stem}"
        findings.fault("names", path.name, "cell", shown(values["cell"]), expected, advice)
    if values.get(SEAL) not in (None, seal_now):
        stands, expected = f"{shown(values[SEAL])[:14]}…", f"the fields have {seal_now[:12]}…"
        findings.fault("digests", path.name, SEAL, stands, expected, f"a field was edited: {RESTORE}")
    for fault in hold(values)[1]:
        stands = "missing" if fault.problem == "missing" else shown(fault.value)
        findings.fault("fields", path.name, fault.key, stands, f"allowed: {in_words(fault)}")
        take_out(values, fault)
    result, faults = hold(values)
    if values.get("cell") != path.stem or any(fault.optional is None for fault in faults):
        return None
    record = Record(path, values, results.run_of(result, values))
    _check_name(record, findings)
    return record


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of a JSON file; the last of two equal keys would otherwise win silently."""
    values = dict(pairs)
    if len(values) < len(pairs):
        keys = [key for key, _ in pairs]
        raise _KeyTwiceError(next(key for key in keys if keys.count(key) > 1))
    return values


def _check_name(record: Record, findings: Findings) -> None:
    """A name of this project's form says what the fields say."""
    named = results.fault(record.path, "")
    if named.identity is None:  # a foreign name that has not this form says nothing
        return
    advice = "a result under another's name, or an edit: give it its own name back, or evaluate the run again"
    said = {**asdict(named.identity), "seed": named.seed}
    stated = {**asdict(record.run.identity), "seed": record.run.seed}
    for key, stands in stated.items():
        if stands != said[key]:
            findings.fault(
                "names", record.file, key, shown(stands), f"its name says {shown(said[key])}", advice
            )
