"""The command line of `python -m benchmark.search`. Light: it is read before anything large is imported."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from benchmark.cli.commands import add_params_options, command_parser
from benchmark.config.cells import is_word
from bmt.errors import ConfigError

DESCRIPTION = """Search lambda, gamma, zeta, p_F (and, if asked, mask steps, alpha's learning rate, target
density) for one arm.

Every trial trains with the values of the params file but for those searched, once per seed, and is scored by
macro F1 on validation questions carved from train; no dev set is read. The same command again goes on where
the study stopped; the same command in another terminal, or on another machine with a server as --storage, is
one more worker. docs/studies.md tells more."""
EXAMPLES = """python -m benchmark.search --study first --trials 20
  python -m benchmark.search --study first --status --export --figures
  python -m benchmark.search --study first --apply        # shows the difference; with --yes it is written"""
SAMPLERS = ("tpe", "gp", "nsga2")
PRUNERS = ("hyperband", "wilcoxon", "none")
OBJECTIVES = {"f1": ("maximize",), "f1_density": ("maximize", "minimize")}
"""Directions of each: macro F1, or macro F1 against union density (a Pareto front)."""


def parser() -> argparse.ArgumentParser:
    """The options, by group."""
    made = command_parser("search", DESCRIPTION, EXAMPLES)
    made.add_argument(
        "--study",
        required=True,
        metavar="NAME",
        help="the study's name, and that of its files under studies/",
    )
    storage = "its database (default: OPTUNA_STORAGE, or the SQLite file studies/NAME.db)"
    made.add_argument("--storage", metavar="URL", help=storage)
    _add_running(made.add_argument_group("running"))
    _add_searched(made.add_argument_group("what is searched"))
    _add_method(made.add_argument_group("how"))
    _add_outputs(made.add_argument_group("what comes of it (after the trials, or alone)"))
    return made


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """The options of a call.

    Raises:
        ConfigError: a name that cannot name files, nothing to do, an option without the one it belongs to.
    """
    options = parser().parse_args(arguments)
    if not is_word(options.study):
        raise ConfigError(f"--study {options.study!r}: letters, digits, - and _ only: it names files")
    if options.trials is None and not (options.status or options.export or options.figures or options.apply):
        raise ConfigError(
            "nothing to do: --trials N runs trials; --status, --export, --figures and --apply show what "
            "came of them"
        )
    if options.yes and not options.apply:
        raise ConfigError("--yes: belongs to --apply")
    if options.trial is not None and not options.export:
        raise ConfigError("--trial: belongs to --export")
    return options


def _add_running(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    trials = "run until N trials of the study, whoever ran them, finished or were pruned"
    add("--trials", type=_count, metavar="N", help=trials)
    finished = "and until N of them finished, however many are pruned"
    add("--finished", type=_count, default=0, metavar="N", help=finished)
    add("--timeout", type=float, metavar="S", help="start no trial after S seconds")
    workers = "processes of this call that share the cores (1)"
    add("--workers", type=_count, default=1, metavar="N", help=workers)
    heartbeat = "seconds between a worker's signs of life; silent for three: dead (20)"
    add("--heartbeat", type=_count, metavar="S", help=heartbeat)


def _add_searched(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add_params_options(group)
    changes: dict[str, Any] = {"action": "append", "default": [], "dest": "changes", "metavar": "KEY=VALUE"}
    add("--set", help="change a value of it for all trials", **changes)
    add("--arm", default="bmt", help="the arm (bmt)")
    add("--backbone", help="the backbone (the params file's first)")
    add("--regime", default="mt", help="mt or st-<Dataset> (mt)")
    search = "the parameters: lam, gamma, zeta, steps, alpha_lr, density, p_f (the usual ones)"
    add("--search", metavar="NAME,NAME", help=search)
    ranges: dict[str, Any] = {"action": "append", "default": [], "dest": "ranges", "metavar": "NAME=LOW:HIGH"}
    add("--range", help="where a parameter is searched", **ranges)


def _add_method(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    objective = "macro F1, or macro F1 against union density, a Pareto front (f1)"
    add("--objective", choices=OBJECTIVES, default="f1", help=objective)
    seeds = "each trial's trainings; no seeds of the tables (100)"
    add("--seeds", type=_seeds, default=[100], metavar="N,N", help=seeds)
    sampler = "tpe, gp (Gaussian process) or nsga2 (tpe)"
    add("--sampler", choices=SAMPLERS, default="tpe", help=sampler)
    add("--sampler-seed", type=int, default=0, metavar="N", help="of the sampler (0)")
    startup = "trials drawn at random before the sampler learns (5)"
    add("--startup", type=_count, default=5, metavar="N", help=startup)
    pruner = "hyperband over evaluations, wilcoxon over datasets and seeds (hyperband; none for f1_density)"
    add("--pruner", choices=PRUNERS, help=pruner)


def _add_outputs(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--status", action="store_true", help="print the trials")
    export = "write the best values to studies/NAME.best.yaml"
    add("--export", action="store_true", help=export)
    trial = "export this trial's values, e.g. another of the Pareto front"
    add("--trial", type=int, metavar="N", help=trial)
    figures = "write studies/NAME.html: history, importance, gamma and zeta, F1 and density"
    add("--figures", action="store_true", help=figures)
    apply = "show what studies/NAME.best.yaml changes in the params file"
    add("--apply", action="store_true", help=apply)
    add("--yes", action="store_true", help="with --apply: write it")


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not allowed: a whole number, at least 1")
    return int(text)


def _seeds(text: str) -> list[int]:
    parts = text.split(",")
    if not all(part.isdecimal() for part in parts) or len(set(parts)) < len(parts):
        raise argparse.ArgumentTypeError(f"{text!r} is not allowed: different whole numbers, as in 100,101")
    return [int(part) for part in parts]
