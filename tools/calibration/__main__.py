"""`python -m tools.calibration`: how often are the verdicts of `benchmark.compare` wrong? Simulated through
the very functions it uses.

Thousands of reproductions with known truth give type-I error, power and coverage by the number of seeds,
their spread and the paper's runs. Every row has its own random stream, derived from --seed and the row's
description, so a table does not depend on the others. The full run takes some five minutes on one core and
writes docs/calibration.md and the README's table; --quick takes seconds and writes nothing unless --out says
where.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from benchmark.cli.commands import run_command
from benchmark.cli.progress import progress
from bmt.errors import ConfigError
from bmt.runtime.files import write_json, write_text
from tools.calibration.page import document, with_promises
from tools.calibration.promises import bounds
from tools.calibration.worlds import RateTable, jobs, tables
from tools.command_line import tool_parser

FULL, QUICK = 20_000, 1_000
"""Simulated tables per row; a row of claims, each of which has its examples, takes a tenth of them."""


def calibrate(repetitions: int, seed: int) -> list[RateTable]:
    """Simulate every table with `repetitions` tables per row; `seed` fixes every figure."""
    filled = {table.key: table for table in tables()}
    work = jobs(repetitions)
    with progress("calibrate", total=len(work), unit="rows") as bar:
        for key, row, simulate in work:
            label = f"{key}: " + ", ".join(f"{name} {value}" for name, value in row.items())
            rates = simulate(np.random.default_rng([seed, zlib.crc32(label.encode())]))
            filled[key].rows.append({**row, **rates})
            bar.advance(1, note=key)
    return list(filled.values())


def main(arguments: Sequence[str] | None = None) -> int:
    """Simulate, print, store; 1 where a promise of the harness is broken."""
    parser = tool_parser(
        "calibration", "Simulate the error rates of the verdicts.", "python -m tools.calibration --quick"
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
    filled = calibrate(repetitions, options.seed)
    promises = bounds(filled, repetitions)
    text = document(filled, promises, repetitions, options.seed)
    print(text, end="")
    if options.out or not options.quick:
        write_text(options.out or Path("docs/calibration.md"), text)
    readme = Path("README.md")
    if not options.out and not options.quick and readme.exists():
        write_text(readme, with_promises(readme.read_text(encoding="utf-8"), text))
    if options.json:
        kept = [asdict(entry) | {"holds": entry.holds} for entry in promises]
        rows = {table.key: table.rows for table in filled}
        write_json(
            options.json, {"repetitions": repetitions, "seed": options.seed, "bounds": kept, "tables": rows}
        )
    return 0 if all(entry.holds for entry in promises) else 1


if __name__ == "__main__":
    run_command(main)
