"""`python -m benchmark.contrast A B`: the difference between two arms' runs, for new seeds and new examples.

The controls that the paper does not have (`fixed_random`, `fisher`, `magnitude` …) answer no printed row;
here any two arms are held against each other. In EM and F1, dataset by dataset and on average in- and
out-of-domain: A - B with the interval in which seeds cross examples (benchmark/statistics/claims.py); in
weight deviation: Student's t over seeds. One seed per arm gives an interval for new examples only. Intervals
and p-values are of single comparisons: not adjusted for their number.
"""

from __future__ import annotations

from benchmark.cli.commands import add_format_option, add_results_options, command_parser, run_command
from benchmark.cli.messages import tell
from bmt.errors import ConfigError

EXAMPLE = "python -m benchmark.contrast bmt fixed_random --profile mini"


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and print."""
    parser = command_parser("contrast", __doc__, EXAMPLE)
    add = parser.add_argument
    add("first", metavar="A", help="an arm of params.yaml, as bmt, none or bmt.adapter")
    add("second", metavar="B", help="another one")
    add("--backbone", help="whose runs (default: the only one that has results)")
    add_results_options(parser)
    add_format_option(parser)
    options = parser.parse_args(arguments)
    arms = (options.first, options.second)
    if options.first == options.second:
        raise ConfigError(f"{options.first} twice: not allowed: two different arms")

    from benchmark.comparison.arm_contrast import contrast_arms, contrast_document
    from benchmark.comparison.matching import Setting
    from benchmark.config.results_options import chosen_seeds, results_place
    from benchmark.rendering.output import usual_format, write_document
    from benchmark.runs.results import read

    folder, profile, config, active = results_place(options.results, options.profile, options.params)
    results = read(folder)
    ours = options.results is None
    setting = Setting(
        profile=profile,
        seeds=chosen_seeds(options.seeds),
        listed=tuple(config.every_cell) if config and ours else (),
        active=active,
        whole=ours,
        commands=ours,
    )
    known = tuple(config.arms) if config and ours else ()
    contrasts = contrast_arms(results, arms, setting, options.backbone, known)
    write_document(contrast_document(contrasts), [options.format or usual_format()])
    for fault in results.faults:
        tell(f"error: {folder / fault.file}: {fault.reason}")
    return 2 if results.faults else 0


if __name__ == "__main__":
    run_command(main)
