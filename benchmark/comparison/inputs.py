"""What a comparison reads: a paper, a results folder, and the profile that says how runs are made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmark.comparison.matching import Setting
from benchmark.config.params import CompareSettings, Config
from benchmark.config.results_options import configuration, results_place, shown_folder
from benchmark.paper import tables
from benchmark.paper.tables import Paper
from benchmark.runs import results
from benchmark.runs.results import Results


@dataclass(frozen=True, slots=True)
class ComparisonInputs:
    """config: of the runs' profile, None where it has no file here. source: the folder as it may be shown."""

    paper: Paper
    results: Results
    setting: Setting
    config: Config | None
    source: str = ""

    @property
    def settings(self) -> CompareSettings:
        """How is judged: as the profile says, else by the defaults."""
        return self.config.compare if self.config else CompareSettings()


def read_inputs(
    folder: Path | None,
    profile: str | None,
    paper_folder: Path | None = None,
    seeds: tuple[int, ...] | None = None,
    params: str | None = None,
) -> ComparisonInputs:
    """Read a paper and a results folder.

    Args:
        folder: the results; None: `results/<profile>`.
        profile: None: the runs' own for a given folder, else that of params.yaml.
        paper_folder: None: the paper of this project.
        seeds: those that count; None: all.
        params: a params file in a profile's place.

    Raises:
        ConfigError: a folder or profile that does not exist, a paper that cannot be read.
    """
    paper = tables.load(paper_folder)
    place, name, config, active = results_place(folder, profile, params)
    runs = results.read(place)
    if not name and len(runs.profiles) == 1:
        config, active = configuration(runs.profiles[0])
    setting = Setting(
        profile=name or ", ".join(runs.profiles) or "unknown",
        seeds=seeds,
        listed=tuple(config.every_cell) if config else (),
        active=active,
        whole=folder is None,
        commands=paper_folder is None,
        sizes=tuple(config.fewshot.sizes) if config else (),
    )
    return ComparisonInputs(paper, runs, setting, config, shown_folder(place))
