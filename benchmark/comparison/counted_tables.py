"""Tables of counted numbers (dataset statistics, parameter counts): no seeds, no statistics; ours is the
printed number or it is not.

Our numbers come from `table_<id>.json` in the results folder (docs/compare.md); without one, a table of
parameters is counted here.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from benchmark.comparison import parameter_counts
from benchmark.comparison.claims import fact_results
from benchmark.comparison.inputs import ComparisonInputs
from benchmark.comparison.matching import MISSING, NO_DATA, NOT_COMPARABLE, Match
from benchmark.comparison.report import DIFFERS, EXACT, CellResult, TableReport
from benchmark.paper.tables import Paper, Row, Table
from benchmark.runs.results import read_facts


def compare_counted(inputs: ComparisonInputs, table: Table) -> TableReport:
    """Hold a table of counted numbers against those of a results folder."""
    paper, setting = inputs.paper, inputs.setting
    stored, damaged = read_facts(inputs.results.folder, table.table)
    numbers = stored if stored or damaged else parameter_counts.counted(table)
    matches = [
        Match(row, row.dataset or "", metric, row.values[metric][""], table.decimals[metric], None)
        for row in table.rows
        for metric in table.metrics
    ]
    if damaged:
        cells = [_unjudged(match, NOT_COMPARABLE, f"unreadable {damaged}") for match in matches]
    else:
        command = f": `{setting.switched(table.command)}`" if table.command else ""
        cells = [_cell(match, table, paper, numbers or {}, command) for match in matches]
    return TableReport(
        title=paper.title,
        table=table,
        profile=str((numbers or {}).get("profile") or setting.profile),
        source=inputs.source,
        seeds=(),
        stand_in={},
        cells=tuple(cells),
        claims=fact_results(paper, table, numbers),
        faults=(damaged,) if damaged else (),
        assumptions=("exact: ours, rounded as printed, is the printed number",),
        notes=parameter_counts.notes(table, inputs.results, setting.seeds, stored=numbers is stored),
    )


def _cell(match: Match, table: Table, paper: Paper, numbers: dict[str, Any], command: str) -> CellResult:
    """One printed number beside ours. command: what makes the file of ours."""
    row, metric, file = match.row.row, match.metric, f"table_{table.table}.json"
    rows = numbers.get("rows") or {}
    counted = rows.get(row, {})
    value = counted.get(metric)
    if match.published is None:
        return CellResult(NO_DATA, "the paper prints no number here", value, match=match)
    if rows and match.dataset and row not in rows:
        return _unjudged(match, NO_DATA, f"no file of {row} was counted")
    if value is None and metric in counted:
        return _unjudged(match, NO_DATA, f"no {metric} of {row} to be counted (null in {file})")
    if value is None:
        nothing = f"no {metric} of {row} in {file}" if numbers else f"no {file} in the results{command}"
        return _unjudged(match, MISSING, nothing)
    reason, delta = _gate(match.row, paper, numbers), value - match.published
    verdict = EXACT if abs(delta) <= 0.5 * 10.0**-match.decimals + 1e-9 else DIFFERS
    return CellResult(NOT_COMPARABLE if reason else verdict, reason, value, n=1, delta=delta, match=match)


def _unjudged(match: Match, state: str, reason: str) -> CellResult:
    return CellResult(state, reason, match=replace(match, state=state))


def _gate(row: Row, paper: Paper, values: dict[str, Any]) -> str:
    """Why our number is of something else than the paper's; empty: it is not."""
    if row.ours and values.get("backbone") != row.ours.backbone:
        return f"backbone {values.get('backbone') or 'not recorded'} instead of {row.ours.backbone}"
    if not row.ours and paper.requires.profile and values.get("profile") != paper.requires.profile:
        return f"profile {values.get('profile') or 'not recorded'}"
    return ""
