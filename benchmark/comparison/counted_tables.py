"""Tables of counted numbers (dataset statistics, parameter counts): no seeds, no statistics; ours is the
printed number or it is not.

Our numbers come from `table_<id>.json` in the results folder (docs/compare.md); without one, a table of
parameters is counted here.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from benchmark.comparison import parameter_counts as parameters
from benchmark.comparison.claims import fact_results
from benchmark.comparison.matching import MISSING, NO_DATA, NOT_COMPARABLE, Match, Setting
from benchmark.comparison.report import DIFFERS, EXACT, CellResult, Report
from benchmark.paper.tables import Paper, Row, Table
from benchmark.runs import results
from benchmark.runs.results import Fault, Results


def compare_facts(paper: Paper, table: Table, found: Results, setting: Setting, source: str) -> Report:
    """Hold a table of facts against the numbers of a results folder."""
    stored, damaged = results.read_facts(found.folder, table.table)
    facts = stored if stored or damaged else parameters.counted(table)
    command = f": `{setting.switched(table.command)}`" if table.command else ""
    cells = tuple(
        _fact(row, metric, table, paper, facts, damaged, command)
        for row in table.rows
        for metric in table.metrics
    )
    claims = fact_results(paper, table, facts)
    return Report(
        title=paper.title,
        table=table,
        profile=str((facts or {}).get("profile") or setting.profile),
        source=source,
        seeds=(),
        stand_in={},
        cells=cells,
        claims=claims,
        faults=(damaged,) if damaged else (),
        assumptions=("exact: ours, rounded as printed, is the printed number",),
        notes=parameters.notes(table, found, setting.seeds, stored=facts is stored),
    )


def _fact(
    row: Row,
    metric: str,
    table: Table,
    paper: Paper,
    facts: dict[str, Any] | None,
    damaged: Fault | None,
    command: str,
) -> CellResult:
    """One number; `command` makes the file of our numbers, as it is shown."""
    published, decimals = row.values[metric][""], table.decimals[metric]
    match = Match(row, row.dataset or "", metric, published, decimals, None)
    if damaged:
        return CellResult(replace(match, state=NOT_COMPARABLE), NOT_COMPARABLE, f"unreadable {damaged}")
    rows = (facts or {}).get("rows") or {}
    value = rows.get(row.row, {}).get(metric)
    if published is None:
        return CellResult(match, NO_DATA, "the paper prints no number here", value)
    if rows and row.dataset and row.row not in rows:
        return CellResult(replace(match, state=NO_DATA), NO_DATA, f"no file of {row.row} was counted")
    if value is None and metric in rows.get(row.row, {}):
        what = f"no {metric} of {row.row} to be counted (null in table_{table.table}.json)"
        return CellResult(replace(match, state=NO_DATA), NO_DATA, what)
    if value is None:
        what = (
            f"no {metric} of {row.row} in table_{table.table}.json"
            if facts
            else f"no table_{table.table}.json in the results{command}"
        )
        return CellResult(replace(match, state=MISSING), MISSING, what)
    reason = ""
    if row.ours and (facts or {}).get("backbone") != row.ours.backbone:
        reason = f"backbone {(facts or {}).get('backbone') or 'not recorded'} instead of {row.ours.backbone}"
    elif not row.ours and paper.requires.profile and (facts or {}).get("profile") != paper.requires.profile:
        reason = f"profile {(facts or {}).get('profile') or 'not recorded'}"
    same = abs(value - published) <= 0.5 * 10.0**-decimals + 1e-9
    verdict = NOT_COMPARABLE if reason else EXACT if same else DIFFERS
    return CellResult(match, verdict, reason, value, None, 1, value - published)
