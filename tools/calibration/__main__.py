"""`python -m tools.calibration`: how often are the verdicts of `benchmark.compare` wrong? Simulated through
the very functions it uses.

Thousands of reproductions with known truth give type-I error, power and coverage by the number of seeds,
their spread and the paper's runs. Every row has its own random stream, derived from --seed and the row's
description, so a table does not depend on the others. The full run takes some five minutes on one core and
writes docs/calibration.md and the README's table; --quick takes seconds and writes nothing unless --out says
where.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmark.cli.commands import command_parser, run_command
from bmt.errors import ConfigError

FULL, QUICK = 20_000, 1_000
"""Simulated tables per row; a row of claims, each of which has its examples, takes a tenth of them."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Simulate, print, store; 1 where a promise of the harness is broken."""
    parser = command_parser(
        "calibration",
        "Simulate the error rates of the verdicts.",
        "python -m tools.calibration --quick",
        package="tools",
    )
    parser.add_argument(
        "--repetitions", type=int, help=f"simulated tables per row (default {FULL}; with --quick {QUICK})"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the random numbers (default 0)")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="seconds instead of minutes; writes no document unless --out is given",
    )
    parser.add_argument(
        "--out",
        type=Path,
        help="markdown to write (default docs/calibration.md, and its first table into README.md)",
    )
    parser.add_argument("--json", type=Path, help="also write every figure as JSON")
    options = parser.parse_args(arguments)
    repetitions = options.repetitions if options.repetitions is not None else QUICK if options.quick else FULL
    if repetitions < 10 or options.seed < 0:
        raise ConfigError(
            f"--repetitions {repetitions} must be at least 10 and --seed {options.seed} at least 0"
        )

    from bmt.runtime.files import write_json, write_text
    from tools.calibration.page import bounds_markdown, document
    from tools.calibration.promises import bounds
    from tools.calibration.simulation import claims_per_row, simulate, tables
    from tools.markers import with_new_part

    claims, all_tables = claims_per_row(repetitions), tables(repetitions)
    rows = simulate(all_tables, options.seed)
    promises = bounds(rows, repetitions, claims)
    text = document(all_tables, rows, promises, repetitions, claims, options.seed)
    print(text, end="")
    if options.out or not options.quick:
        write_text(options.out or Path("docs/calibration.md"), text)
    readme = Path("README.md")
    if not options.out and not options.quick and readme.exists():
        page = readme.read_text(encoding="utf-8")
        write_text(readme, with_new_part(page, "calibration", bounds_markdown(promises)) or page)
    if options.json:
        kept = [asdict(entry) | {"holds": entry.holds} for entry in promises]
        write_json(
            options.json, {"repetitions": repetitions, "seed": options.seed, "bounds": kept, "tables": rows}
        )
    return 0 if all(entry.holds for entry in promises) else 1


if __name__ == "__main__":
    run_command(main)
