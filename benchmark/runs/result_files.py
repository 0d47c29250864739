"""The two files of a run's results (schema 1, docs/compare.md): `<cell>.json` and `<cell>.parquet`."""

from __future__ import annotations

import json
from typing import Any

import pyarrow.parquet as pq

from benchmark.config.cells import Cell
from benchmark.config.digests import params_digest
from benchmark.config.folders import Folders
from benchmark.config.params import Config
from benchmark.runs.dataset_scores import DatasetScores
from benchmark.runs.result_schema import KEPT, SCHEMA
from benchmark.runs.seal import OWNER, SEAL, seal
from benchmark.tracking import environment
from bmt.qa.metrics import EVALUATOR_VERSION
from bmt.runtime.files import file_digest, write_aside, write_json

OF_TRAINING = (*KEPT, "seconds", "tokens_per_second", "peak_memory_mb")
"""What a result repeats of training.json."""


def write_results(
    config: Config,
    cell: Cell,
    trained: dict[str, Any],
    scores: DatasetScores,
    params: str | None,
    more: dict[str, Any],
) -> None:
    """Write a trained cell's results, or with another name in `more` a transfer's.

    Args:
        trained: training.json.
        params: the params file; None: the root's.
        more: fields that are added, or stand in place of training.json's.
    """
    dev = [f"{name}.dev" for name in scores.datasets]
    record = {key: trained[key] for key in OF_TRAINING} | {
        "regularizer": trained.get("regularizer"),
        "from_hub": hub_files(config, cell, [*trained["data"], *dev]),
        "deviation": trained["deviation"]["total"],
        "deviation_by": trained["deviation"],
        "trained_with": trained["environment"],
        "train_data_sha256": trained["data"],
    }
    keep_results(config, scores, params, record | more)


def keep_results(config: Config, scores: DatasetScores, params: str | None, record: dict[str, Any]) -> None:
    """Write `<cell>.parquet`, and as `<cell>.json` the `record` of the run with its scores, what they were
    made with, the digest of the predictions and the seal of both.
    """
    described, folder = environment.describe(), Folders.of(config).results
    whole = {
        "schema": SCHEMA,
        "datasets": scores.datasets,
        "averages": scores.averages,
        "missing_datasets": scores.missing,
        "evaluator_version": EVALUATOR_VERSION,
        "params_sha256": params_digest(params),
        "git": described["git"],
        "device": described["device"],
        "environment": described,
    } | record
    path = folder / f"{record['cell']}.json"
    owner = {OWNER: f"{record['profile']}/{record['cell']}"}  # the predictions name their run
    with write_aside(path.with_suffix(".parquet")) as aside:
        pq.write_table(scores.predictions.replace_schema_metadata(owner), aside, compression="zstd")
    whole["predictions_sha256"] = file_digest(path.with_suffix(".parquet"))
    write_json(path, whole | {SEAL: seal(whole)})


def hub_files(config: Config, cell: Cell, names: list[str]) -> list[str]:
    """Those of the files `<Dataset>.<split>` that came from the Hugging Face hub's copy, as
    `benchmark.prepare` noted.
    """
    path = Folders.of(config).features(cell.backbone) / "features.json"
    noted = json.loads(path.read_text(encoding="utf-8"))["files"]
    return [name for name in names if noted.get(name, {}).get("source") == "hub"]
