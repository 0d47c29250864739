"""`python -m benchmark.search --study NAME …`: search an arm's parameters on validation carved from train,
with Optuna.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmark.cli.commands import command_parser, run_command
from benchmark.config.cells import is_word
from benchmark.config.params import repository_root
from bmt.errors import ConfigError

DESCRIPTION = """Search lambda, gamma, zeta, p_F (and, if asked, mask steps, alpha's learning rate, target density) for one arm.

Every trial trains with the values of the params file but for those searched, once a seed, and is scored by macro F1 on validation questions
carved from train; no dev set is read. The same command again goes on where the study stopped; the same command in another terminal, or on
another machine with a server as --storage, is one more worker. docs/studies.md tells more."""
EXAMPLES = """python -m benchmark.search --study first --trials 20
  python -m benchmark.search --study first --status --export --figures
  python -m benchmark.search --study first --apply          # shows the difference to params.yaml; with --yes it is written"""
SAMPLERS, PRUNERS, OBJECTIVES = (
    ("tpe", "gp", "nsga2"),
    ("hyperband", "wilcoxon", "none"),
    ("f1", "f1_density"),
)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = command_parser("search", DESCRIPTION, EXAMPLES)
    made.allow_abbrev = False  # workers get the same arguments, some left out
    made.add_argument(
        "--study",
        required=True,
        metavar="NAME",
        help="the study's name, and that of its files under studies/",
    )
    made.add_argument(
        "--storage",
        metavar="URL",
        help="its database (default: OPTUNA_STORAGE, or the SQLite file studies/NAME.db)",
    )
    run = made.add_argument_group("running")
    run.add_argument(
        "--trials",
        type=_count,
        metavar="N",
        help="run until N trials of the study, whoever ran them, finished or were pruned",
    )
    run.add_argument(
        "--finished",
        type=_count,
        default=0,
        metavar="N",
        help="and until N of them finished, however many are pruned",
    )
    run.add_argument("--timeout", type=float, metavar="S", help="start no trial after S seconds")
    run.add_argument(
        "--workers",
        type=_count,
        default=1,
        metavar="N",
        help="processes of this call that share the cores (1)",
    )
    run.add_argument(
        "--heartbeat",
        type=_count,
        metavar="S",
        help="seconds between a worker's signs of life; silent for three: dead (20)",
    )
    what = made.add_argument_group("what is searched")
    source = what.add_mutually_exclusive_group()
    source.add_argument(
        "--params", metavar="FILE", help="params file (default: params.yaml at the repository's root)"
    )
    source.add_argument("--profile", metavar="NAME", help="profiles/NAME.yaml instead")
    what.add_argument(
        "--set",
        action="append",
        default=[],
        dest="changes",
        metavar="KEY=VALUE",
        help="change a value of it for all trials",
    )
    what.add_argument("--arm", default="bmt", help="the arm (bmt)")
    what.add_argument("--backbone", help="the backbone (the params file's first)")
    what.add_argument("--regime", default="mt", help="mt or st-<Dataset> (mt)")
    what.add_argument(
        "--search",
        metavar="NAME,NAME",
        help="the parameters: lam, gamma, zeta, steps, alpha_lr, density, p_f (the usual ones)",
    )
    what.add_argument(
        "--range",
        action="append",
        default=[],
        dest="ranges",
        metavar="NAME=LOW:HIGH",
        help="where a parameter is searched",
    )
    how = made.add_argument_group("how")
    how.add_argument(
        "--objective",
        choices=OBJECTIVES,
        default="f1",
        help="macro F1, or macro F1 against union density, a Pareto front (f1)",
    )
    how.add_argument(
        "--seeds",
        type=_seeds,
        default=[100],
        metavar="N,N",
        help="each trial's trainings; no seeds of the tables (100)",
    )
    how.add_argument(
        "--sampler", choices=SAMPLERS, default="tpe", help="tpe, gp (Gaussian process) or nsga2 (tpe)"
    )
    how.add_argument("--sampler-seed", type=int, default=0, metavar="N", help="of the sampler (0)")
    how.add_argument(
        "--startup",
        type=_count,
        default=5,
        metavar="N",
        help="trials drawn at random before the sampler learns (5)",
    )
    how.add_argument(
        "--pruner",
        choices=PRUNERS,
        help="hyperband over evaluations, wilcoxon over datasets and seeds (hyperband; none for f1_density)",
    )
    then = made.add_argument_group("what comes of it (after the trials, or alone)")
    then.add_argument("--status", action="store_true", help="print the trials")
    then.add_argument("--export", action="store_true", help="write the best values to studies/NAME.best.yaml")
    then.add_argument(
        "--trial", type=int, metavar="N", help="export this trial's values, e.g. another of the Pareto front"
    )
    then.add_argument(
        "--figures",
        action="store_true",
        help="write studies/NAME.html: history, importance, gamma and zeta, F1 and density",
    )
    then.add_argument(
        "--apply", action="store_true", help="show what studies/NAME.best.yaml changes in the params file"
    )
    then.add_argument("--yes", action="store_true", help="with --apply: write it")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = parser().parse_args(given)
    if not is_word(options.study):
        raise ConfigError(f"--study {options.study!r}: letters, digits, - and _ only: it names files")
    if options.trials is None and not (options.status or options.export or options.figures or options.apply):
        raise ConfigError(
            "nothing to do: --trials N runs trials; --status, --export, --figures and --apply show what came of them"
        )
    if options.yes and not options.apply:
        raise ConfigError("--yes: belongs to --apply")
    if options.trial is not None and not options.export:
        raise ConfigError("--trial: belongs to --export")
    if options.trials is not None:
        from benchmark.studies.study_run import run

        run(options, given)
    if options.status or options.export or options.figures:
        _show(options)
    if options.apply:
        _apply(options)
    return 0


def _show(options: argparse.Namespace) -> None:
    """What the database says: the table, the best values' file, the figures' page; the files go to MLflow
    too.
    """
    from benchmark.studies import export, status, study_page
    from benchmark.studies.mlflow_runs import log_files
    from benchmark.studies.storage import find_study, reachable, storage_url
    from benchmark.studies.worker import quiet_optuna

    quiet_optuna()
    url = storage_url(options.study, options.storage)
    study = find_study(options.study, url)
    with reachable(url):
        if options.status:
            print(status.table(study))
        written: list[Path] = []
        if options.export:
            written.append(export.export(study, options.trial))
        if options.figures:
            written.append(study_page.write_page(study))
        if written:
            log_files(study, written)
    for path in written:
        print(f"written: {path.relative_to(repository_root())}")


def _apply(options: argparse.Namespace) -> None:
    """Show, and with --yes write, what the best values change in the params file."""
    from benchmark.studies import apply
    from benchmark.studies.export import read_best
    from benchmark.studies.settings import read_settings

    best = read_best(options.study)
    target = read_settings(options.params, options.profile)
    text, lines = apply.difference(target.path, target.shown, best["profile"], best["values"])
    if not lines:
        print(f"{target.shown} has the values of study {options.study} already")
        return
    print(lines, end="")
    if best.get("changed"):
        print(
            "the study itself ran with "
            + ", ".join(f"{key}={value}" for key, value in best["changed"].items())
            + "; that is not applied"
        )
    if options.yes:
        apply.write(target.path, text)
        print(f"{target.shown}: written; `dvc repro` runs what depends on it")
    else:
        print("nothing written: the same command with --yes writes it")


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not allowed: a whole number, at least 1")
    return int(text)


def _seeds(text: str) -> list[int]:
    parts = text.split(",")
    if not all(part.isdecimal() for part in parts) or len(set(parts)) < len(parts):
        raise argparse.ArgumentTypeError(f"{text!r} is not allowed: different whole numbers, as in 100,101")
    return [int(part) for part in parts]


if __name__ == "__main__":
    run_command(main)
