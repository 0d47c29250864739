"""Everything that the page shows, read once: each table compared, the runs' evidence, their curves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmark.comparison.inputs import read_inputs
from benchmark.comparison.report import TableReport
from benchmark.comparison.table_comparison import compare
from benchmark.config.params import CompareSettings, Config
from benchmark.paper.tables import Paper, table_name
from benchmark.reporting import curves, evidence
from benchmark.reporting.curves import Curve
from benchmark.reporting.evidence import Evidence
from benchmark.runs.results import Fault


@dataclass(frozen=True, slots=True)
class Compared:
    """One table: what was found."""

    report: TableReport

    @property
    def key(self) -> str:
        """The table's id, for ids and links."""
        return self.report.table.table

    @property
    def name(self) -> str:
        """`Table 3`, `Table A.10`."""
        return table_name(self.report.table.table)


@dataclass(frozen=True, slots=True)
class Gathered:
    """What a report is made of.

    own: the paper is this project's. given: the results are a folder that was named, so how they were made is
        not known. source: the
    folder, relative to the repository, or its name where it lies elsewhere. notes: what could not be shown,
    and why.
    """

    paper: Paper
    own: bool
    given: bool
    profile: str
    source: str
    seeds: tuple[int, ...] | None
    config: Config | None
    settings: CompareSettings
    tables: tuple[Compared, ...]
    runs: tuple[Evidence, ...]
    curves: tuple[Curve, ...]
    faults: tuple[Fault, ...]
    notes: tuple[str, ...]


def gather(
    folder: Path | None, profile: str | None, paper_folder: Path | None, seeds: tuple[int, ...] | None
) -> Gathered:
    """Compare every table of the paper with a results folder, and read what else there is of its runs.

    Args:
        folder: the results; None: `results/<profile>`.
        profile: None: the runs' own for a given folder, else that of params.yaml.
        paper_folder: None: the paper of this project.

    Raises:
        ConfigError: a folder or profile that does not exist, a paper that cannot be read.
    """
    inputs = read_inputs(folder, profile, paper_folder, seeds)
    paper, runs_read = inputs.paper, inputs.results
    reports = [
        compare(paper, table, runs_read, inputs.setting, inputs.settings, inputs.source)
        for table in paper.tables.values()
    ]
    faults = {
        str(fault): fault
        for fault in (*runs_read.faults, *(fault for report in reports for fault in report.faults))
    }
    damaged = {fault.file.rsplit(".", 1)[0] for fault in faults.values()}
    runs = [one for one in evidence.read(runs_read, seeds) if one.run.cell not in damaged]
    courses, lost = curves.read(
        curves.runs_folder(runs_read.folder), {one.run.cell: one for one in runs}, seeds
    )
    return Gathered(
        paper=paper,
        own=paper_folder is None,
        given=folder is not None,
        profile=inputs.setting.profile,
        source=inputs.source,
        seeds=seeds,
        config=inputs.config,
        settings=inputs.settings,
        tables=tuple(map(Compared, reports)),
        runs=tuple(runs),
        curves=tuple(courses),
        faults=tuple(faults.values()),
        notes=(*(note for one in runs for note in one.notes), *lost),
    )
