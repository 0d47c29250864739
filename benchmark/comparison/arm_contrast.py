"""Two arms held against each other, dataset by dataset and on average, with the interval that the claims
have.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from benchmark.comparison.claims import ClaimResult, Margins, claim_results
from benchmark.comparison.matching import Matcher, Setting
from benchmark.comparison.table_comparison import matched_runs
from benchmark.paper.tables import AVERAGE, Claim, Ours, Paper, Requirements, Row, Table
from benchmark.rendering.document import Block, Column, Document, Inline, Paragraph, Phrase, text_table
from benchmark.runs.results import Identity, Results, Run
from bmt.errors import ConfigError, DataError
from bmt.settings import IN_DOMAIN, OUT_OF_DOMAIN

DOMAINS = {"in-domain": IN_DOMAIN, "out-of-domain": OUT_OF_DOMAIN}
DEVIATION = "deviation.relative"
REMARK = Column("", "left", least=12)


@dataclass(frozen=True, slots=True)
class DomainContrast:
    """The differences of one domain. table: the two arms as its rows, without printed numbers."""

    table: Table
    results: tuple[ClaimResult, ...]
    matcher: Matcher


def contrast_arms(
    results: Results, arms: tuple[str, str], setting: Setting, backbone: str
) -> list[DomainContrast]:
    """Every difference of two arms, by domain: of each dataset and metric, the average, and (once) the
    deviation.

    Raises:
        ConfigError: an arm without results.
        DataError: no dataset that both have.
    """
    first, second = (arm_row(arm, backbone, results) for arm in arms)
    scored = _datasets(results, first) & _datasets(results, second)
    tables = domain_tables((first, second), scored)
    if not tables:
        raise DataError(
            f"{arms[0]} and {arms[1]} have no dataset in common: evaluate both on the same dev sets"
        )
    return [_domain(results, table, arms, setting, with_deviation=table is tables[0]) for table in tables]


def _domain(
    results: Results, table: Table, arms: tuple[str, str], setting: Setting, with_deviation: bool
) -> DomainContrast:
    claims = [
        Claim(f"{metric} {over}", table.table, "", "", *arms, metric, over, "greater")
        for over in (*table.columns, AVERAGE)
        for metric in table.metrics
    ]
    if with_deviation:
        claims.append(Claim(DEVIATION, table.table, "", "", *arms, DEVIATION, None, "less"))
    paper = Paper("", {table.table: table}, tuple(claims), Requirements())
    matcher, predictions = matched_runs(paper, table, results, setting, {})
    differences = claim_results(paper, table, matcher, predictions, Margins(0, 0))
    return DomainContrast(table, differences, matcher)


def arm_row(word: str, backbone: str, results: Results) -> Row:
    """The runs that `ARM` or `ARM.adapter` names, as a row without printed numbers.

    Raises:
        ConfigError: no results of that arm.
    """
    arm, _, more = word.partition(".")
    if more not in ("", "adapter"):
        raise ConfigError(f"{word}: not allowed: ARM or ARM.adapter")
    row = Row(word, word, word, Ours(backbone, "mt", arm, more == "adapter"), {})
    if not any(_answers(run, row) for run in results.runs):
        identities = [run.identity for run in results.runs if run.identity.backbone == backbone]
        known = sorted({f"{entry.arm}{'.adapter' if entry.adapter else ''}" for entry in identities})
        raise ConfigError(
            f"{word}: no results of this arm on {backbone}: there are {', '.join(known) or 'none'}"
        )
    return row


def _answers(run: Run, row: Row) -> bool:
    ours = row.ours
    return ours is not None and run.identity == Identity(ours.backbone, "mt", ours.arm, ours.adapter, None)


def _datasets(results: Results, row: Row) -> set[str]:
    return {dataset for run in results.runs if _answers(run, row) for dataset in run.datasets}


def domain_tables(rows: tuple[Row, Row], datasets: set[str]) -> list[Table]:
    """One table of the two rows per domain, over the datasets that have scores."""
    tables = []
    for name, members in DOMAINS.items():
        columns = {dataset: dataset for dataset in members if dataset in datasets}
        decimals = {"EM": 1, "F1": 1}
        if columns:
            tables.append(
                Table(name, name, "", "", "scores", tuple(decimals), decimals, columns, AVERAGE, rows)
            )
    return tables


def only_backbone(results: Results, folder: Path) -> str:
    """The backbone whose multi-data runs a folder holds.

    Raises:
        ConfigError: there are none, or of several backbones.
    """
    backbones = sorted({run.identity.backbone for run in results.runs if run.identity.regime == "mt"})
    if len(backbones) != 1:
        raise ConfigError(
            f"--backbone: needed: {folder} has multi-data runs of {', '.join(backbones) or 'no backbone'}"
        )
    return backbones[0]


def contrast_document(contrasts: list[DomainContrast], arms: tuple[str, str], backbone: str) -> Document:
    """A table per domain, then the deviation."""
    blocks: list[Block] = []
    for contrast in contrasts:
        table, matcher = contrast.table, contrast.matcher
        a, b = (
            f"{arm} (seeds {', '.join(str(run.seed) for run in matcher.row_runs(row, tuple(table.columns)))})"
            for arm, row in zip(arms, table.rows, strict=True)
        )
        blocks.append(Paragraph(f"{table.table}: {a} − {b} on {backbone}, points, 95 % interval"))
        columns = [
            Column("dataset", "left"),
            Column("metric", "left"),
            *map(Column, arms),
            Column("difference"),
        ]
        rows = [
            _score_cells(contrast, result) for result in contrast.results if result.claim.metric != DEVIATION
        ]
        blocks.append(text_table([*columns, Column("interval"), Column("p", drop=1), REMARK], rows))
    results = [result for contrast in contrasts for result in contrast.results]
    deviations = [
        ["all weights", *_cells(result, 5)] for result in results if result.claim.metric == DEVIATION
    ]
    names: list[Column | str] = [
        "weight deviation, relative",
        f"{arms[0]} − {arms[1]}",
        "interval",
        "p",
        REMARK,
    ]
    methods = sorted({result.interval.method for result in results if result.interval})
    closing = f"Intervals: {'; '.join(methods)}. Single comparisons, not adjusted for their number."
    return Document("", (*blocks, text_table(names, deviations), Paragraph(closing)))


def _score_cells(contrast: DomainContrast, result: ClaimResult) -> list[Inline]:
    """Dataset, metric, the two arms' means, and their difference."""
    name = Phrase(AVERAGE, "strong") if result.claim.over == AVERAGE else str(result.claim.over)
    means = [_mean(contrast, row, result.claim) for row in contrast.table.rows]
    shown = ["–" if mean is None else f"{mean:.1f}" for mean in means]
    return [name, result.claim.metric, *shown, *_cells(result, 1)]


