"""Everything that the page shows, read once: each table compared, the runs' evidence, their curves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmark.comparison import table_comparison as comparison
from benchmark.comparison.matching import Setting
from benchmark.comparison.report import Report
from benchmark.config.params import CompareSettings, Config
from benchmark.config.results_options import configuration, results_place, shown_folder
from benchmark.paper import tables as papers
from benchmark.paper.tables import Paper
from benchmark.rendering.layout import Layout, lay_out
from benchmark.reporting import curves, evidence
from benchmark.reporting.curves import Curve
from benchmark.reporting.evidence import Evidence
from benchmark.runs import results
from benchmark.runs.results import Fault


@dataclass(frozen=True, slots=True)
class Compared:
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
    paper = papers.load(paper_folder)
    place, name, config, active = results_place(folder, profile)
    found = results.read(place)
    if folder and not profile and len(found.profiles) == 1:
        config, active = configuration(found.profiles[0])
    setting = Setting(
        profile=name or ", ".join(found.profiles) or "unknown",
        seeds=seeds,
        listed=tuple(config.every_cell) if config else (),
        active=active,
        whole=folder is None,
        commands=paper_folder is None,
        sizes=tuple(config.fewshot.sizes) if config else (),
    )
    settings = config.compare if config else CompareSettings()
    reports = [
        comparison.compare(paper, table, found, setting, settings, shown_folder(place))
        for table in paper.tables.values()
    ]
    faults = {
        str(fault): fault
        for fault in (*found.faults, *(fault for report in reports for fault in report.faults))
    }
    damaged = {fault.file.rsplit(".", 1)[0] for fault in faults.values()}
    runs = [one for one in evidence.read(found, seeds) if one.run.cell not in damaged]
    courses, lost = curves.read(curves.runs_folder(place), {one.run.cell: one for one in runs}, seeds)
    return Gathered(
        paper=paper,
        own=paper_folder is None,
        given=folder is not None,
        profile=setting.profile,
        source=shown_folder(place),
        seeds=seeds,
        config=config,
        settings=settings,
        tables=tuple(Compared(report, lay_out(report)) for report in reports),
        runs=tuple(runs),
        curves=tuple(courses),
        faults=tuple(faults.values()),
        notes=(*(note for one in runs for note in one.notes), *lost),
    )
