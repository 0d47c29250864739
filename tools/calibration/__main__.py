"""`python -m tools.calibration`: how often are the verdicts of `benchmark.compare` wrong? Simulated
through the very functions it uses.

Thousands of reproductions with known truth give type-I error, power and coverage by the number of seeds,
their spread and the paper's
runs. Every row has its own random stream, derived from --seed and the row's description, so a table does not
depend on the others. The full
run takes some five minutes on one core and writes docs/calibration.md and the README's table; --quick takes
seconds and writes nothing
unless --out says where.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from benchmark.cli.commands import command_parser, run_command
from benchmark.cli.progress import progress
from bmt.errors import ConfigError
from bmt.runtime.files import write_json, write_text
from tools.calibration.worlds import Row, Table, jobs, tables

FULL, QUICK = 20_000, 1_000
"""Simulated tables a row; a row of claims, each of which has its examples, takes a tenth of them."""
BEGIN, END = "<!-- calibration:begin -->", "<!-- calibration:end -->"
"""Around the table of promises, in docs/calibration.md and in the README."""


@dataclass(frozen=True, slots=True)
class Bound:
    """What the harness promises: `value` lies in low..high, give or take `slack`, three standard errors of
    the simulation.

    0..1 promises nothing: a figure that a reader should know all the same.
    """

    text: str
    value: float
    low: float
    high: float
    slack: float

    @property
    def holds(self) -> bool:
        """Whether the promise is kept."""
        return self.low - self.slack <= self.value <= self.high + self.slack


def calibrate(repetitions: int, seed: int) -> list[Table]:
    """Simulate every table with `repetitions` tables a row; `seed` fixes every figure."""
    filled = {table.key: table for table in tables()}
    work = jobs(repetitions)
    with progress("calibrate", total=len(work), unit="rows") as bar:
        for key, row, simulate in work:
            label = f"{key}: " + ", ".join(f"{name} {value}" for name, value in row.items())
            rates = simulate(np.random.default_rng([seed, zlib.crc32(label.encode())]))
            filled[key].rows.append({**row, **rates})
            bar.advance(1, note=key)
    return list(filled.values())


def bounds(filled: Sequence[Table], repetitions: int) -> list[Bound]:
    """The promises of the harness against the simulated figures; none rests on two seeds or on assuming more
    runs than the paper made.
    """
    rows = {table.key: table.rows for table in filled}
    fair = [row for row in rows["published"] if float(row["n_pub"]) <= float(str(row["runs"]).split(",")[0])]
    judged = rows["reproduction"] + fair
    claims = [row for row in rows["claims"] if row["n"] != "2"]

    def values(chosen: Sequence[Row], key: str) -> list[float]:
        return [float(row[key]) for row in chosen]

    def bound(text: str, value: float, low: float, high: float, count: int) -> Bound:
        edge = high if high < 1 else low
        return Bound(text, value, low, high, 3 * math.sqrt(edge * (1 - edge) / count))

    tables_a_row, claims_a_row = repetitions, max(1, repetitions // 10)
    exact_runs = [row for row in fair if row["n_pub"] == str(row["runs"]).split(",")[0]]
    exact = rows["reproduction"] + exact_runs
    coverage = values(exact, "coverage")
    found = [
        bound(
            'false "not reproduced" per table, largest',
            max(values(judged, "false_alarm")),
            0,
            0.05,
            tables_a_row,
        ),
        bound(
            "prediction interval covers, smallest mean over a table", min(coverage), 0.93, 0.97, tables_a_row
        ),
        bound(
            "prediction interval covers, largest mean over a table", max(coverage), 0.93, 0.97, tables_a_row
        ),
        bound(
            "prediction interval covers, worst cell of any table",
            min(values(exact, "worst_coverage")),
            0.88,
            1,
            tables_a_row,
        ),
    ]
    reproduced = 'false "reproduced" at a gap equal to the margin, largest: '
    at_margin = rows["reproduction"] + exact_runs
    found += [
        bound(
            f"{reproduced}gap from the printed number",
            max(values(rows["reproduction"], "false_fixed")),
            0,
            0.05,
            tables_a_row,
        ),
        bound(
            f"{reproduced}from the mean behind it, `estimand: mean`",
            max(values(at_margin, "false_mean")),
            0,
            0.05,
            tables_a_row,
        ),
        Bound(
            f"{reproduced}from the mean behind it, `estimand: printed` (default)",
            max(values(at_margin, "false_printed")),
            0,
            1,
            0,
        ),
    ]
    for n in ("3", "5", "10"):
        crossed = values([row for row in claims if row["n"] == n], "crossed")
        found.append(
            bound(
                f"crossed claim interval covers, mean at {n} seeds",
                float(np.mean(crossed)),
                0.93,
                0.97,
                claims_a_row,
            )
        )
    worst = min(values(claims + rows["separate"], "crossed"))
    nothing = [row for row in rows["verdicts"] if row["truth"] == "0"]
    return [
        *found,
        bound("crossed claim interval covers, worst case", worst, 0.88, 1, claims_a_row),
        bound(
            "seeds needed reach their power of 80 %, smallest",
            min(values(rows["seeds"], "power")),
            0.8,
            1,
            claims_a_row,
        ),
        bound(
            "false verdicts per table of ten claims, largest",
            max(values(nothing, "any")),
            0,
            0.05,
            claims_a_row,
        ),
    ]


def bounds_markdown(found: Sequence[Bound]) -> str:
    """The promises as a markdown table (the README's)."""
    lines = ["| promise | simulated | bound | kept |", "| --- | ---: | --- | --- |"]
    for entry in found:
        if (entry.low, entry.high) == (0, 1):
            lines.append(f"| {entry.text} | {entry.value:.1%} | none | - |")
            continue
        allowed = (
            f"at most {entry.high:.0%}"
            if entry.low == 0
            else f"at least {entry.low:.0%}"
            if entry.high == 1
            else ""
        )
        allowed = allowed or f"{entry.low:.0%} to {entry.high:.0%}"
        lines.append(
            f"| {entry.text} | {entry.value:.1%} | {allowed} | {'yes' if entry.holds else '**no**'} |"
        )
    return "\n".join(lines)


def table_markdown(table: Table) -> str:
    """One table as markdown; shares in percent with one decimal."""

    def shown(row: Row, key: str) -> str:
        value = row[key]
        if isinstance(value, str):
            return value
        return f"{value:.3g}" if key in table.plain else f"{100 * value:.1f}"

    lines = ["| " + " | ".join(heading for _, heading in table.columns) + " |"]
    lines.append(
        "|"
        + "|".join(" --- " if isinstance(table.rows[0][key], str) else " ---: " for key, _ in table.columns)
        + "|"
    )
    lines += ["| " + " | ".join(shown(row, key) for key, _ in table.columns) + " |" for row in table.rows]
    return f"## {table.title}\n\n{table.note}\n\n" + "\n".join(lines)


def document(filled: Sequence[Table], found: Sequence[Bound], repetitions: int, seed: int) -> str:
    """docs/calibration.md: the promises between markers, then every table. Figures are percent unless the
    heading says otherwise.
    """
    command = f"python -m tools.calibration --repetitions {repetitions} --seed {seed}"
    return (
        "\n\n".join(
            [
                "# How often the verdicts are wrong",
                "Written by the command below; do not edit. It simulates reproductions with known truth and judges them with the functions that"
                " `benchmark.compare` calls.",
                f"```\n{command}\n```",
                f"{repetitions:,} tables a row, {max(1, repetitions // 10):,} claims (or tables of claims) a row; numpy {np.__version__}. Figures"
                " are percent unless the heading says otherwise. A promise counts as kept within three standard errors of the simulation.",
                f"{BEGIN}\n{bounds_markdown(found)}\n{END}",
                *(table_markdown(table) for table in filled),
            ]
        )
        + "\n"
    )


def with_promises(text: str, document_text: str) -> str:
    """`text` with the table of promises of `document_text` between its markers; as it was if it has none."""
    table = document_text.partition(BEGIN)[2].partition(END)[0]
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    return f"{before}{begin}{table}{end}{after}" if end else text


def main(arguments: Sequence[str] | None = None) -> int:
    """Simulate, print, store; 1 where a promise of the harness is broken."""
    parser = command_parser(
        "calibrate",
        "Simulate the error rates of the verdicts.",
        "python -m tools.calibration --quick",
    )
    parser.add_argument(
        "--repetitions", type=int, help=f"simulated tables a row (default {FULL}; with --quick {QUICK})"
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
    found = bounds(filled, repetitions)
    text = document(filled, found, repetitions, options.seed)
    print(text, end="")
    if options.out or not options.quick:
        write_text(options.out or Path("docs/calibration.md"), text)
    readme = Path("README.md")
    if not options.out and not options.quick and readme.exists():
        write_text(readme, with_promises(readme.read_text(encoding="utf-8"), text))
    if options.json:
        kept = [asdict(entry) | {"holds": entry.holds} for entry in found]
        rows = {table.key: table.rows for table in filled}
        write_json(
            options.json, {"repetitions": repetitions, "seed": options.seed, "bounds": kept, "tables": rows}
        )
    return 0 if all(entry.holds for entry in found) else 1


if __name__ == "__main__":
    run_command(main)
