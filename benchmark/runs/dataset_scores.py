"""Answers and scores on dev questions, by dataset: what evaluation, transfer and UnifiedQA have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from benchmark.config.cells import domain_of
from bmt.qa.metrics import score
from bmt.settings import IN_DOMAIN, OUT_OF_DOMAIN

if TYPE_CHECKING:
    from bmt.qa.decoding import Prediction

COLUMNS = pa.schema(
    [
        ("dataset", pa.string()),
        ("example_id", pa.string()),
        ("context_id", pa.string()),
        ("prediction", pa.string()),
        ("score", pa.float64()),
        ("em", pa.float64()),
        ("f1", pa.float64()),
        ("answers", pa.list_(pa.string())),
    ]
)
"""Of the predictions: one row per question."""


@dataclass(frozen=True, slots=True)
class WrittenAnswer:
    """An answer that a model wrote to the example in row `example`: it gives no score of it."""

    example: int
    text: str
    score: None = None


def predictions_table(
    dataset: str, examples: np.ndarray, answers: Sequence[Prediction | WrittenAnswer], source: pa.Table
) -> pa.Table:
    """One row per example (see COLUMNS); an example without a window has an empty prediction.

    Args:
        examples: rows of the examples that are scored.
        source: id, context_id and answers of every example of the file.
    """
    by_example = {answer.example: answer for answer in answers}
    chosen = source.take(pa.array(examples))
    given = [by_example.get(row, WrittenAnswer(row, "")) for row in examples.tolist()]
    texts, gold = [answer.text for answer in given], chosen["answers"].to_pylist()
    em, f1 = score(texts, gold)
    columns = {
        "dataset": [dataset] * len(texts),
        "example_id": chosen["id"],
        "context_id": chosen["context_id"],
        "prediction": texts,
        "score": [answer.score for answer in given],
        "em": em,
        "f1": f1,
        "answers": gold,
    }
    return pa.table(columns, schema=COLUMNS)


@dataclass(frozen=True, slots=True)
class DatasetScores:
    """Predictions and scores of one run.

    Attributes:
        predictions: of all datasets, as COLUMNS.
        datasets: what a result says of each: domain, EM and F1 in percent, counts, digest of the data.
        missing: datasets that the profile scores and has no data of.
    """

    predictions: pa.Table
    datasets: dict[str, dict[str, Any]]
    missing: list[str]

    @staticmethod
    def of(tables: Mapping[str, pa.Table], sha256: Mapping[str, str], wanted: Sequence[str]) -> DatasetScores:
        """The scores of each dataset's predictions; `sha256`: of the files that they answer; `wanted`: the
        datasets that the profile scores.
        """
        datasets = {
            name: {
                "domain": domain_of(name),
                "em": 100 * float(np.mean(table["em"])),
                "f1": 100 * float(np.mean(table["f1"])),
                "examples": len(table),
                "contexts": len(set(table["context_id"].to_pylist())),
                "data_sha256": sha256[name],
            }
            for name, table in tables.items()
        }
        missing = [name for name in wanted if name not in tables]
        return DatasetScores(pa.concat_tables(tables.values()), datasets, missing)

    @property
    def averages(self) -> dict[str, dict[str, Any]]:
        """Macro averages in and out of domain, with the names of the datasets that they are over; a domain
        without a dataset is left out.
        """
        averages: dict[str, dict[str, Any]] = {}
        for domain, members in (("in_domain", IN_DOMAIN), ("out_of_domain", OUT_OF_DOMAIN)):
            names = [name for name in members if name in self.datasets]
            if names:
                means = {
                    metric: float(np.mean([self.datasets[name][metric] for name in names]))
                    for metric in ("em", "f1")
                }
                averages[domain] = means | {"datasets": names}
        return averages

    def metrics(self) -> dict[str, float]:
        """The tracker's metrics: `f1/<dataset>`, `em/<dataset>`, `f1/avg_id`, `f1/avg_ood`, …"""
        short = {"in_domain": "avg_id", "out_of_domain": "avg_ood"}
        entries = self.datasets | {short[domain]: entry for domain, entry in self.averages.items()}
        return {
            f"{metric}/{name}": float(entry[metric])
            for name, entry in entries.items()
            for metric in ("em", "f1")
        }
