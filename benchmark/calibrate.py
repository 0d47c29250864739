"""`python -m benchmark.calibrate`: how often are the verdicts of `benchmark.compare` wrong? Simulated through the very functions it uses.

Thousands of reproductions with known truth give type-I error, power and coverage by the number of seeds, their spread and the paper's
runs. Every row has its own random stream, derived from --seed and the row's description, so a table does not depend on the others. The full
run takes a few minutes on one core and writes docs/calibration.md; --quick takes seconds and writes nothing unless --out says where.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.command import command_parser, run_command
from benchmark.progress import progress
from benchmark.stats.simulated_claims import Layout, claim_coverage, claim_table_rates, confirmation_rates, separate_coverage
from benchmark.stats.simulated_tables import Rates, World, reproduction_rates
from bmt.errors import ConfigError
from bmt.files import write_json, write_text

FULL, QUICK = 20_000, 1_000
"""Simulated tables a row; a row of claims, each of which has its examples, takes a tenth of them."""

SPREADS = {f"{sd:g}": (sd,) * 12 for sd in (0.3, 0.5, 0.8, 1.0)} | {
    ".2 to 1.0": tuple(0.2 + 0.8 * i / 11 for i in (0, 11, 3, 8, 5, 6, 1, 10, 2, 9, 4, 7)),
    "in .3, out .8": (0.3,) * 6 + (0.8,) * 6,
}
LAYOUTS = (
    Layout("1 dataset, 1,500 questions, 750 contexts", 1, 750, 1500),
    Layout("1 dataset, 258 questions, 31 contexts", 1, 31, 258),
    Layout("6 datasets, 500 questions, 250 contexts", 6, 250, 500),
)

Row = dict[str, str | float]


@dataclass(frozen=True, slots=True)
class Table:
    """One table of the report. columns: (key in the rows, heading). A float is a share, shown in percent, unless its key is in `plain`."""

    key: str
    title: str
    note: str
    columns: tuple[tuple[str, str], ...]
    plain: tuple[str, ...] = ()
    rows: list[Row] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Bound:
    """What the harness promises: `value` lies in low..high, give or take `slack`, three standard errors of the simulation."""

    text: str
    value: float
    low: float
    high: float
    slack: float

    @property
    def holds(self) -> bool:
        """Whether the promise is kept."""
        return self.low - self.slack <= self.value <= self.high + self.slack


Job = tuple[str, Row, Callable[[np.random.Generator], Rates]]
"""Table key, what identifies the row, and the simulation of its figures."""


def tables() -> list[Table]:
    """The tables of the report, without rows."""
    coverage = (("coverage", "interval covers"), ("worst_coverage", "worst cell"))
    alarm = ("false_alarm", 'false "not reproduced", per table')
    return [
        Table(
            "reproduction",
            "Reproduction verdicts by seeds and spread",
            "12 datasets and 2 averages, published from one run. No gap: tables with any false alarm, coverage of the 95 % prediction"
            " interval (mean over the table's 14 numbers, and its worst), cells called reproduced. A cell 1.5 off: found when it is the"
            " only one, and the share found when all are. A gap equal to the margin (1.0 a cell, .5 an average): wrongly called"
            " reproduced, by estimand.",
            (
                ("n", "seeds"), ("sd", "sd"), alarm, *coverage, ("reproduced", "no gap: reproduced"),
                ("found_one", "one off by 1.5: found"), ("found_all", "all off by 1.5: found"),
                ("false_printed", "gap = margin: reproduced (printed)"),
                ("false_mean", "the same (mean)"), ("false_average", "the same, averages (printed)"),
            ),
        ),
        Table(
            "variance",
            "Why the variance is moderated (3 seeds)",
            "d0 = 0 is each cell's own standard deviation, d0 = 4 is ours, full pooling gives every cell the table's.",
            (("d0", "d0"), ("sd", "sd"), alarm, *coverage, ("reproduced", "no gap: reproduced"), ("found_all", "all off by 1.5: found")),
        ),
        Table(
            "published",
            "What is assumed about the paper's runs (sd .5)",
            "The paper's number is the mean of so many runs; the verdict assumes n_pub. Naive: the 95 % confidence interval of our mean"
            " alone. Correlated: the cells of one seed rise and fall together, correlation .5.",
            (
                ("n", "seeds"), ("runs", "runs behind it"), ("n_pub", "assumed"), alarm, *coverage,
                ("naive_coverage", "naive interval covers"),
            ),
        ),
        Table(
            "claims",
            "Coverage of nominal 95 % intervals of a claim",
            "Seeds crossed with contexts (ours), Student's t over seeds, bootstrap over contexts. sd: of one seed's difference. Two seeds"
            " get an interval but no verdict, and are outside the bounds.",
            (
                ("n", "seeds"), ("sd", "sd"), ("layout", "test sets"), ("crossed", "crossed"), ("seeds_only", "seeds only"),
                ("examples_only", "examples only"), ("width", "half width (points)"),
            ),
            ("width",),
        ),
        Table(
            "separate",
            "Coverage where seeds are separate (ST) or not paired",
            "6 datasets of 500 questions, sd .8.",
            (("a", "arm a"), ("b", "arm b"), ("rows", "rows"), ("crossed", "crossed")),
        ),
        Table(
            "seeds",
            "Seeds needed to confirm +1.2 at 80 % power",
            "`seeds_needed`, and how often that many seeds find the difference.",
            (("sd", "sd of one seed's difference"), ("seeds", "seeds"), ("power", "power")),
            ("seeds",),
        ),
        Table(
            "verdicts",
            "Verdicts on tables of ten claims of +1.2 (sd .5)",
            "Shares of the claims, and of the tables with any verdict but undecided: where nothing is true, the false alarms.",
            (
                ("n", "seeds"), ("truth", "true difference"), ("upheld", "upheld"), ("smaller than claimed", "smaller than claimed"),
                ("contradicted", "contradicted"), ("any", "tables with any"),
            ),
        ),
    ]  # fmt: skip


def jobs(repetitions: int) -> list[Job]:
    """Every row of every table with the simulation that fills it."""
    made: list[Job] = []
    claims = max(1, repetitions // 10)

    def add(table: str, row: Row, simulate: Callable[..., Rates], *arguments: Any, **options: Any) -> None:
        def run(rng: np.random.Generator) -> Rates:
            return simulate(*arguments, rng=rng, **options)

        made.append((table, row, run))

    for n in (3, 5, 10):
        for name in SPREADS:
            add("reproduction", {"n": str(n), "sd": name}, reproduction_rates, World(n, SPREADS[name]), repetitions)
    for label, d0 in (("0", 0.0), ("4", 4.0), ("full pooling", 1e9)):
        for name in ("0.5", ".2 to 1.0", "in .3, out .8"):
            add("variance", {"d0": label, "sd": name}, reproduction_rates, World(3, SPREADS[name]), repetitions, d0=d0)
    for n in (3, 5, 10):
        for runs, n_pub, correlation in ((1, 1, 0.0), (1, 1, 0.5), (3, 1, 0.0), (3, 3, 0.0), (1, 3, 0.0)):
            world = World(n, SPREADS["0.5"], runs, correlation)
            row: Row = {"n": str(n), "runs": f"{runs}" + (", correlated" if correlation else ""), "n_pub": str(n_pub)}
            add("published", row, reproduction_rates, world, repetitions, n_pub=n_pub, alternatives=False)
    for n in (2, 3, 5, 10):
        for sd in (0.3, 0.5, 0.8, 1.0):
            for layout in LAYOUTS:
                add("claims", {"n": str(n), "sd": f"{sd:g}", "layout": layout.name}, claim_coverage, layout, n, sd, claims)
    for seeds, separate, paired in (
        ((3, 3), (True, True), True), ((3, 3), (True, True), False), ((3, 3), (False, True), True), ((3, 3), (False, True), False),
        ((5, 3), (False, False), False),
    ):  # fmt: skip
        arms = [f"{'ST' if apart else 'MT'}, {n} seeds" for n, apart in zip(seeds, separate, strict=True)]
        row = {"a": arms[0], "b": arms[1], "rows": "paired" if paired else "not paired"}
        add("separate", row, separate_coverage, LAYOUTS[2], seeds, separate, paired, 0.8, claims)
    for sd in (0.3, 0.5, 0.8, 1.0):
        add("seeds", {"sd": f"{sd:g}"}, confirmation_rates, 1.2, sd, claims)
    for n in (3, 5, 10):
        for share, truth in ((0.0, "0"), (0.5, "+0.6"), (1.0, "+1.2")):
            add("verdicts", {"n": str(n), "truth": truth}, claim_table_rates, n, share, claims)
    return made


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
    """The promises of the harness against the simulated figures; none rests on two seeds or on assuming more runs than the paper made."""
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
    exact = [row for row in judged if row.get("n_pub", "1") == str(row.get("runs", "1")).split(",")[0]]
    coverage = values(exact, "coverage")
    found = [
        bound('false "not reproduced" per table, largest', max(values(judged, "false_alarm")), 0, 0.05, tables_a_row),
        bound("prediction interval covers, smallest mean over a table", min(coverage), 0.93, 0.97, tables_a_row),
        bound("prediction interval covers, largest mean over a table", max(coverage), 0.93, 0.97, tables_a_row),
        bound("prediction interval covers, worst cell of any table", min(values(exact, "worst_coverage")), 0.88, 1, tables_a_row),
    ]
    for n in ("3", "5", "10"):
        crossed = values([row for row in claims if row["n"] == n], "crossed")
        found.append(bound(f"crossed claim interval covers, mean at {n} seeds", float(np.mean(crossed)), 0.93, 0.97, claims_a_row))
    worst = min(values(claims + rows["separate"], "crossed"))
    nothing = [row for row in rows["verdicts"] if row["truth"] == "0"]
    return [
        *found,
        bound("crossed claim interval covers, worst case", worst, 0.88, 1, claims_a_row),
        bound("seeds needed reach their power of 80 %, smallest", min(values(rows["seeds"], "power")), 0.8, 1, claims_a_row),
        bound("false verdicts per table of ten claims, largest", max(values(nothing, "any")), 0, 0.05, claims_a_row),
    ]


def bounds_markdown(found: Sequence[Bound]) -> str:
    """The promises as a markdown table (the README's)."""
    lines = ["| promise | simulated | bound | kept |", "| --- | ---: | --- | --- |"]
    for entry in found:
        allowed = f"at most {entry.high:.0%}" if entry.low == 0 else f"at least {entry.low:.0%}" if entry.high == 1 else ""
        allowed = allowed or f"{entry.low:.0%} to {entry.high:.0%}"
        lines.append(f"| {entry.text} | {entry.value:.1%} | {allowed} | {'yes' if entry.holds else '**no**'} |")
    return "\n".join(lines)


def table_markdown(table: Table) -> str:
    """One table as markdown; shares in percent with one decimal."""

    def shown(row: Row, key: str) -> str:
        value = row[key]
        if isinstance(value, str):
            return value
        return f"{value:.3g}" if key in table.plain else f"{100 * value:.1f}"

    lines = ["| " + " | ".join(heading for _, heading in table.columns) + " |"]
    lines.append("|" + "|".join(" --- " if isinstance(table.rows[0][key], str) else " ---: " for key, _ in table.columns) + "|")
    lines += ["| " + " | ".join(shown(row, key) for key, _ in table.columns) + " |" for row in table.rows]
    return f"## {table.title}\n\n{table.note}\n\n" + "\n".join(lines)


def document(filled: Sequence[Table], found: Sequence[Bound], repetitions: int, seed: int) -> str:
    """docs/calibration.md: the promises between markers, then every table. Figures are percent unless the heading says otherwise."""
    command = f"python -m benchmark.calibrate --repetitions {repetitions} --seed {seed}"
    return "\n\n".join([
        "# How often the verdicts are wrong",
        "Written by the command below; do not edit. It simulates reproductions with known truth and judges them with the functions that"
        " `benchmark.compare` calls.",
        f"```\n{command}\n```",
        f"{repetitions:,} tables a row, {max(1, repetitions // 10):,} claims (or tables of claims) a row; numpy {np.__version__}. Figures"
        " are percent unless the heading says otherwise. A promise counts as kept within three standard errors of the simulation.",
        f"<!-- calibration:begin -->\n{bounds_markdown(found)}\n<!-- calibration:end -->",
        *(table_markdown(table) for table in filled),
    ]) + "\n"  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Simulate, print, store; 1 where a promise of the harness is broken."""
    parser = command_parser("calibrate", "Simulate the error rates of the verdicts.", "python -m benchmark.calibrate --quick")
    parser.add_argument("--repetitions", type=int, help=f"simulated tables a row (default {FULL}; with --quick {QUICK})")
    parser.add_argument("--seed", type=int, default=0, help="of the random numbers (default 0)")
    parser.add_argument("--quick", action="store_true", help="seconds instead of minutes; writes no document unless --out is given")
    parser.add_argument("--out", type=Path, help="markdown to write (default docs/calibration.md)")
    parser.add_argument("--json", type=Path, help="also write every figure as JSON")
    options = parser.parse_args(arguments)
    repetitions = options.repetitions if options.repetitions is not None else QUICK if options.quick else FULL
    if repetitions < 10 or options.seed < 0:
        raise ConfigError(f"--repetitions {repetitions} must be at least 10 and --seed {options.seed} at least 0")
    filled = calibrate(repetitions, options.seed)
    found = bounds(filled, repetitions)
    text = document(filled, found, repetitions, options.seed)
    print(text, end="")
    out = options.out or (None if options.quick else Path("docs/calibration.md"))
    if out:
        write_text(out, text)
    if options.json:
        kept = [asdict(entry) | {"holds": entry.holds} for entry in found]
        rows = {table.key: table.rows for table in filled}
        write_json(options.json, {"repetitions": repetitions, "seed": options.seed, "bounds": kept, "tables": rows})
    return 0 if all(entry.holds for entry in found) else 1


if __name__ == "__main__":
    run_command(main)
