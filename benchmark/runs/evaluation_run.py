"""`python -m benchmark.evaluate CELL`: score a trained cell on the dev sets; keep every prediction.

On several GPUs or machines (which share the project's folder) the questions are shared out: `accelerate
launch -m benchmark.evaluate CELL`.
"""

from __future__ import annotations

import json
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from benchmark.tracking import environment, mlflow_store as tracking
from benchmark.cli.allocator import keep_freed_memory
from benchmark.runs.cell_data import dev_examples, questions, read_features
from benchmark.config.cells import Cell
from benchmark.runs.seal import OWNER, SEAL, seal
from benchmark.cli.commands import command_parser, run_command
from benchmark.config.params import Config, as_flat, find_cell, load
from benchmark.config.digests import params_digest
from benchmark.config.folders import Places
from benchmark.config.cells import domain_of
from benchmark.cli.progress import Bar, progress, silent
from benchmark.runs.training_run import device_for_training, plan_of
from bmt.qa.adapters import datasets_of
from bmt.qa.answering import load as load_model
from bmt.qa.batches import Vocabulary
from bmt.errors import DataError
from bmt.runtime.files import file_digest, write_aside, write_json
from bmt.qa.metrics import EVALUATOR_VERSION, score
from bmt.runtime.ranks import Ranks, launched
from bmt.settings import IN_DOMAIN, OUT_OF_DOMAIN
from bmt.transfer.transfer_runs import zero_shot
from bmt.training.validation import answers


COLUMNS = pa.schema(
    [
        ("dataset", pa.string()), ("example_id", pa.string()), ("context_id", pa.string()), ("prediction", pa.string()),
        ("score", pa.float64()),        ("em", pa.float64()), ("f1", pa.float64()), ("answers", pa.list_(pa.string())),
    ]
)


def evaluate_cell(config: Config, cell: Cell, params: str | None = None, ranks: Ranks | None = None) -> None:
    """Answer every dev question with a cell's model; write `results/<profile>/<cell>.json` and `.parquet`,
    and log to the cell's run.

    Of several ranks, which all call this, each answers its share of the questions and the first alone writes,
    tracks and prints.

    Raises:
        ModelError: the cell was not trained. DataError: no features.
    """
    ranks = ranks or Ranks()
    places = Places.of(config)
    if config.training.threads:
        torch.set_num_threads(config.training.threads)
    folder = places.run(cell)
    model, tokenizer = load_model(folder)
    trained = read_training(folder)
    model.to(device_for_training())
    names = [name for name in config.data.evaluate if (places.features(cell.backbone) / f"{name}.dev" / "features.json").is_file()]
    missing = [name for name in config.data.evaluate if name not in names]
    sets = {name: read_features(places.features(cell.backbone), name, "dev", config.data) for name in names}
    if not sets:
        raise DataError(f"{places.features(cell.backbone)}: no dev features there: run `python -m benchmark.prepare`")
    picked = {name: questions(features, name, dev_examples(features, config.data)) for name, features in sets.items()}
    tables, datasets = [], {}
    with (
        tracking.start(
            cell.name, experiment=f"{config.tracking.experiment}-{config.profile}", folder=folder,
            params=as_flat(config) | {"cell": cell.name}, tags={"cell": cell.name}, run_id=trained["mlflow_run_id"],
            enabled=ranks.first,
        ) as run,
        progress(f"evaluate {cell.name}", total=sum(len(own.shared(ranks)) for own in picked.values()), unit="windows")
        if ranks.first else nullcontext(silent()) as bar,
    ):
        elsewhere = zero_shot(model)  # with adapters: their mean, for datasets that none of them is of
        for name, own in picked.items():
            answering = model if name in datasets_of(model) else elsewhere
            found = answers(answering, own, Vocabulary.of(tokenizer), plan_of(config), partial(_advance, bar, name), ranks)
            if not ranks.first:
                continue
            table = predictions_table(name, own.examples, found, sets[name].examples)
            tables.append(table)
            digest = sets[name].meta["inputs"]["file_sha256"]
            run.data_input(name=f"{name}.dev", source=str(places.raw), digest=digest[:32], context="evaluation")
            datasets[name] = {
                "domain": domain_of(name), "em": 100 * float(np.mean(table["em"])), "f1": 100 * float(np.mean(table["f1"])),
                "examples": len(table), "contexts": len(set(table["context_id"].to_pylist())), "data_sha256": digest,
            }
        if not ranks.first:
            return
        averages = averages_of(datasets)
        write_results(places.results, config, cell, trained, pa.concat_tables(tables), datasets, averages, missing, params, {"K": None})
        metrics = dev_metrics(datasets, averages)
        run.log(metrics, step=trained["budget"]["steps"])
        write_json(folder / "metrics.json", headline(averages, trained))
    for line in lines(cell.name, datasets, averages, missing):
        print(line)


def _advance(bar: Bar, name: str, n: int, note: str) -> None:
    bar.advance(n, note=name)


def read_training(folder: Path) -> dict[str, Any]:
    """What training wrote of itself. Raises DataError where it is absent or damaged."""
    path = folder / "training.json"
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read ({type(error).__name__}): train the cell again, or `dvc pull` its outputs") from None
    return record


