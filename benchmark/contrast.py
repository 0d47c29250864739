"""`python -m benchmark.contrast A B`: the difference between two arms' runs, for new seeds and new examples.

The controls that the paper does not have (`fixed_random`, `fisher`, `magnitude` …) answer no printed row;
here any two arms are held
against each other. In EM and F1, dataset by dataset and on average in- and out-of-domain: A - B with the
interval in which seeds cross
examples (benchmark/statistics/claims.py); in weight deviation: Student's t over seeds. One seed a side gives
an interval for new examples only.
Intervals and p-values are of single comparisons: not adjusted for their number.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmark.cli.commands import command_parser, run_command
from benchmark.comparison.arm_contrast import differences, lines
from benchmark.comparison.matching import Setting
from benchmark.config.results_options import chosen_seeds, results_place
from benchmark.runs.results import read
from bmt.errors import ConfigError

EXAMPLE = "python -m benchmark.contrast bmt fixed_random --profile mini"


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and print."""
    parser: argparse.ArgumentParser = command_parser("contrast", __doc__ or "", EXAMPLE)
    parser.add_argument(
        "arms", nargs=2, metavar=("A", "B"), help="two arms of params.yaml, as bmt, none or bmt.adapter"
    )
    parser.add_argument("--backbone", help="whose runs (default: the only one that has results)")
    parser.add_argument("--profile", help="the profile of the runs (default: that of params.yaml)")
    parser.add_argument("--seeds", metavar="LIST", help="seeds that count, as 0,1,2 (default: all)")
    parser.add_argument(
        "--results", type=Path, metavar="DIR", help="the results folder (default: results/<profile>)"
    )
    given = parser.parse_args(arguments)
    if given.arms[0] == given.arms[1]:
        raise ConfigError(f"{given.arms[0]} twice: not allowed: two different arms")
    folder, profile, _, active = results_place(given.results, given.profile)
    found = read(folder)
    backbones = sorted({run.identity.backbone for run in found.runs if run.identity.regime == "mt"})
    if given.backbone is None and len(backbones) != 1:
        raise ConfigError(
            f"--backbone: needed: {folder} has multi-data runs of {', '.join(backbones) or 'no backbone'}"
        )
    backbone = given.backbone or backbones[0]
    setting = Setting(profile=profile, seeds=chosen_seeds(given.seeds), active=active)
    words = (given.arms[0], given.arms[1])
    print("\n".join(lines(words, backbone, differences(found, words, setting, backbone))))
    for fault in found.faults:
        print(f"error: {folder / fault.file}: {fault.reason}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    run_command(main)
