"""Everything that the page shows, read once: each table compared, the runs' evidence, their curves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmark.comparison import table_comparison as comparison
from benchmark.comparison.layout import Layout, lay_out
from benchmark.comparison.matching import Setting
from benchmark.comparison.report import Report
from benchmark.config.params import CompareSettings, Config
from benchmark.config.results_options import configuration, shown_folder
from benchmark.paper import tables as papers
from benchmark.paper.tables import Paper
from benchmark.reporting import curves, evidence
from benchmark.reporting.curves import Curve
from benchmark.reporting.evidence import Evidence
from benchmark.runs import results
from benchmark.runs.results import Fault


@dataclass(frozen=True, slots=True)
class ComparedTable:
    """One table: what was found, and its texts."""

    report: Report
    layout: Layout

    @property
    def key(self) -> str:
        """The table's id, for ids and links."""
        return self.report.table.table

    @property
    def name(self) -> str:
        """`Table 3`, `Table A.10`."""
        return self.layout.title.removesuffix(f". {self.report.table.caption}")


@dataclass(frozen=True, slots=True)
class ReportData:
    """What a report is made of.

    our_paper: the paper is the one that this project reproduces. named_folder: the results are a folder that was
    named, so how they were made is not known. source: the folder, relative to the repository, or its name where it
    lies elsewhere. notes: what could not be shown, and why.
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


ResultsPlace = tuple[Path, str, Config | None, bool]
"""What `results_place` says: the folder, the profile ("": the runs say), its configuration, whether that is active."""


def read_report_data(
    place: ResultsPlace, named_folder: bool, paper_folder: Path | None, seeds: tuple[int, ...] | None
) -> ReportData:
    """Compare every table of the paper with a results folder, and read what else there is of its runs.

    Args:
        named_folder: the folder was named, not its profile.
        paper_folder: None: the paper of this project.

    Raises:
        ConfigError: a paper that cannot be read.
    """
    paper = papers.load(paper_folder)
    folder, name, config, active = place
    found = results.read(folder)
    if not name and len(found.profiles) == 1:
        config, active = configuration(found.profiles[0])
    setting = Setting(
        profile=name or ", ".join(found.profiles) or "unknown",
        seeds=seeds,
        listed=tuple(config.cells) if config else (),
        active=active,
        whole=not named_folder,
        commands=paper_folder is None,
        sizes=tuple(config.fewshot.sizes) if config else (),
    )
    settings = config.compare if config else CompareSettings()
    reports = [
        comparison.compare(paper, table, found, setting, settings, shown_folder(folder))
        for table in paper.tables.values()
    ]
    faults = {
        str(fault): fault
        for fault in (*found.faults, *(fault for report in reports for fault in report.faults))
    }
    unusable = {fault.file.rsplit(".", 1)[0] for fault in faults.values()}
    runs = [one for one in evidence.read(found, seeds) if one.run.cell not in unusable]
    course, lost = curves.read(curves.runs_folder(folder), {one.run.cell: one for one in runs}, seeds)
    return ReportData(
        paper=paper,
        our_paper=paper_folder is None,
        named_folder=named_folder,
        profile=setting.profile,
        source=shown_folder(folder),
        seeds=seeds,
        config=config,
        settings=settings,
        tables=tuple(ComparedTable(report, lay_out(report)) for report in reports),
        runs=tuple(runs),
        curves=tuple(course),
        faults=tuple(faults.values()),
        notes=(*(note for one in runs for note in one.notes), *lost),
    )


def log_report(data: ReportData, page: Path, name: str) -> None:
    """Log the page and its counts as the run `report`; where MLflow is absent or down, they wait in
    `runs/<name>/report/`.
    """
    from benchmark.reporting.overview import cell_counts, claim_counts
    from benchmark.tracking.file_run import log_file

    params = {"profile": data.profile, "results": data.source, "seeds": data.seeds}
    counts = {f"cells/{verdict}": count for verdict, count in cell_counts(data.tables).items()}
    counts |= {f"claims/{verdict}": count for verdict, count in claim_counts(data.tables).items()}
    log_file("report", name, data.config, params, counts | {"runs": len(data.runs)}, page)