def predictions_table(dataset: str, examples: np.ndarray, found: list[Any], source: pa.Table) -> pa.Table:
    """One row an example (see COLUMNS); an example without a window has an empty prediction."""
    by_example = {prediction.example: prediction for prediction in found}
    chosen = source.take(pa.array(examples))
    texts = [by_example[row].text if row in by_example else "" for row in examples.tolist()]
    scores = [by_example[row].score if row in by_example else None for row in examples.tolist()]
    answers = chosen["answers"].to_pylist()
    em, f1 = score(texts, answers)
    return pa.table(
        {
            "dataset": [dataset] * len(texts), "example_id": chosen["id"], "context_id": chosen["context_id"], "prediction": texts,
            "score": scores, "em": em, "f1": f1, "answers": answers,
        },
        schema=COLUMNS,
    )


def averages_of(datasets: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Macro averages in and out of domain, with the names of the datasets that they are over; a domain
    without a dataset is left out.
    """
    averages = {}
    for domain, members in (("in_domain", IN_DOMAIN), ("out_of_domain", OUT_OF_DOMAIN)):
        own = [name for name in members if name in datasets]
        if own:
            averages[domain] = {metric: float(np.mean([datasets[name][metric] for name in own])) for metric in ("em", "f1")} | {
                "datasets": own
            }
    return averages


def dev_metrics(datasets: dict[str, dict[str, Any]], averages: dict[str, dict[str, Any]]) -> dict[str, float]:
    """The tracker's metrics: `f1/<dataset>`, `em/<dataset>`, `f1/avg_id`, `f1/avg_ood`, …"""
    values = {f"{metric}/{name}": float(own[metric]) for name, own in datasets.items() for metric in ("em", "f1")}
    short = {"in_domain": "avg_id", "out_of_domain": "avg_ood"}
    return values | {f"{metric}/{short[domain]}": float(own[metric]) for domain, own in averages.items() for metric in ("em", "f1")}


def headline(averages: dict[str, dict[str, Any]], trained: dict[str, Any]) -> dict[str, Any]:
    """The few numbers for `dvc metrics show`."""
    mask = trained["mask"] or {}
    return {
        "f1": {domain: own["f1"] for domain, own in averages.items()},
        "em": {domain: own["em"] for domain, own in averages.items()},
        "relative_deviation": trained["deviation"]["total"]["relative"],
        "union_density": mask.get("union_density", mask.get("p_f", 1.0)),
    }


def write_results(
    folder: Path, config: Config, cell: Cell, trained: dict[str, Any], predictions: pa.Table, datasets: dict[str, Any],
    averages: dict[str, Any], missing: list[str], params: str | None, more: dict[str, Any],
) -> None:
    """The two files of a run's results (schema 1, docs/compare.md): a trained cell's, or with another name in
    `more` a transfer's.
    """
    described = environment.describe()
    kept = (
        "cell",
        "profile",
        "backbone",
        "backbone_revision",
        "regime",
        "arm",
        "adapter",
        "seed",
        "p_f",
        "mask",
        "budget",
        "mlflow_run_id",
    )
    record = {
        "schema": 1, **{key: trained[key] for key in kept}, "regularizer": trained.get("regularizer"),
        "datasets": datasets, "averages": averages,
        "missing_datasets": missing, "from_hub": hub_files(config, cell, [*trained["data"], *(f"{name}.dev" for name in datasets)]),
        "deviation": trained["deviation"]["total"], "deviation_by": trained["deviation"],
        "evaluator_version": EVALUATOR_VERSION, "params_sha256": params_digest(params), "git": described["git"],
        "device": described["device"], "environment": described,
        "trained_with": trained["environment"], "train_data_sha256": trained["data"],
        "seconds": trained["seconds"], "tokens_per_second": trained["tokens_per_second"], "peak_memory_mb": trained["peak_memory_mb"],
    } | more
    keep_results(folder, predictions, record)


def keep_results(folder: Path, predictions: pa.Table, record: dict[str, Any]) -> None:
    """Write `<cell>.parquet`, and the `record` of the run with the digest of it and the seal of both as
    `<cell>.json`.
    """
    name = record["cell"]
    parquet = folder / f"{name}.parquet"
    with write_aside(parquet) as aside:
        pq.write_table(predictions.replace_schema_metadata({OWNER: f"{record['profile']}/{name}"}), aside, compression="zstd")
    whole = record | {"predictions_sha256": file_digest(parquet)}
    write_json(folder / f"{name}.json", whole | {SEAL: seal(whole)})


def hub_files(config: Config, cell: Cell, names: list[str]) -> list[str]:
    """Those of the files `<Dataset>.<split>` that came from the Hugging Face hub's copy, as
    `benchmark.prepare` noted.
    """
    noted = json.loads((Places.of(config).features(cell.backbone) / "features.json").read_text(encoding="utf-8"))["files"]
    return [name for name in names if noted.get(name, {}).get("source") == "hub"]


def lines(name: str, datasets: dict[str, Any], averages: dict[str, Any], missing: list[str]) -> list[str]:
    """What the command prints when it is done."""
    text = [name] + [
        f"  {name:<20} EM {own['em']:5.1f}  F1 {own['f1']:5.1f}  ({own['examples']} questions)" for name, own in datasets.items()
    ]
    text += [
        f"  {domain.replace('_', '-'):<20} EM {own['em']:5.1f}  F1 {own['f1']:5.1f}  (mean of {len(own['datasets'])} datasets)"
        for domain, own in averages.items()
    ]
    return text + [f"  {name:<20} no data" for name in missing]