def _mean(contrast: DomainContrast, row: Row, claim: Claim) -> float | None:
    """An arm's mean over seeds (and datasets, for the average)."""
    datasets = tuple(contrast.table.columns) if claim.over == AVERAGE else (claim.over or "",)
    runs = contrast.matcher.row_runs(row, datasets)
    scores = [
        run.datasets[name].metric(claim.metric) for run in runs for name in datasets if name in run.datasets
    ]
    known = [score for score in scores if score is not None]
    return fmean(known) if known else None


def _cells(result: ClaimResult, digits: int) -> list[str]:
    """Difference, interval, p and remarks of one row."""
    interval = result.interval
    if interval is None:
        return ["–", "–", "–", result.reason]
    low, high = interval.low, interval.high
    between, decided = "–", ""
    if low is not None and high is not None:
        between = f"{_signed(low, digits)} to {_signed(high, digits)}"
        decided = "" if low <= 0 <= high else "0 is outside"
    remark = "; ".join(part for part in (decided, result.note) if part)
    p = "–" if interval.p is None else f"{interval.p:.3f}"
    return [_signed(interval.estimate, digits), between, p, remark]


def _signed(value: float, digits: int) -> str:
    return f"{round(value, digits) + 0.0:+.{digits}f}"  # + 0.0: no -0.0
