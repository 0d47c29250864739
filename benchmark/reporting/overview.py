"""The first screen: what was found in a few sentences and figures, and the verdicts table by table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from benchmark.comparison.matching import LITERATURE, MISSING, NO_DATA, NOT_COMPARABLE
from benchmark.comparison.report import DIFFERS, EXACT
from benchmark.rendering.phrases import NOTHING, counted, enumerated
from benchmark.reporting.charts import DataTable
from benchmark.reporting.report_data import ComparedTable, ReportData, cell_counts, claim_counts
from benchmark.reporting.strips import stacked_bar
from benchmark.statistics.reproduction import INCONCLUSIVE, NOT_REPRODUCED, REPRODUCED

VERDICTS = {
    REPRODUCED: "good",
    EXACT: "good",
    INCONCLUSIVE: "open",
    NOT_REPRODUCED: "bad",
    DIFFERS: "bad",
    NOT_COMPARABLE: "gated",
    NO_DATA: "absent",
    MISSING: "absent",
    LITERATURE: "literature",
}
"""The verdicts in the order of a bar, with the CSS class of their part."""
Badge = tuple[str, int, str]
"""A verdict, how many have it, and the CSS class."""
JUDGED = (REPRODUCED, EXACT, INCONCLUSIVE, NOT_REPRODUCED, DIFFERS)
CLAIM_VERDICTS = ("upheld", "smaller than claimed", "undecided", "no verdict", "contradicted")
"""Of the claims that could be looked at; the others have no data."""


def overview_section(data: ReportData) -> dict[str, Any]:
    """Values of the template. tiles: (figure, what it counts, more); verdicts: a table, its badges, their bar
    and its claims.
    """
    return {
        "tiles": _tiles(data),
        "findings": findings(data),
        "faults": [str(fault) for fault in data.faults],
        "notes": data.notes,
        "verdicts": [_table_verdicts(table) for table in data.tables],
        "data": _verdict_table(data.tables),
    }


def verdict_badges(counts: Counter[str]) -> list[Badge]:
    """The counts above 0, in the order of VERDICTS."""
    names = [*VERDICTS, *(name for name in counts if name not in VERDICTS)]
    return [(name, counts[name], VERDICTS.get(name, "absent")) for name in names if counts[name]]


def findings(data: ReportData) -> list[str]:
    """What the page says, in sentences; each is counted from the data."""
    cells, claims = cell_counts(data.tables), claim_counts(data.tables)
    sentences = [_runs_sentence(data), _cells_sentence(cells)]
    if cells[NOT_COMPARABLE]:
        reason = _commonest_reason(data.tables)
        count = cells[NOT_COMPARABLE]
        sentences.append(f"{count} may not be compared, most often for this reason: {reason}.")
    if claims:
        tested = sum(claims.values()) - claims["no data"]
        said = ", ".join(f"{claims[verdict]} {verdict}" for verdict in CLAIM_VERDICTS if claims[verdict])
        sentences.append(
            f"Of {counted(sum(claims.values()), 'claim')} of the paper, {tested} could be looked at"
            + (f": {said}." if tested else ".")
        )
    stand_ins = dict.fromkeys(pair for table in data.tables for pair in table.report.stand_in.items())
    if stand_ins and data.runs:
        said = "; ".join(f"{ours} stands in for {theirs}" for theirs, ours in stand_ins)
        sentences.append(f"Here {said}: directions can be looked at, the printed numbers cannot be expected.")
    if changed := sum(one.run.dirty is True for one in data.runs):
        total = counted(len(data.runs), "run")
        sentences.append(f"{changed} of {total} were made with uncommitted changes.")
    return sentences


def _runs_sentence(data: ReportData) -> str:
    if not data.runs:
        seeds = "" if data.seeds is None else f" with seeds {', '.join(map(str, data.seeds))}"
        return (
            f"There are no runs{seeds} in {data.source} yet: below is what the paper prints, and what can "
            "be counted without runs."
        )
    numbers, arms = sorted({one.run.seed for one in data.runs}), dict.fromkeys(one.arm for one in data.runs)
    backbones = dict.fromkeys(one.run.identity.backbone for one in data.runs)
    return (
        f"{counted(len(data.runs), 'run')} of profile {data.profile}: {enumerated(backbones, 6)}; "
        f"{counted(len(arms), 'arm')} ({enumerated(arms, 10)}); "
        f"{'seed' if len(numbers) == 1 else 'seeds'} {enumerated(map(str, numbers), 12)}."
    )


def _cells_sentence(cells: Counter[str]) -> str:
    total = counted(sum(cells.values()), "printed number")
    judged = [f"{cells[name]} {name}" for name in JUDGED if cells[name]]
    others = [f"{count} {verdict}" for verdict, count in cells.most_common() if verdict not in JUDGED]
    if not judged:
        return f"None of the {total} is judged: {', '.join(others)}."
    number = sum(cells[verdict] for verdict in JUDGED)
    rest = f" The others: {', '.join(others)}." if others else ""
    return f"Of {total}, {number} {'is' if number == 1 else 'are'} judged: {', '.join(judged)}.{rest}"


def _commonest_reason(tables: Sequence[ComparedTable]) -> str:
    """Why numbers are not comparable, most often."""
    cells = (cell for table in tables for cell in table.report.cells if cell.verdict == NOT_COMPARABLE)
    reasons = Counter(cell.reason for cell in cells if cell.reason).most_common(1)
    return reasons[0][0] if reasons else "not recorded"


def _tiles(data: ReportData) -> list[tuple[str, str, str]]:
    cells, claims = cell_counts(data.tables), claim_counts(data.tables)
    judged, total = sum(cells[verdict] for verdict in JUDGED), sum(claims.values())
    kept, missed = cells[REPRODUCED] + cells[EXACT], cells[NOT_REPRODUCED] + cells[DIFFERS]
    tested = f"{total - claims['no data']} looked at, {claims['contradicted']} contradicted"
    runs = len(data.runs)
    printed = f"of {sum(cells.values())} that the paper prints"
    return [
        (f"{kept} / {judged}", "judged numbers reproduced", printed),
        (f"{missed}", "not reproduced", f"{cells[INCONCLUSIVE]} inconclusive"),
        (f"{claims['upheld']} / {total}", "claims upheld", tested),
        (f"{runs}", "run" if runs == 1 else "runs", f"profile {data.profile}"),
    ]


def _table_verdicts(table: ComparedTable) -> tuple[ComparedTable, list[Badge], Markup, str]:
    badges = verdict_badges(table.report.verdicts)
    said = ", ".join(f"{count} {verdict}" for verdict, count, _ in badges)
    bar = stacked_bar(f"verdicts-{table.key}", f"{table.name}: verdicts", said, badges)
    claims = f"claims upheld: {_upheld([table])}" if table.report.claims else "no claims"
    return table, badges, bar, claims


def _verdict_table(tables: Sequence[ComparedTable]) -> DataTable:
    total = cell_counts(tables)
    known = [verdict for verdict, *_ in verdict_badges(total)]
    rows = []
    for table in tables:
        counts = table.report.verdicts
        upheld = _upheld([table]) if table.report.claims else NOTHING
        rows.append([table.name, *(str(counts[verdict]) for verdict in known), upheld])
    rows.append(["all", *(str(total[verdict]) for verdict in known), _upheld(tables)])
    return DataTable("Verdicts by table", ("table", *known, "claims upheld"), rows)


def _upheld(tables: Sequence[ComparedTable]) -> str:
    claims = claim_counts(tables)
    return f"{claims['upheld']} of {sum(claims.values())}"
