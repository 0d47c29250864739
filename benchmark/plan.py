"""`python -m benchmark.plan --paper-table N`: the runs that a table of the paper needs, what exists, what the
rest costs; `--run` makes it.

Prints only, until told to run. docs/plan.md says how the estimates are made.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import sys
from pathlib import Path

from benchmark.cli.commands import command_parser, run_command
from benchmark.config.params import Config, repository_root
from benchmark.config.results_options import chosen_seeds, configuration
from bmt.errors import ConfigError

EXAMPLE = (
    "python -m benchmark.plan --paper-table 3\n  python -m benchmark.plan --paper-table 9 --profile mini --run\n"
    "  python -m benchmark.plan --paper-table 5 --profile paper --run --gpus 0,1 --keep none"
)


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = command_parser(
        "plan",
        "What a table of the paper needs, what exists, what the rest costs; with --run it is made.",
        EXAMPLE,
    )
    add = parser.add_argument
    add("--paper-table", required=True, metavar="N", help="1 to 9 or A.10")
    add("--profile", help="whose cells (default: the profile of params.yaml)")
    add(
        "--seeds",
        metavar="LIST",
        help="seeds of the cells, as 0,1,2 (default: those that the profile lists for a cell, else 0)",
    )
    add(
        "--also",
        action="append",
        default=[],
        metavar="CELL",
        help="a further cell, for example a control; may be given again",
    )
    add(
        "--keep",
        choices=("best", "none"),
        default="best",
        help="none: delete a cell's model when nothing needs it any more (default: best)",
    )
    add(
        "--jobs",
        type=int,
        metavar="J",
        help="runs at a time (default: 1, or one a GPU); several share the cores",
    )
    add("--gpus", metavar="LIST", help="one run on each of these GPUs, as 0,1")
    add(
        "--run",
        action="store_true",
        help="make what is missing; what exists is skipped, what was cut off is resumed",
    )
    add("--json", action="store_true", help="print JSON; with --run at the end")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Plan, print, and with --run run: 0, or 1 where something failed."""
    given = parse_arguments(arguments)
    seeds, gpus = chosen_seeds(given.seeds), chosen_gpus(given.gpus)
    slots = chosen_jobs(given.jobs, gpus)
    from benchmark.comparison.gate import Data
    from benchmark.comparison.matching import Matcher, Setting, find_stand_in
    from benchmark.config.folders import Places
    from benchmark.paper import tables as papers
    from benchmark.planning import assembly, cells, disk, schedule, states
    from benchmark.planning import execution as running
    from benchmark.planning import plan_text as show
    from benchmark.planning import throughput as speed
    from benchmark.runs import results

    paper = papers.load()
    table = paper.tables.get(papers.table_id(given.paper_table))
    if table is None:
        raise ConfigError(f"--paper-table {given.paper_table}: not allowed: one of {', '.join(paper.tables)}")
    config, file, params = chosen_profile(given.profile)
    places = Places.of(config)
    present = states.Present(config, places, results.read(places.results))
    listed = tuple(config.every_cell)
    stand_in = find_stand_in(table, present.results, paper.requires, listed)
    matcher = Matcher(
        present.results, paper.requires, Setting(config.profile, listed=listed), stand_in, Data({}, ())
    )
    needed, unavailable = cells.needed(table, config, matcher, seeds, given.also)
    device, gpu = speed.this_device()
    if given.run and gpus and not gpu:
        raise ConfigError(
            f"--gpus {given.gpus}: not allowed with --run: no GPU is seen on this machine ({device})"
        )
    machine = assembly.Machine(device, gpu or bool(gpus), speed.records(places.root), disk.made(places))
    plan = assembly.assemble(needed, unavailable, present, machine, params)
    jobs = assembly.jobs_of(plan, present)
    wall = assembly.wall_seconds(jobs, slots, shared=not gpus)
    free = shutil.disk_usage(places.root).free
    terms = show.Terms(
        table,
        config.profile,
        params,
        stand_in,
        slots,
        gpus,
        given.keep,
        wall,
        free,
        config.training.threads,
        listed,
    )
    if not given.json:
        print(show.text(plan, terms), flush=True)
    outcomes = {}
    if given.run and jobs:
        copy = as_seen(running.frozen_params(file, present.logs))
        frozen = assembly.assemble(needed, unavailable, present, machine, copy)
        outcomes = running.run_jobs(assembly.jobs_of(frozen, present), gpus, slots, given.keep, present.logs)
        for name, outcome in outcomes.items():
            if outcome.state != schedule.DONE:
                print(f"error: {name}: {outcome.state}: {outcome.text.splitlines()[0]}", file=sys.stderr)
    if given.json:
        print(json.dumps(show.as_json(plan, terms, outcomes), indent=1, ensure_ascii=False))
    return int(any(outcome.state != schedule.DONE for outcome in outcomes.values()))


def chosen_gpus(text: str | None) -> tuple[str, ...]:
    """The GPUs of `--gpus 0,1`, in that order. Raises ConfigError for anything else than numbers or UUIDs,
    each once.
    """
    if text is None:
        return ()
    parts = tuple(part.strip() for part in text.split(","))
    if not all(re.fullmatch(r"\d{1,3}|(GPU|MIG)-[\w/-]+", part) for part in parts) or len(set(parts)) < len(
        parts
    ):
        raise ConfigError(
            f"--gpus {text!r}: not allowed: numbers of GPUs with commas between, each once, as 0,1"
        )
    return parts


def chosen_jobs(jobs: int | None, gpus: tuple[str, ...]) -> int:
    """Runs at a time: those asked for, else one a GPU, else 1. Raises ConfigError for fewer than 1, or more
    than there are GPUs given.
    """
    if jobs is None:
        return len(gpus) or 1
    if jobs < 1:
        raise ConfigError(f"--jobs {jobs}: not allowed: at least 1")
    if gpus and jobs != len(gpus):
        raise ConfigError(
            f"--jobs {jobs}: not allowed with --gpus {','.join(gpus)}: {len(gpus)}, one on each GPU; leave it out"
        )
    return jobs


def chosen_profile(profile: str | None) -> tuple[Config, Path, str | None]:
    """The profile's configuration, its params file, and how commands name that file from here; None: they
    need not, it is the root's own.

    Raises:
        ConfigError: there is no such profile.
    """
    root = repository_root()
    config, active = configuration(profile)
    if config is None:
        known = ", ".join(sorted(path.stem for path in (root / "profiles").glob("*.yaml")))
        raise ConfigError(
            f"--profile {profile}: not allowed: one of {known or 'those with a file in profiles/'}"
        )
    if active:
        return config, root / "params.yaml", None
    file = root / "profiles" / f"{profile}.yaml"
    return config, file, as_seen(file)


def as_seen(path: Path) -> str:
    """A path as a command that is started in the working directory can name it."""
    near = os.path.relpath(path)
    return str(path) if near.startswith("..") else near


if __name__ == "__main__":
    run_command(main)
