"""Tables of counted numbers (dataset statistics, parameter counts): no seeds, no statistics; ours is the
printed number or it is not.

Our numbers come from `table_<id>.json` in the results folder (docs/compare.md); without one, a table of
parameters is counted here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from benchmark.comparison import parameter_counts
from benchmark.comparison.claims import fact_results
from benchmark.comparison.matching import MISSING, NO_DATA, NOT_COMPARABLE, Match, Setting
from benchmark.comparison.report import DIFFERS, EXACT, CellResult, TableReport
from benchmark.paper.tables import Paper, Row, Table
from benchmark.runs import results as result_files
from benchmark.runs.results import Fault, Results


@dataclass(frozen=True, slots=True)
class CountedNumbers:
    """Our numbers of a table. damaged: why its file cannot be read. command: what makes the file."""

    values: dict[str, Any]
    damaged: Fault | None
    command: str

    @property
    def rows(self) -> dict[str, dict[str, Any]]:
        """{row: {metric: number or None}}."""
        return self.values.get("rows") or {}


def compare_counted(
    paper: Paper, table: Table, results: Results, setting: Setting, source: str
) -> TableReport:
    """Hold a table of counted numbers against those of a results folder."""
    stored, damaged = result_files.read_facts(results.folder, table.table)
    values = stored if stored or damaged else parameter_counts.counted(table)
    command = f": `{setting.switched(table.command)}`" if table.command else ""
    numbers = CountedNumbers(values or {}, damaged, command)
    cells = [_cell(row, metric, table, paper, numbers) for row in table.rows for metric in table.metrics]
    return TableReport(
        title=paper.title,
        table=table,
        profile=str(numbers.values.get("profile") or setting.profile),
        source=source,
        seeds=(),
        stand_in={},
        cells=tuple(cells),
        claims=fact_results(paper, table, values),
        faults=(damaged,) if damaged else (),
        assumptions=("exact: ours, rounded as printed, is the printed number",),
        notes=parameter_counts.notes(table, results, setting.seeds, stored=values is stored),
    )


def _cell(row: Row, metric: str, table: Table, paper: Paper, numbers: CountedNumbers) -> CellResult:
    """One printed number beside ours."""
    published, decimals = row.values[metric][""], table.decimals[metric]
    match = Match(row, row.dataset or "", metric, published, decimals, None)
    if numbers.damaged:
        return _unjudged(match, NOT_COMPARABLE, f"unreadable {numbers.damaged}")
    counted = numbers.rows.get(row.row, {})
    value = counted.get(metric)
    if published is None:
        return CellResult(match, NO_DATA, "the paper prints no number here", value)
    if numbers.rows and row.dataset and row.row not in numbers.rows:
        return _unjudged(match, NO_DATA, f"no file of {row.row} was counted")
    file = f"table_{table.table}.json"
    if value is None and metric in counted:
        return _unjudged(match, NO_DATA, f"no {metric} of {row.row} to be counted (null in {file})")
    if value is None and numbers.values:
        return _unjudged(match, MISSING, f"no {metric} of {row.row} in {file}")
    if value is None:
        return _unjudged(match, MISSING, f"no {file} in the results{numbers.command}")
    reason = _gate(row, paper, numbers.values)
    same = abs(value - published) <= 0.5 * 10.0**-decimals + 1e-9
    verdict = NOT_COMPARABLE if reason else EXACT if same else DIFFERS
    return CellResult(match, verdict, reason, value, None, 1, value - published)


def _unjudged(match: Match, state: str, reason: str) -> CellResult:
    return CellResult(replace(match, state=state), state, reason)


def _gate(row: Row, paper: Paper, values: dict[str, Any]) -> str:
    """Why our number is of something else than the paper's; empty: it is not."""
    if row.ours and values.get("backbone") != row.ours.backbone:
        return f"backbone {values.get('backbone') or 'not recorded'} instead of {row.ours.backbone}"
    if not row.ours and paper.requires.profile and values.get("profile") != paper.requires.profile:
        return f"profile {values.get('profile') or 'not recorded'}"
    return ""
