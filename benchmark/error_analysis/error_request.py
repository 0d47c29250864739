"""What `benchmark.errors` was asked for, and the way from there to the analysis."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path

from benchmark.cli.progress import progress
from benchmark.config.cells import is_word
from benchmark.config.params import Config, repository_root
from benchmark.config.results_options import chosen_seeds, configuration, results_place, shown_folder
from benchmark.error_analysis.analysis import ErrorAnalysis, RawData, analyse
from benchmark.error_analysis.arms import choose_arms
from benchmark.error_analysis.outcomes import WrongCriterion, score_examples
from benchmark.runs import results
from bmt.errors import ConfigError


@dataclass(frozen=True, slots=True)
class ErrorRequest:
    """The options of the command, as they were given; None where one was not.

    limit: examples kept per list and dataset. results, data: folders.
    """

    arms: list[str] | None
    seeds: str | None
    datasets: list[str] | None
    wrong: WrongCriterion
    limit: int
    backbone: str | None
    params: str | None
    profile: str | None
    results: Path | None
    data: Path | None

    @staticmethod
    def of(options: Namespace) -> ErrorRequest:
        """The options of a command line. Raises ConfigError for numbers that are not allowed."""
        wrong = chosen_criterion(options.metric, options.below)
        if options.limit < 0:
            raise ConfigError(f"--limit {options.limit}: not allowed: at least 0")
        return ErrorRequest(
            options.arms,
            options.seeds,
            options.dataset,
            wrong,
            options.limit,
            options.backbone,
            options.params,
            options.profile,
            options.results,
            options.data,
        )


def chosen_criterion(metric: str, below: float | None) -> WrongCriterion:
    """When an answer is wrong: EM 0, F1 0, or F1 below so many percent. Raises ConfigError."""
    if below is not None and metric != "f1":
        raise ConfigError(
            f"--below {below:g}: not allowed with --metric em, which is 0 or 100: add --metric f1"
        )
    if below is not None and not 0 < below <= 100:
        raise ConfigError(f"--below {below:g}: not allowed: percent of F1, above 0 and at most 100")
    return WrongCriterion(metric, below)


def analyse_request(request: ErrorRequest) -> tuple[ErrorAnalysis, str, Config | None]:
    """The analysis, a name for the files that come of it, and the profile's configuration where it has one.

    Raises:
        ConfigError: folders, arms, seeds or datasets that are not there.
        DataError: results or raw files that cannot be used.
    """
    seeds = chosen_seeds(request.seeds)
    folder, profile, config, _ = results_place(request.results, request.profile, request.params)
    where = shown_folder(folder)
    runs = results.read(folder)
    choice = choose_arms(runs, request.arms, seeds, request.backbone, where)
    profile = profile or ", ".join(sorted({run.profile for run in choice.runs}))
    name = profile if is_word(profile) else "errors"
    raw = request.data or repository_root() / "data" / "raw" / name
    if not raw.is_dir():
        option = f"--data {request.data}" if request.data else shown_folder(raw)
        raise ConfigError(
            f"{option}: no such folder: the questions are in the raw MRQA files: run `python -m "
            "benchmark.fetch`, or name their folder with --data"
        )
    scored = score_examples(runs, choice, request.wrong, request.datasets, where)
    with progress("errors", total=len(scored.outcomes), unit="datasets") as bar:
        data = RawData(raw, profile, where, shown_folder(raw))
        analysis = analyse(
            runs,
            choice,
            scored,
            request.wrong,
            request.limit,
            data,
            lambda dataset: bar.advance(1, note=dataset),
        )
    if config is None and is_word(profile):
        config = configuration(profile)[0]
    return analysis, name, config


def log_errors(analysis: ErrorAnalysis, file: Path, name: str, config: Config | None) -> None:
    """Log the file and its counts as the run `errors`; where MLflow is absent or down, they wait in
    `runs/<name>/errors/`.
    """
    from benchmark.tracking.file_run import log_file

    params = {
        "profile": analysis.profile,
        "results": analysis.source,
        "arms": ",".join(arm.name for arm in analysis.choice.arms),
        "seeds": ",".join(map(str, analysis.choice.seeds)),
        "wrong": str(analysis.wrong),
    }
    log_file("errors", name, config, params, analysis.metrics(), file)
