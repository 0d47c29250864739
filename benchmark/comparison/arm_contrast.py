"""Two arms held against each other, dataset by dataset and on average, with the interval that the claims
have.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean

from benchmark.comparison.claims import ClaimResult, claim_results
from benchmark.comparison.matching import Matcher, Setting
from benchmark.comparison.table_comparison import matched_runs
from benchmark.config.cells import known_name
from benchmark.config.params import CompareSettings
from benchmark.paper.tables import AVERAGE, Claim, Ours, Paper, Requirements, Row, Table
from benchmark.rendering.document import Block, Column, Document, Inline, Paragraph, Phrase, text_table
from benchmark.runs.results import Identity, Results
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
    results: Results,
    arms: tuple[str, str],
    setting: Setting,
    backbone: str | None,
    known: tuple[str, ...] = (),
) -> list[DomainContrast]:
    """Every difference of two arms, by domain: of each dataset and metric, the average, and (once) the
    deviation. backbone: whose runs; None: the only one that has some. known: the arms of the params file, if
    there is one.

    Raises:
        ConfigError: an arm without results or that is not known, or a backbone that has to be named.
        DataError: no dataset that both have.
    """
    backbone = backbone or _only_backbone(results, setting)
    identities = [_identity(arm, backbone) for arm in arms]
    runs = [[run for run in results.runs if run.identity == identity] for identity in identities]
    if not all(runs):
        lacking = [identity for identity, its_runs in zip(identities, runs, strict=True) if not its_runs]
        for identity in lacking if known else []:
            known_name(identity.arm, known, "arm")
        raise _no_results(lacking, results, setting)
    scored = set.intersection(*({name for run in its_runs for name in run.datasets} for its_runs in runs))
    tables = domain_tables(tuple(map(arm_row, arms, identities)), scored)
    if not tables:
        raise DataError(
            f"{arms[0]} and {arms[1]} have no dataset in common: evaluate both on the same dev sets"
        )
    return [_domain(results, table, setting, with_deviation=table is tables[0]) for table in tables]


def _only_backbone(results: Results, setting: Setting) -> str:
    """The backbone whose multi-data runs a folder holds; of a folder without any, the one of the profile's
    first cell.
    """
    backbones = sorted({run.identity.backbone for run in results.runs if run.identity.regime == "mt"})
    if len(backbones) > 1:
        raise ConfigError(
            f"--backbone: needed: {results.folder} has multi-data runs of {', '.join(backbones)}"
        )
    return next(iter((*backbones, *(cell.split(".")[0] for cell in setting.listed))), "")


def _identity(arm: str, backbone: str) -> Identity:
    """The runs that `ARM` or `ARM.adapter` names."""
    name, _, more = arm.partition(".")
    if more not in ("", "adapter"):
        raise ConfigError(f"{arm}: not allowed: ARM or ARM.adapter")
    return Identity(backbone, "mt", name, more == "adapter")


def _no_results(lacking: list[Identity], results: Results, setting: Setting) -> ConfigError:
    """Which arms have no results, in which folder, and what makes them."""
    multi_data = f"{lacking[0].backbone}.mt."
    names = [identity.stem.removeprefix(multi_data) for identity in lacking]
    stems = sorted({run.identity.stem for run in results.runs if run.identity.K is None})
    known = [stem.removeprefix(multi_data) for stem in stems if stem.startswith(multi_data)]
    commands = dict.fromkeys(setting.command(identity) for identity in lacking if identity.backbone)
    to_run = " and ".join(filter(None, commands))
    return ConfigError(
        f"{', '.join(names)}: no results of {'these arms' if names[1:] else 'this arm'} on "
        f"{lacking[0].backbone or 'any backbone'}: there are {', '.join(known) or 'none'} in "
        f"{results.folder}; {f'to run: {to_run}' if to_run else '--results takes another folder'}"
    )


def arm_row(arm: str, identity: Identity) -> Row:
    """An arm, as one typed it, as a row without printed numbers."""
    return Row(arm, arm, arm, Ours(identity.backbone, "mt", identity.arm, identity.adapter), {})


def domain_tables(rows: tuple[Row, ...], datasets: set[str]) -> list[Table]:
    """One table of the rows per domain, over the datasets that have scores."""
    tables, decimals = [], {"EM": 1, "F1": 1}
    for name, members in DOMAINS.items():
        if columns := {dataset: dataset for dataset in members if dataset in datasets}:
            table = Table(name, name, "", "", "scores", tuple(decimals), decimals, columns, AVERAGE, rows)
            tables.append(table)
    return tables


def _domain(results: Results, table: Table, setting: Setting, with_deviation: bool) -> DomainContrast:
    a, b = (row.row for row in table.rows)
    claims = [
        Claim(f"{metric} {over}", table.table, "", "", a, b, metric, over, "greater")
        for over in (*table.columns, AVERAGE)
        for metric in table.metrics
    ]
    if with_deviation:
        claims.append(Claim(DEVIATION, table.table, "", "", a, b, DEVIATION, None, "less"))
    paper = Paper("", {table.table: table}, tuple(claims), Requirements())
    matcher, predictions = matched_runs(paper, table, results, setting)
    return DomainContrast(
        table, claim_results(paper, table, matcher, predictions, CompareSettings()), matcher
    )


def contrast_document(contrasts: list[DomainContrast]) -> Document:
    """A table per domain, then the deviation."""
    blocks: list[Block] = []
    rows = contrasts[0].table.rows
    arms, backbone = [row.row for row in rows], rows[0].ours.backbone if rows[0].ours else ""
    for contrast in contrasts:
        table, matcher = contrast.table, contrast.matcher
        a, b = (
            f"{arm} (seeds {', '.join(str(run.seed) for run in matcher.row_runs(row, table.datasets))})"
            for arm, row in zip(arms, table.rows, strict=True)
        )
        blocks.append(Paragraph(f"{table.table}: {a} − {b} on {backbone}, points, 95 % interval"))
        columns = (
            Column("dataset", "left"),
            Column("metric", "left"),
            *map(Column, arms),
            Column("difference"),
            Column("interval"),
            Column("p", drop=1),
            REMARK,
        )
        scores = [result for result in contrast.results if result.claim.metric != DEVIATION]
        blocks.append(text_table(columns, [_score_cells(contrast, result) for result in scores]))
    results = [result for contrast in contrasts for result in contrast.results]
    deviations = [
        ["all weights", *_cells(result, 5)] for result in results if result.claim.metric == DEVIATION
    ]
    names = ("weight deviation, relative", f"{arms[0]} − {arms[1]}", "interval", "p", REMARK)
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
    datasets = contrast.table.datasets if claim.over == AVERAGE else (claim.over or "",)
    scores = [
        run.datasets[name].metric(claim.metric)
        for run in contrast.matcher.row_runs(row, datasets)
        for name in datasets
        if name in run.datasets
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
