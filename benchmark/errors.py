"""`python -m benchmark.errors`: dev examples that all arms get wrong, and those where arms differ, sorted as
the paper's appendix C does.

Reads the predictions that `benchmark.evaluate` kept and the raw files they are of; no torch, no DVC, and
MLflow only for `--track`.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.cli.commands import command_parser, run_command
from benchmark.config.cells import is_word
from benchmark.config.params import Config, repository_root
from bmt.errors import ConfigError
from bmt.runtime.files import write_text

if TYPE_CHECKING:
    from benchmark.error_analysis.analysis import Analysis
    from benchmark.error_analysis.cases import Wrong

EXAMPLE = "python -m benchmark.errors --arms none mask bmt --dataset SQuAD HotpotQA --limit 10"
LIMIT = 5


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    text = "List the dev examples that all arms get wrong and those where arms differ, with a guess at the kind of each error."
    parser = command_parser("errors", text, EXAMPLE)
    add = parser.add_argument
    add(
        "--arms",
        nargs="+",
        metavar="ARM",
        help="bmt, bmt.adapter, … or cells without seed, as minilm.st-SQuAD.none (default: of none, "
        "mask, bmt, bmt.adapter those that have runs)",
    )
    add(
        "--seeds",
        "--seed",
        metavar="LIST",
        help="seeds, as 0,1,2 (default: those that all the arms have); an arm is wrong on an example "
        "where all its seeds are, right where none is",
    )
    add(
        "--dataset",
        nargs="+",
        metavar="NAME",
        help="these datasets only (default: all that all the runs were scored on)",
    )
    add(
        "--metric",
        choices=("em", "f1"),
        default="em",
        help="what makes an answer wrong: EM 0 (default), or F1 0, as the paper has it",
    )
    add("--below", type=float, metavar="PERCENT", help="with --metric f1: F1 below this, of 100")
    add(
        "--limit",
        type=int,
        default=LIMIT,
        metavar="N",
        help="examples shown a dataset and list; 0: counts only (default: %(default)s)",
    )
    add("--backbone", help="of the arms that are named without one (default: the one with most runs)")
    add("--profile", help="the profile of the runs (default: that of params.yaml)")
    add("--results", type=Path, metavar="DIR", help="the results folder (default: results/<profile>)")
    add(
        "--data",
        type=Path,
        metavar="DIR",
        help="the raw MRQA files that were scored (default: data/raw/<profile>)",
    )
    add(
        "--out",
        "--output",
        type=Path,
        metavar="FILE",
        help="the Markdown file (default: reports/<profile>/errors.md)",
    )
    add(
        "--track", action="store_true", help="also log the file and its counts to MLflow, as the run `errors`"
    )
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Find, print and write; 0 also where there is no error at all."""
    given = parse_arguments(arguments)
    wrong = criterion(given)
    from benchmark.cli.progress import progress
    from benchmark.config.results_options import (
        chosen_seeds,
        configuration,
        results_place,
        shown_folder,
    )
    from benchmark.error_analysis.analysis import Place, analyse
    from benchmark.error_analysis.arms import choose
    from benchmark.error_analysis.cases import find_cases
    from benchmark.error_analysis.markdown import to_markdown
    from benchmark.error_analysis.terminal import print_analysis
    from benchmark.runs import results

    seeds = chosen_seeds(given.seeds)
    folder, profile, config, _ = results_place(given.results, given.profile)
    where = shown_folder(folder)
    found = results.read(folder)
    choice = choose(found, given.arms, seeds, given.backbone, where)
    profile = profile or ", ".join(sorted({run.profile for run in choice.runs}))
    name = profile if is_word(profile) else "errors"
    raw = given.data or repository_root() / "data" / "raw" / name
    if not raw.is_dir():
        option = f"--data {given.data}" if given.data else shown_folder(raw)
        raise ConfigError(
            f"{option}: no such folder: the questions are in the raw MRQA files: run `python -m benchmark.fetch`, or name "
            "their folder with --data"
        )
    cases = find_cases(found, choice, wrong, given.dataset, where)
    with progress("errors", total=len(cases.outcomes), unit="datasets") as bar:
        place = Place(profile, where, raw, shown_folder(raw))
        analysis = analyse(
            found, choice, cases, wrong, given.limit, place, lambda dataset: bar.advance(1, note=dataset)
        )
    out = given.out or repository_root() / "reports" / name / "errors.md"
    write_text(out, to_markdown(analysis, command_line(given)))
    print_analysis(analysis)
    print(f"wrote {out}", file=sys.stderr)
    if given.track:
        track(analysis, out, name, config or (configuration(profile)[0] if is_word(profile) else None))
    return 0


def criterion(given: argparse.Namespace) -> Wrong:
    """When an answer is wrong; also checks the other numbers and places. Raises ConfigError."""
    from benchmark.error_analysis.cases import Wrong

    if given.below is not None and given.metric != "f1":
        raise ConfigError(
            f"--below {given.below:g}: not allowed with --metric em, which is 0 or 100: add --metric f1"
        )
    if given.below is not None and not 0 < given.below <= 100:
        raise ConfigError(f"--below {given.below:g}: not allowed: percent of F1, above 0 and at most 100")
    if given.limit < 0:
        raise ConfigError(f"--limit {given.limit}: not allowed: at least 0")
    if given.out and given.out.is_dir():
        raise ConfigError(
            f"--out {given.out}: a folder: name the file, for example {given.out / 'errors.md'}"
        )
    return Wrong(given.metric, given.below)


def command_line(given: argparse.Namespace) -> str:
    """The command as it can be typed again; of an absolute path only the end, so that the file holds no path
    of this machine.
    """
    words = ["python", "-m", "benchmark.errors"]
    defaults = {"metric": "em", "limit": LIMIT}
    for option in (
        "arms",
        "seeds",
        "dataset",
        "metric",
        "below",
        "limit",
        "backbone",
        "profile",
        "results",
        "data",
        "out",
    ):
        value = getattr(given, option)
        if value is not None and value != defaults.get(option):
            several = value if isinstance(value, list) else [value]
            words += [
                f"--{option}",
                *(
                    f"…/{own.name}" if isinstance(own, Path) and own.is_absolute() else f"{own}"
                    for own in several
                ),
            ]
    return " ".join(word if word.startswith("…/") else shlex.quote(word) for word in words)


def track(analysis: Analysis, out: Path, name: str, config: Config | None) -> None:
    """Log the file and its counts as the run `errors`; where MLflow is absent or down, they wait in
    `runs/<profile>/errors/`.
    """
    from benchmark.tracking import environment
    from benchmark.tracking import mlflow_store as tracking

    root = repository_root()
    experiment = config.tracking.experiment if config else "bmt"
    described = {
        # environment.describe would import torch to look for a GPU
        "packages": environment.package_versions(),
        "python": sys.version.split()[0],
        "git": environment.git_state(root),
    }
    params = {
        "profile": analysis.profile,
        "results": analysis.source,
        "arms": ",".join(arm.name for arm in analysis.choice.arms),
        "seeds": ",".join(map(str, analysis.choice.seeds)),
        "wrong": str(analysis.wrong),
    }
    with tracking.start(
        "errors",
        f"{experiment}-{name}",
        root / "runs" / name / "errors",
        params,
        {"stage": "errors"},
        environment=described,
    ) as run:
        run.log(analysis.metrics())
        run.artifact(out)


if __name__ == "__main__":
    run_command(main)
