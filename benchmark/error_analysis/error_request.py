"""What `benchmark.errors` was asked for, and the way from there to the analysis."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from benchmark.cli.progress import progress
from benchmark.config.cells import is_word
from benchmark.config.params import Config, repository_root
from benchmark.config.results_options import chosen_seeds, configuration, results_place, shown_folder
from benchmark.error_analysis.analysis import ErrorAnalysis
from benchmark.error_analysis.arms import choose_arms
from benchmark.error_analysis.outcomes import WrongCriterion, read_answers, score_examples
from benchmark.error_analysis.raw_examples import read_examples
from benchmark.runs import results
from bmt.errors import ConfigError


def analyse_request(options: Namespace) -> tuple[ErrorAnalysis, str, Config | None]:
    """The analysis that a command line asks for, a name for the files that come of it, and the profile's
    configuration where it has one.

    Raises:
        ConfigError: numbers that are not allowed; folders, arms, seeds or datasets that are not there.
        DataError: results or raw files that cannot be used.
    """
    wrong = WrongCriterion(options.metric, options.below)
    if options.limit < 0:
        raise ConfigError(f"--limit {options.limit}: not allowed: at least 0")
    seeds = chosen_seeds(options.seeds)
    folder, profile, config, _ = results_place(options.results, options.profile, options.params)
    where = shown_folder(folder)
    runs = results.read(folder)
    choice = choose_arms(runs, options.arms, seeds, options.backbone, where)
    profile = profile or ", ".join(sorted({run.profile for run in choice.runs}))
    name = profile if is_word(profile) else "errors"
    raw = options.data or repository_root() / "data" / "raw" / name
    if not raw.is_dir():
        option = f"--data {options.data}" if options.data else shown_folder(raw)
        raise ConfigError(
            f"{option}: no such folder: the questions are in the raw MRQA files: run `python -m "
            "benchmark.fetch`, or name their folder with --data"
        )
    scored = score_examples(runs, choice, wrong, options.dataset, where)
    notes = (*choice.notes, *scored.notes)
    analysis = ErrorAnalysis(profile, where, shown_folder(raw), choice, wrong, options.limit, notes)
    with progress("errors", total=len(scored.outcomes), unit="datasets") as bar:
        answers = read_answers(runs, choice, scored)
        for dataset, outcomes in scored.outcomes.items():
            examples = read_examples(raw, dataset, outcomes.keys(), choice.runs, analysis.data)
            analysis.add(dataset, outcomes, examples, answers)
            bar.advance(1, note=dataset)
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
