"""`python -m benchmark.plan --paper-table N`: the runs that a table of the paper needs, what exists, what the
rest costs; `--run` makes it.

Prints only, until told to run. docs/plan.md says how the estimates are made.
"""

from __future__ import annotations

import argparse
import json
import sys

from benchmark.cli.commands import add_params_options, command_parser, run_command
from benchmark.cli.messages import tell

EXAMPLE = (
    "python -m benchmark.plan --paper-table 3\n"
    "  python -m benchmark.plan --paper-table 9 --profile mini --run\n"
    "  python -m benchmark.plan --paper-table 5 --profile paper --run --gpus 0,1 --keep none"
)
DESCRIPTION = "What a table of the paper needs, what exists, what the rest costs; with --run it is made."


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = command_parser("plan", DESCRIPTION, EXAMPLE)
    add = parser.add_argument
    add("--paper-table", required=True, metavar="N", help="1 to 9 or A.10")
    add_params_options(parser)
    seeds = "seeds of the cells, as 0,1,2 (default: those that the profile lists for a cell, else 0)"
    add("--seeds", metavar="LIST", help=seeds)
    also = "a further cell, for example a control; may be given again"
    add("--also", action="append", default=[], metavar="CELL", help=also)
    keep = "none: delete a cell's model when nothing needs it any more (default: best)"
    add("--keep", choices=("best", "none"), default="best", help=keep)
    jobs = "runs at a time (default: 1, or one per GPU); several share the cores"
    add("--jobs", type=int, metavar="J", help=jobs)
    add("--gpus", metavar="LIST", help="one run on each of these GPUs, as 0,1")
    run = "make what is missing; what exists is skipped, what was cut off is resumed"
    add("--run", action="store_true", help=run)
    add("--json", action="store_true", help="print JSON; with --run at the end")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Plan, print, and with --run run: 0, or 1 where something failed."""
    options = parse_arguments(arguments)
    from benchmark.config.profiles import params_file
    from benchmark.config.results_options import chosen_seeds
    from benchmark.paper.table_files import check_table

    check_table(options.paper_table)
    seeds = chosen_seeds(options.seeds)

    from benchmark.planning import table_plan
    from benchmark.planning.plan_document import plan_document, plan_json
    from benchmark.planning.schedule import DONE
    from benchmark.rendering import print_document

    gpus, also = table_plan.chosen_gpus(options.gpus), tuple(options.also)
    slots = table_plan.chosen_jobs(options.jobs, gpus)
    params = params_file(options.params, options.profile)
    request = table_plan.PlanRequest(
        options.paper_table, params, seeds, also, options.keep, slots, gpus, options.run
    )
    requested = table_plan.plan_table(request)
    if not options.json:
        print_document(plan_document(requested))
        sys.stdout.flush()  # before the runs' own lines
    outcomes = table_plan.make_missing_runs(requested) if options.run else {}
    failed = {name: outcome for name, outcome in outcomes.items() if outcome.state != DONE}
    for name, outcome in failed.items():
        tell(f"error: {name}: {outcome.state}: {outcome.text.splitlines()[0]}")
    if options.json:
        print(json.dumps(plan_json(requested, outcomes), indent=1, ensure_ascii=False))
    return int(bool(failed))


if __name__ == "__main__":
    run_command(main)
