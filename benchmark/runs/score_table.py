"""The table that evaluation, transfer and UnifiedQA print when they are done."""

from __future__ import annotations

from benchmark.rendering.document import Column, Document, Inline, TextRow, text_table
from benchmark.runs.dataset_scores import DatasetScores

COLUMNS = (Column("dataset", "left"), Column("EM"), Column("F1"), Column("", "left", label="over"))


def score_document(name: str, scores: DatasetScores, *notes: Inline) -> Document:
    """EM and F1 in percent of the run `name`, by dataset and on average; a dataset of which there is no data
    too.
    """
    rows = []
    for key, entry in (scores.datasets | scores.averages).items():
        over = entry.get("datasets")
        count = f"mean of {len(over)} datasets" if over else f"{entry['examples']} questions"
        numbers = (f"{entry[metric]:.1f}" for metric in ("em", "f1"))
        rows.append(TextRow((key.replace("_", "-"), *numbers, count), strong=bool(over)))
    rows += [TextRow((dataset, "-", "-", "no data")) for dataset in scores.missing]
    return Document(name, (text_table(COLUMNS, rows, "", *notes),))
