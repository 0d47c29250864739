"""Table 1 from MRQA files: questions, mean words of a question and of a context, by dataset; and that beside
the paper's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmark.paper import tables as papers
from bmt.qa.irregularities import ReadingReport
from bmt.settings import IN_DOMAIN, OUT_OF_DOMAIN

Facts = Mapping[str, Mapping[str, float | None]]
COLUMNS = ("Q", "C", "Train", "Dev", "Test")
COUNTED = ("Train", "Dev")
WIDTH = 9  # of a number; two make a column


def table_1(reports: Sequence[tuple[str, ReadingReport]], profile: str) -> dict[str, Any]:
    """What results/<profile>/table_1.json holds: mean words of questions (Q) and contexts (C) of the train
    file, else the dev file.

    Questions are counted by split; those of the out-of-domain test splits nobody has: `Test` is null. A
    context counts once for each of
    its questions.
    """
    rows: dict[str, dict[str, float | None]] = {}
    for dataset in (*IN_DOMAIN, *OUT_OF_DOMAIN):
        own = {split: report for split, report in reports if report.dataset == dataset}
        chosen = own.get("train", own.get("dev"))
        if chosen is not None:
            rows[dataset] = {
                "Q": chosen.mean_question_tokens(),
                "C": chosen.mean_context_tokens(),
                "Train": own["train"].questions if "train" in own else None,
                "Dev": own["dev"].questions if "dev" in own else None,
                "Test": None,
            }
    return {"schema": 1, "table": "1", "profile": profile, "backbone": None, "rows": rows}


def beside_the_paper(ours: Facts, paper: papers.Table) -> list[str]:
    """The paper's Table 1 with `ours` (the rows of `table_1`) beside it, as lines for a terminal.

    "-": the paper prints nothing there; "no data": it does, and there is no such file.
    """
    lines = [
        f"Table {paper.table} of the paper, beside these files (Q, C: mean words of a question, of its context; counts are questions)",
        " " * 20 + "".join(f"{name:>{2 * WIDTH}}" for name in COLUMNS),
        " " * 20 + f"{'paper':>{WIDTH}}{'ours':>{WIDTH}}" * len(COLUMNS),
    ]
    printed = equal = 0
    for row in paper.rows:
        own = ours.get(row.row, {})
        cells = []
        for name in COLUMNS:
            stated, found = row.values[name][""], own.get(name)
            cells.append(
                f"{'-' if stated is None else f'{stated:.0f}':>{WIDTH}}{_ours(name, stated, found):>{WIDTH}}"
            )
            if name in COUNTED and stated is not None:
                printed += 1
                equal += found == stated
        lines.append(f"{row.row:<20}{''.join(cells)}")
    return [*lines, f"{equal} of the {printed} Train and Dev counts that the paper prints are these files'"]


def _ours(name: str, stated: float | None, found: float | None) -> str:
    if found is None:
        return "-" if stated is None else "no data"
    return f"{found:.0f}" if name in COUNTED else f"{found:.1f}"
