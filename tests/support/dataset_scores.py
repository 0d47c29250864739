"""Scores of a run on three datasets, of both domains, and two that have no data."""

from __future__ import annotations

from benchmark.runs.dataset_scores import DatasetScores


def scores() -> DatasetScores:
    """Of three datasets of unlike size, in no order, and one that there is no data of."""
    tables = {
        "DROP": part("DROP", [1.0], [1.0], ["c"]),
        "NewsQA": part("NewsQA", [0.0, 0.0], [0.5, 0.0], ["c", "d"]),
        "SQuAD": part("SQuAD", [1.0, 0.0, 0.0, 1.0], [1.0, 0.5, 0.0, 1.0], ["c", "c", "d", "c"]),
    }
    sha256 = {name: f"sha {name}" for name in (*tables, "BioASQ")}
    return DatasetScores.of(tables, sha256, ["SQuAD", "TextbookQA", "NewsQA", "BioASQ", "DROP"])
