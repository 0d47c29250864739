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

from statistics import fmean

from benchmark.comparison.claims import ClaimResult, Margins, claim_results
from benchmark.comparison.matching import Matcher, Setting
from benchmark.comparison.table_comparison import matched_runs
from benchmark.paper.tables import AVERAGE, Claim, Ours, Paper, Requirements, Row, Table
from benchmark.runs.results import Identity, Results, Run
from bmt.errors import ConfigError, DataError
from bmt.settings import IN_DOMAIN, OUT_OF_DOMAIN

DOMAINS = {"in-domain": IN_DOMAIN, "out-of-domain": OUT_OF_DOMAIN}
DEVIATION = "deviation.relative"


def arm_row(word: str, backbone: str, known: list[Run]) -> Row:
    """The runs that `ARM` or `ARM.adapter` names, as a row without printed numbers.

    Raises:
        ConfigError: no results of that arm.
    """
    arm, _, more = word.partition(".")
    if more not in ("", "adapter"):
        raise ConfigError(f"{word}: not allowed: ARM or ARM.adapter")
    adapter = more == "adapter"
    if not any(run.identity == Identity(backbone, "mt", arm, adapter) for run in known):
        there = sorted(
            {
                f"{run.identity.arm}{'.adapter' if run.identity.adapter else ''}"
                for run in known
                if run.identity.backbone == backbone
            }
        )
        raise ConfigError(
            f"{word}: no results of this arm on {backbone}: there are {', '.join(there) or 'none'}"
        )
    return Row(word, word, word, Ours(backbone, "mt", arm, adapter), {})


def tables_of(rows: tuple[Row, Row], datasets: set[str]) -> list[Table]:
    """One table of the two rows a domain, over the datasets that have scores."""
    tables = []
    for name, members in DOMAINS.items():
        columns = {dataset: dataset for dataset in members if dataset in datasets}
        if columns:
            tables.append(
                Table(name, name, "", "", "scores", ("EM", "F1"), {"EM": 1, "F1": 1}, columns, AVERAGE, rows)
            )
    return tables


def differences(
    found: Results, words: tuple[str, str], setting: Setting, backbone: str
) -> list[tuple[Table, list[ClaimResult], Matcher]]:
    """Every difference of the two arms, by domain: a claim each dataset and metric, the average, and (once)
    the deviation.

    Raises:
        ConfigError: an arm without results. DataError: no dataset that both have.
    """
    rows = (arm_row(words[0], backbone, list(found.runs)), arm_row(words[1], backbone, list(found.runs)))
    scored = [set.union(*(set(run.datasets) for run in found.runs if _is(run, row))) for row in rows]
    tables = tables_of(rows, scored[0] & scored[1])
    if not tables:
        raise DataError(
            f"{words[0]} and {words[1]} have no dataset in common: evaluate both on the same dev sets"
        )
    told = []
    for table in tables:
        claims = [
            Claim(f"{metric} {over}", table.table, "", "", words[0], words[1], metric, over, "greater")
            for over in (*table.columns, AVERAGE)
            for metric in table.metrics
        ]
        if table is tables[0]:
            claims.append(Claim(DEVIATION, table.table, "", "", words[0], words[1], DEVIATION, None, "less"))
        paper = Paper("", {table.table: table}, tuple(claims), Requirements())
        matcher, scores = matched_runs(paper, table, found, setting, {})
        told.append((table, list(claim_results(paper, table, matcher, scores, Margins(0, 0))), matcher))
    return told


def _is(run: Run, row: Row) -> bool:
    ours = row.ours
    return ours is not None and run.identity == Identity(ours.backbone, "mt", ours.arm, ours.adapter, None)


def lines(
    words: tuple[str, str], backbone: str, told: list[tuple[Table, list[ClaimResult], Matcher]]
) -> list[str]:
    """Markdown: a table a domain, then the deviation."""
    out: list[str] = []
    for table, results, matcher in told:
        seeds = [
            ", ".join(str(run.seed) for run in matcher.row_runs(row, tuple(table.columns.values())))
            for row in table.rows
        ]
        out += [
            f"{table.table}: {words[0]} (seeds {seeds[0]}) − {words[1]} (seeds {seeds[1]}) on {backbone}, points, 95 % interval",
            "",
        ]
        out += [
            f"| dataset | metric | {words[0]} | {words[1]} | difference | interval | p | |",
            "| --- | --- | " + "---: | " * 5 + "--- |",
        ]
        for result in results:
            if result.claim.metric != DEVIATION:
                means = [_mean(matcher, row, table, result.claim) for row in table.rows]
                name = "**average**" if result.claim.over == AVERAGE else result.claim.over
                numbers = " | ".join("–" if mean is None else f"{mean:.1f}" for mean in means)
                out.append(f"| {name} | {result.claim.metric} | {numbers} | {_shown(result, 1)}")
        out.append("")
    for result in (
        result for _, results, _ in told for result in results if result.claim.metric == DEVIATION
    ):
        out += [
            f"| weight deviation, relative | {words[0]} − {words[1]} | interval | p | |",
            "| --- | ---: | ---: | ---: | --- |",
        ]
        out += [f"| all weights | {_shown(result, 5)}", ""]
    methods = sorted(
        {result.interval.method for _, results, _ in told for result in results if result.interval}
    )
    return [*out, f"Intervals: {'; '.join(methods)}. Single comparisons, not adjusted for their number."]


def _mean(matcher: Matcher, row: Row, table: Table, claim: Claim) -> float | None:
    """An arm's mean over seeds (and datasets, for the average)."""
    datasets = tuple(table.columns.values()) if claim.over == AVERAGE else (claim.over or "",)
    runs = matcher.row_runs(row, datasets)
    values = [
        run.datasets[name].metric(claim.metric) for run in runs for name in datasets if name in run.datasets
    ]
    kept = [value for value in values if value is not None]
    return fmean(kept) if kept else None


def _shown(result: ClaimResult, digits: int) -> str:
    """Difference, interval, p and remarks of one row."""
    interval = result.interval
    if interval is None:
        return f"– | – | – | {result.reason} |"
    low, high = interval.low, interval.high
    between = (
        f"{_signed(low, digits)} to {_signed(high, digits)}" if low is not None and high is not None else "–"
    )
    decided = "" if low is None or high is None or low <= 0 <= high else "0 is outside"
    note = "; ".join(part for part in (decided, result.note) if part)
    p = "–" if interval.p is None else f"{interval.p:.3f}"
    return f"{_signed(interval.estimate, digits)} | {between} | {p} | {note} |"


def _signed(value: float, digits: int) -> str:
    return f"{round(value, digits) + 0.0:+.{digits}f}"  # + 0.0: no -0.0
