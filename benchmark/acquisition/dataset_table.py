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
    context counts once for each of its questions.
    """
    rows: dict[str, dict[str, float | None]] = {}
    for dataset in (*IN_DOMAIN, *OUT_OF_DOMAIN):
        by_split = {split: report for split, report in reports if report.dataset == dataset}
        chosen = by_split.get("train", by_split.get("dev"))
        if chosen is not None:
            rows[dataset] = {
                "Q": chosen.mean_question_tokens(),
                "C": chosen.mean_context_tokens(),
                "Train": by_split["train"].questions if "train" in by_split else None,
                "Dev": by_split["dev"].questions if "dev" in by_split else None,
                "Test": None,
            }
    return {"schema": 1, "table": "1", "profile": profile, "backbone": None, "rows": rows}


def beside_the_paper(ours: Facts, paper: papers.Table) -> list[str]:
    """The paper's Table 1 with `ours` (the rows of `table_1`) beside it, as lines for a terminal.

    "-": the paper prints nothing there; "no data": it does, and there is no such file.
    """
    lines = [
        f"Table {paper.table} of the paper, beside these files (Q, C: mean words of a question, of its "
        "context; counts are questions)",
        " " * 20 + "".join(f"{name:>{2 * WIDTH}}" for name in COLUMNS),
        " " * 20 + f"{'paper':>{WIDTH}}{'ours':>{WIDTH}}" * len(COLUMNS),
    ]
    printed = equal = 0
    for row in paper.rows:
        numbers = ours.get(row.row, {})
        cells = []
        for name in COLUMNS:
            stated, counted = row.values[name][""], numbers.get(name)
            printed_text = "-" if stated is None else f"{stated:.0f}"
            cells.append(f"{printed_text:>{WIDTH}}{_ours(name, stated, counted):>{WIDTH}}")
            if name in COUNTED and stated is not None:
                printed += 1
                equal += counted == stated
        lines.append(f"{row.row:<20}{''.join(cells)}")
    return [*lines, f"{equal} of the {printed} Train and Dev counts that the paper prints are these files'"]


def _ours(name: str, stated: float | None, counted: float | None) -> str:
    if counted is None:
        return "-" if stated is None else "no data"
    return f"{counted:.0f}" if name in COUNTED else f"{counted:.1f}"
