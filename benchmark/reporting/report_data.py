"""Everything that the page shows, read once: each table compared, the runs' evidence, their curves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.comparison.inputs import read_inputs
from benchmark.comparison.report import TableReport
from benchmark.comparison.table_comparison import compare
from benchmark.comparison.table_document import document_title
from benchmark.config.params import CompareSettings, Config
from benchmark.paper.tables import Paper, table_name
from benchmark.reporting import curves, evidence
from benchmark.reporting.curves import Curve
from benchmark.reporting.evidence import Evidence
from benchmark.runs.results import Fault


@dataclass(frozen=True, slots=True)
class ComparedTable:
    """One table of the paper, and what was found of it."""

    report: TableReport

    @property
    def key(self) -> str:
        """The table's id, for ids and links."""
        return self.report.table.table

    @property
    def name(self) -> str:
        """`Table 3`, `Table A.10`."""
        return table_name(self.key)

    @property
    def title(self) -> str:
        """The name and the caption."""
        return document_title(self.report.table)


@dataclass(frozen=True, slots=True)
class ReportData:
    """What a report is made of.

    our_paper: the paper is the one that this project reproduces. named_folder: the results are a folder that
    was named, so how they were made is not known. source: the folder, relative to the repository, or its name
    where it lies elsewhere. notes: what could not be shown, and why.
    """

    paper: Paper
    our_paper: bool
    named_folder: bool
    profile: str
    source: str
    seeds: tuple[int, ...] | None
    config: Config | None
    settings: CompareSettings
    tables: tuple[ComparedTable, ...]
    runs: tuple[Evidence, ...]
    curves: tuple[Curve, ...]
    faults: tuple[Fault, ...]
    notes: tuple[str, ...]


def read_report_data(
    folder: Path | None,
    profile: str | None,
    paper_folder: Path | None,
    seeds: tuple[int, ...] | None,
    params: str | None = None,
) -> ReportData:
    """Compare every table of the paper with a results folder, and read what else there is of its runs.

    Args:
        folder: the results; None: `results/<profile>`.
        profile: None: the runs' own for a given folder, else that of params.yaml.
        paper_folder: None: the paper of this project.
        params: a params file in a profile's place.

    Raises:
        ConfigError: a folder or profile that does not exist, a paper that cannot be read.
    """
    inputs = read_inputs(folder, profile, paper_folder, seeds, params)
    reports = [compare(inputs, table) for table in inputs.paper.tables.values()]
    every_fault = (*inputs.results.faults, *(fault for report in reports for fault in report.faults))
    faults = {str(fault): fault for fault in every_fault}
    unusable = {fault.file.rsplit(".", 1)[0] for fault in faults.values()}
    runs = [one for one in evidence.read(inputs.results, seeds) if one.run.cell not in unusable]
    course, lost = curves.read(inputs.results.folder, {one.run.cell: one for one in runs}, seeds)
    return ReportData(
        paper=inputs.paper,
        our_paper=paper_folder is None,
        named_folder=folder is not None,
        profile=inputs.setting.profile,
        source=inputs.source,
        seeds=seeds,
        config=inputs.config,
        settings=inputs.settings,
        tables=tuple(map(ComparedTable, reports)),
        runs=tuple(runs),
        curves=tuple(course),
        faults=tuple(faults.values()),
        notes=(*(note for one in runs for note in one.notes), *lost),
    )


def cell_counts(tables: Sequence[ComparedTable]) -> Counter[str]:
    """Printed numbers by verdict; a row printed in two tables counts in both."""
    return sum((table.report.verdicts for table in tables), Counter())


def claim_counts(tables: Sequence[ComparedTable]) -> Counter[str]:
    """Claims by verdict."""
    return sum((table.report.claim_verdicts for table in tables), Counter())


def log_report(data: ReportData, page: Path, name: str) -> None:
    """Log the page and its counts as the run `report`; where MLflow is absent or down, they wait in
    `runs/<name>/report/`.
    """
    from benchmark.tracking.file_run import log_file

    params = {"profile": data.profile, "results": data.source, "seeds": data.seeds}
    counts = {f"cells/{verdict}": count for verdict, count in cell_counts(data.tables).items()}
    counts |= {f"claims/{verdict}": count for verdict, count in claim_counts(data.tables).items()}
    log_file("report", name, data.config, params, counts | {"runs": len(data.runs)}, page)
