"""Scores of a run on three datasets, of both domains, and two that have no data."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from benchmark.runs.dataset_scores import COLUMNS, DatasetScores


def part(name: str, em: list[float], f1: list[float], contexts: list[str]) -> pa.Table:
    """A dataset's predictions with these scores of 0 to 1."""
    ids = [f"{name} {row}" for row in range(len(em))]
    columns: dict[str, Any] = {
        "dataset": [name] * len(em),
        "example_id": ids,
        "context_id": contexts,
        "prediction": ids,
        "score": [0.0] * len(em),
        "em": em,
        "f1": f1,
        "answers": [["x"]] * len(em),
    }
    return pa.table(columns, schema=COLUMNS)


def scores() -> DatasetScores:
    """Of three datasets of unlike size, in no order, and one that there is no data of."""
    tables = {
        "DROP": part("DROP", [1.0], [1.0], ["c"]),
        "NewsQA": part("NewsQA", [0.0, 0.0], [0.5, 0.0], ["c", "d"]),
        "SQuAD": part("SQuAD", [1.0, 0.0, 0.0, 1.0], [1.0, 0.5, 0.0, 1.0], ["c", "c", "d", "c"]),
    }
    sha256 = {name: f"sha {name}" for name in (*tables, "BioASQ")}
    return DatasetScores.of(tables, sha256, ["SQuAD", "TextbookQA", "NewsQA", "BioASQ", "DROP"])
