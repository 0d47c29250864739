"""Table 1 from MRQA files: questions, mean words of a question and of a context, by dataset; and that beside
the paper's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmark.paper import tables as papers
from benchmark.rendering.document import Column, Paragraph, TextTable, text_table
from bmt.qa.irregularities import ReadingReport
from bmt.settings import IN_DOMAIN, OUT_OF_DOMAIN

SizesByDataset = Mapping[str, Mapping[str, float | None]]
COLUMNS = ("Q", "C", "Train", "Dev", "Test")
COUNTED = ("Train", "Dev")

LEAST = {"Q": 5, "C": 5, "Train": 6, "Dev": 5, "Test": 7}
"""Width down to which a column's heading wraps: its numbers do not."""


def table_1(reports: Sequence[tuple[str, ReadingReport]], profile: str) -> dict[str, Any]:
    """What results/<profile>/table_1.json holds: mean words of questions (Q) and contexts (C) of the train
    file, else the dev file.

    Questions are counted by split; those of the out-of-domain test splits nobody has: `Test` is null. A
    context counts once for each of its questions.
    """
    rows: dict[str, dict[str, float | None]] = {}
    for dataset in (*IN_DOMAIN, *OUT_OF_DOMAIN):
        splits = {split: report for split, report in reports if report.dataset == dataset}
        chosen = splits.get("train", splits.get("dev"))
        if chosen is not None:
            rows[dataset] = {
                "Q": chosen.mean_question_tokens(),
                "C": chosen.mean_context_tokens(),
                "Train": splits["train"].questions if "train" in splits else None,
                "Dev": splits["dev"].questions if "dev" in splits else None,
                "Test": None,
            }
    return {"schema": 1, "table": "1", "profile": profile, "backbone": None, "rows": rows}


def beside_the_paper(ours: SizesByDataset, paper: papers.Table) -> tuple[TextTable, Paragraph]:
    """The paper's Table 1 with `ours` (the rows of `table_1`) beside it, and how many counts are equal.

    "-": the paper prints nothing there; "no data": it does, and there is no such file.
    """
    columns = [
        Column("dataset", "left"),
        *(
            Column(f"{name} {whose}", least=LEAST[name], drop=drop if name == "Test" else 0)
            for name in COLUMNS
            for drop, whose in ((2, "paper"), (1, "ours"))
        ),
    ]
    rows, printed, equal = [], 0, 0
    for row in paper.rows:
        counts, cells = ours.get(row.row, {}), []
        for name in COLUMNS:
            stated, count = row.values[name][""], counts.get(name)
            cells += ["-" if stated is None else f"{stated:.0f}", _ours(name, stated, count)]
            if name in COUNTED and stated is not None:
                printed += 1
                equal += count == stated
        rows.append((row.row, *cells))
    title = f"Table {paper.table} of the paper, beside these files"
    note = "Q, C: mean words of a question, of its context; counts are questions"
    said = f"{equal} of the {printed} Train and Dev counts that the paper prints are these files'"
    return text_table(columns, rows, title, note), Paragraph(said)


def _ours(name: str, stated: float | None, count: float | None) -> str:
    if count is None:
        return "-" if stated is None else "no data"
    return f"{count:.0f}" if name in COUNTED else f"{count:.1f}"
